//! Checkpoints whose weights are floats of 8 or 4 bits with scales: they stay so on the
//! device, and nothing of them is rounded. The data: `golden/make_scaled.py`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use pollster::block_on;
use serde_json::json;
use wisp_base::Format;
use wisp_base::quant::{decode, encode_float, repacked_words};
use wisp_formats::{Checkpoint, Source};
use wisp_runtime::{EngineOptions, open, plan_memory};
use wisp_tests::hub::{Family, Tensor, folder, scaled};
use wisp_tests::readme::{self, Row};
use wisp_tests::{load_from, relative_l2};

/// Weights and bytes on a device, by format.
fn formats(checkpoint: &Checkpoint) -> BTreeMap<Format, (u64, u64)> {
    let mut formats = BTreeMap::new();
    for tensor in &checkpoint.tensors {
        let (rows, cols) = (tensor.rows() as usize, tensor.cols() as usize);
        let (quants, scales) = repacked_words(tensor.format, rows, cols);
        let sum: &mut (u64, u64) = formats.entry(tensor.format).or_default();
        sum.0 += tensor.weights();
        sum.1 += 4 * (quants + scales) as u64;
    }
    formats
}

/// What is beside the errors in a checkpoint's row of the formats' README.
fn facts(family: &Family, checkpoint: &Checkpoint) -> String {
    let config = family.config(&serde_json::Map::new());
    let method = config["quantization_config"]["quant_method"].as_str().unwrap().to_owned();
    let mut formats = formats(checkpoint);
    formats.retain(|format, _| *format != Format::F32);
    let bits = |(format, (weights, bytes)): (Format, (u64, u64))| {
        format!("{format}: {:.2}", bytes as f64 * 8.0 / weights as f64)
    };
    let bits: Vec<_> = formats.into_iter().map(bits).collect();
    format!("| {} | {method} | {} |", family.name, bits.join(", "))
}

#[test]
fn logits_are_those_of_pytorch() {
    let (mut wrong, mut rows) = (Vec::new(), Vec::new());
    for family in scaled() {
        let name = &family.name;
        let tokens: Vec<u32> = serde_json::from_value(family.golden["tokens"].clone()).unwrap();
        let (want, source) = (family.logits(), family.folder());
        let size = relative_l2(&vec![0.0; want.len()], &want, 1.0);
        let mut errors = vec![0.0f64; 2]; // in f32, in f16
        // As in families.rs: each in one f32 variant.
        let f32_caps = ["f16=off", "subgroups=off,f16=off"][rows.len() % 2];
        for (caps, bound, error) in [(f32_caps, 1e-5, 0), ("", 2e-2, 1)] {
            let error = &mut errors[error];
            let options =
                EngineOptions { caps: caps.into(), ctx: Some(128), ..EngineOptions::default() };
            let loaded = load_from(&source, options);
            let (mut engine, _) = loaded.unwrap_or_else(|why| panic!("{name}: {why}"));
            let whole = block_on(engine.logits(&tokens, true, None)).unwrap();
            let steps = block_on(engine.logits(&tokens, true, Some(1))).unwrap();
            for got in [whole, steps] {
                *error = error.max(relative_l2(&got, &want, size));
            }
            // In f16 a token may go to another expert, where two are nearly as good.
            if *error > bound && !(bound > 1e-3 && name.ends_with("experts")) {
                wrong.push(format!("{name} with {caps:?}: {error:e}"));
            }
        }
        let facts = facts(&family, &block_on(open(&source)).unwrap());
        println!("{facts} {errors:?}");
        rows.push(Row { facts, errors });
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/formats/README.md");
    let header = "| checkpoint | quant_method | on the GPU: bits a weight | f32, largest error | \
                  f16, largest error |";
    readme::check(&readme, "scaled", header, &rows);
}

fn numbers(checkpoint: &Checkpoint, source: &dyn Source, name: &str) -> Vec<f32> {
    block_on(checkpoint.vector(source, checkpoint.tensor(name).unwrap())).unwrap()
}

/// 8.25 bits in blocks of 128, 9 in blocks of 32; f32 only where rows are neither.
#[test]
fn memory_is_planned_for_8_bits_a_weight() {
    for (name, expected) in [
        ("fp8_blocks", [(Format::F8_E4M3_128, 8.25)].as_slice()),
        ("fp8_ragged", &[(Format::F8_E4M3_32, 9.0)]),
        ("fp8_tensor", &[(Format::F8_E4M3_128, 8.25)]),
        ("fp8_rows", &[(Format::F8_E4M3_128, 8.25)]),
        ("fp8_groups", &[(Format::F8_E4M3_32, 9.0)]),
        ("fp8_latent", &[(Format::F8_E4M3_128, 8.25)]),
        ("fp8_experts", &[(Format::F8_E4M3_128, 8.25)]),
        ("mxfp4_experts", &[(Format::MXFP4, 4.25)]),
    ] {
        let family = scaled().into_iter().find(|family| family.name == name).unwrap();
        let checkpoint = block_on(open(&family.folder())).unwrap();
        let mut formats = formats(&checkpoint);
        let rest = formats.remove(&Format::F32).unwrap();
        let bits = formats
            .iter()
            .map(|(format, (weights, bytes))| (*format, *bytes as f64 * 8.0 / *weights as f64));
        assert_eq!(bits.collect::<Vec<_>>(), expected, "{name}");
        // Beside the embedding, norms and the like: the columns of `fp8_ragged` that no
        // block divides.
        let ragged = checkpoint.tensors.iter().filter(|t| t.name.ends_with("ffn_down.weight"));
        let ragged = ragged.filter(|t| t.format == Format::F32).count();
        assert_eq!(ragged, if name == "fp8_ragged" { 2 } else { 0 }, "{name}");
        let options = EngineOptions { ctx: Some(128), ..EngineOptions::default() };
        let plan = plan_memory(&checkpoint, &options).unwrap();
        let packed: u64 = formats.values().map(|(_, bytes)| bytes).sum();
        // Tables of RoPE, and vectors that are padded.
        let more = packed + rest.1..packed + rest.1 + 256 * 1024;
        assert!(more.contains(&plan.weights), "{name}: {} of {more:?}", plan.weights);
    }
}

/// `wisp quantize` reads them as the numbers that they stand for.
#[test]
fn they_are_recast_exactly() {
    for family in scaled() {
        let source = family.folder();
        let stored = block_on(open(&source)).unwrap();
        let mut recast = block_on(open(&source)).unwrap();
        let encode = |_: &wisp_formats::TensorInfo, _: u64, numbers: &[f32]| {
            encode_float(Format::F32, numbers, 0)
        };
        recast.recast(|_| Format::F32, Rc::new(encode)).unwrap();
        for tensor in &stored.tensors {
            let name = &tensor.name;
            let bytes = block_on(stored.rows(&source, tensor, 0, tensor.rows() as usize)).unwrap();
            let mut want = vec![0.0; tensor.weights() as usize];
            decode(tensor.format, &bytes, &mut want).unwrap();
            assert_eq!(numbers(&recast, &source, name), want, "{} {name}", family.name);
        }
    }
}

/// A matrix of a llama of one layer, in E4M3 or another type of 8 bits, with scales if there
/// are any.
fn try_matrix(
    dtype: &'static str,
    shape: [u64; 2],
    codes: Vec<u8>,
    scales: (&'static str, &[u64], Vec<u8>),
    method: serde_json::Value,
) -> (wisp_formats::FolderSource, wisp_base::Result<Checkpoint>) {
    let config = json!({"model_type": "llama", "hidden_size": 256, "num_attention_heads": 2,
        "num_hidden_layers": 1, "intermediate_size": 256, "max_position_embeddings": 64,
        "vocab_size": 8, "rope_theta": 10000.0, "quantization_config": method});
    let name = |end: &str| format!("model.layers.0.self_attn.o_proj.{end}");
    let mut tensors: Vec<Tensor> = vec![(name("weight"), dtype, shape.to_vec(), codes)];
    if !scales.2.is_empty() {
        tensors.push((name("weight_scale"), scales.0, scales.1.to_vec(), scales.2));
    }
    let source = folder(&config, &tensors);
    let checkpoint = block_on(open(&source));
    (source, checkpoint)
}

fn matrix(
    dtype: &'static str,
    shape: [u64; 2],
    codes: Vec<u8>,
    scales: (&'static str, &[u64], Vec<u8>),
    method: serde_json::Value,
) -> (wisp_formats::FolderSource, Checkpoint) {
    let (source, checkpoint) = try_matrix(dtype, shape, codes, scales, method);
    (source, checkpoint.unwrap())
}

const OUT: &str = "blk.0.attn_output.weight";

/// What 8 bits stand for, by the definition: sign, exponent, mantissa.
fn float8(code: u8, mantissa: u32, bias: i32) -> f32 {
    let exponent = i32::from(code & 0x7f) >> mantissa;
    let steps = f32::from(code & ((1 << mantissa) - 1)) / (1 << mantissa) as f32;
    let size = match exponent {
        0 => steps * 2f32.powi(1 - bias),
        _ => (1.0 + steps) * 2f32.powi(exponent - bias),
    };
    if code < 128 { size } else { -size }
}

/// Every code with every kind of scale.
#[test]
fn every_code_is_read_with_every_kind_of_scale() {
    let codes: Vec<u8> = (0..=255).map(|code| if code & 127 == 127 { 0 } else { code }).collect();
    let two = [codes.clone(), codes.iter().rev().copied().collect()].concat();
    let words = |numbers: &[f32]| -> Vec<u8> {
        numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
    };
    let digits = [0.3f32, -0.7, 1.1, 3.7];
    let upper = |number: f32| f32::from_bits(number.to_bits() & 0xffff_0000);
    let halves = |numbers: &[f32]| -> Vec<u8> {
        numbers.iter().flat_map(|n| ((n.to_bits() >> 16) as u16).to_le_bytes()).collect()
    };
    type Scale<'a> = &'a dyn Fn(usize, usize) -> f32;
    type Case<'a> = (&'static str, &'a [u64], Vec<u8>, Scale<'a>, Format);
    let cases: [Case<'_>; 7] = [
        ("F32", &[], words(&digits[..1]), &|_, _| digits[0], Format::F8_E4M3_128),
        ("F32", &[2], words(&digits[..2]), &|row, _| digits[row], Format::F8_E4M3_128),
        ("F32", &[2, 1], words(&digits[..2]), &|row, _| digits[row], Format::F8_E4M3_128),
        ("F32", &[1, 2], words(&digits[..2]), &|_, col| digits[col / 128], Format::F8_E4M3_128),
        (
            "BF16",
            &[2, 2],
            halves(&digits),
            &|row, col| upper(digits[row * 2 + col / 128]),
            Format::F8_E4M3_128,
        ),
        // Groups of 32 with powers of two, as MXFP8 has them.
        (
            "F8_E8M0",
            &[2, 8],
            (120..136).collect(),
            &|row, col| 2f32.powi((row * 8 + col / 32) as i32 - 7),
            Format::F8_E4M3_32,
        ),
        // 16 columns a scale: no format has such blocks.
        (
            "F32",
            &[1, 16],
            words(&[digits; 4].concat()),
            &|_, col| digits[col / 16 % 4],
            Format::F32,
        ),
    ];
    for (dtype, shape, bytes, scale, format) in cases {
        let scales = (dtype, shape, bytes);
        let (source, checkpoint) = matrix("F8_E4M3", [2, 256], two.clone(), scales, json!({}));
        assert_eq!(checkpoint.tensor(OUT).unwrap().format, format, "{dtype} {shape:?}");
        for (at, got) in numbers(&checkpoint, &source, OUT).into_iter().enumerate() {
            let want = float8(two[at], 3, 7) * scale(at / 256, at % 256);
            assert_eq!(got.to_bits(), want.to_bits(), "{dtype} {shape:?}, number {at}");
        }
    }
    // E5M2 with scales is given as f32.
    let codes: Vec<u8> = (0..=255).map(|code| if code & 127 > 123 { 0 } else { code }).collect();
    let scales = ("F32", [1].as_slice(), words(&digits[..1]));
    let (source, checkpoint) = matrix("F8_E5M2", [1, 256], codes.clone(), scales, json!({}));
    for (code, got) in codes.into_iter().zip(numbers(&checkpoint, &source, OUT)) {
        assert_eq!(got.to_bits(), (float8(code, 2, 15) * digits[0]).to_bits());
    }
    // Without scales they are as they are, whatever the columns.
    for (dtype, format, mantissa, bias) in
        [("F8_E4M3", Format::F8_E4M3, 3, 7), ("F8_E5M2", Format::F8_E5M2, 2, 15)]
    {
        let codes: Vec<u8> = (0..=123).chain(128..=251).collect();
        let none = ("F32", [].as_slice(), Vec::new());
        let (source, checkpoint) = matrix(dtype, [8, 31], codes.clone(), none, json!({}));
        assert_eq!(checkpoint.tensor(OUT).unwrap().format, format);
        for (code, got) in codes.into_iter().zip(numbers(&checkpoint, &source, OUT)) {
            assert_eq!(got.to_bits(), float8(code, mantissa, bias).to_bits());
        }
    }
}

/// Blocks that config.json names, where they cannot be told from the number of scales.
#[test]
fn blocks_are_those_of_the_configuration() {
    let fp8 = json!({"quant_method": "fp8", "weight_block_size": [128, 128]});
    let weights = json!({"strategy": "block", "block_structure": [128, 128]});
    let compressed = json!({"quant_method": "compressed-tensors",
        "config_groups": {"group_0": {"weights": weights}}});
    for (method, rows) in [(fp8, 128), (compressed, 128), (json!({}), 96)] {
        let scales: Vec<u8> = [1.0f32, 2.0].iter().flat_map(|n| n.to_le_bytes()).collect();
        let scales = ("F32", [2, 1].as_slice(), scales);
        let codes = vec![0x38; 192 * 128];
        let (source, checkpoint) = matrix("F8_E4M3", [192, 128], codes, scales, method);
        let all = numbers(&checkpoint, &source, OUT);
        let ones = all.iter().filter(|number| **number == 1.0).count();
        assert_eq!((ones, all.len()), (rows * 128, 192 * 128));
    }
}

#[test]
fn scales_that_are_missing_or_too_few_are_refused() {
    let error = |scales: (&'static str, &'static [u64], usize)| {
        let (dtype, shape, bytes) = scales;
        let method = json!({"quant_method": "fp8", "weight_block_size": [128, 128]});
        let scales = (dtype, shape, vec![0; bytes]);
        try_matrix("F8_E4M3", [192, 256], vec![0; 192 * 256], scales, method).1.unwrap_err()
    };
    let missing = error(("F32", &[], 0)).to_string();
    assert!(missing.contains("o_proj.weight_scale is missing, which"), "{missing}");
    for few in [("F32", [5, 1].as_slice(), 20), ("F32", &[2, 2, 1], 16), ("I8", &[2, 2], 4)] {
        let few = error(few).to_string();
        assert!(few.contains("in a way that this version does not read"), "{few}");
    }
}

#[test]
fn what_is_not_finite_is_refused_by_its_name_and_place() {
    let error = |dtype: &'static str, codes: Vec<u8>, scale: f32, cols: u64| {
        let scales = ("F32", [1].as_slice(), scale.to_le_bytes().to_vec());
        let (source, checkpoint) = matrix(dtype, [2, cols], codes, scales, json!({}));
        let tensor = checkpoint.tensor(OUT).unwrap();
        let rows = block_on(checkpoint.rows(&source, tensor, 0, 2));
        rows.map_err(|error| error.to_string()).map(|_| ()).unwrap_err()
    };
    let bad = |cols: usize, at: usize, code: u8| {
        let mut codes = vec![1; 2 * cols];
        codes[at] = code;
        codes
    };
    let of = "tensor model.layers.0.self_attn.o_proj.weight: number";
    for (cols, at) in [(256, 300), (96, 100), (40, 77)] {
        for code in [0x7f, 0xff] {
            let error = error("F8_E4M3", bad(cols, at, code), 1.0, cols as u64);
            assert!(error.starts_with(&format!("{of} {at} is NaN")), "{error}");
        }
        for code in [0x7c, 0x7d, 0xfc, 0xff] {
            let error = error("F8_E5M2", bad(cols, at, code), 1.0, cols as u64);
            assert!(error.starts_with(&format!("{of} {at} is NaN")), "{error}");
        }
    }
    let scale = error("F8_E4M3", vec![1; 512], f32::NAN, 256);
    assert!(scale.contains("o_proj.weight_scale: number 0 is NaN"), "{scale}");
    let large = error("F8_E4M3", bad(256, 300, 0x7e), 1e36, 256);
    assert!(large.starts_with(&format!("{of} 300 is NaN or too large")), "{large}");
    let oss = scaled().into_iter().find(|family| family.name == "mxfp4_experts").unwrap();
    let mut tensors = oss.tensors();
    let name = "model.layers.1.mlp.experts.down_proj_scales";
    let scales = tensors.iter_mut().find(|tensor| tensor.0 == name).unwrap();
    scales.3[7] = 255;
    let source = folder(&oss.config(&serde_json::Map::new()), &tensors);
    let checkpoint = block_on(open(&source)).unwrap();
    let down = checkpoint.tensor("blk.1.ffn_down_exps.weight").unwrap();
    let rows = block_on(checkpoint.rows(&source, down, 0, down.rows() as usize));
    let error = rows.unwrap_err().to_string();
    assert!(error.contains("experts.down_proj_blocks: number 224 is NaN"), "{error}");
}
