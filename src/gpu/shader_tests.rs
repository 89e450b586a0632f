//! The shaders by themselves, without a GPU: every composition that can be asked for parses, is valid, and is laid out as
//! the host believes.

use std::collections::BTreeMap;
use std::mem::offset_of;

use super::layout::{
    APPLY_ENTRY, FINISH_ENTRY, GROUP, INPUT_BINDING, MEASURE_ENTRIES, MEASURES_BINDING, MERGE_ENTRY, OUTPUT_BINDING,
    PARAMS_BINDING, Params, StepParams, TILES_ENTRY, TOLD_BINDING, WHOLE_ENTRY, WHOLE_STEPS_ENTRY, WORKGROUP_BYTES,
    WORKGROUP_SIZE,
};
use super::plan::BlockPlan;
use super::shader::{Numbers, StepFrame, compose, compose_steps};
use crate::base::shape::PixelType;
use crate::features::FeatureSet;
use crate::features::family::DeviceForm;
use naga::valid::{Capabilities, ValidationFlags, Validator};
use naga::{AddressSpace, Module, StorageAccess, TypeInner};

const PIXEL_TYPES: [PixelType; 3] = [PixelType::U8, PixelType::U16, PixelType::F32];

/// A composition: its feature set, pixel type and numbers, what to call it, and its WGSL.
struct Composition {
    name: String,
    set: FeatureSet,
    pixel_type: PixelType,
    numbers: Numbers,
    source: String,
}

/// Every composition of every family alone, and of all together.
fn compositions() -> Vec<Composition> {
    let mut all = Vec::new();
    for set in FeatureSet::examples().into_iter().chain([FeatureSet::finished_examples()]) {
        for pixel_type in PIXEL_TYPES.into_iter().filter(|&of| set.device_form(of) != DeviceForm::No) {
            for numbers in [Numbers::Constants, Numbers::Params] {
                let name = format!("{set}, {pixel_type}, {numbers:?}");
                let source = compose(&set, pixel_type, numbers);
                all.push(Composition { name, set: set.clone(), pixel_type, numbers, source });
            }
        }
    }
    all
}

/// The kernels of steps for every frame and pixel type: what to call them, and their WGSL.
fn step_compositions() -> Vec<(String, StepFrame, PixelType, String)> {
    let kinds = [StepFrame::Wide, StepFrame::Whole].into_iter().flat_map(|frame| PIXEL_TYPES.map(|t| (frame, t)));
    kinds.map(|(frame, t)| (format!("{frame:?}, {t}"), frame, t, compose_steps(frame, t))).collect()
}

/// What is bound to each binding of a module.
fn bound(name: &str, module: &Module) -> BTreeMap<u32, Vec<AddressSpace>> {
    let mut bound = BTreeMap::<_, Vec<_>>::new();
    for (_, variable) in module.global_variables.iter() {
        if let Some(at) = &variable.binding {
            assert_eq!(at.group, GROUP, "{name}");
            bound.entry(at.binding).or_default().push(variable.space);
        }
    }
    bound
}

fn validate(name: &str, source: &str) {
    let validated = Validator::new(ValidationFlags::all(), Capabilities::empty()).validate(&parse(name, source));
    validated.unwrap_or_else(|error| panic!("{name}: {}", error.emit_to_string(source)));
}

fn parse(name: &str, source: &str) -> Module {
    naga::front::wgsl::parse_str(source).unwrap_or_else(|error| panic!("{name}: {}", error.emit_to_string(source)))
}

#[test]
fn every_shader_file_is_part_of_a_composition() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders");
    let all: Vec<_> = compositions().into_iter().map(|composition| composition.source).collect();
    let all: Vec<_> = all.into_iter().chain(step_compositions().into_iter().map(|(.., source)| source)).collect();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(all.iter().any(|source| source.contains(&text)), "{}", path.display());
    }
}

#[test]
fn compositions_are_valid_and_ask_for_no_feature() {
    for Composition { name, source, .. } in compositions() {
        validate(&name, &source);
    }
    for (name, .., source) in step_compositions() {
        validate(&name, &source);
    }
}

#[test]
fn steps_are_laid_out_as_the_host_believes() {
    let read = AddressSpace::Storage { access: StorageAccess::LOAD };
    let read_write = AddressSpace::Storage { access: StorageAccess::LOAD | StorageAccess::STORE };
    for (name, frame, pixel_type, source) in step_compositions() {
        let module = parse(&name, &source);
        let entries: Vec<_> = module.entry_points.iter().map(|entry| entry.name.as_str()).collect();
        let wanted = match (frame, pixel_type) {
            (StepFrame::Whole, _) => vec![WHOLE_STEPS_ENTRY],
            (StepFrame::Wide, PixelType::F32) => vec![APPLY_ENTRY],
            (StepFrame::Wide, _) => [[APPLY_ENTRY].as_slice(), &MEASURE_ENTRIES].concat(),
        };
        assert_eq!(entries, wanted, "{name}");
        for entry in &module.entry_points {
            assert_eq!(entry.stage, naga::ShaderStage::Compute, "{name}");
            assert_eq!(entry.workgroup_size, [WORKGROUP_SIZE, 1, 1], "{name}");
        }
        let measures = if frame == StepFrame::Wide { Some((MEASURES_BINDING, vec![read_write])) } else { None };
        let wanted = [
            (PARAMS_BINDING, vec![AddressSpace::Uniform]),
            (INPUT_BINDING, vec![read]),
            (OUTPUT_BINDING, vec![read_write]),
            (TOLD_BINDING, vec![read]),
        ];
        assert_eq!(bound(&name, &module), wanted.into_iter().chain(measures).collect(), "{name}");
        let memory = module.global_variables.iter().filter(|(_, variable)| variable.space == AddressSpace::WorkGroup);
        let bytes: u32 = memory.map(|(_, variable)| module.types[variable.ty].inner.size(module.to_ctx())).sum();
        assert!(bytes as usize <= WORKGROUP_BYTES, "{name}: {bytes} bytes of workgroup memory");
    }
    let twin = [
        offset_of!(StepParams, images),
        offset_of!(StepParams, first),
        offset_of!(StepParams, stride),
        offset_of!(StepParams, to_first),
        offset_of!(StepParams, to_stride),
        offset_of!(StepParams, gapless),
        offset_of!(StepParams, slot),
        offset_of!(StepParams, slots),
        offset_of!(StepParams, records),
        offset_of!(StepParams, tables),
    ];
    assert_eq!(twin, std::array::from_fn(|member| 4 * member), "in the order of `StepParams::NAMES`");
}

#[test]
fn entry_points_are_those_that_the_host_dispatches() {
    for Composition { name, set, pixel_type, source, .. } in compositions() {
        let module = parse(&name, &source);
        let entries: Vec<_> = module.entry_points.iter().map(|entry| entry.name.as_str()).collect();
        let all = [WHOLE_ENTRY, TILES_ENTRY, MERGE_ENTRY, FINISH_ENTRY];
        let finished = set.device_form(pixel_type) == DeviceForm::Features;
        assert_eq!(entries, all[..if finished { 4 } else { 3 }], "{name}");
        for entry in &module.entry_points {
            assert_eq!(entry.stage, naga::ShaderStage::Compute, "{name} {}", entry.name);
            assert_eq!(entry.workgroup_size, [WORKGROUP_SIZE, 1, 1], "{name} {}", entry.name);
        }
    }
}

#[test]
fn bindings_are_those_that_the_host_binds() {
    for Composition { name, source, .. } in compositions() {
        let module = parse(&name, &source);
        let read = AddressSpace::Storage { access: StorageAccess::LOAD };
        let read_write = AddressSpace::Storage { access: StorageAccess::LOAD | StorageAccess::STORE };
        // Vectors of pixels, or words of records; records, or features.
        let wanted = [
            (PARAMS_BINDING, vec![AddressSpace::Uniform]),
            (INPUT_BINDING, vec![read; 2]),
            (OUTPUT_BINDING, vec![read_write; 2]),
        ];
        assert_eq!(bound(&name, &module), wanted.into(), "{name}");
    }
}

#[test]
fn constants_are_the_numbers_of_a_plan_and_only_where_they_are_asked_for() {
    for Composition { name, set, pixel_type, numbers, source } in compositions() {
        let module = parse(&name, &source);
        let overrides: Vec<_> = module.overrides.iter().map(|(_, constant)| constant.name.clone().unwrap()).collect();
        match numbers {
            Numbers::Constants => {
                let names = BlockPlan::number_names(&set, pixel_type);
                let names: Vec<_> = names.iter().map(|name| name.to_ascii_uppercase()).collect();
                assert_eq!(overrides, names, "{name}");
            }
            Numbers::Params => assert!(overrides.is_empty(), "{name}: {overrides:?}"),
        }
    }
}

#[test]
fn memory_of_fixed_size_is_what_every_adapter_has() {
    for Composition { name, source, .. } in compositions().into_iter().filter(|c| c.numbers == Numbers::Params) {
        let module = parse(&name, &source);
        let memory = module.global_variables.iter().find(|(_, v)| v.name.as_deref() == Some("memory")).unwrap().1;
        let size = module.types[memory.ty].inner.size(module.to_ctx());
        assert_eq!(size as usize, WORKGROUP_BYTES, "{name}");
    }
}

#[test]
fn params_are_laid_out_as_their_rust_twin() {
    for Composition { name, set, pixel_type, source, .. } in compositions() {
        let mut twin = vec![
            ("first".to_owned(), offset_of!(Params, first)),
            ("images".to_owned(), offset_of!(Params, images)),
            ("height".to_owned(), offset_of!(Params, height)),
            ("image_height".to_owned(), offset_of!(Params, image_height)),
            ("first_row".to_owned(), offset_of!(Params, first_row)),
            ("rows_above".to_owned(), offset_of!(Params, rows_above)),
            ("stride".to_owned(), offset_of!(Params, stride)),
            ("scale".to_owned(), offset_of!(Params, scale)),
        ];
        let numbers = BlockPlan::number_names(&set, pixel_type).into_iter().enumerate();
        twin.extend(numbers.map(|(i, name)| (name, offset_of!(Params, numbers) + 4 * i)));
        let module = parse(&name, &source);
        let params = module.types.iter().find(|(_, ty)| ty.name.as_deref() == Some("Params")).unwrap().1;
        let TypeInner::Struct { members, span } = &params.inner else { panic!("{name}: Params is no struct") };
        assert!(*span as usize <= size_of::<Params>(), "{name}");
        let members: Vec<_> = members
            .iter()
            .map(|member| {
                let scalar =
                    if member.name.as_deref() == Some("scale") { naga::Scalar::F32 } else { naga::Scalar::U32 };
                assert_eq!(module.types[member.ty].inner, TypeInner::Scalar(scalar), "{name}");
                (member.name.clone().unwrap(), member.offset as usize)
            })
            .collect();
        assert_eq!(members, twin, "{name}");
    }
}
