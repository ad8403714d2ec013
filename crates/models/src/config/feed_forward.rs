//! What a layer computes token by token, and its sizes.

use wisp_ops::Gating;

/// What a layer computes token by token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedForward {
    /// One network for all tokens.
    Dense {
        /// Numbers between its products.
        intermediate_size: usize,
    },
    /// A mixture of experts: [`DecoderConfig::experts`](super::DecoderConfig::experts).
    Experts,
}

/// How a feed-forward layer is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// down(activation(gate(x))·up(x)).
    Gated,
    /// The same, gate and up in one tensor, the gate's rows first (Phi-3).
    Fused,
    /// down(activation(up(x))): no gate.
    Plain,
}

/// How a model's experts are chosen and built.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExpertsConfig {
    /// Experts per layer.
    pub count: usize,
    /// Experts that a token goes to.
    pub used: usize,
    /// Numbers of an expert's layer.
    pub ffn: usize,
    /// How router logits become probabilities.
    pub gating: Gating,
    /// A token's weights sum to 1.
    pub normalize: bool,
    /// Multiplies weights.
    pub factor: f32,
    /// Groups of experts, and how many of them are looked at.
    pub groups: (usize, usize),
    /// Experts are chosen with a bias on their probability.
    pub choice_bias: bool,
    /// The router and the experts have biases.
    pub bias: bool,
    /// Numbers of the expert that every token goes to, if there is one.
    pub shared: Option<Shared>,
}

/// The expert that every token goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shared {
    /// Numbers of its layer.
    pub ffn: usize,
    /// It has a gate of its own: the sigmoid of a product with x.
    pub gated: bool,
}

/// The tensor that chooses a layer's experts: a layer without it is dense.
pub(crate) fn router(layer: usize) -> String {
    format!("blk.{layer}.ffn_gate_inp.weight")
}
