//! DeepSeek-V2 and V3 (2024): latent attention, experts in groups beside shared ones.

use wisp_base::{Error, Result};
use wisp_ops::{Gating, Pairing};

use crate::config::{DecoderConfig, ExpertsConfig, Mixer, Mla, Shared, router};
use crate::keys::Keys;
use crate::rope::yarn_scale;

pub(crate) fn deepseek2(keys: &Keys<'_>) -> Result<DecoderConfig> {
    let mut config = keys.decoder(Pairing::Interleaved)?;
    let size = |name: &str| keys.size(&format!("attention.{name}"));
    let rotated = config.ropes[0].dim;
    let mla = Mla {
        heads: keys.size("attention.head_count")?,
        query_rank: keys.opt_size("attention.q_lora_rank")?.filter(|rank| *rank > 0),
        rank: size("kv_lora_rank")?,
        plain: size("key_length_mla")?.saturating_sub(rotated),
        rotated,
        value: size("value_length_mla")?,
        rope: 0,
    };
    if [mla.rank, mla.plain, mla.value].contains(&0) {
        return Err(Error::input("a size of latent attention is 0: the file is damaged"));
    }
    config.layers.iter_mut().for_each(|layer| layer.mixer = Mixer::Mla(mla));
    // Scores are multiplied by the square of what stretching does to a query and a key.
    let rope = &config.ropes[0];
    if let Some(multiplier) = keys.yarn_log_multiplier()?.filter(|_| rope.yarn.is_some()) {
        let own = yarn_scale(f64::from(rope.factor), f64::from(multiplier)) as f32;
        let scale = 1.0 / ((mla.plain + rotated) as f32).sqrt();
        config.attention_scale = Some(own * own * scale);
    }
    let choice_bias = keys.has_any("exp_probs_b.bias");
    let gating = match keys.opt_size("expert_gating_func")?.unwrap_or(0) {
        0 if choice_bias => Gating::Sigmoid,
        0 | 1 => Gating::Softmax,
        2 => Gating::Sigmoid,
        other => {
            return Err(Error::unsupported(format!(
                "the file chooses experts by function {other}, which this version does not know"
            )));
        }
    };
    if keys.opt_size("expert_count")?.unwrap_or(0) == 0 {
        return Ok(config);
    }
    if let Some(dense) = keys.opt_size("leading_dense_block_count")? {
        for layer in 0..config.layers.len() {
            if keys.has(&router(layer)) == (layer < dense) {
                return Err(Error::input(format!(
                    "by the metadata the first {dense} layers have no experts, but by the tensors \
                     that is not so of layer {layer}: the file is damaged"
                )));
            }
        }
    }
    let experts = keys.experts(false)?;
    let shared = keys.opt_size("expert_shared_count")?.unwrap_or(0) * experts.ffn;
    let group = |name: &str| keys.opt_size(name).map(|n| n.unwrap_or(1).max(1));
    config.experts = Some(ExpertsConfig {
        gating,
        factor: keys.opt_f32("expert_weights_scale")?.filter(|f| *f != 0.0).unwrap_or(1.0),
        groups: (group("expert_group_count")?, group("expert_group_used_count")?),
        choice_bias,
        shared: (shared > 0).then_some(Shared { ffn: shared, gated: false }),
        ..experts
    });
    Ok(config)
}
