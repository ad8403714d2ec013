//! The tape that a model's forward pass is recorded on, and its two executors:
//! plain loops on the CPU (the definition of every result) and, lowered to
//! dispatches and planned into buffers, the GPU.

mod cpu;
mod device;
mod lower;
mod operation;
mod plan;
mod shards;
mod step;
mod tape;

pub use cpu::{Cpu, CpuCache, CpuNode, CpuWeight, Sequences};
pub use device::{DeviceResources, Scratch, Shared};
pub use lower::{Bind, Dispatch, Lower, Lowered, PlanKey, Prologue, Tail, Target, Temp, lower};
pub use operation::{Cost, Operation};
pub use plan::Plan;
pub use shards::shards;
pub use step::{Counts, PAGE, Step, StepToken, TILE};
pub use tape::{Kind, Node, Part, Resource, ResourceId, Rows, Tape, Value, ValueId, Weight};
