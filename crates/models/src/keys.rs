//! A family's metadata: the keys that all families share, and how they read.

use wisp_base::{Error, Result};
use wisp_formats::{Array, Checkpoint, Value};
use wisp_ops::{Activation, Gating, Pairing};

use crate::config::{
    Attention, DecoderConfig, ExpertsConfig, FeedForward, Gate, Layer, Mixer, Norm,
};
use crate::rope::{Factors, Rope, Yarn, yarn_scale};
use crate::terms::{DYNAMIC, UNKNOWN_ACTIVATION, YARN_TRUNCATE, activation};

/// Which layers have a window: a list, or one of how many has none.
const WINDOWS: &str = "attention.sliding_window_pattern";

/// The metadata under `general.architecture`'s own prefix.
pub(crate) struct Keys<'a> {
    pub checkpoint: &'a Checkpoint,
    arch: &'a str,
}

impl<'a> Keys<'a> {
    pub fn new(checkpoint: &'a Checkpoint) -> Result<Self> {
        Ok(Self { checkpoint, arch: checkpoint.metadata.str("general.architecture")? })
    }

    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.arch)
    }

    /// A size that must be there.
    pub fn size(&self, name: &str) -> Result<usize> {
        self.opt_size(name)?.ok_or_else(|| self.missing(name))
    }

    /// A size that may be there.
    pub fn opt_size(&self, name: &str) -> Result<Option<usize>> {
        let size = self.checkpoint.metadata.opt_u32_of_layers(&self.key(name))?;
        Ok(size.map(|size| size as usize))
    }

    /// A size of each of `layers` layers, which the file has as a list or as one for all, if it
    /// is there.
    ///
    /// # Errors
    /// A list of another length.
    pub fn opt_sizes(&self, name: &str, layers: usize) -> Result<Option<Vec<usize>>> {
        let key = self.key(name);
        let Some(Value::Array(array)) = self.checkpoint.metadata.get(&key) else {
            return Ok(self.opt_size(name)?.map(|size| vec![size; layers]));
        };
        let sizes = array.integers().and_then(|list| {
            list.into_iter().map(|size| usize::try_from(size).ok()).collect::<Option<Vec<_>>>()
        });
        match sizes {
            Some(sizes) if self.is_of_layers(sizes.len(), layers)? => {
                Ok(Some(sizes.into_iter().take(layers).collect()))
            }
            _ => Err(Error::input(format!(
                "metadata key {key} is not a size for each of {layers} layers: the file is damaged"
            ))),
        }
    }

    /// Blocks behind the last layer, which predict tokens further ahead (MTP): they are counted in
    /// `block_count`, and not computed.
    fn ahead(&self) -> Result<usize> {
        Ok(self.opt_size("nextn_predict_layers")?.unwrap_or(0))
    }

    /// Whether a list of so many entries has one for each layer, and perhaps for blocks behind.
    fn is_of_layers(&self, entries: usize, layers: usize) -> Result<bool> {
        Ok(entries == layers || entries == layers + self.ahead()?)
    }

    /// A number that must be there.
    fn f32(&self, name: &str) -> Result<f32> {
        self.opt_f32(name)?.ok_or_else(|| self.missing(name))
    }

    /// A number that may be there.
    pub fn opt_f32(&self, name: &str) -> Result<Option<f32>> {
        self.checkpoint.metadata.opt_f32_of_layers(&self.key(name))
    }

    /// Experts by the common keys: softmax over all experts, `normalize` or not where the file does not
    /// say.
    pub fn experts(&self, normalize: bool) -> Result<ExpertsConfig> {
        let ffn = self.opt_size("expert_feed_forward_length")?;
        Ok(ExpertsConfig {
            count: self.size("expert_count")?,
            used: self.size("expert_used_count")?,
            ffn: ffn.map_or_else(|| self.size("feed_forward_length"), Ok)?,
            gating: Gating::Softmax,
            normalize: self.opt_flag("expert_weights_norm")?.unwrap_or(normalize),
            factor: 1.0,
            groups: (1, 1),
            choice_bias: false,
            bias: false,
            shared: None,
        })
    }

    /// That a key is missing, by the names that it has in this kind of file.
    fn missing(&self, name: &str) -> Error {
        let key = self.key(name);
        #[cfg(feature = "hub")]
        let names = match self.checkpoint.gguf_version {
            None => crate::hf::config_names(name),
            Some(_) => None,
        };
        #[cfg(not(feature = "hub"))]
        let names: Option<&[&str]> = None;
        Error::input(match names {
            Some(names) => format!("config.json has no {}", names.join(" or ")),
            None => format!(
                "metadata key {key} is missing: the file is not a complete model of its kind; \
                 convert or download it again"
            ),
        })
    }

    /// A switch that may be there.
    pub fn opt_flag(&self, name: &str) -> Result<Option<bool>> {
        self.checkpoint.metadata.opt_bool(&self.key(name))
    }

    /// A switch; off where it is not there.
    pub fn flag(&self, name: &str) -> Result<bool> {
        Ok(self.opt_flag(name)?.unwrap_or(false))
    }

    /// A text that may be there.
    pub fn opt_str(&self, name: &str) -> Result<Option<&'a str>> {
        self.checkpoint.metadata.opt_str(&self.key(name))
    }

    /// Whether the file has the tensor.
    pub fn has(&self, tensor: &str) -> bool {
        self.checkpoint.tensor(tensor).is_some()
    }

    /// Rows of a tensor, if the file has it.
    pub fn rows(&self, tensor: &str) -> Option<usize> {
        let tensor = self.checkpoint.tensor(tensor)?;
        Some(usize::try_from(tensor.rows()).unwrap_or(usize::MAX))
    }

    /// Whether any block has a tensor of this name.
    pub fn has_any(&self, tensor: &str) -> bool {
        let mut names = self.checkpoint.tensors.iter().map(|t| t.name.as_str());
        names.any(|name| name.strip_suffix(tensor).is_some_and(|start| start.ends_with('.')))
    }

    /// The feed-forward layer's activation function by the name that transformers has for it, if the file
    /// names one.
    ///
    /// # Errors
    /// A function that is not computed.
    pub fn activation(&self) -> Result<Option<Activation>> {
        let Some(name) = self.opt_str("hidden_activation")? else { return Ok(None) };
        activation(name).map(Some).ok_or_else(|| {
            let key = self.key("hidden_activation");
            Error::unsupported(format!(
                "the file sets {key} to {name:?}, which {UNKNOWN_ACTIVATION}"
            ))
        })
    }

    /// Biases of the attention's products and of the feed-forward layer's, as the first block
    /// has them.
    fn biases(&self) -> (bool, bool, bool) {
        let has = |name: &str| self.has(&format!("blk.0.{name}.bias"));
        (has("attn_q") || has("attn_qkv"), has("attn_output"), has("ffn_down"))
    }

    /// What YaRN's factor for queries and keys is itself multiplied by, per ln(factor)
    /// and tenth. DeepSeek's files have a tenth of it.
    pub fn yarn_log_multiplier(&self) -> Result<Option<f32>> {
        let latent = self.opt_size("attention.kv_lora_rank")?.is_some();
        let own = self.opt_f32("rope.scaling.yarn_log_multiplier")?.filter(|own| *own != 0.0);
        Ok(own.map(|own| if latent { own / 0.1 } else { own }))
    }

    /// Gives layers the file's window, if it has one: those that it lists, or all but one of
    /// n, with the file's n or else `every` (0: all of them), the last of each n or the
    /// `first`. Returns the attention of these.
    ///
    /// # Errors
    /// A list that is not of as many layers.
    pub fn set_windows<'c>(
        &self,
        config: &'c mut DecoderConfig,
        every: usize,
        first: bool,
    ) -> Result<Vec<&'c mut Attention>> {
        let Some(window) = self.opt_size("attention.sliding_window")?.filter(|n| *n > 0) else {
            return Ok(Vec::new());
        };
        let layers = config.layers.len();
        let bare = |n: usize| if first { 0 } else { n - 1 };
        let every_n = |n: usize| (0..layers).map(|at| n == 0 || at % n != bare(n)).collect();
        let windowed: Vec<bool> = match self.checkpoint.metadata.get(&self.key(WINDOWS)) {
            Some(Value::Array(Array::Bool(list))) if list.len() == layers => list.clone(),
            Some(Value::Array(_)) => {
                return Err(Error::input(format!(
                    "{} does not say of each of {layers} layers whether it has a window: the file \
                     is damaged",
                    self.key(WINDOWS)
                )));
            }
            Some(_) => every_n(self.size(WINDOWS)?),
            None => every_n(every),
        };
        let chosen = config.layers.iter_mut().zip(windowed).filter(|(_, windowed)| *windowed);
        let mut chosen: Vec<_> = chosen.filter_map(|(layer, _)| layer.attention_mut()).collect();
        chosen.iter_mut().for_each(|attention| attention.window = Some(window));
        Ok(chosen)
    }

    /// Whether the file says of each layer whether it has a window.
    pub fn lists_windows(&self) -> bool {
        let pattern = self.checkpoint.metadata.get(&self.key(WINDOWS));
        matches!(pattern, Some(Value::Array(_)))
    }

    /// Keys that no family computes, at another value than the one that changes nothing.
    ///
    /// # Errors
    /// The file sets one of them so.
    pub fn refuse_unless_neutral(&self) -> Result<()> {
        let limit = if self.arch == "gpt-oss" { "swiglu_clamp_shexp" } else { "swiglu_clamp_exp" };
        for (name, neutral) in [
            (limit, 0.0),
            ("attention.clamp_kqv", 0.0),
            ("attention.max_alibi_bias", 0.0),
            ("rope.scaling.yarn_ext_factor", 1.0),
            ("swiglu_clamp_shexp", 0.0),
        ] {
            // −1 is llama.cpp's own default.
            if self.opt_f32(name)?.is_some_and(|own| own != neutral && own != -1.0) {
                let key = self.key(name);
                return Err(Error::unsupported(format!(
                    "the file sets {key}, which this version does not compute"
                )));
            }
        }
        Ok(())
    }

    /// A truth value of each of `layers` layers, if the file has them.
    ///
    /// # Errors
    /// It is no such list.
    pub fn flags(&self, name: &str, layers: usize) -> Result<Option<Vec<bool>>> {
        match self.checkpoint.metadata.get(&self.key(name)) {
            None => Ok(None),
            Some(Value::Array(Array::Bool(list))) if self.is_of_layers(list.len(), layers)? => {
                Ok(Some(list.iter().take(layers).copied().collect()))
            }
            Some(_) => Err(Error::input(format!(
                "{} is not a truth value of each of {layers} layers: the file is damaged",
                self.key(name)
            ))),
        }
    }

    /// # Errors
    /// The file sets one of these keys, which the family does not compute.
    pub fn refuse(&self, names: &[&str]) -> Result<()> {
        for name in names {
            if self.opt_size(name)?.unwrap_or(0) > 0 {
                return Err(Error::unsupported(format!(
                    "the file sets {}, which this version does not compute",
                    self.key(name)
                )));
            }
        }
        Ok(())
    }

    /// What most families are, with this file's sizes: RMS norm before each layer, gated
    /// feed-forward with SiLU, one kind of RoPE, no bias.
    ///
    /// # Errors
    /// A key that is missing or wrong.
    pub fn decoder(&self, pairing: Pairing) -> Result<DecoderConfig> {
        self.decoder_with(Norm::Rms, pairing)
    }

    /// The same with another norm.
    ///
    /// # Errors
    /// A key that is missing or wrong.
    pub fn decoder_with(&self, norm: Norm, pairing: Pairing) -> Result<DecoderConfig> {
        let (hidden_size, heads) =
            (self.size("embedding_length")?, self.size("attention.head_count")?);
        if heads == 0 || hidden_size == 0 {
            return Err(Error::input(format!(
                "{} and {} must be above 0: the file is damaged",
                self.key("embedding_length"),
                self.key("attention.head_count")
            )));
        }
        let head_dim = self.opt_size("attention.key_length")?.unwrap_or(hidden_size / heads);
        let latent = self.opt_size("attention.kv_lora_rank")?.is_some();
        let value = self.opt_size("attention.value_length")?;
        if !latent && value.is_some_and(|value| value != head_dim) {
            return Err(Error::unsupported(
                "the file has values of another length than keys, which this version does not \
                 compute",
            ));
        }
        let layers = self.size("block_count")?.saturating_sub(self.ahead()?);
        let eps = match norm {
            Norm::Rms => self.f32("attention.layer_norm_rms_epsilon")?,
            Norm::Layer { .. } => self.f32("attention.layer_norm_epsilon")?,
        };
        let (qkv_bias, output_bias, ffn_bias) = self.biases();
        // Bounds the list of layers by the tensors that are really there.
        let tensors = self.checkpoint.tensors.len();
        if layers > tensors {
            return Err(Error::input(format!(
                "{layers} blocks, but {tensors} tensors: the file is damaged"
            )));
        }
        let kv_heads = self.opt_sizes("attention.head_count_kv", layers)?;
        let kv_heads = kv_heads.unwrap_or_else(|| vec![heads; layers]);
        // Where all layers have experts, there may be no size of others.
        let experts = self.opt_size("expert_feed_forward_length")?.is_some();
        let intermediate = match self.opt_sizes("feed_forward_length", layers)? {
            None if experts => vec![0; layers],
            None => return Err(self.missing("feed_forward_length")),
            Some(sizes) => sizes,
        };
        let layers = kv_heads.into_iter().zip(intermediate).map(|(kv_heads, intermediate_size)| {
            let attention =
                Attention { heads, kv_heads, head_dim, window: None, rope: 0, gate: false };
            let feed_forward = FeedForward::Dense { intermediate_size };
            Layer { mixer: Mixer::Attention(attention), feed_forward }
        });
        Ok(DecoderConfig {
            blocks_ahead: self.ahead()?,
            layers: layers.collect(),
            hidden_size,
            context: self.size("context_length")?,
            encoder: false,
            embedding_factor: 1.0,
            token_types: None,
            embedding_norm: false,
            learned_positions: None,
            residual_factor: 1.0,
            logit_factor: 1.0,
            logit_cap: None,
            norm,
            eps,
            pre_norm: true,
            sandwich_norm: false,
            post_norm: false,
            first_without_norm: false,
            parallel: false,
            output_norm: "output_norm",
            fused_qkv: false,
            qkv_bias,
            output_bias,
            qk_norm: None,
            attention_scale: self.opt_f32("attention.scale")?,
            attention_cap: None,
            sinks: false,
            attention_temperature: None,
            ropes: vec![self.rope(head_dim, pairing)?],
            gate: Gate::Gated,
            activation: Activation::Silu,
            ffn_bias,
            ffn_norm: "ffn_norm",
            experts: None,
        })
    }

    /// RoPE with whatever stretches it.
    fn rope(&self, head_dim: usize, pairing: Pairing) -> Result<Rope> {
        let old_factor = self.opt_f32("rope.scale_linear")?;
        let factor = self.opt_f32("rope.scaling.factor")?.or(old_factor).unwrap_or(1.0);
        let own_scale = self.opt_f32("rope.scaling.attn_factor")?.unwrap_or(1.0);
        let latent = self.opt_size("attention.kv_lora_rank")?.is_some();
        let trained = self.opt_size("rope.scaling.original_context_length")?;
        let short = "rope_factors_short.weight";
        let factors = match trained {
            _ if self.has("rope_freqs.weight") => Some(Factors::One),
            Some(trained) if self.has(short) => Some(Factors::ShortLong(trained)),
            _ => None,
        };
        let kind = match (self.opt_str("rope.scaling.type")?, old_factor, factors) {
            (Some(kind), ..) => kind,
            (None, Some(_), _) => "linear",
            _ => "none",
        };
        let rope = Rope {
            dim: self.opt_size("rope.dimension_count")?.unwrap_or(head_dim),
            base: self.opt_f32("rope.freq_base")?.unwrap_or(10_000.0),
            pairing,
            factor: 1.0,
            yarn: None,
            scale: own_scale,
            factors,
            dynamic: self.flag(DYNAMIC)?,
        };
        match kind {
            "none" | "longrope" => Ok(rope),
            "linear" => Ok(Rope { factor, ..rope }),
            "yarn" => {
                let context = trained.ok_or_else(|| {
                    Error::input(format!(
                        "RoPE is stretched by yarn, but {} is missing: the file is damaged",
                        self.key("rope.scaling.original_context_length")
                    ))
                })?;
                let beta = |name: &str| self.opt_f32(&format!("rope.scaling.{name}"));
                let yarn = Yarn {
                    context,
                    beta_fast: beta("yarn_beta_fast")?.or(beta("beta_fast")?).unwrap_or(32.0),
                    beta_slow: beta("yarn_beta_slow")?.or(beta("beta_slow")?).unwrap_or(1.0),
                    whole_pairs: self.opt_flag(YARN_TRUNCATE)?.unwrap_or(true),
                };
                // What a family does instead is divided by.
                let stretch = |by: f32| yarn_scale(f64::from(factor), f64::from(by));
                let instead = if latent { Some(1.0) } else { self.yarn_log_multiplier()? };
                let usual = (stretch(1.0) / stretch(instead.unwrap_or(0.0))) as f32;
                let scale =
                    own_scale * self.opt_f32("rope.scaling.yarn_attn_factor")?.unwrap_or(usual);
                Ok(Rope { factor, yarn: Some(yarn), scale, ..rope })
            }
            other => Err(Error::unsupported(format!(
                "the file scales RoPE by {other:?}; this version knows none, linear, yarn, \
                 longrope and the factors of a rope_freqs tensor"
            ))),
        }
    }
}
