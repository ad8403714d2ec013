//! Checkpoints of the hub, of every family, against what llama.cpp's converter makes of
//! them: names, shapes, numbers, and every metadata key that it writes. The golden data and
//! how a checkpoint's numbers follow from its names: `tests/golden/make_families.py`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use pollster::block_on;
use serde_json::{Value as Json, json};
use wisp_base::quant::decode;
use wisp_formats::{Array, Checkpoint, Source, Value};
use wisp_models::{DecoderConfig, FeedForward, Layer};
use wisp_runtime::open;
use wisp_tests::hub::{Tensor, f32_bytes, families, folder, sharded, sharded_as};

/// FNV-1a over the words of the numbers.
fn checksum(numbers: &[f32]) -> String {
    let fnv = |state: u64, n: &f32| (state ^ u64::from(n.to_bits())).wrapping_mul(0x0100_0000_01B3);
    format!("{:016x}", numbers.iter().fold(0xCBF2_9CE4_8422_2325, fnv))
}

/// A tensor as f32, a few rows at a time.
fn values(checkpoint: &Checkpoint, source: &dyn Source, name: &str) -> Vec<f32> {
    let tensor = checkpoint.tensor(name).unwrap();
    let mut all = Vec::new();
    for start in (0..tensor.rows()).step_by(7) {
        let count = 7.min(tensor.rows() - start) as usize;
        let bytes = block_on(checkpoint.rows(source, tensor, start, count)).unwrap();
        let mut numbers = vec![0.0; count * tensor.cols() as usize];
        decode(tensor.format, &bytes, &mut numbers).unwrap();
        all.extend(numbers);
    }
    all
}

fn same(ours: &Value, theirs: &Json) -> bool {
    match (ours, theirs) {
        (Value::Bool(a), Json::Bool(b)) => a == b,
        (Value::String(a), Json::String(b)) => a == b,
        (Value::Array(Array::Bool(a)), Json::Array(b)) => json!(a) == json!(b),
        (ours, theirs) => {
            let ours = ours.float().or(ours.integer().map(|whole| whole as f64));
            ours.map(|number| number as f32) == theirs.as_f64().map(|number| number as f32)
        }
    }
}

#[test]
fn every_family_reads_as_its_converted_file() {
    let mut seen = 0;
    let mut wrong = Vec::new();
    for family in families() {
        let (name, golden, source) = (&family.name, &family.golden, family.folder());
        let checkpoint = match block_on(open(&source)) {
            Ok(checkpoint) => checkpoint,
            Err(why) => {
                wrong.push(format!("{name}: {why}"));
                continue;
            }
        };
        let Some(theirs) = golden["canonical"]["tensors"].as_object() else { continue };
        for (tensor, facts) in theirs {
            let Some(ours) = checkpoint.tensor(tensor) else {
                wrong.push(format!("{name}: no tensor {tensor}"));
                continue;
            };
            if json!(ours.shape) != facts[0] {
                wrong.push(format!(
                    "{name}: {tensor} has the shape {:?}, not {}",
                    ours.shape, facts[0]
                ));
            }
            let ours = values(&checkpoint, &source, tensor);
            let near = |(ours, theirs): (&f32, &Json)| {
                (f64::from(*ours) / theirs.as_f64().unwrap() - 1.0).abs() < 1e-6
            };
            let alike = match &facts[1] {
                Json::Array(theirs) => ours.iter().zip(theirs).all(near),
                theirs => checksum(&ours) == *theirs,
            };
            if !alike {
                wrong.push(format!("{name}: {tensor} has other numbers"));
            }
        }
        for tensor in checkpoint.tensors.iter().filter(|t| !theirs.contains_key(&t.name)) {
            wrong.push(format!("{name}: {} is too much", tensor.name));
        }
        for (key, value) in golden["canonical"]["metadata"].as_object().unwrap() {
            match checkpoint.metadata.get(key) {
                Some(ours) if same(ours, value) => {}
                // Made up by its defaults.
                _ if key == "modern-bert.classifier.pooling_type" => {}
                ours => wrong.push(format!("{name}: {key} is {ours:?}, not {value}")),
            }
        }
        seen += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen >= 25, "{seen} families");
}

/// What a llama of one block needs beside `blk.0.attn_q`, none of which is read here.
fn tiny() -> Json {
    json!({"model_type": "llama", "hidden_size": 32, "num_attention_heads": 2,
        "num_hidden_layers": 1, "intermediate_size": 32, "max_position_embeddings": 64,
        "vocab_size": 8, "rope_theta": 10000.0, "torch_dtype": "float16"})
}

/// `o_proj` of a checkpoint that stores it in these tensors.
fn o_proj(more: Json, tensors: &[(&str, &'static str, &[u64], Vec<u8>)]) -> Vec<f32> {
    let mut config = tiny();
    config["quantization_config"] = more;
    let tensors: Vec<_> = tensors
        .iter()
        .map(|(end, dtype, shape, bytes)| {
            let name = format!("model.layers.0.self_attn.o_proj.{end}");
            (name, *dtype, shape.to_vec(), bytes.clone())
        })
        .collect();
    let source = folder(&config, &tensors);
    let checkpoint = block_on(open(&source)).unwrap();
    values(&checkpoint, &source, "blk.0.attn_output.weight")
}

fn words(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|n| n.to_le_bytes()).collect()
}

/// 16 inputs, 8 outputs, two groups: the four bits of (input, output), and of zeros.
fn four(input: usize, output: usize) -> u32 {
    ((input * 5 + output * 3) % 16) as u32
}

fn zero(group: usize, output: usize) -> u32 {
    ((group * 7 + output) % 15) as u32
}

fn scale(group: usize, output: usize) -> f32 {
    0.25 * (1 + group * 8 + output) as f32
}

fn scales() -> Vec<u8> {
    let all: Vec<f32> = (0..16).map(|at| scale(at / 8, at % 8)).collect();
    f32_bytes(&all)
}

#[test]
fn gptq_reads_with_its_order_of_groups() {
    // desc_act: input i is of group (i % 2).
    let pack =
        |place: &dyn Fn(usize) -> u32| (0..8).fold(0, |w, lane| w | place(lane) << (4 * lane));
    let qweight: Vec<u32> =
        (0..16).map(|at| pack(&|lane| four(at / 8 * 8 + lane, at % 8))).collect();
    let qzeros: Vec<u32> = (0..2).map(|group| pack(&|lane| zero(group, lane))).collect();
    let groups: Vec<u32> = (0..16).map(|input| input % 2).collect();
    let all = o_proj(
        json!({"quant_method": "gptq", "bits": 4, "group_size": 8}),
        &[
            ("qweight", "I32", &[2, 8], words(&qweight)),
            ("qzeros", "I32", &[2, 1], words(&qzeros)),
            ("scales", "F32", &[2, 8], scales()),
            ("g_idx", "I32", &[16], words(&groups)),
        ],
    );
    for (at, number) in all.iter().enumerate() {
        let (output, input) = (at / 16, at % 16);
        let group = input % 2;
        let steps = four(input, output) as f32 - zero(group, output) as f32 - 1.0;
        assert_eq!(*number, scale(group, output) * steps, "output {output}, input {input}");
    }
    assert_eq!(all.len(), 128);
}

#[test]
fn awq_reads_in_its_order_of_columns() {
    const ORDER: [usize; 8] = [0, 2, 4, 6, 1, 3, 5, 7];
    let pack = |place: &dyn Fn(usize) -> u32| {
        (0..8).fold(0, |w, lane| w | place(ORDER[lane]) << (4 * lane))
    };
    let qweight: Vec<u32> = (0..16).map(|input| pack(&|output| four(input, output))).collect();
    let qzeros: Vec<u32> = (0..2).map(|group| pack(&|output| zero(group, output))).collect();
    let all = o_proj(
        json!({"quant_method": "awq", "bits": 4, "group_size": 8, "version": "gemm"}),
        &[
            ("qweight", "I32", &[16, 1], words(&qweight)),
            ("qzeros", "I32", &[2, 1], words(&qzeros)),
            ("scales", "F32", &[2, 8], scales()),
        ],
    );
    for (at, number) in all.iter().enumerate() {
        let (output, input) = (at / 16, at % 16);
        let steps = four(input, output) as f32 - zero(input / 8, output) as f32;
        assert_eq!(*number, scale(input / 8, output) * steps, "output {output}, input {input}");
    }
    assert_eq!(all.len(), 128);
}

#[test]
fn fp8_reads_with_scales_of_blocks_rows_or_all() {
    // 1, −2, 0.5, 448 and the smallest in E4M3.
    let codes = [0x38u8, 0xC0, 0x30, 0x7E, 0x01];
    let means = [1.0f32, -2.0, 0.5, 448.0, 1.0 / 512.0];
    let bytes: Vec<u8> = (0..24).map(|at| codes[at % 5]).collect();
    let read = |end: &str, shape: &[u64], scales: &[f32]| {
        let block = json!({"quant_method": "fp8", "weight_block_size": [2, 4]});
        o_proj(
            block,
            &[
                ("weight", "F8_E4M3", &[4, 6], bytes.clone()),
                (end, "F32", shape, f32_bytes(scales)),
            ],
        )
    };
    let check = |all: Vec<f32>, scale: &dyn Fn(usize, usize) -> f32| {
        for (at, number) in all.iter().enumerate() {
            assert_eq!(*number, means[at % 5] * scale(at / 6, at % 6), "number {at}");
        }
        assert_eq!(all.len(), 24);
    };
    let blocks = [1.0, 2.0, 4.0, 8.0];
    check(read("weight_scale_inv", &[2, 2], &blocks), &|row, col| blocks[row / 2 * 2 + col / 4]);
    check(read("weight_scale", &[4, 1], &blocks), &|row, _| blocks[row]);
    check(read("weight_scale", &[], &[0.5]), &|_, _| 0.5);
}

/// llm-compressor's folders say how activations and the cache were quantized, too: nothing
/// that an engine needs whose activations have more digits.
#[test]
fn fp8_of_compressed_tensors_reads_beside_scales_of_activations() {
    // 1, −2, 0.5, 57,344 and the smallest in E5M2.
    let (codes, means) =
        ([0x3Cu8, 0xC0, 0x38, 0x7B, 0x01], [1.0f32, -2.0, 0.5, 57_344.0, 1.0 / 65_536.0]);
    let bytes: Vec<u8> = (0..24).map(|at| codes[at % 5]).collect();
    let config = json!({"quant_method": "compressed-tensors", "format": "float-quantized",
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": {"num_bits": 8}}}});
    for (weight_scale, shape) in [(vec![0.25; 4], vec![4u64, 1]), (vec![0.25], vec![1])] {
        let one = f32_bytes(&[3.0]);
        let all = o_proj(
            config.clone(),
            &[
                ("weight", "F8_E5M2", &[4, 6], bytes.clone()),
                ("weight_scale", "F32", &shape, f32_bytes(&weight_scale)),
                ("input_scale", "F32", &[1], one.clone()),
                ("output_scale", "F32", &[1], one.clone()),
                ("k_scale", "F32", &[1], one.clone()),
                ("v_scale", "F32", &[1], one),
            ],
        );
        let wanted: Vec<f32> = (0..24).map(|at| means[at % 5] * 0.25).collect();
        assert_eq!(all, wanted);
    }
}

#[test]
fn mxfp4_experts_read_with_gates_and_ups_in_turns() {
    let oss = families().into_iter().find(|family| family.name == "gpt_oss").unwrap();
    // Two experts of three gates and three ups, each of 32 numbers with one exponent.
    let sizes = json!({"hidden_size": 32, "intermediate_size": 3, "num_local_experts": 2});
    let code = |number: usize| (number * 7 + number / 32 * 3) % 16;
    let exponent = |row: usize| 120 + row;
    let blocks = (0..2 * 6 * 16).map(|at| (code(2 * at) | code(2 * at + 1) << 4) as u8).collect();
    let scales = (0..12).map(|row| exponent(row) as u8).collect();
    let name = |end: &str| format!("model.layers.0.mlp.experts.gate_up_proj_{end}");
    let tensors = [
        (name("blocks"), "U8", vec![2, 6, 1, 16], blocks),
        (name("scales"), "U8", vec![2, 6, 1], scales),
    ];
    let source = folder(&oss.config(sizes.as_object().unwrap()), &tensors);
    let checkpoint = block_on(open(&source)).unwrap();
    // OCP Microscaling Formats 1.0: E2M1, the sign in the highest bit.
    let magnitudes = [0.0f32, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0];
    let number = |row: usize, col: usize| {
        let code = code(row * 32 + col);
        let sign = if code < 8 { 1.0 } else { -1.0 };
        sign * magnitudes[code % 8] * 2f32.powi(exponent(row) as i32 - 127)
    };
    for (half, tensor) in
        ["blk.0.ffn_gate_exps.weight", "blk.0.ffn_up_exps.weight"].iter().enumerate()
    {
        assert_eq!(checkpoint.tensor(tensor).unwrap().shape, [32, 3, 2]);
        let wanted: Vec<f32> = (0..6)
            .flat_map(|at| (0..32).map(move |col| (at / 3 * 6 + at % 3 * 2 + half, col)))
            .map(|(row, col)| number(row, col))
            .collect();
        assert_eq!(values(&checkpoint, &source, tensor), wanted, "{tensor}");
    }
}

#[test]
fn sharded_folders_read_as_whole_ones_and_what_they_lack_is_named() {
    let llama = families().into_iter().find(|family| family.name == "llama").unwrap();
    let (config, tensors) = (llama.config(&serde_json::Map::new()), llama.tensors());
    let (whole, parts) = (llama.folder(), sharded(&config, &tensors, 3));
    let (one, two) = (block_on(open(&whole)).unwrap(), block_on(open(&parts)).unwrap());
    assert_eq!(one.tensors.len(), two.tensors.len());
    for tensor in &one.tensors {
        assert_eq!(values(&one, &whole, &tensor.name), values(&two, &parts, &tensor.name));
    }
    // The index names the second file, which has another name here.
    let lost = sharded_as(&config, &tensors, 3, |name| name.replace("model-1", "other"));
    let lost = block_on(open(&lost)).unwrap_err().to_string();
    assert!(lost.contains("there is no file model-1.safetensors"), "{lost}");
}

#[test]
fn what_is_wrong_with_a_folder_is_said() {
    let wrong = |config: Json, tensors: &[Tensor]| {
        block_on(open(&folder(&config, tensors))).unwrap_err().to_string()
    };
    let named = |name: &str| (name.to_owned(), "F32", vec![2], vec![0; 8]);
    let other = wrong(json!({"model_type": "x", "architectures": ["OtherForCausalLM"]}), &[]);
    assert!(other.contains("of the kind OtherForCausalLM, which this version does not read"));
    let unknown = wrong(tiny(), &[named("model.layers.0.other.weight")]);
    assert!(unknown.contains("there is a tensor model.layers.0.other.weight, which this version"));
    let mut scaled = tiny();
    scaled["rope_scaling"] = json!({"type": "other"});
    assert!(wrong(scaled, &[]).contains("config.json scales RoPE by \"other\", which"));
}

/// Which layers see a window.
fn windows(config: &DecoderConfig) -> impl Iterator<Item = bool> {
    config.layers.iter().map(|layer| layer.attention().unwrap().window.is_some())
}

/// Which layers rotate queries and keys.
fn rotates(config: &DecoderConfig) -> impl Iterator<Item = bool> {
    config.layers.iter().map(|layer| layer.attention().unwrap().rope == 0)
}

/// What a family takes for granted is only what holds where the file does not say.
#[test]
fn settings_that_a_family_does_not_expect_reach_the_model() {
    type Check = fn(&DecoderConfig) -> bool;
    let windowed: Check = |c| windows(c).eq([false, true]);
    let every_other: Check = |c| windows(c).enumerate().all(|(at, has)| has == (at % 2 == 0));
    let listed: Check = |c| rotates(c).eq([true, false, false, true, true]);
    let interval: Check = |c| rotates(c).eq([true, true, false, true, true]);
    let cases: [(&str, Json, Check); 9] = [
        ("gemma2", json!({"layer_types": ["full_attention", "sliding_attention"]}), windowed),
        ("gemma3", json!({"layer_types": null, "sliding_window_pattern": 2}), every_other),
        ("gpt_oss", json!({"layer_types": ["full_attention", "sliding_attention"]}), windowed),
        ("qwen3_moe", json!({"norm_topk_prob": false}), |c| !c.experts.unwrap().normalize),
        ("olmoe", json!({"norm_topk_prob": true}), |c| c.experts.unwrap().normalize),
        ("smollm3", json!({"no_rope_layers": [1, 0, 0, 1, true]}), listed),
        ("smollm3", json!({"no_rope_layers": null, "no_rope_layer_interval": 3}), interval),
        ("gemma2", json!({"query_pre_attn_scalar": 4}), |c| c.attention_scale == Some(0.5)),
        (
            "llama_yarn",
            json!({"rope_parameters": {"rope_type": "yarn", "factor": 4.0, "rope_theta": 1e4,
                "attention_factor": 1.5, "original_max_position_embeddings": 32}}),
            |c| c.ropes[0].scale == 1.5,
        ),
    ];
    let families = families();
    for (name, settings, check) in cases {
        let family = families.iter().find(|family| family.name == name).unwrap();
        let source = family.folder_with(settings.as_object().unwrap());
        let checkpoint = block_on(open(&source)).unwrap();
        let config = wisp_models::read(&checkpoint).unwrap().config;
        assert!(check(&config), "{name} with {settings}: {config:?}");
    }
}

/// What is said of layers of two kinds must be what the tensors are.
#[test]
fn dense_layers_among_sparse_ones_are_as_config_json_says() {
    let families = families();
    let family = |name: &str| families.iter().find(|family| family.name == name).unwrap();
    let dense = |name: &str| {
        let checkpoint = block_on(open(&family(name).folder())).unwrap();
        let layers = wisp_models::read(&checkpoint).unwrap().config.layers;
        let dense = |layer: &Layer| matches!(layer.feed_forward, FeedForward::Dense { .. });
        layers.iter().map(dense).collect::<Vec<_>>()
    };
    assert_eq!(dense("qwen3_moe_mlp_only"), [true, false, true, false]);
    assert_eq!(dense("qwen2_moe_sparse_step"), [true, false, true]);
    assert_eq!(dense("qwen3_moe"), [false; 2]);
    for (name, settings, says) in [
        (
            "qwen3_moe_mlp_only",
            json!({"mlp_only_layers": [2]}),
            "layer 0 has experts, but there are none",
        ),
        (
            "qwen3_moe_mlp_only",
            json!({"mlp_only_layers": [0, 1, 2]}),
            "layer 1 has no experts, but",
        ),
        ("qwen2_moe_sparse_step", json!({"decoder_sparse_step": 1}), "layer 0 has experts, but"),
        ("qwen2_moe_sparse_step", json!({"decoder_sparse_step": 0}), "decoder_sparse_step"),
        ("qwen3_moe", json!({"mlp_only_layers": ["a"]}), "mlp_only_layers"),
        ("smollm3", json!({"no_rope_layers": [1, 0]}), "no_rope_layers"),
        (
            "smollm3",
            json!({"no_rope_layers": null, "no_rope_layer_interval": 0}),
            "no_rope_layer_interval",
        ),
    ] {
        let source = family(name).folder_with(settings.as_object().unwrap());
        let error = block_on(open(&source)).unwrap_err().to_string();
        assert!(error.contains(says), "{name} with {settings}: {error}");
    }
}

/// Older releases of transformers saved buffers with the weights, and some tools save numbers of
/// 64 bits: the first are ignored, the second cast, as transformers does with both.
#[test]
fn buffers_are_ignored_and_doubles_are_cast() {
    let families = families();
    let family = |name: &str| families.iter().find(|family| family.name == name).unwrap();
    let none = serde_json::Map::new();
    for (name, buffers) in [
        (
            "llama",
            &["model.layers.0.self_attn.rotary_emb.inv_freq", "model.rotary_emb.inv_freq"][..],
        ),
        (
            "gpt2",
            &["transformer.h.0.attn.bias", "transformer.h.1.attn.masked_bias", "h.0.attn.bias"],
        ),
        (
            "gpt_neox",
            &[
                "gpt_neox.layers.0.attention.bias",
                "gpt_neox.layers.0.attention.masked_bias",
                "gpt_neox.layers.1.attention.rotary_emb.inv_freq",
                "gpt_neox.layers.1.attention.rotary_emb.cos_cached",
            ],
        ),
        ("bert", &["bert.embeddings.position_ids", "embeddings.token_type_ids", "position_ids"]),
    ] {
        let family = family(name);
        let mut tensors = family.tensors();
        for name in buffers {
            tensors.push(((*name).to_owned(), "I64", vec![1, 2], vec![0; 16]));
        }
        let with = block_on(open(&folder(&family.config(&none), &tensors))).unwrap();
        let without = block_on(open(&family.folder())).unwrap();
        let names = |c: &Checkpoint| c.tensors.iter().map(|t| t.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&with), names(&without), "{name}");
    }
    // Every way in which a tensor's rows are taken: as they are, in another order, across, with
    // one added.
    for name in ["llama", "gpt2", "gemma2", "deepseek_v3", "granitemoe"] {
        let family = family(name);
        let mut tensors = family.tensors();
        for (_, dtype, _, bytes) in &mut tensors {
            let floats = bytes.as_chunks().0.iter().map(|b| f64::from(f32::from_le_bytes(*b)));
            *bytes = floats.flat_map(f64::to_le_bytes).collect();
            *dtype = "F64";
        }
        let (singles, doubles) = (family.folder(), folder(&family.config(&none), &tensors));
        let (ours, theirs) = (block_on(open(&doubles)).unwrap(), block_on(open(&singles)).unwrap());
        for tensor in &theirs.tensors {
            let (got, want) =
                (values(&ours, &doubles, &tensor.name), values(&theirs, &singles, &tensor.name));
            assert_eq!(got, want, "{name}: {}", tensor.name);
        }
    }
}

/// A setting that is missing goes by the name that the file would have it under.
#[test]
fn what_is_missing_is_named_as_it_was_looked_for() {
    for family in families() {
        let wanted = match family.name.as_str() {
            "gpt2" | "gpt_neox" | "gpt_neox_serial" | "bert" | "nomic_bert" => "layer_norm_ep",
            "modernbert" => "norm_eps",
            _ => "rms_norm_eps",
        };
        let source = family.folder_with(&serde_json::Map::new());
        let mut checkpoint = block_on(open(&source)).unwrap();
        let arch = checkpoint.metadata.str("general.architecture").unwrap().to_owned();
        let key = match wanted {
            "layer_norm_ep" => format!("{arch}.attention.layer_norm_epsilon"),
            _ => format!("{arch}.attention.layer_norm_rms_epsilon"),
        };
        for (key, name) in [(key, wanted), (format!("{arch}.block_count"), "num_hidden_layers")] {
            let less = without(&checkpoint, &key);
            let whole = std::mem::replace(&mut checkpoint.metadata, less);
            let error = wisp_models::read(&checkpoint).unwrap_err().to_string();
            assert!(error.contains("config.json has no") && error.contains(name), "{error}");
            checkpoint.gguf_version = Some(3);
            let error = wisp_models::read(&checkpoint).unwrap_err().to_string();
            assert!(error.contains(&format!("metadata key {key} is missing")), "{error}");
            checkpoint.gguf_version = None;
            checkpoint.metadata = whole;
        }
    }
}

/// The metadata without one key.
fn without(checkpoint: &Checkpoint, key: &str) -> wisp_formats::Metadata {
    let mut metadata = wisp_formats::Metadata::new("");
    for (own, value) in checkpoint.metadata.iter().filter(|(own, _)| *own != key) {
        metadata.insert(own, value.clone()).unwrap();
    }
    metadata
}
