//! Writes NNNNN.hlsl for each NNNNN.wgsl of standard input, for `cargo xtask drivers`: HLSL as
//! wgpu makes it for a shader that it trusts. An example, so that xtask itself depends on nothing
//! and wgpu is not compiled anew for a feature of naga that Windows alone needs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use naga::back::hlsl;
use naga::valid::{Capabilities, ValidationFlags, Validator};

fn main() {
    let options = hlsl::Options {
        shader_model: hlsl::ShaderModel::V6_6,
        // Registers by the numbers of bindings.
        fake_missing_bindings: true,
        special_constants_binding: Some(hlsl::BindTarget { space: 1, ..Default::default() }),
        zero_initialize_workgroup_memory: false,
        restrict_indexing: false,
        force_loop_bounding: false,
        ..Default::default()
    };
    let entry_point = Some((naga::ShaderStage::Compute, "main".to_owned()));
    let main = hlsl::PipelineOptions { entry_point };
    let mut validator = Validator::new(ValidationFlags::all(), Capabilities::all());
    validator
        .subgroup_stages(naga::valid::ShaderStages::all())
        .subgroup_operations(naga::valid::SubgroupOperationSet::all());
    for path in std::io::stdin().lines() {
        let path = path.unwrap();
        let source = std::fs::read_to_string(&path).unwrap();
        let module = naga::front::wgsl::parse_str(&source).unwrap();
        let info = validator.validate(&module).unwrap();
        let mut text = String::new();
        hlsl::Writer::new(&mut text, &options, &main).write(&module, &info, None).unwrap();
        std::fs::write(path.replace(".wgsl", ".hlsl"), text).unwrap();
    }
}
