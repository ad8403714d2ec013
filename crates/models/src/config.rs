//! What a model can be: its capabilities, named as the field names them.

use wisp_base::{Error, Result};
use wisp_ops::{Activation, Heat};

use crate::latent::Latent;
use crate::moe::ExpertsConfig;
use crate::rope::Rope;

/// Capabilities of a decoder, or of an encoder, which is built of the same parts. A family
/// fills it in from a file's metadata.
#[derive(Debug, Clone, PartialEq)]
pub struct DecoderConfig {
    /// Blocks.
    pub layers: usize,
    /// Numbers of the residual stream.
    pub width: usize,
    /// Query heads.
    pub heads: usize,
    /// Heads of keys and values; divides `heads`.
    pub kv_heads: usize,
    /// Numbers a head.
    pub head_dim: usize,
    /// Numbers of the feed-forward layer.
    pub ffn: usize,
    /// Tokens of context that it was trained for.
    pub context: usize,

    /// Reads a whole text at once, each token seeing all others, and gives the hidden states
    /// of the last layer instead of logits (BERT).
    pub encoder: bool,

    /// Multiplies embeddings.
    pub embedding_factor: f32,
    /// Rows of a table of which the first is added to embeddings (BERT's token types).
    pub token_types: Option<usize>,
    /// Embeddings go through a norm.
    pub embedding_norm: bool,
    /// Rows of a table of position embeddings (GPT-2).
    pub learned_positions: Option<usize>,
    /// Multiplies what layers add to the residual stream.
    pub residual_factor: f32,
    /// Multiplies logits.
    pub logit_factor: f32,
    /// Then keeps them within ± this.
    pub logit_cap: Option<f32>,

    /// Which norm.
    pub norm: Norm,
    /// Added to the mean square, or to the variance.
    pub eps: f32,
    /// Layers read the residual stream through a norm.
    pub norms_before: bool,
    /// What layers add goes through a norm (Gemma 2, OLMo2).
    pub norms_after: bool,
    /// The sum of the stream and what a layer adds does (BERT).
    pub norms_of_sums: bool,
    /// The first layer's attention reads the stream without the norm (ModernBERT).
    pub bare_first: bool,
    /// Attention and feed-forward read the same residual stream (GPT-NeoX).
    pub parallel: bool,

    /// Queries, keys and values are rows of one tensor.
    pub fused_qkv: bool,
    /// Queries, keys and values have a bias.
    pub qkv_bias: bool,
    /// Attention's last product has a bias.
    pub output_bias: bool,
    /// Queries and keys go through a norm before they turn.
    pub head_norms: Option<HeadNorms>,
    /// Multiplies attention scores, where it is not 1 / √head_dim.
    pub attention_scale: Option<f32>,
    /// Keeps scores within ± this.
    pub attention_cap: Option<f32>,
    /// Each head has a sink.
    pub sinks: bool,
    /// Queries far into a context are multiplied.
    pub heat: Option<Heat>,
    /// Keys and values of all heads are kept as one vector.
    pub latent: Option<Latent>,
    /// Kinds of rotary position embedding.
    pub ropes: Vec<Rope>,
    /// What is special in each layer.
    pub kinds: Vec<Kind>,

    /// How the feed-forward layer is built.
    pub feed: Feed,
    /// Its curve.
    pub activation: Activation,
    /// Its products have a bias.
    pub ffn_bias: bool,
    /// What the norm before it is called.
    pub ffn_norm: &'static str,
    /// Experts stand in its place, in layers that are not dense.
    pub experts: Option<ExpertsConfig>,
}

/// Which norm a model uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Norm {
    /// By the root of the mean square.
    Rms,
    /// By mean and variance.
    Layer {
        /// Then a bias is added.
        bias: bool,
    },
}

/// What queries and keys are normed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadNorms {
    /// Each head alone, all with the same gains (Qwen3, Gemma 3).
    EachHead,
    /// All heads as one vector (OLMo2).
    AllHeads,
}

/// How a feed-forward layer is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feed {
    /// down(activation(gate(x))·up(x)).
    Gated,
    /// The same, gate and up in one tensor, the gate's rows first (Phi-3).
    Fused,
    /// down(activation(up(x))).
    Plain,
}

/// What is special in a layer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kind {
    /// Positions that a query sees, its own the last (in an encoder, in the middle); all
    /// without it.
    pub window: Option<usize>,
    /// Which of the model's `ropes`.
    pub rope: usize,
    /// It has a feed-forward layer though the model has experts.
    pub dense: bool,
}

impl DecoderConfig {
    /// Sizes are possible, and in proportion to a file of so many tensors.
    pub(crate) fn check(&self, tensors: usize) -> Result<()> {
        let wrong = |what: String| Err(Error::input(format!("{what}: the file is damaged")));
        if self.kv_heads == 0 || !self.heads.is_multiple_of(self.kv_heads) {
            return wrong(format!(
                "{} query heads cannot share {} kv heads",
                self.heads, self.kv_heads
            ));
        }
        if [self.head_dim, self.ffn, self.layers, self.context, self.width].contains(&0) {
            return wrong("a size in the metadata is 0".into());
        }
        // Bounds every size by the tensors that are really there.
        if self.layers > tensors || self.kinds.len() != self.layers {
            return wrong(format!("{} blocks, but {tensors} tensors", self.layers));
        }
        if self.eps.is_nan()
            || self.eps < 0.0
            || self.kinds.iter().any(|kind| kind.rope >= self.ropes.len())
        {
            return wrong("a norm's setting is out of its range".into());
        }
        if self.experts.is_some_and(|e| e.ffn == 0 || e.ffn % 4 != 0) {
            return wrong("experts have a size that is not a multiple of 4".into());
        }
        self.ropes.iter().try_for_each(|rope| rope.check(self.head_dim))
    }
}
