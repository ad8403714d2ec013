//! What metadata say beside GGUF's own keys, whether they come from a GGUF file or from a
//! folder of the hub: keys of ours, and names of activation functions.

use wisp_ops::Activation;

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

/// Which layers rotate queries and keys, a truth value each; a key of ours.
pub(crate) const ROPE_LAYERS: &str = "rope.layers";
