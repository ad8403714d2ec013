//! One row a `model_type`: what GGUF calls it and how it differs from most.

use super::settings as k;

/// How the tensors and settings of one `model_type` differ.
pub(super) struct Family {
    /// `model_type` in config.json.
    pub model_type: &'static str,
    /// `general.architecture`
    pub arch: &'static str,
    /// Rows of q and k are reordered, so that neighbours turn together.
    pub neighbours: bool,
    /// Norms multiply by one more than their weight.
    pub one_more: bool,
    /// Matrices have inputs as rows.
    pub across: bool,
    /// It reads texts whole, each token seeing all others.
    pub encoder: bool,
    /// Which blocks see a window of positions only.
    pub windows: Windows,
    /// What `layer_types` calls layers that have state of a fixed size in place of attention.
    pub recurrent: Option<&'static str>,
    /// `rope_parameters` may have an object a kind of attention.
    pub nested_rope: bool,
    /// The keys of its config.json: see [`super::settings`].
    pub keys: &'static [&'static str],
    /// Names that mean something else than in most families.
    pub own: &'static [(&'static str, &'static str)],
    /// Settings that config.json may leave out.
    pub defaults: &'static str,
}

/// Which blocks see a window of positions only, where config.json names one and does not list
/// them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Windows {
    /// None.
    None,
    /// All.
    All,
    /// All but the i-th of every n.
    AllBut(usize, usize),
    /// Where `use_sliding_window` is set, all from the `max_window_layers`-th on.
    From,
    /// Where it is set, every other one before that.
    Alternate,
    /// Where it is set, all.
    Switched,
}

const PLAIN: Family = Family {
    model_type: "",
    arch: "",
    neighbours: false,
    one_more: false,
    across: false,
    encoder: false,
    windows: Windows::None,
    recurrent: None,
    nested_rope: false,
    keys: &[],
    own: &[],
    defaults: "{}",
};
const LLAMA: Family = Family { neighbours: true, ..PLAIN };
const ENCODER: Family = Family { encoder: true, ..PLAIN };

/// After attention, not before the feed-forward layer.
const POST_NORM: &[(&str, &str)] = &[("post_attention_layernorm", "post_attention_norm")];

/// A gated delta rule.
const DELTA: &[(&str, &str)] = &[
    ("post_attention_layernorm", "post_attention_norm"),
    ("linear_attn.in_proj_qkv", "attn_qkv"),
    ("linear_attn.in_proj_z", "attn_gate"),
    ("linear_attn.in_proj_qkvz", "attn_qkvz"),
    ("linear_attn.in_proj_ba", "ssm_ba"),
    ("linear_attn.in_proj_b", "ssm_beta"),
    ("linear_attn.in_proj_a", "ssm_alpha"),
    ("linear_attn.conv1d", "ssm_conv1d"),
    ("linear_attn.A_log", "ssm_a"),
    ("linear_attn.dt", "ssm_dt"),
    ("linear_attn.norm", "ssm_norm"),
    ("linear_attn.out_proj", "ssm_out"),
];

/// Short convolutions, and a feed-forward layer under names of its own.
const LFM2: &[(&str, &str)] = &[
    ("operator_norm", "attn_norm"),
    ("self_attn.q_layernorm", "attn_q_norm"),
    ("self_attn.k_layernorm", "attn_k_norm"),
    ("self_attn.out_proj", "attn_output"),
    ("conv.in_proj", "shortconv.in_proj"),
    ("conv.conv", "shortconv.conv"),
    ("conv.out_proj", "shortconv.out_proj"),
    ("feed_forward.w1", "ffn_gate"),
    ("feed_forward.w3", "ffn_up"),
    ("feed_forward.w2", "ffn_down"),
    ("ffn_norm", "ffn_norm"),
];

macro_rules! family {
    ($base:expr, $model_type:literal, $arch:literal $(, $field:ident: $value:expr)*) => {
        Family { model_type: $model_type, arch: $arch, $($field: $value,)* ..$base }
    };
}

#[rustfmt::skip]
pub(super) const FAMILIES: &[Family] = &[
    family!(LLAMA, "llama", "llama", keys: &[k::DECODER, k::BIASES, k::LLAMA],
        defaults: r#"{"rms_norm_eps":1e-6}"#),
    family!(LLAMA, "mistral", "llama", windows: Windows::All, keys: &["sliding_window", k::DECODER],
        defaults: r#"{"num_key_value_heads":8,"rms_norm_eps":1e-6,"sliding_window":4096}"#),
    family!(LLAMA, "ministral3", "mistral3", windows: Windows::All, keys: &["sliding_window", k::DECODER],
        defaults: r#"{"num_key_value_heads":8,"head_dim":128,"rms_norm_eps":1e-5,"max_position_embeddings":262144,
            "rope_parameters":{"rope_type":"yarn","rope_theta":1e6,"factor":16,"original_max_position_embeddings":16384,
            "mscale":1,"mscale_all_dim":1,"llama_4_scaling_beta":0.1}}"#),
    family!(LLAMA, "mixtral", "llama", windows: Windows::All, keys: &[k::MIXTRAL, k::DECODER, k::MOE],
        defaults: r#"{"num_key_value_heads":8,"rms_norm_eps":1e-5,"rope_theta":1e6,"num_local_experts":8,
            "num_experts_per_tok":2}"#),
    family!(LLAMA, "granite", "granite", keys: &[k::DECODER, k::BIASES, k::GRANITE],
        defaults: r#"{"rms_norm_eps":1e-6,"attention_multiplier":1}"#),
    family!(LLAMA, "granitemoe", "granitemoe", keys: &[k::DECODER, "attention_bias num_local_experts", k::GRANITE, k::MOE],
        defaults: r#"{"rms_norm_eps":1e-6,"attention_multiplier":1}"#),
    family!(LLAMA, "granitemoeshared", "granitemoe", keys: &[k::DECODER, "attention_bias num_local_experts shared_intermediate_size",
        k::GRANITE, k::MOE], defaults: r#"{"rms_norm_eps":1e-6,"attention_multiplier":1}"#),
    family!(LLAMA, "smollm3", "smollm3", keys: &[k::SMOLLM3, k::DECODER, k::BIASES],
        defaults: r#"{"num_key_value_heads":4,"rope_theta":2e6,"rms_norm_eps":1e-6,"tie_word_embeddings":true}"#),
    family!(PLAIN, "qwen2", "qwen2", windows: Windows::From, keys: &[k::DECODER, k::SWITCHED],
        defaults: r#"{"num_key_value_heads":32,"rms_norm_eps":1e-6,"sliding_window":4096,"max_window_layers":28}"#),
    family!(PLAIN, "qwen3", "qwen3", windows: Windows::From, keys: &[k::DECODER, k::SWITCHED, "attention_bias"],
        defaults: r#"{"num_key_value_heads":32,"rms_norm_eps":1e-6,"head_dim":128,"sliding_window":4096,
            "max_window_layers":28}"#),
    family!(PLAIN, "qwen2_moe", "qwen2moe", windows: Windows::Alternate,
        keys: &[k::DECODER, k::SWITCHED, k::QWEN_MOE, k::MOE, "qkv_bias"],
        defaults: r#"{"num_key_value_heads":16,"rms_norm_eps":1e-6,"sliding_window":4096,"max_window_layers":28,
            "norm_topk_prob":false,"qkv_bias":true}"#),
    family!(PLAIN, "qwen3_moe", "qwen3moe", windows: Windows::Switched, keys: &["use_sliding_window sliding_window \
        -max_window_layers num_local_experts -shared_expert_intermediate_size attention_bias", k::DECODER, k::QWEN_MOE, k::MOE],
        defaults: r#"{"num_key_value_heads":4,"rms_norm_eps":1e-6,"sliding_window":4096,"norm_topk_prob":false}"#),
    family!(PLAIN, "gemma", "gemma", one_more: true, keys: &[k::DECODER, k::GEMMA],
        defaults: r#"{"num_key_value_heads":16,"head_dim":256,"rms_norm_eps":1e-6,"tie_word_embeddings":true}"#),
    family!(PLAIN, "gemma2", "gemma2", one_more: true, windows: Windows::AllBut(2, 1), own: POST_NORM,
        keys: &[k::GEMMA2, k::GEMMA, k::WINDOW, k::DECODER],
        defaults: r#"{"num_key_value_heads":4,"head_dim":256,"rms_norm_eps":1e-6,"sliding_window":4096,
            "tie_word_embeddings":true,"attn_logit_softcapping":50.0,"final_logit_softcapping":30.0,
            "query_pre_attn_scalar":256}"#),
    family!(PLAIN, "gemma3_text", "gemma3", one_more: true, windows: Windows::AllBut(6, 5), own: POST_NORM, nested_rope: true,
        keys: &[k::GEMMA3, k::GEMMA2, k::GEMMA, k::WINDOW, k::DECODER],
        defaults: r#"{"head_dim":256,"rms_norm_eps":1e-6,"num_attention_heads":8,"num_key_value_heads":4,
            "max_position_embeddings":131072,"rope_theta":1e6,"rope_local_base_freq":1e4,"sliding_window":4096,
            "query_pre_attn_scalar":256,"vocab_size":262208,"tie_word_embeddings":true}"#),
    family!(PLAIN, "phi3", "phi3", windows: Windows::All, keys: &[k::PHI3, k::DECODER],
        defaults: r#"{"original_max_position_embeddings":4096,"rms_norm_eps":1e-5,"rope_theta":1e4}"#),
    family!(PLAIN, "olmo2", "olmo2", own: POST_NORM, keys: &[k::DECODER, "attention_bias"],
        defaults: r#"{"rms_norm_eps":1e-5}"#),
    family!(PLAIN, "olmoe", "olmoe", keys: &[k::DECODER, k::OLMOE, k::MOE],
        defaults: r#"{"rms_norm_eps":1e-5,"norm_topk_prob":false}"#),
    family!(PLAIN, "gpt2", "gpt2", across: true, keys: &[k::GPT2],
        defaults: r#"{"layer_norm_epsilon":1e-5,"tie_word_embeddings":true}"#),
    family!(PLAIN, "gpt_neox", "gptneox", keys: &[k::GPT_NEOX],
        defaults: r#"{"layer_norm_eps":1e-5,"rotary_pct":0.25,"use_parallel_residual":true}"#),
    family!(PLAIN, "gpt_oss", "gpt-oss", windows: Windows::AllBut(2, 1), own: POST_NORM,
        keys: &[k::GPT_OSS, k::WINDOW, k::DECODER, k::MOE],
        defaults: r#"{"num_key_value_heads":8,"head_dim":64,"rms_norm_eps":1e-5,"sliding_window":128,
            "max_position_embeddings":131072,"rope_theta":150000,"rope_parameters":{"rope_type":"yarn","factor":32,
            "truncate":false,"original_max_position_embeddings":4096}}"#),
    family!(PLAIN, "deepseek_v2", "deepseek2", keys: &[k::DEEPSEEK2, k::DEEPSEEK, k::DECODER, k::MOE],
        defaults: r#"{"rms_norm_eps":1e-6,"q_lora_rank":1536,"n_shared_experts":2,"topk_method":"greedy"}"#),
    family!(PLAIN, "deepseek_v3", "deepseek2", keys: &[k::DEEPSEEK3, k::DEEPSEEK, k::DECODER, k::MOE],
        defaults: r#"{"rms_norm_eps":1e-6,"q_lora_rank":1536,"n_shared_experts":1,"norm_topk_prob":true,"n_group":8,
            "topk_group":4,"first_k_dense_replace":3,"routed_scaling_factor":2.5}"#),
    family!(PLAIN, "qwen3_5_text", "qwen35", recurrent: Some("linear_attention"), one_more: true, own: DELTA,
        keys: &[k::QWEN_HYBRID, k::DECODER, "attention_bias=false"],
        defaults: r#"{"head_dim":256,"num_key_value_heads":4,"rms_norm_eps":1e-6,"partial_rotary_factor":0.25,
            "linear_conv_kernel_dim":4,"linear_key_head_dim":128,"linear_value_head_dim":128,"linear_num_key_heads":16,
            "linear_num_value_heads":32,"full_attention_interval":4}"#),
    family!(PLAIN, "qwen3_5_moe_text", "qwen35moe", recurrent: Some("linear_attention"), one_more: true, own: DELTA,
        keys: &[k::QWEN_HYBRID, k::QWEN_EXPERTS, k::MOE, k::DECODER, "attention_bias=false"],
        defaults: r#"{"head_dim":256,"num_key_value_heads":2,"rms_norm_eps":1e-6,"partial_rotary_factor":0.25,
            "linear_conv_kernel_dim":4,"linear_key_head_dim":128,"linear_value_head_dim":128,"linear_num_key_heads":16,
            "linear_num_value_heads":32,"full_attention_interval":4,"num_experts":256,"num_experts_per_tok":8,
            "moe_intermediate_size":512,"shared_expert_intermediate_size":512}"#),
    family!(PLAIN, "qwen3_next", "qwen3next", recurrent: Some("linear_attention"), one_more: true, own: DELTA,
        keys: &[k::QWEN_HYBRID, k::QWEN_MOE, k::MOE, k::DECODER, "attention_bias=false"],
        defaults: r#"{"head_dim":256,"num_key_value_heads":2,"rms_norm_eps":1e-6,"partial_rotary_factor":0.25,
            "linear_conv_kernel_dim":4,"linear_key_head_dim":128,"linear_value_head_dim":128,"linear_num_key_heads":16,
            "linear_num_value_heads":32,"full_attention_interval":4,"num_experts":512,"num_experts_per_tok":10,
            "moe_intermediate_size":512,"shared_expert_intermediate_size":512,"intermediate_size":5632,
            "norm_topk_prob":true}"#),
    family!(PLAIN, "lfm2", "lfm2", recurrent: Some("conv"), own: LFM2, keys: &[k::LFM2, k::DECODER],
        defaults: r#"{"num_key_value_heads":8,"norm_eps":1e-5,"rope_theta":1e6,"tie_word_embeddings":true,"conv_L_cache":3,
            "block_multiple_of":256,"block_ffn_dim_multiplier":1,"block_auto_adjust_ff_dim":true}"#),
    family!(ENCODER, "bert", "bert", keys: &[k::ENCODER], defaults: r#"{"layer_norm_eps":1e-12}"#),
    family!(ENCODER, "nomic_bert", "nomic-bert", keys: &[k::ENCODER, k::NOMIC],
        defaults: r#"{"layer_norm_eps":1e-12,"rope_theta":1e3}"#),
    family!(ENCODER, "modernbert", "modern-bert", windows: Windows::AllBut(3, 0), nested_rope: true,
        keys: &[k::MODERN_BERT],
        defaults: r#"{"norm_eps":1e-5,"local_attention":128,"global_rope_theta":160000.0,"local_rope_theta":1e4}"#),
];

/// Names of a block's tensors, without `.weight`, and what GGUF calls them.
pub(super) const BLOCK: &[(&str, &str)] = &[
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.o_proj", "attn_output"),
    ("self_attn.qkv_proj", "attn_qkv"),
    ("self_attn.q_norm", "attn_q_norm"),
    ("self_attn.k_norm", "attn_k_norm"),
    ("self_attn.sinks", "attn_sinks"),
    ("self_attn.q_a_proj", "attn_q_a"),
    ("self_attn.q_a_layernorm", "attn_q_a_norm"),
    ("self_attn.q_b_proj", "attn_q_b"),
    ("self_attn.kv_a_proj_with_mqa", "attn_kv_a_mqa"),
    ("self_attn.kv_a_layernorm", "attn_kv_a_norm"),
    ("self_attn.kv_b_proj", "attn_kv_b"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
    ("mlp.gate_up_proj", "ffn_up"),
    ("input_layernorm", "attn_norm"),
    ("post_attention_layernorm", "ffn_norm"),
    ("pre_feedforward_layernorm", "ffn_norm"),
    ("post_feedforward_layernorm", "post_ffw_norm"),
    // Experts.
    ("mlp.gate", "ffn_gate_inp"),
    ("mlp.router", "ffn_gate_inp"),
    ("block_sparse_moe.gate", "ffn_gate_inp"),
    ("block_sparse_moe.router.layer", "ffn_gate_inp"),
    ("mlp.gate.e_score_correction", "exp_probs_b"),
    ("mlp.shared_expert_gate", "ffn_gate_inp_shexp"),
    ("mlp.shared_expert.gate_proj", "ffn_gate_shexp"),
    ("mlp.shared_expert.up_proj", "ffn_up_shexp"),
    ("mlp.shared_expert.down_proj", "ffn_down_shexp"),
    ("mlp.shared_experts.gate_proj", "ffn_gate_shexp"),
    ("mlp.shared_experts.up_proj", "ffn_up_shexp"),
    ("mlp.shared_experts.down_proj", "ffn_down_shexp"),
    ("shared_mlp.input_linear", "ffn_gate_up_shexp"),
    ("shared_mlp.output_linear", "ffn_down_shexp"),
    ("block_sparse_moe.input_linear", "ffn_gate_up_exps"),
    ("block_sparse_moe.output_linear", "ffn_down_exps"),
    ("mlp.experts.gate_up_proj", "ffn_gate_up_exps"),
    ("mlp.experts.down_proj", "ffn_down_exps"),
    // GPT-2 and GPT-NeoX.
    ("attn.c_attn", "attn_qkv"),
    ("attn.c_proj", "attn_output"),
    ("mlp.c_fc", "ffn_up"),
    ("mlp.c_proj", "ffn_down"),
    ("ln_1", "attn_norm"),
    ("ln_2", "ffn_norm"),
    ("attention.query_key_value", "attn_qkv"),
    ("attention.dense", "attn_output"),
    ("mlp.dense_h_to_4h", "ffn_up"),
    ("mlp.dense_4h_to_h", "ffn_down"),
    // Encoders.
    ("attention.self.query", "attn_q"),
    ("attention.self.key", "attn_k"),
    ("attention.self.value", "attn_v"),
    ("attention.output.dense", "attn_output"),
    ("attention.output.LayerNorm", "attn_output_norm"),
    ("intermediate.dense", "ffn_up"),
    ("output.dense", "ffn_down"),
    ("output.LayerNorm", "layer_output_norm"),
    ("attn.Wqkv", "attn_qkv"),
    ("attn.Wo", "attn_output"),
    ("mlp.Wi", "ffn_up"),
    ("mlp.Wo", "ffn_down"),
    ("attn_norm", "attn_norm"),
    ("mlp_norm", "ffn_norm"),
    ("attn.out_proj", "attn_output"),
    ("mlp.fc11", "ffn_up"),
    ("mlp.fc12", "ffn_gate"),
    ("mlp.fc2", "ffn_down"),
    ("norm1", "attn_output_norm"),
    ("norm2", "layer_output_norm"),
];

/// Names of one expert's tensors.
pub(super) const EXPERT: &[(&str, &str)] = &[
    ("gate_proj", "ffn_gate_exps"),
    ("up_proj", "ffn_up_exps"),
    ("down_proj", "ffn_down_exps"),
    ("w1", "ffn_gate_exps"),
    ("w3", "ffn_up_exps"),
    ("w2", "ffn_down_exps"),
];

/// Names of the tensors of no block.
pub(super) const ROOT: &[(&str, &str)] = &[
    ("embed_tokens", "token_embd"),
    ("norm", "output_norm"),
    ("lm_head", "output"),
    ("wte", "token_embd"),
    ("wpe", "position_embd"),
    ("ln_f", "output_norm"),
    ("embed_in", "token_embd"),
    ("final_layer_norm", "output_norm"),
    ("embed_out", "output"),
    ("embeddings.word_embeddings", "token_embd"),
    ("embeddings.position_embeddings", "position_embd"),
    ("embeddings.token_type_embeddings", "token_types"),
    ("embeddings.LayerNorm", "token_embd_norm"),
    ("emb_ln", "token_embd_norm"),
    ("embeddings.tok_embeddings", "token_embd"),
    ("embeddings.norm", "token_embd_norm"),
    ("final_norm", "output_norm"),
    ("embedding_norm", "token_embd_norm"),
];

/// What a name may begin with that says nothing.
pub(super) const PREFIXES: &[&str] =
    &["language_model.", "model.", "language_model.", "transformer.", "gpt_neox.", "bert."];

/// What a block's name begins with, before its number.
pub(super) const BLOCKS: &[&str] = &["layers.", "h.", "encoder.layer.", "encoder.layers."];

/// Beginnings of names that play no part in what is computed: heads of other tasks, images.
pub(super) const UNUSED: &[&str] = &[
    "pooler.",
    "cls.",
    "classifier.",
    "head.",
    "decoder.",
    "vision_tower.",
    "visual.",
    "mtp.",
    "multi_modal_projector.",
];

/// Ends of such names: buffers, and scales of activations.
pub(super) const UNUSED_ENDS: &[&str] = &[
    // What older releases of transformers saved with the weights: positions, masks, frequencies.
    "position_ids",
    "token_type_ids",
    "inv_freq",
    "cos_cached",
    "sin_cached",
    "masked_bias",
    ".attn.bias",
    ".attention.bias",
    ".self_attn.bias",
    "embed_scale",
    ".input_scale",
    ".activation_scale",
    ".k_scale",
    ".v_scale",
];
