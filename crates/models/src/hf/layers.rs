//! config.json on the layers: which see a window, the feed-forward's curve, RoPE's factors.

use serde_json::Value as Json;
use wisp_base::{Error, Result};
use wisp_formats::{Array, Value};

use super::config::Config;
use super::families::Windows;
use super::settings::{self, Effect};
use crate::rope::yarn_scale;
use crate::terms::{UNKNOWN_ACTIVATION, activation};

/// Keys and values of an object.
fn entries(object: &Json) -> impl Iterator<Item = (&String, &Json)> {
    object.as_object().into_iter().flatten()
}

/// Layers at most of which each is listed here: no number of a file sizes more.
const MOST_LAYERS: u64 = 1 << 16;

impl Config {
    /// The feed-forward layer's curve.
    pub fn activation(&self, put: &mut dyn FnMut(&str, Value) -> Result<()>) -> Result<()> {
        let names = ["hidden_act", "hidden_activation", "activation_function"];
        let Some((key, act)) = names.iter().find_map(|key| Some((*key, self.get(key)?))) else {
            return Ok(());
        };
        let name = match act.as_str() {
            // Gemma's files say so and mean the other.
            Some("gelu") if self.family.model_type == "gemma" => "gelu_pytorch_tanh",
            Some(name) if activation(name).is_some() => name,
            _ => {
                let folder = &self.folder;
                return Err(Error::unsupported(format!(
                    "{folder}: config.json sets {key} to {act}, which {UNKNOWN_ACTIVATION}"
                )));
            }
        };
        put("hidden_activation", Value::String(name.to_owned()))
    }

    /// Whether each layer has state of a fixed size in place of attention, in families where some
    /// do: by `layer_types`, or by the numbers of those that attend (LFM2).
    pub fn recurrent_layers(&self) -> Result<Option<Vec<bool>>> {
        let Some(kind) = self.family.recurrent else { return Ok(None) };
        let layers = self.layers()?;
        if let Some(types) = self.get("layer_types").and_then(Json::as_array) {
            return Ok(Some(types.iter().map(|own| own.as_str() == Some(kind)).collect()));
        }
        let attends: Box<dyn Fn(u64) -> bool> =
            match self.get("full_attn_idxs").and_then(Json::as_array) {
                Some(list) => Box::new(|at| list.iter().any(|one| one.as_u64() == Some(at))),
                None => match self.opt_size(&["full_attention_interval"])?.filter(|n| *n > 0) {
                    Some(every) => Box::new(move |at| (at + 1).is_multiple_of(every)),
                    None => Box::new(|_| true),
                },
            };
        if layers > MOST_LAYERS {
            return Err(self.wrong(&["num_hidden_layers"]));
        }
        Ok(Some((0..layers).map(|at| !attends(at)).collect()))
    }

    /// How many pairs of a head are rotated by which of three positions, and a fourth.
    pub fn rope_sections(&self) -> Vec<i32> {
        let own = self.rope().get("mrope_section").and_then(Json::as_array);
        let own = own.map(|list| list.iter().filter_map(Json::as_i64).map(|n| n as i32).collect());
        let mut sections: Vec<i32> = own.unwrap_or_else(|| vec![11, 11, 10]);
        sections.resize(4, 0);
        sections
    }

    /// LFM2's intermediate size: two thirds of what config.json says, times a factor, rounded up to
    /// a multiple (`Lfm2MLP` of transformers).
    pub fn adjusted_intermediate_size(&self) -> Result<u32> {
        let mut size = self.size(&["block_ff_dim", "intermediate_size"])?;
        if self.flag("block_auto_adjust_ff_dim")? {
            let factor = self.number(&["block_ffn_dim_multiplier"])?.unwrap_or(1.0);
            let multiple = self.size(&["block_multiple_of"])?;
            size = ((2 * size / 3) as f64 * factor) as u64;
            size = size.next_multiple_of(multiple);
        }
        u32::try_from(size).map_err(|_| self.wrong(&["intermediate_size"]))
    }

    /// Whether each layer sees a window, if config.json lists them.
    fn layer_types(&self) -> Result<Option<Vec<bool>>> {
        let Some(types) = self.get("layer_types") else { return Ok(None) };
        let windowed = |kind: &Json| match kind.as_str() {
            Some("sliding_attention") => Some(true),
            Some("full_attention" | "attention") => Some(false),
            own if own.is_some() && own == self.family.recurrent => Some(false),
            _ => None,
        };
        let list: Option<Vec<bool>> =
            types.as_array().and_then(|types| types.iter().map(windowed).collect());
        match list {
            Some(list) if list.len() as u64 == self.layers()? => Ok(Some(list)),
            _ => {
                let other = self.family.recurrent.unwrap_or("sliding_attention");
                Err(self.unsupported(format!(
                    "layer_types in config.json is not full_attention or {other} for each of {} \
                     layers",
                    self.layers()?
                )))
            }
        }
    }

    pub fn windows(&self, put: &mut dyn FnMut(&str, Value) -> Result<()>) -> Result<()> {
        let listed = self.layer_types()?;
        let on = match self.family.windows {
            Windows::None => false,
            Windows::From | Windows::Alternate | Windows::Switched => {
                self.flag("use_sliding_window")?
            }
            Windows::All | Windows::AllBut(..) => true,
        };
        let window = self.opt_size(&["sliding_window", "local_attention"])?.filter(|_| on);
        let Some(window) = window.filter(|window| *window > 0) else {
            if listed.is_some_and(|list| list.contains(&true)) {
                return Err(self.unsupported(
                    "layer_types in config.json has sliding_attention, but it sets no window"
                        .into(),
                ));
            }
            if self.family.model_type == "phi3" {
                put("attention.sliding_window", Value::U32(0))?;
            }
            return Ok(());
        };
        put("attention.sliding_window", Value::U32(window as u32))?;
        let layers = self.layers()?.min(1 << 16) as usize;
        let first = self.opt_size(&["max_window_layers"])?.unwrap_or(0) as usize;
        let all = |windowed: &dyn Fn(usize) -> bool| (0..layers).map(windowed).collect::<Vec<_>>();
        let mut usual = None;
        let pattern = match self.family.windows {
            Windows::None | Windows::All => return Ok(()),
            Windows::AllBut(every, which) => {
                usual = Some(all(&|layer| layer % every != which));
                let own =
                    self.opt_size(&["sliding_window_pattern", "global_attn_every_n_layers"])?;
                let own = own.filter(|own| *own > 0).map_or(every, |own| own as usize);
                let which = if which + 1 == every { own - 1 } else { which };
                all(&|layer| layer % own != which % own)
            }
            Windows::From => all(&|layer| layer >= first),
            Windows::Alternate => all(&|layer| layer % 2 == 0 && layer < first),
            Windows::Switched => all(&|_| true),
        };
        let pattern = listed.unwrap_or(pattern);
        if usual.as_ref() == Some(&pattern) {
            return Ok(());
        }
        put("attention.sliding_window_pattern", Value::Array(Array::Bool(pattern)))
    }

    /// What queries and keys are multiplied by (`_compute_yarn_parameters` of transformers).
    pub fn yarn_attention_factor(&self, factor: f64) -> f64 {
        let strength = |key: &str| self.rope_number(key).filter(|by| *by != 0.0);
        let inferred = match (strength("mscale"), strength("mscale_all_dim")) {
            (Some(own), Some(all)) => yarn_scale(factor, own) / yarn_scale(factor, all),
            _ => yarn_scale(factor, 1.0),
        };
        self.rope_number("attention_factor").unwrap_or(inferred)
    }

    /// Settings of RoPE that not every family has.
    pub fn check_rope(&self) -> Result<()> {
        let all = self.all_rope();
        let refuse = |what: &str| Err(self.unsupported(format!("config.json has {what}")));
        for key in ["rope_parameters", "rope_scaling"] {
            if let Some(value) = self.get(key).filter(|value| !value.is_object()) {
                return refuse(&format!("a {key} that is {value}, which is no object"));
            }
        }
        let needs: &[&str] = match self.rope_type() {
            "linear" | "dynamic" => &["factor"],
            "llama3" => &["factor", "low_freq_factor", "high_freq_factor"],
            _ => &[],
        };
        if let Some(lacking) = needs.iter().find(|key| self.rope_number(key).is_none()) {
            let kind = self.rope_type();
            return refuse(&format!("RoPE of the type {kind} without its {lacking}"));
        }
        let [full, local] = ["full_attention", "sliding_attention"].map(|kind| all.get(kind));
        if full.or(local).is_some() && !self.family.nested_rope {
            return refuse("rope_parameters for kinds of attention");
        }
        for (key, value) in [Some(self.rope()), local].into_iter().flatten().flat_map(entries) {
            let known = value.is_null()
                || match key.as_str() {
                    "rope_type" | "type" => value.is_string(),
                    "truncate" => value.is_boolean(),
                    "long_factor" | "short_factor" => value.is_array(),
                    _ if settings::config_key("ministral3", &format!("rope_parameters.{key}"))
                        != Some(Effect::Honoured) =>
                    {
                        true
                    }
                    _ => value.is_number(),
                };
            if !known {
                return refuse(&format!("a {key} of RoPE that is {value}"));
            }
        }
        let kind = |rope: &Json| rope.get("rope_type").or(rope.get("type")).cloned();
        let usual = |kind: Option<Json>| {
            kind.is_none_or(|kind| kind.is_null() || kind.as_str() == Some("default"))
        };
        if local.is_some_and(|local| !usual(kind(local))) {
            return refuse("RoPE that is stretched in layers with a window");
        }
        if self.family.arch == "modern-bert" && self.rope_type() != "default" {
            return refuse("RoPE that is stretched");
        }
        let two = ["rope_parameters", "rope_scaling"].map(|key| self.get(key).is_some());
        if self.family.nested_rope && two == [true, true] {
            return refuse("both rope_parameters and rope_scaling");
        }
        let partial = |rope: &Json| rope.get("partial_rotary_factor").and_then(Json::as_f64);
        let whole = |rope: &Json| partial(rope).is_none_or(|part| part == 1.0);
        let parts = matches!(self.family.model_type, "phi3" | "gpt_neox")
            || self.family.recurrent == Some("linear_attention");
        if !parts && ![Some(self.rope()), local].into_iter().flatten().all(whole) {
            return refuse("a partial_rotary_factor other than 1");
        }
        Ok(())
    }
}
