//! Llama (Touvron et al. 2023) and what is built like it: SmolLM2, TinyLlama, …

use wisp_base::{Error, Result};
use wisp_formats::Checkpoint;
use wisp_ops::Pairing;

use crate::decoder::{DecoderConfig, Rope};

pub(crate) fn config(gguf: &Checkpoint) -> Result<DecoderConfig> {
    let m = &gguf.metadata;
    let size = |key: &str| m.u32(key).map(|v| v as usize);
    let width = size("llama.embedding_length")?;
    let heads = size("llama.attention.head_count")?;
    if heads == 0 || width == 0 {
        return Err(Error::input(
            "llama.embedding_length and llama.attention.head_count must be above 0: the file is \
             damaged",
        ));
    }
    for key in ["llama.expert_count", "llama.attention.sliding_window"] {
        if m.opt_u32(key)?.unwrap_or(0) > 0 {
            return Err(Error::unsupported(format!(
                "the file sets {key}, which this version does not compute"
            )));
        }
    }
    let head_dim = m.opt_u32("llama.attention.key_length")?.map_or(width / heads, |v| v as usize);
    if m.opt_u32("llama.attention.value_length")?.is_some_and(|v| v as usize != head_dim) {
        return Err(Error::unsupported(
            "the file has values of another length than keys, which this version does not compute",
        ));
    }
    let scaling = m.opt_str("llama.rope.scaling.type")?.unwrap_or("none");
    let factor = match scaling {
        "none" => m.opt_f32("llama.rope.scale_linear")?.unwrap_or(1.0),
        "linear" => m.f32("llama.rope.scaling.factor")?,
        other => {
            return Err(Error::unsupported(format!(
                "the file scales RoPE by {other:?}; this version knows none, linear and the \
                 factors of a rope_freqs tensor"
            )));
        }
    };
    Ok(DecoderConfig {
        layers: size("llama.block_count")?,
        width,
        heads,
        kv_heads: m.opt_u32("llama.attention.head_count_kv")?.map_or(heads, |v| v as usize),
        head_dim,
        ffn: size("llama.feed_forward_length")?,
        context: size("llama.context_length")?,
        eps: m.f32("llama.attention.layer_norm_rms_epsilon")?,
        attention_scale: m.opt_f32("llama.attention.scale")?,
        rope: Rope {
            dim: m.opt_u32("llama.rope.dimension_count")?.map_or(head_dim, |v| v as usize),
            base: m.opt_f32("llama.rope.freq_base")?.unwrap_or(10_000.0),
            factor,
            // llama.cpp's converter reorders the rows of q and k so.
            pairing: Pairing::Neighbours,
        },
    })
}
