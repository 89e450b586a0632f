//! The shaders by themselves, without a GPU: they parse, they are valid, and they are laid out as the host believes.
#![cfg(feature = "gpu")]

use std::collections::BTreeSet;
use std::mem::offset_of;

use naga::valid::{Capabilities, ValidationFlags, Validator};
use naga::{AddressSpace, Module, StorageAccess, TypeInner};
use pixelfeat::gpu::layout::{
    COLS_ENTRY, GROUP, PARAMS_BINDING, PIXELS_BINDING, Params, RESULTS_BINDING, ROWS_ENTRY, SHADER_F32, SHADER_U8,
    SHADER_U16, WORKGROUP_SIZE,
};

const SHADERS: [(&str, &str); 3] =
    [("moments_u8.wgsl", SHADER_U8), ("moments_u16.wgsl", SHADER_U16), ("moments_f32.wgsl", SHADER_F32)];

fn parse(name: &str, source: &str) -> Module {
    naga::front::wgsl::parse_str(source).unwrap_or_else(|error| panic!("{name}: {}", error.emit_to_string(source)))
}

#[test]
fn every_shader_file_is_one_that_the_host_uses() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders");
    let files: BTreeSet<_> =
        std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(files, SHADERS.map(|(name, _)| name.to_owned()).into());
}

#[test]
fn shaders_are_valid_and_ask_for_no_feature() {
    for (name, source) in SHADERS {
        let module = parse(name, source);
        let validated = Validator::new(ValidationFlags::all(), Capabilities::empty()).validate(&module);
        validated.unwrap_or_else(|error| panic!("{name}: {}", error.emit_to_string(source)));
    }
}

#[test]
fn entry_points_are_those_that_the_host_dispatches() {
    for (name, source) in SHADERS {
        let module = parse(name, source);
        let entries: Vec<_> = module.entry_points.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(entries, [ROWS_ENTRY, COLS_ENTRY], "{name}");
        for entry in &module.entry_points {
            assert_eq!(entry.stage, naga::ShaderStage::Compute, "{name} {}", entry.name);
            assert_eq!(entry.workgroup_size, [WORKGROUP_SIZE, 1, 1], "{name} {}", entry.name);
        }
    }
}

#[test]
fn bindings_are_those_that_the_host_binds() {
    for (name, source) in SHADERS {
        let module = parse(name, source);
        let bound = |binding| {
            let found = module.global_variables.iter().find(|(_, variable)| {
                variable.binding.as_ref().is_some_and(|at| (at.group, at.binding) == (GROUP, binding))
            });
            found.unwrap_or_else(|| panic!("{name} has no binding {binding}")).1.space
        };
        assert_eq!(module.global_variables.len(), 3, "{name}");
        assert_eq!(bound(PARAMS_BINDING), AddressSpace::Uniform, "{name}");
        assert_eq!(bound(PIXELS_BINDING), AddressSpace::Storage { access: StorageAccess::LOAD }, "{name}");
        let read_write = StorageAccess::LOAD | StorageAccess::STORE;
        assert_eq!(bound(RESULTS_BINDING), AddressSpace::Storage { access: read_write }, "{name}");
    }
}

#[test]
fn params_are_laid_out_as_their_rust_twin() {
    let twin = [
        ("height", offset_of!(Params, height)),
        ("width", offset_of!(Params, width)),
        ("channels", offset_of!(Params, channels)),
        ("row_tasks", offset_of!(Params, row_tasks)),
        ("col_tasks", offset_of!(Params, col_tasks)),
        ("cols_at", offset_of!(Params, cols_at)),
    ];
    for (name, source) in SHADERS {
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
