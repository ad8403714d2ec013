//! Qwen2 and 2.5 (2024): biased queries, keys and values; Qwen3 (2025): normed heads.

use wisp_base::Result;
use wisp_ops::Pairing;

use crate::config::{DecoderConfig, HeadNorms};
use crate::keys::Keys;

pub(crate) fn qwen2(keys: &Keys<'_>) -> Result<DecoderConfig> {
    Ok(DecoderConfig { qkv_bias: true, ..keys.decoder(Pairing::Halves)? })
}

pub(crate) fn qwen3(keys: &Keys<'_>) -> Result<DecoderConfig> {
    let head_norms = Some(HeadNorms::EachHead);
    Ok(DecoderConfig { head_norms, ..keys.decoder(Pairing::Halves)? })
}
