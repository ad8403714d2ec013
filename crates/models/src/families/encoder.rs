//! Encoders: BERT (Devlin et al. 2018; MiniLM, BGE, E5), nomic-bert (Nussbaum et al. 2024),
//! ModernBERT (Warner et al. 2024).

use wisp_base::Result;
use wisp_ops::{Activation, Pairing};

use crate::config::{DecoderConfig, Gate, Norm};
use crate::keys::Keys;
use crate::rope::Rope;

/// Learned positions, biases everywhere, no gate.
pub(crate) fn bert(keys: &Keys<'_>) -> Result<DecoderConfig> {
    let config = of_sums(keys)?;
    Ok(DecoderConfig {
        learned_positions: Some(config.context),
        ropes: vec![Rope::none()],
        qkv_bias: true,
        output_bias: true,
        ffn_bias: true,
        gate: Gate::Plain,
        activation: Activation::GeluErf,
        ..config
    })
}

/// RoPE, a gate, and biases in norms only.
pub(crate) fn nomic(keys: &Keys<'_>) -> Result<DecoderConfig> {
    Ok(DecoderConfig { fused_qkv: true, ..of_sums(keys)? })
}

/// Norms before the layers, no bias at all, a window in two layers of three.
pub(crate) fn modern(keys: &Keys<'_>) -> Result<DecoderConfig> {
    let mut config = DecoderConfig {
        norm: Norm::Layer { bias: false },
        first_without_norm: true,
        fused_qkv: true,
        gate: Gate::Fused,
        activation: Activation::GeluErf,
        // Its files have the setting under the other norm's name.
        ..encoder(keys, Norm::Rms)?
    };
    let base = keys.opt_f32("rope.freq_base_swa")?.unwrap_or(10_000.0);
    let local = Rope { base, ..config.ropes[0].clone() };
    config.ropes.push(local);
    for attention in keys.set_windows(&mut config, 3, true)? {
        attention.rope = 1;
    }
    Ok(config)
}

fn of_sums(keys: &Keys<'_>) -> Result<DecoderConfig> {
    Ok(DecoderConfig { pre_norm: false, post_norm: true, ..encoder(keys, LAYER)? })
}

const LAYER: Norm = Norm::Layer { bias: true };

fn encoder(keys: &Keys<'_>, norm: Norm) -> Result<DecoderConfig> {
    Ok(DecoderConfig {
        encoder: true,
        token_types: keys.rows("token_types.weight"),
        embedding_norm: true,
        ..keys.decoder_with(norm, Pairing::NeoX)?
    })
}
