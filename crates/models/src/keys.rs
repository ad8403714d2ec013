//! A family's metadata: the keys that all families share, and how they read.

use wisp_base::{Error, Result};
use wisp_formats::{Array, Checkpoint, Value};
use wisp_ops::{Activation, Pairing};

use crate::config::{DecoderConfig, Feed, Kind, Norm};
use crate::rope::{Factors, Rope, Yarn, yarn_scale};

/// Which layers have a window: a list, or one of how many has none.
const WINDOWS: &str = "attention.sliding_window_pattern";

/// Whether YaRN's bounds are whole pairs; a key of ours.
pub(crate) const YARN_TRUNCATE: &str = "rope.scaling.yarn_truncate";

/// Whether RoPE's base grows with sequences beyond the trained context; a key of ours.
pub(crate) const DYNAMIC: &str = "rope.scaling.dynamic";

/// The function of a name in transformers' `ACT2FN`, or in a GGUF file of an encoder.
pub(crate) fn activation(name: &str) -> Option<Activation> {
    Some(match name {
        "silu" | "swish" | "swiglu" => Activation::Silu,
        "gelu" | "gelu_python" | "geglu" => Activation::GeluErf,
        "gelu_new" | "gelu_fast" | "gelu_accurate" | "gelu_pytorch_tanh" | "gelu_python_tanh" => {
            Activation::Gelu
        }
        "relu" | "reglu" => Activation::Relu,
        "relu2" => Activation::ReluSquared,
        _ => return None,
    })
}

pub(crate) const UNKNOWN_ACTIVATION: &str =
    "this version does not compute; it knows silu, gelu and its tanh forms, relu and relu2";

/// Which layers turn queries and keys, a truth value each; a key of ours.
pub(crate) const ROPE_LAYERS: &str = "rope.layers";

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

    /// A number that must be there.
    fn f32(&self, name: &str) -> Result<f32> {
        self.opt_f32(name)?.ok_or_else(|| self.missing(name))
    }

    /// A number that may be there.
    pub fn opt_f32(&self, name: &str) -> Result<Option<f32>> {
        self.checkpoint.metadata.opt_f32_of_layers(&self.key(name))
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

    /// The feed-forward layer's curve by the name that transformers has for it, if the file
    /// names one.
    ///
    /// # Errors
    /// A curve that is not computed.
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
    /// `first`. Returns their kinds.
    ///
    /// # Errors
    /// A list that is not of as many layers.
    pub fn set_windows<'c>(
        &self,
        config: &'c mut DecoderConfig,
        every: usize,
        first: bool,
    ) -> Result<Vec<&'c mut Kind>> {
        let Some(window) = self.opt_size("attention.sliding_window")?.filter(|n| *n > 0) else {
            return Ok(Vec::new());
        };
        let layers = config.kinds.len();
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
        let chosen = config.kinds.iter_mut().zip(windowed).filter(|(_, windowed)| *windowed);
        let mut chosen: Vec<_> = chosen.map(|(kind, _)| kind).collect();
        chosen.iter_mut().for_each(|kind| kind.window = Some(window));
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
            Some(Value::Array(Array::Bool(list))) if list.len() == layers => Ok(Some(list.clone())),
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
        let (width, heads) = (self.size("embedding_length")?, self.size("attention.head_count")?);
        if heads == 0 || width == 0 {
            return Err(Error::input(format!(
                "{} and {} must be above 0: the file is damaged",
                self.key("embedding_length"),
                self.key("attention.head_count")
            )));
        }
        let head_dim = self.opt_size("attention.key_length")?.unwrap_or(width / heads);
        let latent = self.opt_size("attention.kv_lora_rank")?.is_some();
        let value = self.opt_size("attention.value_length")?;
        if !latent && value.is_some_and(|value| value != head_dim) {
            return Err(Error::unsupported(
                "the file has values of another length than keys, which this version does not \
                 compute",
            ));
        }
        let layers = self.size("block_count")?;
        let eps = match norm {
            Norm::Rms => self.f32("attention.layer_norm_rms_epsilon")?,
            Norm::Layer { .. } => self.f32("attention.layer_norm_epsilon")?,
        };
        let (qkv_bias, output_bias, ffn_bias) = self.biases();
        // As many as the file can have at most; checked against it later.
        let kinds = vec![Kind::default(); layers.min(self.checkpoint.tensors.len() + 1)];
        Ok(DecoderConfig {
            layers,
            width,
            heads,
            kv_heads: self.opt_size("attention.head_count_kv")?.unwrap_or(heads),
            head_dim,
            ffn: self.size("feed_forward_length")?,
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
            norms_before: true,
            norms_after: false,
            norms_of_sums: false,
            bare_first: false,
            parallel: false,
            fused_qkv: false,
            qkv_bias,
            output_bias,
            head_norms: None,
            attention_scale: self.opt_f32("attention.scale")?,
            attention_cap: None,
            sinks: false,
            heat: None,
            latent: None,
            ropes: vec![self.rope(head_dim, pairing)?],
            kinds,
            feed: Feed::Gated,
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
