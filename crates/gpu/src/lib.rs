//! The only crate that names wgpu: device, capabilities, shader linking,
//! pipelines, readback, profiling.

mod bounds;
#[cfg(target_arch = "wasm32")]
mod browser;
mod caps;
mod coop;
mod device;
mod kernel;
mod link;
mod memory;
mod open;
mod pipeline_cache;
mod precompile;
mod profile;
mod readback;
mod signal;
mod tuning;
mod unroll;

pub use caps::{Caps, NATIVE, Off, Reduce, Scalar, Variant};
pub use coop::Coop;
pub use device::{AdapterFacts, Gpu, SubmissionIndex, adapters};
pub use kernel::{Binding, Pipeline};
pub use link::{Kernel, Linked, link, shader_defines, shader_names, shaders_hash, wgsl_f32};
pub use profile::Profiler;
pub use readback::Readback;
pub use tuning::{AttentionTuning, Block, GatedDeltaTuning, MatmulTuning, MatvecTuning, Tuning};
pub use wgpu::{BindGroup, Buffer, CommandEncoder, ComputePass};
