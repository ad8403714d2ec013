//! What every other crate speaks of: weight formats, errors, and the CPU
//! definition of each weight format.

mod error;
mod format;
mod hint;
mod kv;
pub mod quant;
mod random;

pub use error::{Error, Result};
pub use format::Format;
pub use hint::{Message, Setting, SettingName};
pub use kv::KvType;
pub use random::{splitmix64, uniform};
