//! Llama (Touvron et al. 2023) and what is built like it: Mistral, Mixtral,
//! SmolLM2 and 3, Granite, …

use wisp_base::Result;
use wisp_ops::{AttentionTemperature, Pairing};

use crate::config::{DecoderConfig, Shared};
use crate::keys::Keys;
use crate::rope::Rope;
use crate::terms::ROPE_LAYERS;

/// llama.cpp's converter reorders the rows of q and k, so that neighbours are a pair.
pub(crate) fn config(keys: &Keys<'_>) -> Result<DecoderConfig> {
    let mut config = keys.decoder(Pairing::Interleaved)?;
    if keys.opt_size("expert_count")?.unwrap_or(0) > 0 {
        config.experts = Some(keys.experts(true)?); // Mixtral
    }
    keys.set_windows(&mut config, 0, false)?;
    Ok(config)
}

/// Ministral 3 (2025): queries far into a context are multiplied, so that scores stay
/// apart.
pub(crate) fn mistral3(keys: &Keys<'_>) -> Result<DecoderConfig> {
    let mut config = config(keys)?;
    let factor = keys.opt_f32("attention.temperature_scale")?.unwrap_or(0.0);
    let length = keys.opt_size("rope.scaling.original_context_length")?.unwrap_or(config.context);
    config.attention_temperature =
        (factor != 0.0).then_some(AttentionTemperature { factor, length });
    Ok(config)
}

/// SmolLM3 (2025): some layers have no positions (Yang et al. 2025); every fourth, where the
/// file does not say.
pub(crate) fn smollm3(keys: &Keys<'_>) -> Result<DecoderConfig> {
    let mut config = config(keys)?;
    config.ropes.push(Rope::none());
    let rotates = keys.flags(ROPE_LAYERS, config.layers.len())?;
    for (number, layer) in config.layers.iter_mut().enumerate() {
        let rotates = rotates.as_ref().map_or(number % 4 != 3, |rotates| rotates[number]);
        if let Some(attention) = layer.attention_mut() {
            attention.rope = usize::from(!rotates);
        }
    }
    Ok(config)
}

/// Granite 3 (2024): Llama with factors at the embedding, the residual stream, the
/// scores and the logits; some have an expert that every token goes to.
pub(crate) fn granite(keys: &Keys<'_>) -> Result<DecoderConfig> {
    let mut config = config(keys)?;
    config.embedding_factor = keys.opt_f32("embedding_scale")?.unwrap_or(1.0);
    config.residual_factor = keys.opt_f32("residual_scale")?.unwrap_or(1.0);
    config.logit_factor = 1.0 / keys.opt_f32("logit_scale")?.unwrap_or(1.0);
    let shared = keys.opt_size("expert_shared_feed_forward_length")?.filter(|ffn| *ffn > 0);
    if let Some(experts) = &mut config.experts {
        experts.shared = shared.map(|ffn| Shared { ffn, gated: false });
    }
    Ok(config)
}
