//! Qwen2 and 2.5 (2024): biased queries, keys and values; Qwen3 (2025): normed heads;
//! both with experts too.

use wisp_base::Result;
use wisp_ops::Pairing;

use crate::config::{DecoderConfig, HeadNorms};
use crate::keys::Keys;
use crate::moe::{ExpertsConfig, Shared};

pub(crate) fn qwen2(keys: &Keys<'_>) -> Result<DecoderConfig> {
    let mut config = keys.decoder(Pairing::Halves)?;
    // GGUF files may name a window that no layer has.
    if keys.lists_windows() {
        keys.set_windows(&mut config, 0, false)?;
    }
    Ok(config)
}

/// Besides its experts, every token goes to one that has a gate of its own.
pub(crate) fn qwen2moe(keys: &Keys<'_>) -> Result<DecoderConfig> {
    let mut config = qwen2(keys)?;
    if keys.opt_size("expert_count")? == Some(0) {
        return Ok(config);
    }
    let ffn = keys.size("expert_shared_feed_forward_length")?;
    let shared = Some(Shared { ffn, gated: true });
    config.experts = Some(ExpertsConfig { shared, ..ExpertsConfig::read(keys, false)? });
    Ok(config)
}

pub(crate) fn qwen3moe(keys: &Keys<'_>) -> Result<DecoderConfig> {
    if keys.opt_size("expert_count")? == Some(0) {
        return qwen3(keys);
    }
    let experts = Some(ExpertsConfig::read(keys, true)?);
    Ok(DecoderConfig { experts, ..qwen3(keys)? })
}

pub(crate) fn qwen3(keys: &Keys<'_>) -> Result<DecoderConfig> {
    let head_norms = Some(HeadNorms::EachHead);
    Ok(DecoderConfig { head_norms, ..qwen2(keys)? })
}
