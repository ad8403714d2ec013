//! What every other crate speaks of: weight formats, errors, and the CPU
//! definition of each weight format.

mod error;
mod format;
pub mod quant;

pub use error::{Error, Result};
pub use format::Format;
