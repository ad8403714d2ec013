//! Sessions, KV cache, sampling, generation and the memory planner: what a
//! front (command line, npm package) drives.

mod driver;
mod engine;
mod load;
mod options;
mod request;
mod schedule;
mod selfcheck;
mod state;

#[cfg(feature = "threads")]
pub use driver::in_thread;
pub use driver::{Answer, Driver, EngineInfo, Handle, Loading, driver};
pub use engine::Engine;
pub use engine::activity::Activity;
pub use engine::logprobs::log_sum_exp;
pub use engine::queue::{Event, Logprobs, Piece, Queue};
pub use engine::stepper::{Stepper, Want};
pub use load::memory::{MemoryPlan, plan_memory};
pub use load::progress::Progress;
pub use load::random_weights;
pub use load::shape::{SHAPES, Shape};
pub use load::tokenizer::load_tokenizer;
pub use options::{Autotune, EngineOptions, Prepare, Speculation};
pub use request::{Cancel, Completion, FinishReason, Prompt, Request, Sampling, Timings, rendered};
pub use selfcheck::SelfCheckResults;
pub use selfcheck::devices::{CheckReport, DeviceReport, devices, self_check};
pub use selfcheck::limits;
pub use state::{BlockManager, BlockTable};
pub use wisp_base::KvType;
pub use wisp_models::{Embedding, families, open};
