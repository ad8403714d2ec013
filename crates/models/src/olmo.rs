//! OLMo2 (2024): norms behind the layers, none before them, and over all heads at once;
//! OLMoE (2024): experts, and norms before the layers.

use wisp_base::Result;
use wisp_ops::Pairing;

use crate::config::{DecoderConfig, HeadNorms};
use crate::keys::Keys;
use crate::moe::ExpertsConfig;

pub(crate) fn olmo2(keys: &Keys<'_>) -> Result<DecoderConfig> {
    keys.refuse(&["attention.sliding_window"])?;
    Ok(DecoderConfig {
        norms_before: false,
        norms_after: true,
        head_norms: Some(HeadNorms::AllHeads),
        ..keys.decoder(Pairing::Halves)?
    })
}

pub(crate) fn olmoe(keys: &Keys<'_>) -> Result<DecoderConfig> {
    Ok(DecoderConfig {
        head_norms: Some(HeadNorms::AllHeads),
        experts: Some(ExpertsConfig::read(keys, false)?),
        ..keys.decoder(Pairing::Halves)?
    })
}
