//! OLMo2 (2024): norms behind the layers, none before them, and over all heads at once;
//! OLMoE (2024): experts, and norms before the layers.

use wisp_base::Result;
use wisp_ops::Pairing;

use crate::config::{DecoderConfig, QkNorms};
use crate::keys::Keys;

pub(crate) fn olmo2(keys: &Keys<'_>) -> Result<DecoderConfig> {
    keys.refuse(&["attention.sliding_window"])?;
    Ok(DecoderConfig {
        pre_norm: false,
        sandwich_norm: true,
        qk_norm: Some(QkNorms::AllHeads),
        ..keys.decoder(Pairing::NeoX)?
    })
}

pub(crate) fn olmoe(keys: &Keys<'_>) -> Result<DecoderConfig> {
    Ok(DecoderConfig {
        qk_norm: Some(QkNorms::AllHeads),
        experts: Some(keys.experts(false)?),
        ..keys.decoder(Pairing::NeoX)?
    })
}
