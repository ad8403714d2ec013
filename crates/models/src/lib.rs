//! Model families: a short file each that maps a file's metadata and tensors onto
//! a shared block; the block never asks which family it serves.

mod blocks;
mod config;
mod decoder;
mod embedding;
mod families;
#[cfg(feature = "hub")]
mod hf;
mod keys;
mod rope;
mod tensors;
mod terms;

pub use config::{
    Attention, DecoderConfig, ExpertsConfig, FeedForward, Gate, GatedDelta, Layer, Mixer, Mla,
    Norm, QkNorms, Shared, ShortConv,
};
pub use decoder::{Decoder, DecoderTape};
pub use embedding::{Embedding, Pooling};
#[cfg(feature = "hub")]
pub use hf::{Effect, config_key, config_keys};
pub use rope::{Factors, Rope, Yarn};

use wisp_base::{Error, Result};
use wisp_formats::{Checkpoint, Gguf, Source};

use families::{deepseek, encoder, gemma, gpt, lfm, llama, olmo, phi, qwen};
use keys::Keys;

/// The header of a GGUF file (or of the files of a split model), or of a folder of the hub in
/// the same terms.
///
/// # Errors
/// The source cannot be read, is neither, or is of a kind that is not known.
pub async fn open(source: &dyn Source) -> Result<Checkpoint> {
    // None, or those of a split model.
    if source.files().iter().all(|file| file.name.ends_with(".gguf")) {
        return Ok(Gguf::read(source).await?.into());
    }
    #[cfg(feature = "hub")]
    return hf::open(source).await;
    #[cfg(not(feature = "hub"))]
    Err(Error::unsupported(format!(
        "{} is a folder of the hub, which this build does not read: give a .gguf file",
        source.name()
    )))
}

/// How a family's metadata read.
type Config = fn(&Keys<'_>) -> Result<DecoderConfig>;

/// One row a family: its name in `general.architecture`, and how its metadata read.
const FAMILIES: [(&str, Config); 26] = [
    ("llama", llama::config),
    ("mistral3", llama::mistral3),
    ("smollm3", llama::smollm3),
    ("granite", llama::granite),
    ("qwen2", qwen::qwen2),
    ("qwen3", qwen::qwen3),
    ("gemma", gemma::gemma),
    ("gemma2", gemma::gemma2),
    ("gemma3", gemma::gemma3),
    ("phi3", phi::phi3),
    ("olmo2", olmo::olmo2),
    ("gpt2", gpt::gpt2),
    ("gptneox", gpt::neox),
    ("gpt-oss", gpt::oss),
    ("qwen2moe", qwen::qwen2moe),
    ("qwen3moe", qwen::qwen3moe),
    ("qwen35", qwen::qwen35),
    ("qwen35moe", qwen::qwen35moe),
    ("qwen3next", qwen::qwen3next),
    ("olmoe", olmo::olmoe),
    ("granitemoe", llama::granite),
    ("deepseek2", deepseek::deepseek2),
    ("lfm2", lfm::lfm2),
    ("bert", encoder::bert),
    ("nomic-bert", encoder::nomic),
    ("modern-bert", encoder::modern),
];

/// The names of all families, as `general.architecture` has them.
pub fn families() -> impl Iterator<Item = &'static str> {
    FAMILIES.iter().map(|(name, _)| *name)
}

/// The model that a file holds.
///
/// # Errors
/// A family that this version does not run, metadata that are missing or wrong, a
/// tensor that is missing, of a wrong shape, or not used by the family.
pub fn read(checkpoint: &Checkpoint) -> Result<Decoder> {
    let name = checkpoint.metadata.str("general.architecture")?;
    let family = FAMILIES.iter().find(|(known, _)| *known == name);
    let (_, config) = family.ok_or_else(|| {
        Error::unsupported(format!(
            "unsupported architecture {name:?}; this version runs {}",
            families().collect::<Vec<_>>().join(", ")
        ))
    })?;
    let keys = Keys::new(checkpoint)?;
    keys.refuse_unless_neutral()?;
    let mut config = config(&keys)?;
    let clamped = matches!(config.activation, wisp_ops::Activation::Clamped { .. });
    if let Some(activation) = keys.activation()?.filter(|_| !clamped) {
        config.activation = activation;
    }
    Decoder::new(config, checkpoint)
}
