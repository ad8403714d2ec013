//! A model as one GGUF file: its metadata and tokenizer, then tensor by tensor, of which some rows
//! at a time are in memory.

use std::collections::BTreeMap;
use std::io::Write;

use pollster::block_on;
use wisp_base::{Error, Format, Result};
use wisp_formats::{Checkpoint, GgufWriter, Source, TensorInfo, Value};

use crate::random::Random;
use crate::vocabulary::{self, filler};
use crate::{Importance, Type, recast};

/// Numbers that are in memory at once: 64 MiB of them.
const CHUNK: u64 = 1 << 24;

/// Where the weights come from.
pub enum Weights {
    /// A model's own.
    Of(Box<dyn Source>),
    /// Random ones, in the sizes of a published model.
    Random(Random),
}

/// A model that is to be written as a GGUF file of some type.
pub struct Conversion {
    checkpoint: Checkpoint,
    weights: Weights,
    metadata: Vec<(String, Value)>,
    bytes_before: u64,
    notes: Vec<String>,
}

impl Conversion {
    /// Chooses each tensor's format and translates metadata and tokenizer; no weights are read.
    ///
    /// # Errors
    /// Importance of other columns than a tensor has, or none where the type needs it.
    pub fn new(
        mut checkpoint: Checkpoint,
        weights: Weights,
        of: Type,
        importance: Option<Importance>,
    ) -> Result<Self> {
        let bytes_before = bytes(&checkpoint);
        recast(&mut checkpoint, of, importance)?;
        let mut notes = checkpoint.notes.clone();
        notes.extend(loss(&checkpoint));
        let metadata = metadata(&checkpoint, of.number, &weights, &mut notes);
        Ok(Self { checkpoint, weights, metadata, bytes_before, notes })
    }

    /// What the person should know before it is written.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Bytes of all tensors: as they were, and as they will be.
    pub fn bytes(&self) -> (u64, u64) {
        (self.bytes_before, bytes(&self.checkpoint))
    }

    /// Tensors and their bytes by format.
    pub fn by_format(&self) -> BTreeMap<&'static str, (usize, u64)> {
        let mut by_format = BTreeMap::new();
        for tensor in &self.checkpoint.tensors {
            let (count, bytes): &mut (usize, u64) =
                by_format.entry(tensor.format.name()).or_default();
            *count += 1;
            *bytes += tensor.bytes;
        }
        by_format
    }

    /// Writes the whole file; `done` is told of bytes of tensors as they are written.
    ///
    /// # Errors
    /// Weights that cannot be read, or that are not finite; writing fails.
    pub fn write(&mut self, out: &mut dyn Write, done: &mut dyn FnMut(u64)) -> Result<()> {
        let (checkpoint, weights) = (&self.checkpoint, &mut self.weights);
        let mut writer = GgufWriter::new();
        for (key, value) in &self.metadata {
            writer = writer.metadata(key, value.clone());
        }
        for tensor in &checkpoint.tensors {
            let (shape, format) = (tensor.shape.clone(), tensor.format);
            writer = writer.tensor_later(&tensor.name, shape, format);
        }
        writer.write_with(out, &mut |name, out| {
            let tensor = checkpoint.tensor(name);
            let tensor = tensor.ok_or_else(|| Error::input(format!("tensor {name} is missing")))?;
            match weights {
                Weights::Of(source) => fill(checkpoint, source.as_ref(), tensor, out, done),
                Weights::Random(random) => random.write(tensor, out, done),
            }
        })
    }
}

fn bytes(checkpoint: &Checkpoint) -> u64 {
    checkpoint.tensors.iter().map(|tensor| tensor.bytes).sum()
}

/// Weights that have lost digits once lose more.
fn loss(checkpoint: &Checkpoint) -> Option<String> {
    let lossy = |tensor: &TensorInfo| -> Option<Format> {
        let stored = checkpoint.stored(tensor)?.format;
        (stored.block() > 1 && tensor.format.block() > 1).then_some(stored)
    };
    let format = checkpoint.tensors.iter().find_map(lossy)?;
    Some(format!("some weights are {format} already: a file made from F16 or BF16 would be better"))
}

/// The file's own keys, or a folder's with its tokenizer, or a shape's with one that will do.
fn metadata(
    checkpoint: &Checkpoint,
    file_type: u32,
    weights: &Weights,
    notes: &mut Vec<String>,
) -> Vec<(String, Value)> {
    const OWN: [&str; 2] = ["general.file_type", "general.quantization_version"];
    let kept = |key: &str| !OWN.contains(&key) && !key.starts_with("split.");
    let own = checkpoint.metadata.iter().filter(|(key, _)| kept(key));
    let mut keys: Vec<_> = own.map(|(key, value)| (key.to_owned(), value.clone())).collect();
    keys.push((OWN[0].into(), Value::U32(file_type)));
    keys.push((OWN[1].into(), Value::U32(2)));
    if matches!(weights, Weights::Random(_)) {
        let rows = checkpoint.tensor("token_embd.weight").map_or(0, |tensor| tensor.rows());
        keys.extend(filler(rows as usize));
    } else if checkpoint.gguf_version.is_none() {
        match vocabulary::keys(checkpoint, notes) {
            Ok(more) => keys.extend(more),
            Err(why) => {
                notes.push(format!("{why}: the file is written without a tokenizer"));
                keys.push(("tokenizer.ggml.model".into(), "none".into()));
            }
        }
    }
    keys
}

/// Writes a tensor, some rows at a time.
fn fill(
    checkpoint: &Checkpoint,
    source: &dyn Source,
    tensor: &TensorInfo,
    out: &mut dyn Write,
    done: &mut dyn FnMut(u64),
) -> Result<()> {
    let each = (CHUNK / tensor.cols().max(1)).max(1);
    let rows = tensor.rows();
    let mut first = 0;
    while first < rows {
        // No chunk has rows of two experts: each has an importance of its own.
        let expert = rows / tensor.shape.get(2).copied().unwrap_or(1).max(1);
        let end = (first + each).min(rows).min((first / expert.max(1) + 1) * expert.max(1));
        let bytes = block_on(checkpoint.rows(source, tensor, first, (end - first) as usize))?;
        out.write_all(&bytes).map_err(|cause| Error::io("cannot write the file", cause))?;
        done(bytes.len() as u64);
        first = end;
    }
    Ok(())
}
