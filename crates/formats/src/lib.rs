//! Model files: GGUF (reading and writing), safetensors, and what both are to the rest of
//! Wisp, a [`Checkpoint`]; over an async byte [`Source`].

mod checkpoint;
mod gguf;
mod safetensors;
mod source;

pub use checkpoint::{Adjust, Checkpoint, Encode, Packing, Part, Recipe, RowMap};
pub use safetensors::{RawTensor, Safetensors};

pub use gguf::{Array, Gguf, GgufWriter, Metadata, SplitName, TensorInfo, Value};
pub use source::{
    BytesSource, FileEntry, FolderSource, LocalFuture, Source, in_bounds, is_lfs_pointer,
};
#[cfg(not(target_arch = "wasm32"))]
pub use source::{FileSource, split_files};
