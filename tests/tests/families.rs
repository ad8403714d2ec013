//! Every family against PyTorch: a tiny checkpoint as a folder of the hub, its logits at
//! all positions, in one pass and a token at a time. The data, and how a checkpoint's
//! numbers follow from its names: `golden/make_families.py`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

use pollster::block_on;
use serde_json::json;
use wisp_base::Format;
use wisp_base::quant::encode;
use wisp_runtime::EngineOptions;
use wisp_tests::hub::{Family, families, folder};
use wisp_tests::readme::{self, Row};
use wisp_tests::{load_from, relative_l2};

/// Largest relative L2 error over all positions.
fn worst(got: &[f32], want: &[f32], tokens: usize) -> f64 {
    assert_eq!(got.len(), want.len());
    let cols = want.len() / tokens;
    let rows = got.chunks_exact(cols).zip(want.chunks_exact(cols));
    let error = |(got, want): (&[f32], &[f32])| {
        let size: f64 = want.iter().map(|w| f64::from(*w).powi(2)).sum();
        relative_l2(got, want, size.sqrt())
    };
    rows.map(error).fold(0.0, f64::max)
}

/// What is beside the errors in a family's row of the models' README.
fn facts(family: &Family) -> String {
    let checkpoint = block_on(wisp_runtime::open(&family.folder())).unwrap();
    let arch = checkpoint.metadata.str("general.architecture").unwrap();
    // Its converter ends with an error where dense layers stand among sparse ones.
    let converted = if family.golden.get("canonical").is_some() { "yes" } else { "it does not" };
    format!("| {} | `{arch}` | {converted} |", family.name)
}

#[test]
fn every_family_agrees_with_pytorch() {
    let mut wrong = Vec::new();
    let mut rows = Vec::new();
    for family in families() {
        let name = &family.name;
        let tokens: Vec<u32> = serde_json::from_value(family.golden["tokens"].clone()).unwrap();
        let (want, source) = (family.logits(), family.folder());
        let mut row = Row { facts: facts(&family), errors: Vec::new() };
        // Caps in turn: each family in one f32 variant, in an f16 one too where routing
        // does not depend on the last digit.
        let f32_caps = ["f16=off", "subgroups=off,f16=off"][rows.len() % 2];
        for (caps, bound) in [(f32_caps, 1e-4), ("", 2e-2)] {
            let options =
                EngineOptions { caps: caps.into(), ctx: Some(128), ..EngineOptions::default() };
            let loaded = load_from(&source, options);
            let (mut engine, _) = loaded.unwrap_or_else(|error| panic!("{name}: {error}"));
            let whole = block_on(engine.logits(&tokens, true, None)).unwrap();
            let steps = block_on(engine.logits(&tokens, true, Some(1))).unwrap();
            let errors = [&whole, &steps].map(|got| worst(got, &want, tokens.len()));
            println!("{name:16} {caps:22} {:.1e} {:.1e}", errors[0], errors[1]);
            row.errors.push(errors[0].max(errors[1]));
            // In f16 a token may go to another expert, where two are nearly as good.
            let golden = family.golden.to_string();
            let routed = ["ffn_gate_inp", ".experts."].iter().any(|name| golden.contains(name));
            let may_turn = bound > 1e-3 && routed;
            if !may_turn && errors.iter().any(|error| *error > bound) {
                wrong.push(format!("{name} with {caps:?}: {errors:?}"));
            }
        }
        rows.push(row);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(rows.len() >= 30, "{} families", rows.len());
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/models/README.md");
    let header = "| checkpoint | `general.architecture` | as llama.cpp converts it | f32, largest \
                  error | f16, largest error |";
    readme::check(&readme, "families", header, &rows);
}

#[test]
fn a_context_beyond_the_trained_one_is_refused_where_rope_would_change_with_it() {
    let llama = families().into_iter().find(|family| family.name == "llama").unwrap();
    let rope = json!({"rope_parameters": {"rope_type": "dynamic", "factor": 2.0}});
    let load = |ctx: usize| {
        let options = EngineOptions { ctx: Some(ctx), ..EngineOptions::default() };
        load_from(&llama.folder_with(rope.as_object().unwrap()), options).map(|_| ())
    };
    load(128).unwrap();
    let error = load(129).unwrap_err().to_string();
    assert!(error.contains("does not compute its dynamic RoPE: give ctx 128"), "{error}");
}

#[test]
fn a_context_beyond_the_table_of_positions_is_refused() {
    let gpt2 = families().into_iter().find(|family| family.name == "gpt2").unwrap();
    let options = EngineOptions { ctx: Some(129), ..EngineOptions::default() };
    let error = load_from(&gpt2.folder(), options).err().unwrap().to_string();
    assert!(error.contains("a table of 128 positions"), "{error}");
}

/// Files mix types as they like: the numbers, which 16 bits hold, are the same.
#[test]
fn gates_and_ups_of_two_formats_agree_with_pytorch() {
    let mixed = ["llama_linear", "gemma2", "qwen3_moe", "qwen2_moe", "mixtral", "deepseek_v3"];
    let families = families().into_iter().filter(|family| mixed.contains(&&*family.name));
    for (at, family) in families.enumerate() {
        let name = &family.name;
        let mut tensors = family.tensors();
        let mut smaller = 0;
        for (tensor, dtype, _, bytes) in &mut tensors {
            let up = tensor.contains("up_proj.weight") || tensor.ends_with(".w3.weight");
            if up || tensor.ends_with("k_proj.weight") {
                let floats: Vec<f32> =
                    bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
                *bytes = encode(Format::F16, &floats, None).unwrap();
                *dtype = "F16";
                smaller += 1;
            }
        }
        assert!(smaller >= 2, "{name}: {smaller}");
        let source = folder(&family.config(&serde_json::Map::new()), &tensors);
        let tokens: Vec<u32> = serde_json::from_value(family.golden["tokens"].clone()).unwrap();
        let caps = ["f16=off", "subgroups=off,f16=off"][at % 2];
        let options =
            EngineOptions { caps: caps.into(), ctx: Some(128), ..EngineOptions::default() };
        let mut engine = load_from(&source, options).unwrap_or_else(|e| panic!("{name}: {e}")).0;
        let whole = block_on(engine.logits(&tokens, true, None)).unwrap();
        let steps = block_on(engine.logits(&tokens, true, Some(1))).unwrap();
        for got in [whole, steps] {
            let error = worst(&got, &family.logits(), tokens.len());
            println!("{name:16} {caps:22} {error:.1e}");
            assert!(error < 1e-4, "{name} with {caps}: {error}");
        }
    }
}
