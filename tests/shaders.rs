//! The shaders by themselves, without a GPU: every composition that can be asked for parses, is valid, and is laid out as
//! the host believes.
#![cfg(feature = "gpu")]

use std::collections::BTreeMap;
use std::mem::offset_of;

use naga::valid::{Capabilities, ValidationFlags, Validator};
use naga::{AddressSpace, Module, StorageAccess, TypeInner};
use pixelfeat::PixelType;
use pixelfeat::gpu::layout::{
    FINISH_ENTRY, GROUP, INPUT_BINDING, MERGE_ENTRY, NUMBERS, OUTPUT_BINDING, PARAMS_BINDING, Params, TILES_ENTRY,
    WHOLE_ENTRY, WORKGROUP_BYTES, WORKGROUP_SIZE,
};
use pixelfeat::gpu::shader::{Numbers, compose};

const PIXEL_TYPES: [PixelType; 3] = [PixelType::U8, PixelType::U16, PixelType::F32];

/// Every composition, with its name.
fn compositions() -> Vec<(String, PixelType, Numbers, String)> {
    let pairs = PIXEL_TYPES.into_iter().flat_map(|ty| [Numbers::Constants, Numbers::Params].map(|from| (ty, from)));
    pairs.map(|(ty, from)| (format!("{ty}, {from:?}"), ty, from, compose(ty, from))).collect()
}

fn parse(name: &str, source: &str) -> Module {
    naga::front::wgsl::parse_str(source).unwrap_or_else(|error| panic!("{name}: {}", error.emit_to_string(source)))
}

#[test]
fn every_shader_file_is_part_of_a_composition() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders");
    let all = compositions();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(all.iter().any(|(.., source)| source.contains(&text)), "{}", path.display());
    }
}

#[test]
fn compositions_are_valid_and_ask_for_no_feature() {
    for (name, _, _, source) in compositions() {
        let module = parse(&name, &source);
        let validated = Validator::new(ValidationFlags::all(), Capabilities::empty()).validate(&module);
        validated.unwrap_or_else(|error| panic!("{name}: {}", error.emit_to_string(&source)));
    }
}

#[test]
fn entry_points_are_those_that_the_host_dispatches() {
    for (name, pixel_type, _, source) in compositions() {
        let module = parse(&name, &source);
        let entries: Vec<_> = module.entry_points.iter().map(|entry| entry.name.as_str()).collect();
        let all = [WHOLE_ENTRY, TILES_ENTRY, MERGE_ENTRY, FINISH_ENTRY];
        // Float sums are not finished on the device.
        assert_eq!(entries, all[..if pixel_type == PixelType::F32 { 3 } else { 4 }], "{name}");
        for entry in &module.entry_points {
            assert_eq!(entry.stage, naga::ShaderStage::Compute, "{name} {}", entry.name);
            assert_eq!(entry.workgroup_size, [WORKGROUP_SIZE, 1, 1], "{name} {}", entry.name);
        }
    }
}

#[test]
fn bindings_are_those_that_the_host_binds() {
    for (name, pixel_type, _, source) in compositions() {
        let module = parse(&name, &source);
        let mut bound = BTreeMap::<_, Vec<_>>::new();
        for (_, variable) in module.global_variables.iter() {
            if let Some(at) = &variable.binding {
                assert_eq!(at.group, GROUP, "{name}");
                bound.entry(at.binding).or_default().push(variable.space);
            }
        }
        let read = AddressSpace::Storage { access: StorageAccess::LOAD };
        let read_write = AddressSpace::Storage { access: StorageAccess::LOAD | StorageAccess::STORE };
        // Vectors of pixels, or words of records; records, or features.
        let outputs = if pixel_type == PixelType::F32 { 1 } else { 2 };
        let wanted = [
            (PARAMS_BINDING, vec![AddressSpace::Uniform]),
            (INPUT_BINDING, vec![read; 2]),
            (OUTPUT_BINDING, vec![read_write; outputs]),
        ];
        assert_eq!(bound, wanted.into(), "{name}");
    }
}

#[test]
fn constants_are_the_numbers_of_a_plan_and_only_where_they_are_asked_for() {
    for (name, _, numbers, source) in compositions() {
        let module = parse(&name, &source);
        let overrides: Vec<_> = module.overrides.iter().map(|(_, constant)| constant.name.clone().unwrap()).collect();
        match numbers {
            Numbers::Constants => assert_eq!(overrides, NUMBERS.map(str::to_ascii_uppercase), "{name}"),
            Numbers::Params => assert!(overrides.is_empty(), "{name}: {overrides:?}"),
        }
    }
}

#[test]
fn memory_of_fixed_size_is_what_every_adapter_has() {
    for (name, _, _, source) in compositions().into_iter().filter(|(_, _, numbers, _)| *numbers == Numbers::Params) {
        let module = parse(&name, &source);
        let memory = module.global_variables.iter().find(|(_, v)| v.name.as_deref() == Some("memory")).unwrap().1;
        let size = module.types[memory.ty].inner.size(module.to_ctx());
        assert_eq!(size as usize, WORKGROUP_BYTES, "{name}");
    }
}

#[test]
fn params_are_laid_out_as_their_rust_twin() {
    let mut twin = vec![
        ("first", offset_of!(Params, first)),
        ("images", offset_of!(Params, images)),
        ("height", offset_of!(Params, height)),
        ("stride", offset_of!(Params, stride)),
        ("scale", offset_of!(Params, scale)),
    ];
    twin.extend(NUMBERS.iter().enumerate().map(|(i, &name)| (name, offset_of!(Params, numbers) + 4 * i)));
    for (name, _, _, source) in compositions() {
        let module = parse(&name, &source);
        let params = module.types.iter().find(|(_, ty)| ty.name.as_deref() == Some("Params")).unwrap().1;
        let TypeInner::Struct { members, span } = &params.inner else { panic!("{name}: Params is no struct") };
        assert_eq!(*span as usize, size_of::<Params>(), "{name}");
        let members: Vec<_> = members
            .iter()
            .map(|member| {
                let scalar =
                    if member.name.as_deref() == Some("scale") { naga::Scalar::F32 } else { naga::Scalar::U32 };
                assert_eq!(module.types[member.ty].inner, TypeInner::Scalar(scalar), "{name}");
                (member.name.as_deref().unwrap(), member.offset as usize)
            })
            .collect();
        assert_eq!(members, twin, "{name}");
    }
}
