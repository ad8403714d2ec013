//! The keys of config.json, family by family: what transformers' configuration classes know, and
//! what older files have. A key that no table has changes nothing and is told; so nothing is read
//! but what is honoured.

use serde_json::{Map, Value as Json};
use wisp_base::{Error, Result};

use super::families::{FAMILIES, Family};

/// What becomes of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It is computed as it says.
    Honoured,
    /// It changes nothing in inference.
    None,
    /// Refused but for these values, with `|` between them.
    Only(&'static str),
}

/// A word of these tables is a key: `key` is honoured, `-key` has no effect, `key=a|b` is refused
/// at other values. The first table that has a key counts.
type Table = &'static str;

/// Keys of all families.
const ALL: [Table; 2] = [
    "model_type quantization_config bos_token_id eos_token_id tie_word_embeddings is_causal=true \
     is_encoder_decoder=false per_layer_config={} pruned_heads={} add_cross_attention=false \
     use_mrope=false tie_encoder_decoder=false cross_attention_hidden_size=null -_name_or_path -name_or_path \
     -architectures -chunk_size_feed_forward -dtype -torch_dtype -id2label -label2id -num_labels \
     -output_attentions -output_hidden_states -problem_type -return_dict -tie_last_hidden_states \
     -transformers_version -transformers.js_config -use_cache -initializer_range -pad_token_id \
     -is_decoder -attn_implementation -_attn_implementation -_attn_implementation_autoset \
     -experts_implementation -auto_map -cache_implementation -finetuning_task \
     -gradient_checkpointing -prefix -sep_token_id -cls_token_id -mask_token_id \
     -decoder_start_token_id -task_specific_params -tf_legacy_loss -tokenizer_class -torchscript \
     -unsloth_fixed -unsloth_version -use_bfloat16 -model_max_length",
    // Of generation, which has settings of its own.
    "-assistant_confidence_threshold -assistant_lookbehind -bad_words_ids -begin_suppress_tokens \
     -diversity_penalty -do_sample -early_stopping -encoder_no_repeat_ngram_size \
     -encoder_repetition_penalty -epsilon_cutoff -eta_cutoff -exponential_decay_length_penalty \
     -forced_bos_token_id -forced_eos_token_id -length_penalty -max_length -min_length \
     -no_repeat_ngram_size -num_assistant_tokens -num_assistant_tokens_schedule \
     -num_beam_groups -num_beams -num_return_sequences -output_scores -remove_invalid_values \
     -repetition_penalty -return_dict_in_generate -suppress_tokens -target_lookbehind \
     -temperature -top_k -top_p -typical_p",
];

/// Keys beside a `text_config`, which are of images and sound.
const BESIDE_TEXT: Table = "-text_config -vision_config -audio_config -mm_tokens_per_image \
    -boi_token_index -eoi_token_index -image_token_index -boi_token_id -eoi_token_id \
    -image_token_id -video_token_id -vision_start_token_id -vision_end_token_id -image_seq_length -ignore_index -multimodal_projector_bias -projector_hidden_act \
    -spatial_merge_size -vision_feature_layer -vision_feature_select_strategy -vocab_size";

/// Of most language models.
pub(super) const DECODER: Table = "vocab_size hidden_size intermediate_size num_hidden_layers \
    num_attention_heads num_key_value_heads head_dim hidden_act max_position_embeddings \
    rms_norm_eps rope_parameters rope_scaling rope_theta original_max_position_embeddings \
    partial_rotary_factor=1|null -attention_dropout";
/// Biases of linear layers.
pub(super) const BIASES: Table = "attention_bias mlp_bias";
/// Experts.
pub(super) const MOE: Table = "num_experts_per_tok -output_router_logits -router_aux_loss_coef";
/// A window that layers may have.
pub(super) const WINDOW: Table = "sliding_window layer_types";
/// One that has a switch of its own.
pub(super) const SWITCHED: Table =
    "use_sliding_window sliding_window max_window_layers layer_types";
/// Llama's own and SmolLM's.
pub(super) const LLAMA: Table = "-pretraining_tp -is_llama_config rope_interleaved=false";
pub(super) const MIXTRAL: Table =
    "num_local_experts num_experts sliding_window -router_jitter_noise";
pub(super) const GRANITE: Table =
    "embedding_multiplier logits_scaling residual_multiplier attention_multiplier";
pub(super) const SMOLLM3: Table = "no_rope_layers no_rope_layer_interval layer_types \
    use_sliding_window=false -sliding_window -max_window_layers -pretraining_tp";
pub(super) const QWEN_MOE: Table = "decoder_sparse_step mlp_only_layers moe_intermediate_size \
    num_experts norm_topk_prob shared_expert_intermediate_size";
/// The same, where all layers have experts.
pub(super) const QWEN_EXPERTS: Table =
    "moe_intermediate_size num_experts shared_expert_intermediate_size";
pub(super) const GEMMA2: Table = "hidden_activation -hidden_act query_pre_attn_scalar \
    final_logit_softcapping attn_logit_softcapping -sliding_window_size";
pub(super) const GEMMA: Table =
    "attention_bias use_bidirectional_attention=false -hidden_activation";
pub(super) const GEMMA3: Table =
    // Scores are not capped, whatever the class says.
    "rope_local_base_freq sliding_window_pattern -_sliding_window_pattern -attn_logit_softcapping";
pub(super) const PHI3: Table = "partial_rotary_factor sliding_window attention_bias=false mlp_bias=false lm_head_bias=false \
    full_attn_mod=1 interpolate_factor=1 \
    -embd_pdrop -resid_pdrop";
pub(super) const OLMOE: Table =
    "attention_bias clip_qkv=null num_experts num_local_experts norm_topk_prob";
pub(super) const GPT2: Table = "vocab_size n_positions n_embd n_layer n_head n_inner hidden_size \
    max_position_embeddings num_attention_heads num_hidden_layers activation_function \
    layer_norm_epsilon scale_attn_weights=true scale_attn_by_inverse_layer_idx=false \
    -reorder_and_upcast_attn -attn_pdrop -embd_pdrop -resid_pdrop -n_ctx -summary_activation \
    -summary_first_dropout -summary_proj_to_labels -summary_type -summary_use_proj";
pub(super) const GPT_NEOX: Table = "vocab_size hidden_size intermediate_size num_hidden_layers \
    num_attention_heads hidden_act max_position_embeddings layer_norm_eps rope_parameters \
    rope_scaling rotary_pct rotary_emb_base original_max_position_embeddings attention_bias \
    use_parallel_residual -rope_theta -partial_rotary_factor -attention_dropout \
    -classifier_dropout -hidden_dropout";
pub(super) const GPT_OSS: Table = "-hidden_act attention_bias num_local_experts num_experts \
    swiglu_alpha swiglu_limit -experts_per_token -initial_context_length";
pub(super) const DEEPSEEK: Table = "attention_bias=false mlp_bias=false kv_lora_rank q_lora_rank \
    n_group topk_group n_routed_experts num_experts num_local_experts n_shared_experts \
    qk_nope_head_dim qk_rope_head_dim v_head_dim routed_scaling_factor moe_intermediate_size \
    first_k_dense_replace moe_layer_freq=1 -head_dim -qk_head_dim -num_key_value_heads \
    -pretraining_tp -num_nextn_predict_layers -num_mtp_layers -ep_size -aux_loss_alpha -seq_aux";
pub(super) const DEEPSEEK2: Table = "topk_method norm_topk_prob=false scoring_func=softmax";
pub(super) const DEEPSEEK3: Table =
    "topk_method=noaux_tc norm_topk_prob rope_interleave=true scoring_func=sigmoid";
pub(super) const QWEN_HYBRID: Table = "linear_conv_kernel_dim linear_key_head_dim \
    linear_value_head_dim linear_num_key_heads linear_num_value_heads layer_types \
    full_attention_interval partial_rotary_factor attn_output_gate=true mamba_ssm_dtype=float32 \
    -mtp_num_hidden_layers -mtp_use_dedicated_embeddings";
pub(super) const LFM2: Table = "norm_eps conv_L_cache conv_bias=false layer_types full_attn_idxs \
    block_ff_dim block_auto_adjust_ff_dim block_ffn_dim_multiplier block_multiple_of tie_embedding \
    -block_dim -block_mlp_init_scale -block_norm_eps -block_out_init_scale -block_use_swiglu \
    -block_use_xavier_init -conv_dim -conv_dim_out -conv_use_xavier_init -num_heads -rms_norm_eps";
pub(super) const ENCODER: Table = "vocab_size hidden_size intermediate_size num_hidden_layers \
    num_attention_heads hidden_act max_position_embeddings layer_norm_eps type_vocab_size \
    is_causal=false is_decoder=false position_embedding_type=absolute -tie_word_embeddings \
    -classifier_dropout -hidden_dropout_prob -attention_probs_dropout_prob";
/// The second half: names that its published files have.
pub(super) const NOMIC: Table = "head_dim rope_parameters rope_scaling rope_theta \
    original_max_position_embeddings partial_rotary_factor=1|null \
    n_embd n_head n_layer n_positions n_inner layer_norm_epsilon rotary_emb_base \
    rotary_emb_fraction=1 rotary_emb_interleaved=false rotary_emb_scale_base=null \
    rotary_scaling_factor=null activation_function=swiglu causal=false prenorm=false \
    qkv_proj_bias=false mlp_fc1_bias=false mlp_fc2_bias=false parallel_block=false \
    use_rms_norm=false scale_attn_weights=true scale_attn_by_inverse_layer_idx=false \
    -reorder_and_upcast_attn -attn_pdrop -embd_pdrop -resid_pdrop -dense_seq_output \
    -fused_bias_fc -fused_dropout_add_ln -use_flash_attn -use_xentropy -last_layer_subset \
    -pad_vocab_size_multiple -max_trained_positions -summary_activation -summary_first_dropout \
    -summary_proj_to_labels -summary_type -summary_use_proj";
pub(super) const MODERN_BERT: Table = "vocab_size hidden_size intermediate_size \
    num_hidden_layers num_attention_heads max_position_embeddings hidden_activation norm_eps \
    layer_types local_attention is_causal=false -tie_word_embeddings -classifier_dropout \
    rope_parameters rope_scaling global_attn_every_n_layers global_rope_theta local_rope_theta \
    norm_bias=false attention_bias=false mlp_bias=false sliding_window=null -rope_theta \
    -hidden_act -layer_norm_eps -position_embedding_type -attention_dropout -classifier_activation \
    -classifier_bias -classifier_pooling -decoder_bias -deterministic_flash_attn \
    -embedding_dropout -initializer_cutoff_factor -mlp_dropout -reference_compile \
    -repad_logits_with_grad -sparse_pred_ignore_index -sparse_prediction";

/// Keys of `rope_parameters` and `rope_scaling`.
const ROPE: Table = "rope_type type rope_theta partial_rotary_factor factor attention_factor \
    original_max_position_embeddings beta_fast beta_slow mscale mscale_all_dim truncate \
    long_factor short_factor low_freq_factor high_freq_factor -finetuned";
/// Qwen's models of images and text; for text alone all positions are the same.
const ROPE_QWEN: Table = "-mrope_section -mrope_interleaved";
/// Ministral 3 has more.
const ROPE_MINISTRAL3: Table = "llama_4_scaling_beta -max_position_embeddings";

/// Keys of `quantization_config`. What the tensors themselves say needs no key.
const QUANTIZATION: Table = "quant_method=gptq|awq|fp8|fbgemm_fp8|compressed-tensors|mxfp4|modelopt \
    bits w_bit checkpoint_format weight_block_size version=gemm|GEMM|1 \
    format=gptq|gemm|dense|float-quantized|naive-quantized|int-quantized|mixed-precision \
    expert_dtype=null|fp8 transform_config={}|null -config_groups -kv_cache_scheme \
    -sparsity_config -global_compression_ratio -quantization_status -ignore -activation_scheme \
    -activation_scale_ub -fmt -scale_fmt -dequantize -modules_to_convert -modules_to_not_convert \
    -group_size -q_group_size -desc_act -sym -zero_point -static_groups -true_sequential -damp_percent \
    -act_group_aware -backend -batch_size -block_name_to_quantize -cache_block_outputs -dataset \
    -max_input_length -meta -model_seqlen -module_name_preceding_first_block \
    -modules_in_block_to_quantize -pad_token_id -tokenizer -model_file_base_name \
    -model_name_or_path -use_exllama -exllama_config -do_fuse -fuse_max_seq_len \
    -kv_cache_quant_algo -quant_algo -producer -exclude_modules";

fn find(tables: &mut dyn Iterator<Item = Table>, key: &str) -> Option<Effect> {
    tables.flat_map(str::split_ascii_whitespace).find_map(|word| {
        let (name, only) = word.split_once('=').map_or((word, None), |(n, only)| (n, Some(only)));
        match (name.strip_prefix('-'), only) {
            (Some(name), _) if name == key => Some(Effect::None),
            (None, Some(only)) if name == key => Some(Effect::Only(only)),
            (None, None) if name == key => Some(Effect::Honoured),
            _ => None,
        }
    })
}

fn effect(family: &Family, key: &str) -> Option<Effect> {
    find(&mut family.keys.iter().copied().chain(ALL), key)
}

/// What becomes of a key in config.json of a `model_type`; none of one that is not known. Keys of
/// objects: `rope_parameters.factor`, `quantization_config.bits`.
pub fn config_key(model_type: &str, key: &str) -> Option<Effect> {
    let family = FAMILIES.iter().find(|family| family.model_type == model_type);
    match (key.split_once('.'), family) {
        (Some(("rope_parameters", key)), _) => {
            let own = match model_type {
                "ministral3" => Some(ROPE_MINISTRAL3),
                _ if model_type.starts_with("qwen3_") => Some(ROPE_QWEN),
                _ => None,
            };
            find(&mut [ROPE].into_iter().chain(own), key)
        }
        (Some(("quantization_config", key)), _) => find(&mut [QUANTIZATION].into_iter(), key),
        (_, Some(family)) => effect(family, key),
        // A model of images and text.
        (_, None) => find(&mut [BESIDE_TEXT].into_iter().chain(ALL), key),
    }
}

/// Each `model_type` that is read, and the keys of its config.json.
pub fn config_keys() -> impl Iterator<Item = (&'static str, Vec<&'static str>)> {
    let name = |word: &'static str| {
        let word = word.strip_prefix('-').unwrap_or(word);
        word.split_once('=').map_or(word, |(name, _)| name)
    };
    FAMILIES.iter().map(move |family| {
        let words = family.keys.iter().copied().chain(ALL);
        (family.model_type, words.flat_map(str::split_ascii_whitespace).map(name).collect())
    })
}

/// Whether a value is one of those accepted. Null is as good as false and 0.
fn accepts(only: &str, value: &Json) -> bool {
    only.split('|').any(|one| match value {
        Json::Null => matches!(one, "null" | "false" | "0" | "{}"),
        Json::Bool(flag) => one == if *flag { "true" } else { "false" },
        Json::Number(number) => one.parse().ok() == number.as_f64(),
        Json::String(text) => one == text,
        Json::Array(list) => list.is_empty() && one == "[]",
        Json::Object(map) => map.is_empty() && one == "{}",
    })
}

/// What is kept of a config.json: the keys that are honoured. The names of unknown ones are added to
/// `unknown`.
///
/// # Errors
/// A setting that is not computed.
pub(super) fn check(
    folder: &str,
    family: &Family,
    settings: &mut Map<String, Json>,
    beside_text: bool,
    unknown: &mut Vec<String>,
) -> Result<()> {
    let model_type = if beside_text { "" } else { family.model_type };
    let mut wrong = None;
    let mut keep = |start: &str, key: &str, value: &Json| {
        let name = format!("{start}{key}");
        match config_key(model_type, &name) {
            Some(Effect::Honoured) => return true,
            Some(Effect::Only(only)) if !accepts(only, value) => {
                wrong.get_or_insert_with(|| (name, value.to_string(), only));
            }
            // Of a class that names what is usual.
            Some(_) => {}
            None if value.is_null() => {}
            None => unknown.push(name),
        }
        false
    };
    settings.retain(|key, value| keep("", key, value));
    for (key, value) in settings.iter() {
        let start = match key.as_str() {
            "rope_parameters" | "rope_scaling" => "rope_parameters.",
            "quantization_config" => "quantization_config.",
            _ => continue,
        };
        for (key, value) in value.as_object().into_iter().flatten() {
            match value {
                // A kind of attention.
                Json::Object(nested) if key.ends_with("_attention") && family.nested_rope => {
                    nested.iter().for_each(|(key, value)| _ = keep(start, key, value));
                }
                _ => _ = keep(start, key, value),
            }
        }
    }
    match wrong {
        None => Ok(()),
        Some((key, value, only)) => Err(Error::unsupported(format!(
            "{folder}: config.json sets {key} to {value}, which this version does not compute: it \
             knows {} only",
            only.replace('|', ", ")
        ))),
    }
}
