//! Folders whose weights are floats of 8 and 4 bits with scales.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::run_model;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Map, Value as Json, json};
use std::path::Path;
use tempfile::TempDir;

/// Shapes and configuration of a checkpoint of `wisp-tests`, with bytes of our own and a
/// tokenizer, on the disk.
fn folder(name: &str) -> TempDir {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/scaled").join(name);
    let read = |name: &str| std::fs::read(golden.join(name)).unwrap();
    let listed: Json = serde_json::from_slice(&read("golden.json")).unwrap();
    let (mut tensors, mut seed) = (Vec::new(), 1_u32);
    for tensor in listed["tensors"].as_array().unwrap() {
        let shape: Vec<usize> = serde_json::from_value(tensor[1].clone()).unwrap();
        let (mut data, count) = (Vec::<u8>::new(), shape.iter().product::<usize>());
        let kind = tensor[2].as_str().unwrap();
        for _ in 0..count {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            match kind {
                "fp8" | "bytes" => data.push((seed >> 24) as u8 & 0xef),
                "exponents" => data.push(120 + (seed >> 31) as u8),
                "scales" => data.extend((0.001 + seed as f32 * 1e-13).to_le_bytes()),
                _ => data.extend((seed as f32 / 4e9).to_le_bytes()),
            }
        }
        let dtype = match kind {
            "fp8" => Dtype::F8_E4M3,
            "bytes" | "exponents" => Dtype::U8,
            _ => Dtype::F32,
        };
        tensors.push((tensor[0].as_str().unwrap(), dtype, shape, data));
    }
    let vocab: Map<_, _> = (0..131)
        .map(|id| (if id == 0 { "[UNK]".into() } else { format!("w{id}") }, json!(id)))
        .collect();
    let tokenizer = json!({"added_tokens": [], "normalizer": {"type": "BertNormalizer"},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": vocab}});
    let views = tensors.iter().map(|(name, dtype, shape, data)| {
        (name, TensorView::new(*dtype, shape.clone(), data).unwrap())
    });
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    write("model.safetensors", &safetensors::serialize(views, None).unwrap());
    write("config.json", &read("config.json"));
    write("tokenizer.json", &serde_json::to_vec(&tokenizer).unwrap());
    folder
}

#[test]
fn inspect_says_their_bits_and_quantize_makes_files_of_them() {
    for (name, format, bits) in [
        ("fp8_blocks", "F8_E4M3_128", 8.25),
        ("fp8_rows", "F8_E4M3_128", 8.25),
        ("mxfp4_experts", "MXFP4", 4.25),
    ] {
        let folder = folder(name);
        let model = folder.path().to_str().unwrap();
        let text = run_model(&["inspect", model]);
        let line = text.ok().lines().find(|line| line.contains(format)).unwrap().to_owned();
        assert!(line.contains(&format!(" {bits:.2} bits ")), "{line}");
        let inspect: Json =
            serde_json::from_str(run_model(&["inspect", model, "--json"]).ok()).unwrap();
        let types = inspect["tensors"]["types"].as_array().unwrap();
        let of = |kind: &str| types.iter().find(|one| one["type"] == kind).unwrap();
        let (packed, rest) = (of(format), of("F32"));
        let number = |of: &Json, key: &str| of[key].as_f64().unwrap();
        assert_eq!(number(packed, "bytes") * 8.0 / number(packed, "weights"), bits);
        let least = number(packed, "bytes") + number(rest, "bytes");
        let planned = number(&inspect["memory"], "weights");
        assert!((least..least + 3e5).contains(&planned), "{name}: {planned}, {least} at least");
        // A file has what a quantization at load gives; gpt-oss's experts may stay as they are.
        let of = if bits < 5.0 { "mxfp4" } else { "q8_0" };
        let out = folder.path().join("out.gguf");
        let out = out.to_str().unwrap();
        run_model(&["quantize", model, out, "--type", of]).ok();
        let logits = |model: &str, more: &[&str]| {
            let path = folder.path().join("logits.npy");
            let args = ["logits", model, "--tokens", "1,2,3,77", "--caps", "f16=off", "--out"];
            run_model(&[&args[..], &[path.to_str().unwrap()], more].concat()).ok();
            std::fs::read(path).unwrap()
        };
        assert!(logits(out, &[]) == logits(model, &["--quantize", of]), "{name}");
        let refused = run_model(&["quantize", model, out, "--type", "f8_e4m3_128"]);
        assert!(refused.sentence().contains("this version cannot make it"));
    }
}
