//! GGUF, versions 2 and 3 (ggml `docs/gguf.md`): a header of metadata and tensor
//! descriptions, then the tensors' bytes, each at a multiple of the alignment.

mod cursor;
mod metadata;
mod read;
mod split;
mod value;
mod write;

pub use metadata::Metadata;
pub use split::SplitName;
pub use value::{Array, Value};
pub use write::GgufWriter;

use crate::Source;
use std::collections::HashMap;
use wisp_base::{Format, Result};

/// `GGUF`, the first four bytes.
const MAGIC: [u8; 4] = *b"GGUF";

/// Where tensors begin, unless metadata say otherwise.
const ALIGNMENT: u64 = 32;

/// The metadata key that says otherwise.
const ALIGNMENT_KEY: &str = "general.alignment";

/// Most dimensions of a tensor.
const MAX_DIMS: usize = 4;

/// The header of a GGUF file. Reading it touches no tensor's bytes.
#[derive(Debug, Clone)]
pub struct Gguf {
    /// 2 or 3.
    pub version: u32,
    /// Everything but the tensors, in the file's order.
    pub metadata: Metadata,
    /// The tensors in the file's order; names are unique, and the bytes of each
    /// lie within the file and overlap no other's.
    pub tensors: Vec<TensorInfo>,
    /// Every tensor begins at a multiple of it, counted from `data_offset`.
    pub alignment: u64,
    /// Where the tensors' bytes begin: from here on the file is not header.
    pub data_offset: u64,
    /// Names to positions in `tensors`.
    index: HashMap<String, usize>,
}

/// What the header says about one tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// `blk.0.attn_q.weight`
    pub name: String,
    /// 1 to 4 dimensions, none of them 0, in ggml's order: `shape[0]` is the
    /// contiguous one (columns). Their product fits `u64`.
    pub shape: Vec<u64>,
    /// How the weights are stored; a row is whole blocks of it.
    pub format: Format,
    /// Where the bytes begin, from the start of the source.
    pub offset: u64,
    /// How many bytes: `offset + bytes` is within the source.
    pub bytes: u64,
}

impl Gguf {
    /// Reads the header, in bounded chunks. Strings that are not UTF-8 are
    /// errors in keys and tensor names; in values each bad sequence becomes
    /// U+FFFD, since vocabularies in the wild have such tokens and llama.cpp
    /// reads them.
    ///
    /// The files of a source that has several are those of one split model, in their
    /// order: metadata are the first one's, tensors all of theirs. They may lie one behind
    /// the other in one file, too.
    ///
    /// # Errors
    /// The source cannot be read, or is not a well-formed GGUF file of version 2
    /// or 3 whose tensors are all of a [`Format`]; one file of a split model alone, or
    /// files that are not all of one.
    pub async fn read(source: &dyn Source) -> Result<Self> {
        if !source.files().is_empty() {
            return split::header(source, source.files()).await;
        }
        let gguf = read::header(source).await?;
        split::whole(source, gguf).await
    }

    /// The tensor of that name.
    pub fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.index.get(name).and_then(|at| self.tensors.get(*at))
    }
}

impl TensorInfo {
    /// Weights per row: the contiguous dimension.
    pub fn cols(&self) -> u64 {
        self.shape.first().copied().unwrap_or(1)
    }

    /// Rows: the product of all other dimensions.
    pub fn rows(&self) -> u64 {
        self.shape.iter().skip(1).product()
    }

    /// All weights.
    pub fn weights(&self) -> u64 {
        self.shape.iter().product()
    }
}

/// Names to positions.
pub(crate) fn index(tensors: &[TensorInfo]) -> HashMap<String, usize> {
    tensors.iter().enumerate().map(|(at, tensor)| (tensor.name.clone(), at)).collect()
}

/// The bytes of a tensor, or what is wrong with its shape.
pub(crate) fn tensor_bytes(shape: &[u64], format: Format) -> std::result::Result<u64, String> {
    if shape.is_empty() || shape.len() > MAX_DIMS {
        return Err(format!("has {} dimensions, but 1 to {MAX_DIMS} are allowed", shape.len()));
    }
    if shape.contains(&0) {
        return Err(format!("has a dimension of 0 in its shape {shape:?}"));
    }
    let blocks = |weights: u64| weights / format.block() as u64;
    let bytes = shape
        .iter()
        .try_fold(1u64, |product, dim| product.checked_mul(*dim))
        .and_then(|weights| blocks(weights).checked_mul(format.block_bytes() as u64))
        .ok_or_else(|| format!("has the shape {shape:?}, which overflows 64 bits"))?;
    match shape.first() {
        Some(cols) if !cols.is_multiple_of(format.block() as u64) => Err(format!(
            "has rows of {cols} weights, which are not whole blocks of {format} ({} a block)",
            format.block()
        )),
        _ => Ok(bytes),
    }
}

/// A name out of a file, fit for a message: printable and not too long.
pub(crate) fn show(name: &str) -> String {
    const MOST: usize = 80;
    let mut text: String = name.chars().take(MOST).flat_map(char::escape_debug).collect();
    if name.chars().nth(MOST).is_some() {
        text.push('…');
    }
    text
}
