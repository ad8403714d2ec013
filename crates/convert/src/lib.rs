//! Models in other forms: weights in other types ([`recast`]), a checkpoint as a GGUF file
//! ([`Conversion`]), a folder's tokenizer in GGUF's terms.

mod conversion;
mod imatrix;
mod mix;
mod random;
mod recast;
mod vocabulary;

pub use conversion::{Conversion, Weights};
pub use imatrix::Importance;
pub use mix::{TYPES, Type};
pub use random::Random;
pub use recast::{bytes_as, recast};
