//! Sessions, KV cache, sampling, generation and the memory planner: what a
//! front (command line, npm package) drives.

mod activity;
mod autotune;
mod bench;
mod cache;
mod devices;
mod draft;
mod embed;
mod engine;
mod generate;
mod kernels;
mod limits;
mod load;
mod logprobs;
mod memory;
mod options;
mod queue;
mod random_weights;
mod sampling;
mod score;
mod shape;
mod speculate;
mod stepper;
mod sweep;
mod text;
mod tokens;
mod verdict;
mod verdicts;

pub use activity::Activity;
pub use bench::{BenchOptions, BenchReport, OpTime, Spread};
pub use devices::{CheckReport, DeviceReport, devices, self_check};
pub use engine::{Engine, Progress};
pub use kernels::{KernelBench, KernelTime};
pub use logprobs::log_sum_exp;
pub use memory::{MemoryPlan, plan_memory};
pub use options::{
    Cancel, Completion, EngineOptions, FinishReason, Guess, Prepare, Request, Sampling, Timings,
};
pub use queue::{Event, Logprobs, Piece, Queue};
pub use random_weights::random_rows;
pub use shape::{SHAPES, Shape};
pub use sweep::{Load, Point};
pub use tokens::load_tokenizer;
pub use verdicts::Verdicts;
pub use wisp_base::KvType;
pub use wisp_models::{Embedding, open};
