//! config.json as GGUF's metadata. Both of its forms: `rope_parameters`, or the older
//! `rope_theta` and `rope_scaling`.

use serde_json::{Map, Value as Json};
use wisp_base::{Error, Result};
use wisp_formats::{Array, Metadata, Value};

use super::families::{FAMILIES, Family};
use super::{json, settings};
use crate::terms::{DYNAMIC, ROPE_LAYERS, YARN_TRUNCATE};

/// Whole numbers: GGUF's key, and the names that it has had in config.json.
const SIZES: &[(&str, &[&str])] = &[
    ("block_count", &["num_hidden_layers", "n_layer"]),
    ("context_length", &["max_position_embeddings", "n_positions", "n_ctx"]),
    ("embedding_length", &["hidden_size", "n_embd"]),
    ("feed_forward_length", &["intermediate_size", "n_inner"]),
    ("attention.head_count", &["num_attention_heads", "n_head"]),
    ("attention.head_count_kv", &["num_key_value_heads"]),
    ("attention.key_length", &["head_dim"]),
    ("attention.value_length", &["head_dim"]),
    ("expert_count", &["num_local_experts", "num_experts", "n_routed_experts"]),
    ("expert_used_count", &["num_experts_per_tok"]),
    ("expert_feed_forward_length", &["moe_intermediate_size"]),
    (
        "expert_shared_feed_forward_length",
        &["shared_expert_intermediate_size", "shared_intermediate_size"],
    ),
    ("expert_shared_count", &["n_shared_experts"]),
    ("vocab_size", &["vocab_size"]),
    ("attention.q_lora_rank", &["q_lora_rank"]),
    ("attention.kv_lora_rank", &["kv_lora_rank"]),
];

/// Other numbers.
const NUMBERS: &[(&str, &[&str])] = &[
    ("attention.layer_norm_rms_epsilon", &["rms_norm_eps", "norm_eps"]),
    ("attention.layer_norm_epsilon", &["layer_norm_eps", "layer_norm_epsilon"]),
    ("attn_logit_softcapping", &["attn_logit_softcapping"]),
    ("final_logit_softcapping", &["final_logit_softcapping"]),
    ("attention.scale", &["attention_multiplier"]),
    ("embedding_scale", &["embedding_multiplier"]),
    ("residual_scale", &["residual_multiplier"]),
    ("logit_scale", &["logits_scaling"]),
    ("expert_weights_scale", &["routed_scaling_factor"]),
    ("swiglu_alpha", &["swiglu_alpha"]),
    ("swiglu_clamp_exp", &["swiglu_limit"]),
];

/// Other names of one setting.
const NAMES: [&[&str]; 3] = [
    &["rope_parameters", "rope_scaling"],
    &["rope_theta", "rotary_emb_base", "global_rope_theta"],
    &["partial_rotary_factor", "rotary_pct"],
];

/// The names in config.json of what GGUF calls `key`.
pub(crate) fn config_names(key: &str) -> Option<&'static [&'static str]> {
    SIZES.iter().chain(NUMBERS).find(|(known, _)| *known == key).map(|(_, names)| *names)
}

/// config.json of a language model, with what it may leave out.
pub(super) struct Config {
    pub folder: String,
    settings: Map<String, Json>,
    pub family: &'static Family,
    /// What the person should know: keys that are not known.
    pub notes: Vec<String>,
}

impl Config {
    pub fn parse(folder: &str, bytes: &[u8]) -> Result<Self> {
        let Json::Object(mut settings) = json(folder, "config.json", bytes)? else {
            return Err(Error::input(format!("{folder}: config.json is not an object")));
        };
        // A model of images and text: the latter is what is computed.
        let mut text = match settings.remove("text_config") {
            Some(Json::Object(text)) => Some(text),
            _ => None,
        };
        let name = |settings: &Map<String, Json>| {
            let name = settings.get("model_type").and_then(Json::as_str);
            name.unwrap_or_default().to_owned()
        };
        let model_type = match text.as_ref().map(name) {
            Some(own) if !own.is_empty() => own,
            Some(_) if name(&settings) == "gemma3" => "gemma3_text".into(),
            _ => name(&settings),
        };
        let Some(family) = FAMILIES.iter().find(|family| family.model_type == model_type) else {
            let class = settings.get("architectures").and_then(|a| a.get(0)).and_then(Json::as_str);
            return Err(Error::unsupported(format!(
                "{folder}: the model is of the kind {}, which this version does not read; it reads {}",
                class
                    .or(Some(&model_type))
                    .filter(|kind| !kind.is_empty())
                    .unwrap_or("(config.json names none)"),
                FAMILIES.iter().map(|family| family.model_type).collect::<Vec<_>>().join(", ")
            )));
        };
        let mut unknown = Vec::new();
        settings::check(folder, family, &mut settings, text.is_some(), &mut unknown)?;
        if let Some(mut text) = text.take() {
            settings::check(folder, family, &mut text, false, &mut unknown)?;
            settings.extend(text);
        }
        unknown.sort();
        unknown.dedup();
        let notes = match unknown.is_empty() {
            true => Vec::new(),
            false => vec![format!(
                "config.json has settings that this version does not know and does without: {}",
                unknown.join(", ")
            )],
        };
        if let Json::Object(defaults) = json(folder, "config.json", family.defaults.as_bytes())? {
            for (key, value) in defaults {
                let known = SIZES.iter().chain(NUMBERS).map(|(_, names)| *names).chain(NAMES);
                let mut others = known.filter(|names| names.contains(&&*key)).flatten();
                let there = |name: &&str| settings.get(*name).is_some_and(|v| !v.is_null());
                if !others.any(there) {
                    settings.entry(key).or_insert(value);
                }
            }
        }
        Ok(Self { folder: folder.to_owned(), settings, family, notes })
    }

    /// A setting that is there and not null.
    pub fn get(&self, key: &str) -> Option<&Json> {
        self.settings.get(key).filter(|value| !value.is_null())
    }

    fn first(&self, keys: &[&str]) -> Option<&Json> {
        keys.iter().find_map(|key| self.get(key))
    }

    /// A number, if it is there.
    pub fn number(&self, keys: &[&str]) -> Result<Option<f64>> {
        self.first(keys).map(|value| value.as_f64().ok_or_else(|| self.wrong(keys))).transpose()
    }

    /// A whole number, if it is there.
    pub fn opt_size(&self, keys: &[&str]) -> Result<Option<u64>> {
        let whole = |value: &Json| {
            value.as_u64().filter(|v| *v <= u64::from(u32::MAX)).ok_or_else(|| self.wrong(keys))
        };
        self.first(keys).map(whole).transpose()
    }

    /// A whole number above 0.
    pub fn size(&self, keys: &[&str]) -> Result<u64> {
        self.opt_size(keys)?.filter(|size| *size > 0).ok_or_else(|| self.wrong(keys))
    }

    /// A switch; off where it is not there.
    pub fn flag(&self, key: &str) -> Result<bool> {
        match self.get(key) {
            None => Ok(false),
            Some(Json::Bool(flag)) => Ok(*flag),
            Some(_) => Err(self.wrong(&[key])),
        }
    }

    pub fn wrong(&self, keys: &[&str]) -> Error {
        let set = keys.iter().find_map(|key| Some((key, self.get(key)?)));
        Error::input(match set {
            None => format!("{}: config.json has no {}", self.folder, keys.join(" or ")),
            Some((key, value)) => {
                let shown: String = value.to_string().chars().take(60).collect();
                format!("{}: config.json sets {key} to {shown}, which cannot be", self.folder)
            }
        })
    }

    /// Files that contradict each other.
    pub fn wrong_files(&self, what: String) -> Error {
        Error::input(format!("{}: {what}", self.folder))
    }

    pub fn unsupported(&self, what: String) -> Error {
        Error::unsupported(format!("{}: {what}, which this version does not read", self.folder))
    }

    pub fn layers(&self) -> Result<u64> {
        self.size(&["num_hidden_layers", "n_layer"])
    }

    /// Blocks behind the last layer, which predict tokens further ahead.
    pub fn blocks_ahead(&self) -> Result<u64> {
        Ok(self.opt_size(&["num_nextn_predict_layers"])?.unwrap_or(0))
    }

    pub fn heads(&self) -> Result<u64> {
        self.size(&["num_attention_heads", "n_head"])
    }

    pub fn kv_heads(&self) -> Result<u64> {
        Ok(self.opt_size(&["num_key_value_heads"])?.filter(|n| *n > 0).unwrap_or(self.heads()?))
    }

    fn head_dim(&self) -> Result<u64> {
        let own = self.opt_size(&["head_dim"])?;
        Ok(own.unwrap_or(self.size(&["hidden_size", "n_embd"])? / self.heads()?))
    }

    /// RoPE's settings; the older name counts more.
    pub fn all_rope(&self) -> &Json {
        let there = |rope: &&Json| rope.as_object().is_some_and(|map| !map.is_empty());
        let [new, old] = ["rope_parameters", "rope_scaling"].map(|key| self.get(key).filter(there));
        old.or(new).unwrap_or(&Json::Null)
    }

    /// RoPE's settings of blocks that see all positions.
    pub fn rope(&self) -> &Json {
        let all = self.all_rope();
        all.get("full_attention").unwrap_or(all)
    }

    pub fn rope_type(&self) -> &str {
        let rope = self.rope();
        let name = rope.get("rope_type").or(rope.get("type")).and_then(Json::as_str);
        match name.unwrap_or("default") {
            // Phi-3's older files.
            "su" | "yarn" if self.family.model_type == "phi3" => "longrope",
            name => name,
        }
    }

    pub fn rope_number(&self, key: &str) -> Option<f64> {
        self.rope().get(key).and_then(Json::as_f64)
    }

    fn rope_theta(&self) -> Result<Option<f64>> {
        let older = self.number(&["rope_theta", "rotary_emb_base", "global_rope_theta"])?;
        Ok(self.rope_number("rope_theta").or(older))
    }

    fn rope_dim(&self) -> Result<u64> {
        if let Some(dim) = self.opt_size(&["qk_rope_head_dim"])? {
            return Ok(dim);
        }
        const PART: &[&str] = &["partial_rotary_factor", "rotary_pct"];
        let older = self.number(PART)?;
        let part = self.rope_number(PART[0]).or(older).unwrap_or(1.0);
        let dim = (part * self.head_dim()? as f64) as u64;
        // At least one pair is rotated, and no more than there are.
        if dim < 2 || part > 1.0 { Err(self.wrong(PART)) } else { Ok(dim) }
    }

    fn trained_for(&self) -> Result<f64> {
        const KEY: &str = "original_max_position_embeddings";
        let own = self.number(&[KEY])?.or(self.rope_number(KEY));
        Ok(own.or(self.number(&["max_position_embeddings"])?).unwrap_or(0.0))
    }

    /// What GGUF says in its metadata.
    pub fn metadata(&self, files: &[(String, Vec<u8>)]) -> Result<Metadata> {
        let mut metadata = Metadata::new(self.folder.as_str());
        let family = self.family;
        metadata.insert("general.architecture", family.arch.to_owned())?;
        let name = self.folder.trim_end_matches(['/', '\\']).rsplit(['/', '\\']).next();
        metadata.insert("general.name", name.unwrap_or_default().to_owned())?;
        let mut put =
            |key: &str, value: Value| metadata.insert(format!("{}.{key}", family.arch), value);
        let deepseek = family.arch == "deepseek2";
        // What a family says in other words, below.
        let other: &[&str] = match family.arch {
            "deepseek2" => {
                &["attention.key_length", "attention.value_length", "attention.head_count_kv"]
            }
            "lfm2" => &["attention.head_count_kv", "feed_forward_length"],
            _ => &[],
        };
        for (key, names) in SIZES {
            if other.contains(key) {
                continue;
            }
            if let Some(size) = self.opt_size(names)? {
                put(key, Value::U32(size as u32))?;
            }
        }
        for (key, names) in NUMBERS {
            if let Some(number) = self.number(names)? {
                put(key, Value::F32(number as f32))?;
            }
        }
        let size = |name: &str| self.size(&[name]);
        match family.model_type {
            "gpt2" if self.get("n_inner").is_none() => {
                let width = self.size(&["hidden_size", "n_embd"])?;
                put("feed_forward_length", Value::U32(4 * width as u32))?;
            }
            "gpt_neox" => {
                put("use_parallel_residual", Value::Bool(self.flag("use_parallel_residual")?))?
            }
            "gpt_oss" => {
                put("expert_feed_forward_length", Value::U32(size("intermediate_size")? as u32))?
            }
            "ministral3" => {
                put(
                    "rope.scaling.yarn_log_multiplier",
                    Value::F32(self.rope_number("mscale_all_dim").unwrap_or(0.0) as f32),
                )?;
                put(
                    "attention.temperature_scale",
                    Value::F32(self.rope_number("llama_4_scaling_beta").unwrap_or(0.0) as f32),
                )?;
            }
            "qwen3_5_text" | "qwen3_5_moe_text" | "qwen3_next" => {
                let (heads, value) =
                    (size("linear_num_value_heads")?, size("linear_value_head_dim")?);
                for (key, value) in [
                    ("ssm.conv_kernel", size("linear_conv_kernel_dim")?),
                    ("ssm.state_size", size("linear_key_head_dim")?),
                    ("ssm.group_count", size("linear_num_key_heads")?),
                    ("ssm.time_step_rank", heads),
                    ("ssm.inner_size", heads.saturating_mul(value)),
                    ("full_attention_interval", size("full_attention_interval")?),
                ] {
                    put(key, Value::U32(value as u32))?;
                }
                if let Some(layers) = self.recurrent_layers()? {
                    put("attention.recurrent_layers", Value::Array(Array::Bool(layers)))?;
                }
                if family.model_type != "qwen3_next" {
                    let sections = Array::I32(self.rope_sections());
                    put("rope.dimension_sections", Value::Array(sections))?;
                }
            }
            "lfm2" => {
                let kv_heads = self.kv_heads()? as u32;
                let of = |recurrent: bool| if recurrent { 0 } else { kv_heads };
                let layers = self.recurrent_layers()?.unwrap_or_default();
                let kv_heads = layers.into_iter().map(of).collect();
                put("attention.head_count_kv", Value::Array(Array::U32(kv_heads)))?;
                put("feed_forward_length", Value::U32(self.adjusted_intermediate_size()?))?;
                put("shortconv.l_cache", Value::U32(size("conv_L_cache")? as u32))?;
            }
            "smollm3" => {
                if let Some(turns) = self.rope_layers()? {
                    put(ROPE_LAYERS, Value::Array(Array::Bool(turns)))?;
                }
            }
            _ => {}
        }
        if deepseek {
            let (rank, rope) = (size("kv_lora_rank")?, size("qk_rope_head_dim")?);
            for (key, value) in [
                ("attention.head_count_kv", 1),
                ("attention.key_length", rank + rope),
                ("attention.value_length", rank),
                ("attention.key_length_mla", size("qk_nope_head_dim")? + rope),
                ("attention.value_length_mla", size("v_head_dim")?),
                (
                    "leading_dense_block_count",
                    self.opt_size(&["first_k_dense_replace"])?.unwrap_or(0),
                ),
            ] {
                put(key, Value::U32(value as u32))?;
            }
            if let Some(all) = self.rope_number("mscale_all_dim") {
                put("rope.scaling.yarn_log_multiplier", Value::F32((0.1 * all) as f32))?;
            }
            let by_groups = match self.get("topk_method").and_then(Json::as_str) {
                None | Some("group_limited_greedy" | "noaux_tc") => true,
                Some("greedy") => false,
                Some(other) => {
                    return Err(
                        self.unsupported(format!("topk_method in config.json is {other:?}"))
                    );
                }
            };
            for (key, name) in
                [("expert_group_count", "n_group"), ("expert_group_used_count", "topk_group")]
            {
                if let Some(groups) = self.opt_size(&[name])? {
                    put(key, Value::U32(if by_groups { groups as u32 } else { 1 }))?;
                }
            }
            // ggml's numbers: softmax is 1, sigmoid 2.
            if family.model_type == "deepseek_v3" {
                put("expert_gating_func", Value::U32(2))?;
            }
        }
        // Null is as good as false.
        if self.settings.contains_key("norm_topk_prob") {
            put("expert_weights_norm", Value::Bool(self.flag("norm_topk_prob")?))?;
        }
        if let Some(scalar) = self.number(&["query_pre_attn_scalar"])? {
            put("attention.scale", Value::F32((1.0 / scalar.sqrt()) as f32))?;
        }
        self.activation(&mut put)?;
        if family.encoder {
            put("attention.causal", Value::Bool(false))?;
            if let Some(pooling) = pooling(&self.folder, files)? {
                put("pooling_type", Value::U32(pooling))?;
            }
        }
        self.windows(&mut put)?;
        self.rope_metadata(&mut put)?;
        if let Some(types) = self.opt_size(&["type_vocab_size"])? {
            metadata.insert("tokenizer.ggml.token_type_count", Value::U32(types as u32))?;
        }
        Ok(metadata)
    }

    /// SmolLM3: which blocks turn, where it is not all but every fourth.
    fn rope_layers(&self) -> Result<Option<Vec<bool>>> {
        let layers = self.layers()? as usize;
        let turns: Vec<bool> = match self.get("no_rope_layers") {
            Some(Json::Array(list)) if list.len() >= layers => list
                .iter()
                .take(layers)
                .map(|turns| turns.as_bool().or(turns.as_u64().map(|turns| turns != 0)))
                .collect::<Option<_>>()
                .ok_or_else(|| self.wrong(&["no_rope_layers"]))?,
            Some(_) => return Err(self.wrong(&["no_rope_layers"])),
            None => {
                const EVERY: &[&str] = &["no_rope_layer_interval"];
                let every = if self.get(EVERY[0]).is_some() { self.size(EVERY)? } else { 4 };
                (1..=layers.min(1 << 16)).map(|at| !(at as u64).is_multiple_of(every)).collect()
            }
        };
        let usual = turns.iter().enumerate().all(|(layer, turns)| *turns == (layer % 4 != 3));
        Ok((!usual).then_some(turns))
    }

    /// Whether a block has experts, where config.json says so by more than their number.
    pub fn sparse(&self, layer: u64) -> Result<Option<bool>> {
        const ONLY: &[&str] = &["mlp_only_layers"];
        const STEP: &[&str] = &["decoder_sparse_step"];
        if !matches!(self.family.arch, "qwen2moe" | "qwen3moe" | "qwen3next") {
            return Ok(None);
        }
        let dense = match self.get(ONLY[0]) {
            None => false,
            Some(Json::Array(list)) if list.iter().all(Json::is_u64) => {
                list.contains(&layer.into())
            }
            Some(_) => return Err(self.wrong(ONLY)),
        };
        let step = if self.get(STEP[0]).is_some() { self.size(STEP)? } else { 1 };
        let experts = self.opt_size(&["num_experts"])? != Some(0);
        Ok(Some(experts && !dense && (layer + 1).is_multiple_of(step)))
    }

    fn rope_metadata(&self, put: &mut dyn FnMut(&str, Value) -> Result<()>) -> Result<()> {
        self.check_rope()?;
        if matches!(self.family.arch, "bert" | "gpt2") {
            return Ok(());
        }
        let theta = self.rope_theta()?.unwrap_or(10_000.0);
        put("rope.dimension_count", Value::U32(self.rope_dim()? as u32))?;
        put("rope.freq_base", Value::F32(theta as f32))?;
        let local =
            self.all_rope().get("sliding_attention").and_then(|rope| rope.get("rope_theta"));
        let older = self.number(&["rope_local_base_freq", "local_rope_theta"])?;
        if let Some(local) = local.and_then(Json::as_f64).or(older) {
            put("rope.freq_base_swa", Value::F32(local as f32))?;
        }
        let mut number = |key: &str, value: Option<f64>| match value {
            Some(value) => put(&format!("rope.scaling.{key}"), Value::F32(value as f32)),
            None => Ok(()),
        };
        let kind = self.rope_type();
        match kind {
            "linear" => {
                number("factor", self.rope_number("factor"))?;
                put("rope.scaling.type", Value::String(kind.to_owned()))
            }
            "yarn" => {
                let trained = self.trained_for()?;
                let longest = self.number(&["max_position_embeddings"])?.unwrap_or(trained);
                let factor = self.rope_number("factor").unwrap_or(longest / trained);
                number("factor", Some(factor))?;
                // Latent attention takes mscale_all_dim into account itself.
                let latent = self.family.arch == "deepseek2";
                let key = if latent { "attn_factor" } else { "yarn_attn_factor" };
                number(key, Some(self.yarn_attention_factor(factor)))?;
                for beta in ["beta_fast", "beta_slow"] {
                    let own = self.rope_number(beta).filter(|beta| *beta != 0.0);
                    number(&format!("yarn_{beta}"), own)?;
                }
                let truncate = self.rope().get("truncate").and_then(Json::as_bool);
                put(YARN_TRUNCATE, Value::Bool(truncate.unwrap_or(true)))?;
                put("rope.scaling.original_context_length", Value::U32(trained as u32))?;
                put("rope.scaling.type", Value::String(kind.to_owned()))
            }
            "longrope" => {
                let trained = self.trained_for()?;
                let longest = self.number(&["max_position_embeddings"])?.unwrap_or(trained);
                let ratio = self.rope_number("factor").unwrap_or(longest / trained);
                let own = if ratio > 1.0 { (1.0 + ratio.ln() / trained.ln()).sqrt() } else { 1.0 };
                number("attn_factor", Some(self.rope_number("attention_factor").unwrap_or(own)))?;
                put("rope.scaling.original_context_length", Value::U32(trained as u32))
            }
            "default" | "llama3" if self.family.arch == "phi3" => {
                put("rope.scaling.original_context_length", Value::U32(self.trained_for()? as u32))
            }
            "default" if self.family.arch == "modern-bert" => {
                put("rope.scaling.type", Value::String("none".into()))
            }
            "dynamic" => put(DYNAMIC, Value::Bool(true)),
            // llama3 is a tensor.
            "default" | "llama3" => Ok(()),
            other => Err(self.unsupported(format!("config.json scales RoPE by {other:?}"))),
        }
    }

    /// Tensors that GGUF has and the hub's files do not: what divides RoPE's frequencies.
    pub fn factors(&self) -> Result<Vec<(&'static str, Vec<f32>)>> {
        let list = |key: &str| {
            let list = self.rope().get(key).and_then(Json::as_array);
            let list =
                list.and_then(|list| list.iter().map(Json::as_f64).collect::<Option<Vec<_>>>());
            list.map(|list| list.into_iter().map(|number| number as f32).collect::<Vec<f32>>())
        };
        match self.rope_type() {
            "llama3" => {
                let dim = self.rope_dim()?;
                let theta = self.rope_theta()?.unwrap_or(10_000.0);
                // They are there: see `check_rope`.
                let get = |key| self.rope_number(key).unwrap_or(1.0) as f32;
                let (factor, low) = (get("factor"), get("low_freq_factor"));
                let high = get("high_freq_factor");
                let old = self.trained_for()? as f32;
                let one = |pair: u64| {
                    // Rounded to f32 where the converter and PyTorch round.
                    let exponent = f64::from((2 * pair) as f32 / dim as f32);
                    let frequency = 1.0 / theta.powf(exponent) as f32;
                    let wave = std::f32::consts::TAU / frequency;
                    if wave < old / high {
                        1.0
                    } else if wave > old / low {
                        factor
                    } else {
                        let smooth = (old / wave - low) / (high - low);
                        1.0 / ((1.0 - smooth) / factor + smooth)
                    }
                };
                Ok(vec![("rope_freqs.weight", (0..dim.min(1 << 16) / 2).map(one).collect())])
            }
            "longrope" => match (list("long_factor"), list("short_factor")) {
                (Some(long), Some(short)) => Ok(vec![
                    ("rope_factors_long.weight", long),
                    ("rope_factors_short.weight", short),
                ]),
                _ => Err(Error::input(format!(
                    "{}: config.json has no numbers long_factor and short_factor for its longrope",
                    self.folder
                ))),
            },
            _ => Ok(Vec::new()),
        }
    }
}

/// How a sentence's embedding is made of its tokens', by ggml's number.
fn pooling(folder: &str, files: &[(String, Vec<u8>)]) -> Result<Option<u32>> {
    const NAME: &str = "1_Pooling/config.json";
    let Some((_, bytes)) = files.iter().find(|(name, _)| name == NAME) else { return Ok(None) };
    let settings = json(folder, NAME, bytes)?;
    let mode = settings.get("pooling_mode").and_then(Json::as_str).unwrap_or_default();
    let is = |key: &str, name: &str| settings.get(key) == Some(&Json::Bool(true)) || mode == name;
    Ok(if is("pooling_mode_mean_tokens", "mean") {
        Some(1)
    } else if is("pooling_mode_cls_token", "cls") {
        Some(2)
    } else if is("pooling_mode_lasttoken", "lasttoken") {
        Some(3)
    } else {
        return Err(Error::unsupported(format!(
            "{folder}: {NAME} asks for a pooling other than mean, cls and lasttoken"
        )));
    })
}
