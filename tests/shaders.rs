//! The shaders by themselves, without a GPU: they parse, they are valid, and they are laid out as the host believes.
#![cfg(feature = "gpu")]

use std::collections::{BTreeMap, BTreeSet};
use std::mem::offset_of;

use naga::valid::{Capabilities, ValidationFlags, Validator};
use naga::{AddressSpace, Module, StorageAccess, TypeInner};
use pixelfeat::gpu::layout::{
    FINISH_ENTRY, GROUP, INPUT_BINDING, MERGE_ENTRY, OUTPUT_BINDING, PARAMS_BINDING, PARTS_ENTRY, Params, SHADER_F32,
    SHADER_FINISH, SHADER_U8, SHADER_U16, WHOLE_ENTRY, WORKGROUP_SIZE,
};

/// The kernels of a pixel type and the files that they are made of.
const SHADERS: [(&str, &str, &[&str]); 4] = [
    ("u8", SHADER_U8, &["blocks.wgsl", "integers.wgsl", "moments_u8.wgsl"]),
    ("u16", SHADER_U16, &["blocks.wgsl", "integers.wgsl", "moments_u16.wgsl"]),
    ("f32", SHADER_F32, &["blocks.wgsl", "moments_f32.wgsl"]),
    ("finish", SHADER_FINISH, &["finish.wgsl"]),
];

fn parse(name: &str, source: &str) -> Module {
    naga::front::wgsl::parse_str(source).unwrap_or_else(|error| panic!("{name}: {}", error.emit_to_string(source)))
}

#[test]
fn every_shader_file_is_one_that_the_host_uses() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders");
    let files: BTreeSet<_> =
        std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(files, SHADERS.iter().flat_map(|(.., files)| *files).map(|&file| file.to_owned()).collect());
}

#[test]
fn shaders_are_valid_and_ask_for_no_feature() {
    for (name, source, _) in SHADERS {
        let module = parse(name, source);
        let validated = Validator::new(ValidationFlags::all(), Capabilities::empty()).validate(&module);
        validated.unwrap_or_else(|error| panic!("{name}: {}", error.emit_to_string(source)));
    }
}

#[test]
fn entry_points_are_those_that_the_host_dispatches() {
    for (name, source, _) in SHADERS {
        let module = parse(name, source);
        let entries: Vec<_> = module.entry_points.iter().map(|entry| entry.name.as_str()).collect();
        let wanted = if name == "finish" { &[FINISH_ENTRY][..] } else { &[WHOLE_ENTRY, PARTS_ENTRY, MERGE_ENTRY] };
        assert_eq!(entries, wanted, "{name}");
        for entry in &module.entry_points {
            assert_eq!(entry.stage, naga::ShaderStage::Compute, "{name} {}", entry.name);
            assert_eq!(entry.workgroup_size, [WORKGROUP_SIZE, 1, 1], "{name} {}", entry.name);
        }
    }
}

#[test]
fn bindings_are_those_that_the_host_binds() {
    for (name, source, _) in SHADERS {
        let module = parse(name, source);
        let mut bound = BTreeMap::<_, Vec<_>>::new();
        for (_, variable) in module.global_variables.iter() {
            if let Some(at) = &variable.binding {
                assert_eq!(at.group, GROUP, "{name}");
                bound.entry(at.binding).or_default().push(variable.space);
            }
        }
        let read = AddressSpace::Storage { access: StorageAccess::LOAD };
        let read_write = AddressSpace::Storage { access: StorageAccess::LOAD | StorageAccess::STORE };
        // Vectors of pixels, or words of records.
        let wanted = [
            (PARAMS_BINDING, vec![AddressSpace::Uniform]),
            (INPUT_BINDING, if name == "finish" { vec![read] } else { vec![read, read] }),
            (OUTPUT_BINDING, vec![read_write]),
        ];
        assert_eq!(bound, wanted.into(), "{name}");
    }
}

#[test]
fn params_are_laid_out_as_their_rust_twin() {
    let twin = [
        ("first", offset_of!(Params, first)),
        ("images", offset_of!(Params, images)),
        ("height", offset_of!(Params, height)),
    ];
    for (name, source, _) in SHADERS {
        let module = parse(name, source);
        let params = module.types.iter().find(|(_, ty)| ty.name.as_deref() == Some("Params")).unwrap().1;
        let TypeInner::Struct { members, span } = &params.inner else { panic!("{name}: Params is no struct") };
        assert_eq!(*span as usize, size_of::<Params>(), "{name}");
        let members: Vec<_> = members
            .iter()
            .map(|member| {
                assert_eq!(module.types[member.ty].inner, TypeInner::Scalar(naga::Scalar::U32), "{name}");
                (member.name.as_deref().unwrap(), member.offset as usize)
            })
            .collect();
        assert_eq!(members, twin, "{name}");
    }
}
