//! What mixes tokens in a layer, and its sizes; `blocks` has a file for each that records it.

/// What mixes tokens in a layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mixer {
    /// Softmax attention over the keys and values of the sequence.
    Attention(Attention),
    /// Multi-head latent attention: keys and values of all heads are kept as one vector.
    Mla(Mla),
    /// A gated short convolution (LFM2), whose state is the last inputs.
    ShortConv(ShortConv),
    /// A gated delta rule (Qwen3-Next, Qwen3.5), whose state is a matrix per head.
    GatedDelta(GatedDelta),
}

impl Mixer {
    /// Whether its state is of a fixed size, and goes from token to token.
    pub(crate) fn is_recurrent(&self) -> bool {
        matches!(self, Self::ShortConv(_) | Self::GatedDelta(_))
    }

    /// The matrix of its last product.
    pub(crate) fn output(&self) -> &'static str {
        match self {
            Self::Attention(_) | Self::Mla(_) => "attn_output",
            Self::ShortConv(_) => "shortconv.out_proj",
            Self::GatedDelta(_) => "ssm_out",
        }
    }
}

/// Sizes of attention in a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attention {
    /// Query heads.
    pub heads: usize,
    /// Heads of keys and values; divides `heads`.
    pub kv_heads: usize,
    /// Numbers of a head.
    pub head_dim: usize,
    /// Positions that a query sees, its own the last (in an encoder, in the middle); all
    /// without it.
    pub window: Option<usize>,
    /// Which of the model's `ropes`.
    pub rope: usize,
    /// Results are multiplied by the sigmoid of a gate, whose rows lie behind those of each
    /// head's query in one matrix (Qwen3-Next, Qwen3.5).
    pub gate: bool,
}

/// Sizes of MLA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mla {
    /// Heads.
    pub heads: usize,
    /// Numbers of the vector that queries are made from; none: from the stream itself.
    pub query_rank: Option<usize>,
    /// Numbers of the vector that keys and values are made from.
    pub rank: usize,
    /// Numbers of a head's query that are not rotated.
    pub plain: usize,
    /// Numbers of it that are; all heads share those of the key.
    pub rotated: usize,
    /// Numbers of a head's value.
    pub value: usize,
    /// Which of the model's `ropes`.
    pub rope: usize,
}

impl Mla {
    /// Numbers of the vector that is kept of a token, the rotated part of its key included.
    pub fn head_dim(&self) -> usize {
        self.rank + self.rotated
    }
}

/// Sizes of a short convolution in a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShortConv {
    /// Taps per channel.
    pub kernel: usize,
}

/// Sizes of a gated delta rule in a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GatedDelta {
    /// Heads of queries and keys.
    pub key_heads: usize,
    /// Heads of values; a multiple of `key_heads`.
    pub heads: usize,
    /// Numbers of a query or key.
    pub key_dim: usize,
    /// Numbers of a value.
    pub value_dim: usize,
    /// Taps per channel of the convolution.
    pub kernel: usize,
    /// Value heads of one key head are neighbours (Qwen3-Next's files); else they are
    /// `key_heads` apart.
    pub grouped: bool,
}
