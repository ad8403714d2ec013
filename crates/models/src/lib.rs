//! Model families: a short file each that maps a file's metadata and tensors onto
//! a shared block; the block never asks which family it serves.

mod decoder;
mod hf;
mod llama;
mod tensors;

pub use hf::open;

pub use decoder::{Decoder, DecoderConfig, DecoderTape, Rope};

use wisp_base::{Error, Result};
use wisp_formats::Checkpoint;

/// How a family's metadata read.
type Config = fn(&Checkpoint) -> Result<DecoderConfig>;

/// One row a family: its name in `general.architecture`, and how its metadata read.
const FAMILIES: [(&str, Config); 1] = [("llama", llama::config)];

/// The model that a file holds.
///
/// # Errors
/// A family that this version does not run, metadata that are missing or wrong, a
/// tensor that is missing, of a wrong shape, or not used by the family.
pub fn read(gguf: &Checkpoint) -> Result<Decoder> {
    let name = gguf.metadata.str("general.architecture")?;
    let family = FAMILIES.iter().find(|(known, _)| *known == name);
    let (_, config) = family.ok_or_else(|| {
        let known: Vec<_> = FAMILIES.iter().map(|(name, _)| *name).collect();
        Error::unsupported(format!(
            "the file holds a model of the family {name:?}, which this version does not run; it \
             runs {}",
            known.join(", ")
        ))
    })?;
    Decoder::new(config(gguf)?, gguf)
}
