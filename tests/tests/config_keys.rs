//! The keys of config.json against transformers' configuration classes: none is missing in the
//! table of `wisp-models`, and each is what the table says. `golden/config_keys.json` is made by
//! `golden/make_config_keys.py`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::Path;

use pollster::block_on;
use serde_json::{Map, Value as Json, json};
use wisp_formats::{BytesSource, Checkpoint, FolderSource, Value};
use wisp_models::{Effect, config_key, config_keys};
use wisp_runtime::open;
use wisp_tests::hub::{Tensor, families, folder};
use wisp_tests::readme::{self, Row};
use wisp_tests::tiny::Tiny;

type Settings = Map<String, Json>;

/// Names of one setting: where one is looked at, the others are taken away.
const NAMES: [&[&str]; 13] = [
    &["num_experts", "num_local_experts", "n_routed_experts"],
    &["hidden_size", "n_embd"],
    &["max_position_embeddings", "n_positions"],
    &["num_attention_heads", "n_head"],
    &["num_hidden_layers", "n_layer"],
    &["intermediate_size", "n_inner"],
    &["layer_norm_eps", "layer_norm_epsilon"],
    &["rope_parameters", "rope_scaling"],
    &["rope_theta", "rotary_emb_base", "global_rope_theta", "rope_parameters"],
    &["rope_local_base_freq", "local_rope_theta", "rope_parameters"],
    &["partial_rotary_factor", "rotary_pct", "rope_parameters"],
    &["full_attn_idxs", "layer_types"],
    &["sliding_window_pattern", "global_attn_every_n_layers", "layer_types"],
];

/// What each is, in tests of its own: tokens that begin and end a text; the output's matrix, which
/// counts where it is stored; which layers have experts or positions.
const ELSEWHERE: [&str; 7] = [
    "bos_token_id",
    "eos_token_id",
    "tie_word_embeddings",
    "decoder_sparse_step",
    "mlp_only_layers",
    "no_rope_layers",
    "no_rope_layer_interval",
];

fn golden() -> Json {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/config_keys.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn strings(list: &Json) -> impl Iterator<Item = &str> {
    list.as_array().unwrap().iter().map(|name| name.as_str().unwrap())
}

/// A checkpoint of a `model_type`.
struct Of {
    model_type: &'static str,
    config: Settings,
    tensors: Vec<Tensor>,
}

fn checkpoints() -> Vec<Of> {
    let find = |model_type: &'static str| {
        let mut all = families().into_iter();
        let family = all.find(|family| family.config(&Map::new())["model_type"] == model_type);
        let family = family.unwrap_or_else(|| panic!("no checkpoint is {model_type}"));
        let config = family.config(&Map::new()).as_object().unwrap().clone();
        Of { model_type, config, tensors: family.tensors() }
    };
    config_keys().map(|(model_type, _)| find(model_type)).collect()
}

impl Of {
    fn source(&self, config: &Settings) -> FolderSource {
        folder(&Json::Object(config.clone()), &self.tensors)
    }

    fn open(&self, config: &Settings) -> Result<Checkpoint, String> {
        block_on(open(&self.source(config))).map_err(|error| error.to_string())
    }

    /// All that a config.json leads to, but what it tells.
    fn read(&self, config: &Settings) -> Result<String, String> {
        let source = self.source(config);
        let checkpoint = block_on(open(&source)).map_err(|error| error.to_string())?;
        let factors = checkpoint.tensors.iter().filter(|tensor| tensor.name.starts_with("rope_"));
        let factors: Vec<_> =
            factors.map(|tensor| block_on(checkpoint.vector(&source, tensor)).unwrap()).collect();
        let metadata: Vec<_> = checkpoint.metadata.iter().collect();
        let model = wisp_models::read(&checkpoint).map_err(|error| error.to_string())?;
        Ok(format!("{metadata:?} {factors:?} {:?}", model.config))
    }

    fn model(&self, config: &Settings) -> Result<String, String> {
        let model = wisp_models::read(&self.open(config)?).map_err(|error| error.to_string())?;
        Ok(format!("{:?}", model.config))
    }

    /// Settings in which `key` has a part, without other names of it.
    fn about(&self, key: &str) -> Settings {
        let mut config = self.config.clone();
        for others in NAMES.iter().filter(|names| names.contains(&key)) {
            others.iter().filter(|name| **name != key).for_each(|name| _ = config.remove(*name));
        }
        let switched = self.effect("use_sliding_window") == Some(Effect::Honoured);
        if switched && key.contains("window") {
            config.remove("layer_types");
            let window =
                json!({"use_sliding_window": true, "sliding_window": 12, "max_window_layers": 1});
            config.extend(window.as_object().unwrap().clone());
        }
        if key == "layer_types" && self.effect("sliding_window") == Some(Effect::Honoured) {
            config.insert("sliding_window".into(), json!(12));
            if switched {
                config.insert("use_sliding_window".into(), json!(true));
            }
        }
        // Its class has RoPE's settings with a base.
        if key == "rope_theta" && self.model_type == "ministral3" {
            config.insert("rope_parameters".into(), json!({"rope_type": "default"}));
        }
        if key == "topk_method" {
            config.extend(json!({"n_group": 5, "topk_group": 3}).as_object().unwrap().clone());
        }
        if key == "original_max_position_embeddings" {
            let factors = vec![json!(1.5); 40];
            let rope = match self.model_type {
                "phi3" => {
                    json!({"rope_type": "longrope", "long_factor": factors, "short_factor": factors,
                    "original_max_position_embeddings": 32})
                }
                _ => json!({"rope_type": "yarn", "factor": 4.0, "rope_theta": 1e4,
                    "original_max_position_embeddings": 32}),
            };
            config.insert("rope_parameters".into(), rope);
        }
        if matches!(key, "n_group" | "topk_group") && self.model_type == "deepseek_v2" {
            config.insert("topk_method".into(), "group_limited_greedy".into());
        }
        config
    }

    fn effect(&self, key: &str) -> Option<Effect> {
        config_key(self.model_type, key)
    }
}

/// Another value than this.
fn other(key: &str, value: &Json) -> Json {
    match (key, value) {
        ("rope_parameters" | "rope_scaling", _) => json!({"rope_type": "linear", "factor": 3.0}),
        // As the checkpoint's layers are.
        ("full_attn_idxs", _) => json!([1, 4]),
        ("layer_types", Json::Array(list)) => {
            json!(vec![
                ["sliding_attention", "full_attention"]
                    [usize::from(list[0] != "full_attention")];
                list.len()
            ])
        }
        ("hidden_act" | "hidden_activation" | "activation_function", _) => json!("relu"),
        ("quantization_config", _) => json!({"quant_method": "other"}),
        ("max_window_layers", _) => json!(0),
        ("topk_method", _) => json!("group_limited_greedy"),
        (_, Json::Bool(flag)) => json!(!flag),
        (_, Json::Number(number)) if number.is_u64() => json!(number.as_u64().unwrap() + 4),
        (_, Json::Number(number)) => json!(number.as_f64().unwrap() * 2.0 + 0.25),
        (_, Json::Array(_) | Json::Object(_) | Json::Null) => json!(8),
        (_, Json::String(_)) => json!("other"),
    }
}

#[test]
fn every_key_of_every_configuration_class_is_in_the_table() {
    let golden = golden();
    let mut missing = Vec::new();
    let types = golden["model_types"].as_object().unwrap();
    for (model_type, keys) in types {
        let keys = keys.as_object().unwrap().keys().map(String::as_str);
        let common = strings(&golden["base"]).chain(strings(&golden["generation"]));
        let all = keys.chain(common);
        missing.extend(
            all.filter(|key| config_key(model_type, key).is_none())
                .map(|key| format!("{model_type}: {key}")),
        );
    }
    for (start, kinds) in [("rope_parameters", "rope"), ("quantization_config", "quantization")] {
        for keys in golden[kinds].as_object().unwrap().values() {
            let names = strings(keys).map(|key| format!("{start}.{key}"));
            missing.extend(names.filter(|key| config_key("llama", key).is_none()));
        }
    }
    for (model_type, _) in config_keys().filter(|(name, _)| !types.contains_key(*name)) {
        missing.push(format!("{model_type} in golden/config_keys.json"));
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
    assert!(types.len() >= 27 && golden["transformers"] == "5.24.0");
}

#[test]
fn what_is_not_computed_is_refused_and_what_has_no_effect_has_none() {
    let mut wrong = Vec::new();
    for of in checkpoints() {
        let usual = of.read(&of.config).unwrap();
        let (_, keys) = config_keys().find(|(name, _)| *name == of.model_type).unwrap();
        for key in keys {
            let set = |value: Json| {
                let mut config = of.config.clone();
                config.insert(key.into(), value);
                of.read(&config)
            };
            match of.effect(key).unwrap() {
                Effect::Honoured => {}
                Effect::None => {
                    for value in [json!(12345), json!("other"), json!({"other": [1]})] {
                        if set(value.clone()).as_ref() != Ok(&usual) {
                            wrong.push(format!("{}: {key} has an effect", of.model_type));
                        }
                    }
                }
                Effect::Only(only) => {
                    for value in [json!(12345), json!("other"), json!(only != "true"), json!([1])] {
                        let told = set(value.clone()).err().unwrap_or_default();
                        let sentence = format!("config.json sets {key} to {value}, which this");
                        if !told.contains(&sentence) {
                            wrong.push(format!("{}: {key} {value}: {told}", of.model_type));
                        }
                    }
                    let accepted = only.split('|').next().unwrap();
                    let accepted = serde_json::from_str(accepted).unwrap_or(json!(accepted));
                    if set(accepted).as_ref() != Ok(&usual) {
                        wrong.push(format!("{}: {key} at {only} changes something", of.model_type));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_honoured_counts_and_what_is_left_out_is_as_its_class_says() {
    let golden = golden();
    let mut wrong = Vec::new();
    for of in checkpoints() {
        let defaults = &golden["model_types"][of.model_type];
        let (_, keys) = config_keys().find(|(name, _)| *name == of.model_type).unwrap();
        let honoured = |key: &&str| of.effect(key) == Some(Effect::Honoured);
        for key in keys.into_iter().filter(honoured).filter(|key| !ELSEWHERE.contains(key)) {
            let about = of.about(key);
            let set = |value: &Json| {
                let mut config = about.clone();
                config.insert(key.into(), value.clone());
                config
            };
            let own = NAMES.iter().find(|names| names[0] != "rope_theta" && names.contains(&key));
            let own = about.get(key).or_else(|| own?.iter().find_map(|name| of.config.get(*name)));
            let own = own.unwrap_or(&defaults[key]).clone();
            if of.read(&set(&own)) == of.read(&set(&other(key, &own))) {
                let with = set(&other(key, &own))[key].clone();
                wrong.push(format!("{}: {key} has no effect ({own} or {with})", of.model_type));
            }
            let default = &defaults[key];
            // More rows than the checkpoint has, or a length that sizes nothing.
            if default.is_null() || key == "vocab_size" {
                continue;
            }
            let mut without = about.clone();
            without.remove(key);
            let (given, left_out) = (of.model(&set(default)), of.model(&without));
            if left_out.is_ok() && given != left_out {
                wrong.push(format!(
                    "{}: without {key} it is not {default}:\n{given:?}\n{left_out:?}",
                    of.model_type
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Keys of the objects in it, each kind of RoPE with all that it may have.
#[test]
fn settings_of_rope_and_of_quantized_weights_count_too() {
    let golden = golden();
    let of = |name: &str| checkpoints().into_iter().find(|of| of.model_type == name).unwrap();
    let (llama, phi3) = (of("llama"), of("phi3"));
    let factors = |by: f64| json!((0..40).map(|i| 1.0 + by * f64::from(i)).collect::<Vec<_>>());
    let all = json!({"rope_theta": 5000.0, "factor": 4.0, "original_max_position_embeddings": 32,
        "attention_factor": 1.25, "beta_fast": 16.0, "beta_slow": 2.0, "mscale": 0.5, "mscale_all_dim": 0.75,
        "truncate": true, "long_factor": factors(0.5), "short_factor": factors(0.25),
        "low_freq_factor": 1.0, "high_freq_factor": 4.0});
    for (kind, keys) in golden["rope"].as_object().unwrap() {
        let of = if kind == "longrope" { &phi3 } else { &llama };
        let with = |change: &dyn Fn(&mut Settings)| {
            let mut rope: Settings = strings(keys)
                .filter_map(|key| Some((key.to_owned(), all.get(key)?.clone())))
                .collect();
            rope.insert("rope_type".into(), json!(kind));
            change(&mut rope);
            let mut config = of.config.clone();
            config.remove("original_max_position_embeddings");
            config.insert("rope_parameters".into(), Json::Object(rope));
            config
        };
        let usual = of.read(&with(&|_| {}));
        if kind == "proportional" {
            assert!(usual.unwrap_err().contains("scales RoPE by \"proportional\""));
            continue;
        }
        assert!(usual.is_ok(), "{kind}: {usual:?}");
        assert_eq!(of.open(&with(&|_| {})).unwrap().notes, [""; 0], "{kind}");
        for key in strings(keys) {
            // Each decides in the other's absence.
            let strength = key.starts_with("mscale");
            let less = |rope: &mut Settings| {
                if strength || (kind == "longrope" && key == "factor") {
                    rope.remove("attention_factor");
                }
            };
            let changed = with(&|rope| {
                less(rope);
                let other = match &rope.get(key) {
                    Some(value @ (Json::Bool(_) | Json::Number(_) | Json::String(_))) => {
                        other(key, value)
                    }
                    _ => json!(factors(0.125)),
                };
                rope.insert(
                    key.into(),
                    if key == "partial_rotary_factor" { json!(0.5) } else { other },
                );
            });
            let same = of.read(&changed) == of.read(&with(&less));
            // Dynamic scaling begins beyond the trained context; phi3's outer length is its class's.
            let none = (kind == "dynamic" && key == "factor")
                || (kind == "longrope" && key == "original_max_position_embeddings");
            assert_eq!(same, none, "{kind}: {key}");
        }
    }
    let set = |value: Json| {
        let mut config = llama.config.clone();
        config.insert("quantization_config".into(), value);
        llama.open(&config).map_err(|error| error.to_string())
    };
    for (key, value) in [
        ("quant_method", json!("bitsandbytes")),
        ("version", json!("gemv")),
        ("format", json!("gptq_v2")),
        ("expert_dtype", json!("fp4")),
        ("transform_config", json!({"config_groups": {}})),
    ] {
        let told = set(json!({"quant_method": "gptq", key: value})).unwrap_err();
        let name = format!("sets quantization_config.{key} to {value}, which");
        assert!(told.contains(&name), "{told}");
    }
    let told = set(json!({"quant_method": "fp8", "other": 1})).unwrap().notes;
    assert!(told[0].ends_with("does without: quantization_config.other"), "{told:?}");
}

#[test]
fn a_key_that_nobody_knows_is_told_and_changes_nothing() {
    for of in checkpoints() {
        let usual = of.read(&of.config).unwrap();
        assert_eq!(of.open(&of.config).unwrap().notes, [""; 0], "{}", of.model_type);
        let mut config = of.config.clone();
        config.insert("some_scale".into(), json!(2.0));
        if of.effect("num_experts").is_none() {
            config.insert("num_experts".into(), json!(4));
        }
        if let Some(Json::Object(rope)) = config.get_mut("rope_parameters") {
            rope.insert("some_factor".into(), json!(3.0));
        }
        let notes = of.open(&config).unwrap().notes;
        assert!(
            notes.len() == 1 && notes[0].contains("some_scale"),
            "{}: {notes:?}",
            of.model_type
        );
        let rope = config.contains_key("rope_parameters");
        assert_eq!(notes[0].contains("rope_parameters.some_factor"), rope);
        assert_eq!(of.read(&config), Ok(usual), "{}", of.model_type);
    }
}

#[test]
fn settings_of_rope_that_say_nothing_sound_are_refused() {
    let llama = checkpoints().into_iter().find(|of| of.model_type == "llama").unwrap();
    for (rope, said) in [
        (json!("linear"), "a rope_scaling that is \"linear\", which is no object"),
        (json!([1]), "a rope_scaling that is [1], which is no object"),
        (json!({"type": "linear"}), "RoPE of the type linear without its factor"),
        (
            json!({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0}),
            "RoPE of the type llama3 without its high_freq_factor",
        ),
    ] {
        let mut config = llama.config.clone();
        config.remove("rope_parameters");
        config.insert("rope_scaling".into(), rope);
        let refused = llama.read(&config).unwrap_err();
        assert!(refused.contains(said), "{refused}");
    }
}

/// At least one pair of a head is rotated, and no more than there are.
#[test]
fn no_part_of_a_head_and_more_than_all_of_it_are_refused() {
    let qwen = checkpoints().into_iter().find(|of| of.model_type == "qwen3_5_text").unwrap();
    for part in [-1.0, 0.0, 0.001, 1.5] {
        let mut config = qwen.config.clone();
        config["rope_parameters"]["partial_rotary_factor"] = json!(part);
        let refused = qwen.read(&config).unwrap_err();
        assert!(refused.contains("partial_rotary_factor"), "{part}: {refused}");
    }
}

/// Answers without the last layers would be wrong, and nobody would see it.
#[test]
fn layers_that_the_settings_do_not_count_are_refused() {
    let llama = checkpoints().into_iter().find(|of| of.model_type == "llama").unwrap();
    let layers = llama.config["num_hidden_layers"].as_u64().unwrap();
    let mut config = llama.config.clone();
    config["num_hidden_layers"] = json!(layers - 1);
    let refused = llama.read(&config).unwrap_err();
    assert!(refused.contains("num_hidden_layers"), "{refused}");
}

/// Which layers have experts is what the tensors say.
#[test]
fn dense_layers_that_are_not_there_are_refused_of_qwen3_next() {
    let qwen = checkpoints().into_iter().find(|of| of.model_type == "qwen3_next").unwrap();
    for (key, value) in [("mlp_only_layers", json!([0])), ("decoder_sparse_step", json!(2))] {
        let mut config = qwen.config.clone();
        config.insert(key.into(), value);
        assert!(qwen.read(&config).unwrap_err().contains("layer 0 has no experts, but"));
    }
}

/// Gemma 3 beside a picture's model: the text's settings are those of its own object.
#[test]
fn settings_of_a_nested_text_model_are_those_of_its_own_object() {
    let of = checkpoints().into_iter().find(|of| of.model_type == "gemma3_text").unwrap();
    let usual = of.read(&of.config).unwrap();
    let nested = |more: Json, text: Json| {
        let mut inner = of.config.clone();
        inner.extend(text.as_object().unwrap().clone());
        let mut outer = more.as_object().unwrap().clone();
        outer.insert("model_type".into(), "gemma3".into());
        outer.insert("text_config".into(), Json::Object(inner));
        outer
    };
    let outer = json!({"vision_config": {"hidden_size": 9}, "mm_tokens_per_image": 256, "hidden_size": 7,
        "sliding_window": 3});
    let config = nested(outer, json!({"model_type": null}));
    assert_eq!(of.read(&config), Ok(usual));
    let told = of.open(&config).unwrap().notes;
    assert!(told[0].ends_with(": hidden_size, sliding_window"), "{told:?}");
    let config = nested(json!({}), json!({"use_bidirectional_attention": true}));
    let told = of.read(&config).unwrap_err();
    assert!(told.contains("use_bidirectional_attention to true"), "{told}");
}

/// As transformers has it: a stored output counts, whatever is said of it.
#[test]
fn an_output_is_stored_or_tied() {
    let of = checkpoints().into_iter().find(|of| of.model_type == "llama").unwrap();
    let open = |tied: bool, without: &str| {
        let mut config = of.config.clone();
        config.insert("tie_word_embeddings".into(), json!(tied));
        let tensors = of.tensors.iter().filter(|tensor| !tensor.0.contains(without)).cloned();
        let source = folder(&Json::Object(config), &tensors.collect::<Vec<_>>());
        let checkpoint = block_on(open(&source)).map_err(|error| error.to_string())?;
        let there = |name: &str| checkpoint.tensor(name).is_some();
        Ok::<_, String>([there("token_embd.weight"), there("output.weight")])
    };
    assert_eq!(open(false, "nothing"), Ok([true, true]));
    assert_eq!(open(true, "nothing"), Ok([true, true]));
    assert_eq!(open(true, "lm_head"), Ok([true, false]));
    assert_eq!(open(true, "embed_tokens"), Ok([true, false]));
    let told = open(false, "lm_head").unwrap_err();
    assert!(told.contains("is not true, but there is no tensor"), "{told}");
}

/// What a GGUF file says beside what its family reads.
#[test]
fn keys_of_gguf_are_computed_or_refused_too() {
    let read = |key: &str, value: Value| {
        let bytes = Tiny::new().with(key, value).bytes();
        let checkpoint = block_on(open(&BytesSource::new("tiny.gguf", bytes))).unwrap();
        wisp_models::read(&checkpoint).map_err(|error| error.to_string())
    };
    for (key, neutral) in [
        ("llama.attention.clamp_kqv", 0.0),
        ("llama.attention.max_alibi_bias", 0.0),
        ("llama.swiglu_clamp_exp", 0.0),
        ("llama.swiglu_clamp_shexp", 0.0),
        ("llama.rope.scaling.yarn_ext_factor", 1.0),
    ] {
        assert!(read(key, Value::F32(neutral)).is_ok(), "{key}");
        let told = read(key, Value::F32(8.0)).unwrap_err();
        assert!(
            told.contains(&format!("sets {key}, which this version does not compute")),
            "{told}"
        );
    }
    let activation = |name: &str| read("llama.hidden_activation", Value::String(name.into()));
    assert_eq!(activation("relu").unwrap().config.activation, wisp_ops::Activation::Relu);
    assert!(activation("mish").unwrap_err().contains("to \"mish\", which this version does not"));
}

/// The table of CONFIG.md: a row a key, and what becomes of it in which families.
#[test]
fn the_table_is_written_down() {
    let mut rows: BTreeMap<&str, [Vec<String>; 3]> = BTreeMap::new();
    let types: Vec<_> = config_keys().collect();
    for (model_type, keys) in &types {
        for key in keys {
            let row = rows.entry(key).or_default();
            let (place, name) = match config_key(model_type, key).unwrap() {
                Effect::Honoured => (0, (*model_type).to_owned()),
                Effect::Only(only) => (1, format!("{model_type} `{}`", only.replace('|', "`, `"))),
                Effect::None => (2, (*model_type).to_owned()),
            };
            if !row[place].contains(&name) {
                row[place].push(name);
            }
        }
    }
    let cell = |names: &Vec<String>| {
        let all: Vec<&str> =
            names.iter().map(|name| name.split_once(' ').map_or("", |(_, v)| v)).collect();
        match names.len() == types.len() && all.iter().all(|v| *v == all[0]) {
            true => format!("all {}", all[0]).trim().to_owned(),
            false => names.join(", "),
        }
    };
    let row = |(key, cells): (&&str, &[Vec<String>; 3])| Row {
        facts: format!(
            "| `{key}` | {} | {} | {} |",
            cell(&cells[0]),
            cell(&cells[1]),
            cell(&cells[2])
        ),
        errors: Vec::new(),
    };
    let rows: Vec<Row> = rows.iter().map(row).collect();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/models/CONFIG.md");
    let header = "| key | honoured | refused but for | without effect |";
    readme::check(&path, "keys", header, &rows);
}
