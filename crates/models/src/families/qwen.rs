//! Qwen2 and 2.5 (2024): biased queries, keys and values; Qwen3 (2025): normed heads;
//! both with experts too; Qwen3-Next (2025) and Qwen3.5 (2026): a gated delta rule in most
//! layers.

use wisp_base::{Error, Result};
use wisp_ops::Pairing;

use crate::config::{DecoderConfig, ExpertsConfig, GatedDelta, Mixer, QkNorms, Shared};
use crate::keys::Keys;

pub(crate) fn qwen2(keys: &Keys<'_>) -> Result<DecoderConfig> {
    let mut config = keys.decoder(Pairing::NeoX)?;
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
    config.experts = Some(ExpertsConfig { shared, ..keys.experts(false)? });
    Ok(config)
}

pub(crate) fn qwen3moe(keys: &Keys<'_>) -> Result<DecoderConfig> {
    if keys.opt_size("expert_count")? == Some(0) {
        return qwen3(keys);
    }
    let experts = Some(keys.experts(true)?);
    Ok(DecoderConfig { experts, ..qwen3(keys)? })
}

pub(crate) fn qwen3(keys: &Keys<'_>) -> Result<DecoderConfig> {
    let qk_norm = Some(QkNorms::EachHead);
    Ok(DecoderConfig { qk_norm, ..qwen2(keys)? })
}

/// A gated delta rule in place of attention, but in every fourth layer; there results are gated,
/// and a part of a head is rotated.
pub(crate) fn qwen35(keys: &Keys<'_>) -> Result<DecoderConfig> {
    hybrid(keys, false)
}

/// With experts, and one that every token goes to.
pub(crate) fn qwen35moe(keys: &Keys<'_>) -> Result<DecoderConfig> {
    with_shared_expert(keys, hybrid(keys, false)?)
}

/// The same as [`qwen35moe`], but for the order of heads in its files.
pub(crate) fn qwen3next(keys: &Keys<'_>) -> Result<DecoderConfig> {
    with_shared_expert(keys, hybrid(keys, true)?)
}

fn with_shared_expert(keys: &Keys<'_>, config: DecoderConfig) -> Result<DecoderConfig> {
    if keys.opt_size("expert_count")?.unwrap_or(0) == 0 {
        return Ok(config);
    }
    let ffn = keys.opt_size("expert_shared_feed_forward_length")?.filter(|ffn| *ffn > 0);
    let shared = ffn.map(|ffn| Shared { ffn, gated: true });
    let experts = Some(ExpertsConfig { shared, ..keys.experts(true)? });
    Ok(DecoderConfig { experts, ..config })
}

fn hybrid(keys: &Keys<'_>, grouped: bool) -> Result<DecoderConfig> {
    let size = |name: &str| keys.size(&format!("ssm.{name}"));
    let (heads, inner) = (size("time_step_rank")?, size("inner_size")?);
    let delta = GatedDelta {
        key_heads: size("group_count")?,
        heads,
        key_dim: size("state_size")?,
        value_dim: inner.checked_div(heads).unwrap_or(0),
        kernel: size("conv_kernel")?,
        grouped,
    };
    let sizes = [delta.key_heads, delta.key_dim, delta.value_dim];
    if sizes.contains(&0) || delta.kernel < 2 || delta.value_dim * heads != inner {
        return Err(Error::input(format!(
            "the sizes of the gated delta rule do not fit together (ssm.group_count {}, \
             ssm.state_size {}, ssm.time_step_rank {heads}, ssm.inner_size {inner}, \
             ssm.conv_kernel {}): the file is damaged",
            delta.key_heads, delta.key_dim, delta.kernel
        )));
    }
    let mut config = DecoderConfig {
        qk_norm: Some(QkNorms::EachHead),
        ffn_norm: "post_attention_norm",
        ..keys.decoder(Pairing::NeoX)?
    };
    let every = keys.opt_size("full_attention_interval")?.unwrap_or(4);
    let listed = keys.flags("attention.recurrent_layers", config.layers.len())?;
    for (number, layer) in config.layers.iter_mut().enumerate() {
        let by_interval = every == 0 || (number + 1) % every != 0;
        if listed.as_ref().map_or(by_interval, |listed| listed[number]) {
            layer.mixer = Mixer::GatedDelta(delta);
        } else if let Some(attention) = layer.attention_mut() {
            attention.gate = true;
        }
    }
    Ok(config)
}
