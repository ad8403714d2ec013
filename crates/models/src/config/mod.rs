//! What a model can be: its capabilities, named as the field names them.

mod feed_forward;
mod mixer;

use wisp_base::{Error, Result};
use wisp_ops::{Activation, AttentionTemperature};

use crate::rope::Rope;

pub(crate) use feed_forward::router;
pub use feed_forward::{ExpertsConfig, FeedForward, Gate, Shared};
pub use mixer::{Attention, GatedDelta, Mixer, Mla, ShortConv};

/// Capabilities of a decoder, or of an encoder, which is built of the same parts. A family
/// fills it in from a file's metadata.
#[derive(Debug, Clone, PartialEq)]
pub struct DecoderConfig {
    /// The stack, from the first layer to the last.
    pub layers: Vec<Layer>,
    /// Numbers of the residual stream.
    pub hidden_size: usize,
    /// Tokens of context that it was trained for.
    pub context: usize,

    /// Blocks behind the last layer, which predict tokens further ahead (MTP): not computed.
    pub blocks_ahead: usize,
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
    pub pre_norm: bool,
    /// What layers add goes through a norm (Gemma 2, OLMo2).
    pub sandwich_norm: bool,
    /// The sum of the stream and what a layer adds does (BERT).
    pub post_norm: bool,
    /// The first layer's attention reads the stream without the norm (ModernBERT).
    pub first_without_norm: bool,
    /// Attention and feed-forward read the same residual stream (GPT-NeoX).
    pub parallel: bool,
    /// What the norm behind the last layer is called.
    pub output_norm: &'static str,

    /// Queries, keys and values are rows of one tensor.
    pub fused_qkv: bool,
    /// Queries, keys and values have a bias.
    pub qkv_bias: bool,
    /// Attention's last product has a bias.
    pub output_bias: bool,
    /// Queries and keys go through a norm before they are rotated.
    pub qk_norm: Option<QkNorms>,
    /// Multiplies attention scores, where it is not 1 / √head_dim.
    pub attention_scale: Option<f32>,
    /// Keeps scores within ± this.
    pub attention_cap: Option<f32>,
    /// Each head has a sink.
    pub sinks: bool,
    /// Queries far into a context are multiplied.
    pub attention_temperature: Option<AttentionTemperature>,
    /// Kinds of rotary position embedding.
    pub ropes: Vec<Rope>,

    /// How dense feed-forward layers are built.
    pub gate: Gate,
    /// Their activation function, and that of experts.
    pub activation: Activation,
    /// Their products have a bias.
    pub ffn_bias: bool,
    /// What the norm before them is called.
    pub ffn_norm: &'static str,
    /// How experts are chosen and built, where layers have some.
    pub experts: Option<ExpertsConfig>,
}

/// A layer of the stack.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Layer {
    /// What mixes tokens.
    pub mixer: Mixer,
    /// What follows it, token by token.
    pub feed_forward: FeedForward,
}

impl Layer {
    /// Its attention, where that is what mixes tokens.
    pub fn attention(&self) -> Option<&Attention> {
        match &self.mixer {
            Mixer::Attention(attention) => Some(attention),
            _ => None,
        }
    }

    /// As [`Self::attention`].
    pub(crate) fn attention_mut(&mut self) -> Option<&mut Attention> {
        match &mut self.mixer {
            Mixer::Attention(attention) => Some(attention),
            _ => None,
        }
    }

    /// Which of the model's `ropes` it rotates by, and the numbers of a head.
    pub(crate) fn rope(&self) -> Option<(usize, usize)> {
        match &self.mixer {
            Mixer::Attention(attention) => Some((attention.rope, attention.head_dim)),
            Mixer::Mla(mla) => Some((mla.rope, mla.head_dim())),
            Mixer::ShortConv(_) | Mixer::GatedDelta(_) => None,
        }
    }
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
pub enum QkNorms {
    /// Each head alone, all with the same gains (Qwen3, Gemma 3).
    EachHead,
    /// All heads as one vector (OLMo2).
    AllHeads,
}

impl DecoderConfig {
    /// Sizes are possible.
    pub(crate) fn check(&self) -> Result<()> {
        let wrong = |what: String| Err(Error::input(format!("{what}: the file is damaged")));
        if [self.layers.len(), self.context, self.hidden_size].contains(&0) {
            return wrong("a size in the metadata is 0".into());
        }
        if self.eps.is_nan() || self.eps < 0.0 {
            return wrong("a norm's setting is out of its range".into());
        }
        if self.experts.is_some_and(|e| e.ffn == 0 || e.ffn % 4 != 0) {
            return wrong("experts have a size that is not a multiple of 4".into());
        }
        for layer in &self.layers {
            if let Some(Attention { heads, kv_heads, .. }) = layer.attention()
                && (*kv_heads == 0 || !heads.is_multiple_of(*kv_heads))
            {
                return wrong(format!("{heads} query heads cannot share {kv_heads} kv heads"));
            }
            if layer.feed_forward == (FeedForward::Dense { intermediate_size: 0 }) {
                return wrong("a size in the metadata is 0".into());
            }
            match layer.rope().map(|(rope, head_dim)| (self.ropes.get(rope), head_dim)) {
                None => {}
                Some((_, 0)) => return wrong("a size in the metadata is 0".into()),
                Some((Some(rope), head_dim)) => rope.check(head_dim)?,
                Some((None, _)) => return wrong("a layer's kind of RoPE is not there".into()),
            }
        }
        Ok(())
    }
}
