//! LFM2 (Liquid AI 2025): short convolutions in most layers, attention with QK-norm in the others.

use wisp_base::{Error, Result};
use wisp_ops::Pairing;

use crate::config::{DecoderConfig, Mixer, QkNorms, ShortConv};
use crate::keys::Keys;

/// A layer without heads of keys and values is a convolution.
pub(crate) fn lfm2(keys: &Keys<'_>) -> Result<DecoderConfig> {
    let kernel = keys.size("shortconv.l_cache")?;
    if kernel < 2 {
        return Err(Error::input(format!(
            "a short convolution has {kernel} taps; it needs 2 or more: the file is damaged"
        )));
    }
    let mut config = DecoderConfig {
        qk_norm: Some(QkNorms::EachHead),
        output_norm: "token_embd_norm",
        ..keys.decoder(Pairing::NeoX)?
    };
    for layer in &mut config.layers {
        if layer.attention().is_some_and(|attention| attention.kv_heads == 0) {
            layer.mixer = Mixer::ShortConv(ShortConv { kernel });
        }
    }
    Ok(config)
}
