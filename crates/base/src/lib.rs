//! What every other crate speaks of: weight formats, errors, and the CPU
//! definition of each weight format.

mod error;
mod format;
mod kv;
pub mod quant;

pub use error::{Error, Result};
pub use format::Format;
pub use kv::KvType;
