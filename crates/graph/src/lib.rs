//! The tape that a model's forward pass is recorded on, and its two executors:
//! plain loops on the CPU (the definition of every result) and, lowered to
//! dispatches and planned into buffers, the GPU.

mod cpu;
mod device;
mod fuse;
mod fused;
mod lower;
mod operation;
mod plan;
mod shards;
mod step;
mod tape;

pub use cpu::{Cpu, CpuCache, CpuNode, CpuWeight, Sequences};
pub use device::{DeviceResources, Scratch, Shared, StateSize};
pub use fuse::{Rule, fuse, link};
pub use fused::Fused;
pub use lower::{Bind, Dispatch, Link, Lower, Lowered, PlanKey, Target, Temp, default_kv, lower};
pub use operation::{Cost, Operation};
pub use plan::Plan;
pub use shards::shards;
pub use step::{Counts, MAX_DRAFTS, PAGE, Step, StepToken, TILE};
pub use tape::{
    Kind, Node, Part, Resource, ResourceId, Rows, Tape, Value, ValueId, Vector, Weight,
};
