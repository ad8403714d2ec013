//! GPT-2 (Radford et al. 2019) and GPT-NeoX (Black et al. 2022): layer norm, biases
//! everywhere, no gate.

use wisp_base::Result;
use wisp_ops::{Activation, Pairing};

use crate::config::{DecoderConfig, ExpertsConfig, Gate, Norm};
use crate::keys::Keys;
use crate::rope::Rope;
use crate::terms::YARN_TRUNCATE;

pub(crate) fn gpt2(keys: &Keys<'_>) -> Result<DecoderConfig> {
    let config = with_biases(keys)?;
    Ok(DecoderConfig {
        learned_positions: Some(config.context),
        ropes: vec![Rope::none()],
        activation: Activation::Gelu,
        ..config
    })
}

pub(crate) fn neox(keys: &Keys<'_>) -> Result<DecoderConfig> {
    Ok(DecoderConfig {
        parallel: keys.flag("use_parallel_residual")?,
        activation: Activation::GeluErf,
        ..with_biases(keys)?
    })
}

/// gpt-oss (OpenAI 2025): experts with biases and a curve of their own, a sink per head,
/// a window in every other layer.
pub(crate) fn oss(keys: &Keys<'_>) -> Result<DecoderConfig> {
    let activation = Activation::Clamped {
        alpha: keys.opt_f32("swiglu_alpha")?.unwrap_or(1.702),
        limit: keys.opt_f32("swiglu_clamp_exp")?.unwrap_or(7.0),
    };
    let mut config = DecoderConfig {
        sinks: true,
        activation,
        ffn_norm: "post_attention_norm",
        experts: Some(ExpertsConfig { bias: true, ..keys.experts(true)? }),
        ..keys.decoder(Pairing::NeoX)?
    };
    if let (Some(yarn), None) = (&mut config.ropes[0].yarn, keys.opt_flag(YARN_TRUNCATE)?) {
        yarn.whole_pairs = false;
    }
    keys.set_windows(&mut config, 2, false)?;
    Ok(config)
}

fn with_biases(keys: &Keys<'_>) -> Result<DecoderConfig> {
    Ok(DecoderConfig {
        fused_qkv: true,
        ffn_bias: true,
        gate: Gate::Plain,
        ..keys.decoder_with(Norm::Layer { bias: true }, Pairing::NeoX)?
    })
}
