//! Sessions, KV cache, sampling, generation and the memory planner: what a
//! front (command line, npm package) drives.

mod devices;
mod engine;
mod memory;
mod options;

pub use devices::{CheckReport, DeviceReport, devices};
pub use engine::{BenchOptions, BenchReport, Engine, OpTime, Piece, Progress, Spread};
pub use memory::MemoryPlan;
pub use options::{Cancel, Completion, EngineOptions, FinishReason, Request, Sampling, Timings};
pub use wisp_base::KvType;
