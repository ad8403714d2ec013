//! Gemma 1 to 3 (2024, 2025): embeddings times √width, GELU, and from the second on
//! norms on both sides of a layer and layers that see a window only.

use wisp_base::Result;
use wisp_ops::{Activation, Pairing};

use crate::config::{DecoderConfig, QkNorms};
use crate::keys::Keys;
use crate::rope::Rope;

pub(crate) fn gemma(keys: &Keys<'_>) -> Result<DecoderConfig> {
    let config = keys.decoder(Pairing::NeoX)?;
    Ok(DecoderConfig {
        embedding_factor: (config.hidden_size as f32).sqrt(),
        activation: Activation::Gelu,
        ..config
    })
}

/// Every other layer sees a window; scores and logits are capped.
pub(crate) fn gemma2(keys: &Keys<'_>) -> Result<DecoderConfig> {
    let mut config = DecoderConfig { sandwich_norm: true, ..gemma(keys)? };
    config.attention_cap = keys.opt_f32("attn_logit_softcapping")?;
    config.logit_cap = keys.opt_f32("final_logit_softcapping")?;
    // The 27B model scales by the width a head, which its heads do not have.
    if config.layers.len() == 46 && config.attention_scale.is_none() {
        config.attention_scale = Some(
            1.0 / (config.hidden_size as f32 / keys.size("attention.head_count")? as f32).sqrt(),
        );
    }
    keys.set_windows(&mut config, 2, false)?;
    Ok(config)
}

/// Five layers of six see a window, with a RoPE of their own; heads are normed.
pub(crate) fn gemma3(keys: &Keys<'_>) -> Result<DecoderConfig> {
    let mut config = DecoderConfig { sandwich_norm: true, ..gemma(keys)? };
    config.qk_norm = Some(QkNorms::EachHead);
    config.logit_cap = keys.opt_f32("final_logit_softcapping")?;
    if config.layers.len() == 62 && config.attention_scale.is_none() {
        config.attention_scale = Some(
            1.0 / (config.hidden_size as f32 / keys.size("attention.head_count")? as f32).sqrt(),
        );
    }
    let local = Rope {
        base: keys.opt_f32("rope.freq_base_swa")?.unwrap_or(10_000.0),
        factor: 1.0,
        ..config.ropes[0].clone()
    };
    config.ropes.push(local);
    for attention in keys.set_windows(&mut config, 6, false)? {
        attention.rope = 1;
    }
    Ok(config)
}
