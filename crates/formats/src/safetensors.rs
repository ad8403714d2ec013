//! safetensors: eight bytes of length, a header in JSON, then the tensors' bytes
//! (<https://github.com/huggingface/safetensors>).
//!
//! Number types are those of the crate `safetensors`, which writes files too. It is not asked to
//! read headers: it counts bytes in `usize`, of which a browser has 32 bits, and files of
//! 5 GB are common; and it does not say what is wrong with which tensor.

use crate::Source;
use safetensors::Dtype;
use serde::Deserialize;
use serde::de::IntoDeserializer;
use std::collections::BTreeMap;
use wisp_base::{Error, Format, Result};

/// The largest header that the format allows.
const MAX_HEADER: u64 = 100_000_000;

/// The most dimensions of a tensor.
const MAX_DIMS: usize = 8;

/// A tensor as it lies in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawTensor {
    /// The name in the file.
    pub name: String,
    /// The type of its numbers.
    pub dtype: Dtype,
    /// Outermost dimension first; may be empty (one number).
    pub shape: Vec<u64>,
    /// Where in the source its bytes begin.
    pub offset: u64,
    /// How many bytes.
    pub bytes: u64,
}

impl RawTensor {
    /// How many numbers: a shape that was read is known not to overflow.
    pub fn numbers(&self) -> u64 {
        self.shape.iter().product()
    }

    /// Whole bytes of a number; 0 if several share one.
    pub fn number_bytes(&self) -> u64 {
        self.dtype.bitsize() as u64 / 8
    }

    /// The weight format that the numbers are, if they are one.
    pub fn format(&self) -> Option<Format> {
        match self.dtype {
            Dtype::F32 => Some(Format::F32),
            Dtype::F16 => Some(Format::F16),
            Dtype::BF16 => Some(Format::BF16),
            Dtype::F8_E4M3 => Some(Format::F8_E4M3),
            Dtype::F8_E5M2 => Some(Format::F8_E5M2),
            _ => None,
        }
    }
}

/// The header of one file.
#[derive(Debug, Clone)]
pub struct Safetensors {
    /// By name.
    pub tensors: Vec<RawTensor>,
}

/// What the header says of a tensor. All is optional, since `__metadata__` has none of it.
#[derive(Deserialize)]
struct Entry {
    dtype: Option<String>,
    shape: Option<Vec<u64>>,
    data_offsets: Option<(u64, u64)>,
}

impl Safetensors {
    /// Reads the header of the file called `file`, the bytes `start..start + len` of `source`.
    ///
    /// # Errors
    /// The source cannot be read; the header is none, or a tensor of it does not lie
    /// within the file, is not what its shape says, or overlaps another.
    pub async fn read(source: &dyn Source, file: &str, start: u64, len: u64) -> Result<Self> {
        let wrong = |what: String| Error::input(format!("{file}: {what}: download it again"));
        if len < 8 {
            return Err(wrong(format!("{len} bytes are no safetensors file: it is truncated")));
        }
        let mut length = [0; 8];
        source.read(start, &mut length).await?;
        let length = u64::from_le_bytes(length);
        if length > MAX_HEADER || length > len - 8 {
            return Err(wrong(format!(
                "its header is said to have {length} bytes, but {} follow and at most \
                 {MAX_HEADER} are allowed: the file is damaged or truncated",
                len - 8
            )));
        }
        let mut header = vec![0; length as usize];
        source.read(start + 8, &mut header).await?;
        let entries: BTreeMap<String, Entry> = serde_json::from_slice(&header)
            .map_err(|cause| wrong(format!("its header is damaged ({cause})")))?;
        drop(header);
        let (data, room) = (start + 8 + length, len - 8 - length);
        let mut tensors = Vec::with_capacity(entries.len());
        for (name, entry) in entries {
            if name != "__metadata__" {
                let tensor = tensor(name, entry, room, data);
                tensors.push(tensor.map_err(|what| wrong(format!("tensor {what}")))?);
            }
        }
        let mut order: Vec<&RawTensor> = tensors.iter().filter(|t| t.bytes > 0).collect();
        order.sort_by_key(|tensor| tensor.offset);
        for pair in order.windows(2) {
            if let [one, two] = pair
                && one.offset + one.bytes > two.offset
            {
                return Err(wrong(format!(
                    "tensors {} and {} overlap: the file is damaged",
                    crate::gguf::show(&one.name),
                    crate::gguf::show(&two.name)
                )));
            }
        }
        Ok(Self { tensors })
    }
}

/// One tensor, or what is wrong with it. Its bytes lie within the `room` behind `data`.
fn tensor(
    name: String,
    entry: Entry,
    room: u64,
    data: u64,
) -> std::result::Result<RawTensor, String> {
    let shown = crate::gguf::show(&name);
    let (Some(dtype), Some(shape), Some((begin, end))) =
        (entry.dtype, entry.shape, entry.data_offsets)
    else {
        return Err(format!("{shown} has no type, shape or place: the header is damaged"));
    };
    let named: std::result::Result<_, serde::de::value::Error> =
        Dtype::deserialize(dtype.as_str().into_deserializer());
    let Ok(dtype) = named else {
        let dtype = crate::gguf::show(&dtype);
        return Err(format!("{shown} is of the type {dtype}, which is not known"));
    };
    if shape.len() > MAX_DIMS {
        return Err(format!("{shown} has {} dimensions: the header is damaged", shape.len()));
    }
    let bits = dtype.bitsize() as u64;
    let bits = shape.iter().try_fold(bits, |bits, dim| bits.checked_mul(*dim));
    if begin > end || end > room {
        return Err(format!(
            "{shown} is said to be at bytes {begin} to {end}, but the file has {room} bytes of \
             tensors: it is damaged or truncated"
        ));
    }
    if bits != (end - begin).checked_mul(8) {
        return Err(format!(
            "{shown} has the shape {shape:?} of {dtype}, which its {} bytes are not: the header is \
             damaged",
            end - begin
        ));
    }
    Ok(RawTensor { name, dtype, shape, offset: data + begin, bytes: end - begin })
}
