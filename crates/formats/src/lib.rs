//! Model files: GGUF (reading and writing), over an async byte [`Source`].

mod gguf;
mod source;

pub use gguf::{Array, Gguf, GgufWriter, Metadata, TensorInfo, Value};
#[cfg(not(target_arch = "wasm32"))]
pub use source::FileSource;
pub use source::{BytesSource, LocalFuture, Source, in_bounds};
