//! Checkpoints of the hub, of every family, against what llama.cpp's converter makes of
//! them: names, shapes, numbers, and every metadata key that it writes. The golden data and
//! how a checkpoint's numbers follow from its names: `tests/golden/make_families.py`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};

use pollster::block_on;
use serde_json::{Map, Value as Json, json};
use wisp_base::quant::decode;
use wisp_formats::{Array, BytesSource, Checkpoint, FolderSource, Source, Value};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/families")
}

/// `numbers` of make_families.py.
fn numbers(name: &str, count: usize, scale: f32, offset: f32) -> Vec<f32> {
    let fnv = |seed: u32, byte: u8| (seed ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    let seed = name.bytes().fold(0x811C_9DC5, fnv);
    let one = |at: u32| {
        let x = at.wrapping_mul(0x9E37_79B9).wrapping_add(seed);
        let x = (x ^ (x >> 16)).wrapping_mul(0x85EB_CA6B);
        let x = (x ^ (x >> 13)).wrapping_mul(0xC2B2_AE35);
        offset + scale * (((x ^ (x >> 16)) >> 24) as f32 - 128.0) / 128.0
    };
    (0..count as u32).map(one).collect()
}

/// FNV-1a over the words of the numbers.
fn checksum(numbers: &[f32]) -> String {
    let fnv = |state: u64, n: &f32| (state ^ u64::from(n.to_bits())).wrapping_mul(0x0100_0000_01B3);
    format!("{:016x}", numbers.iter().fold(0xCBF2_9CE4_8422_2325, fnv))
}

/// A safetensors file of tensors (name, type, shape, bytes).
fn safetensors(tensors: &[(String, &str, Vec<u64>, Vec<u8>)]) -> Vec<u8> {
    let (mut header, mut data) = (Map::new(), Vec::new());
    for (name, dtype, shape, bytes) in tensors {
        let place = [data.len(), data.len() + bytes.len()];
        let entry = json!({"dtype": dtype, "shape": shape, "data_offsets": place});
        header.insert(name.clone(), entry);
        data.extend_from_slice(bytes);
    }
    let header = serde_json::to_vec(&header).unwrap();
    [&(header.len() as u64).to_le_bytes()[..], &header, &data].concat()
}

fn folder(config: &Json, tensors: &[(String, &str, Vec<u64>, Vec<u8>)]) -> FolderSource {
    let file = |name: &str, bytes| {
        (name.to_owned(), Box::new(BytesSource::new(name, bytes)) as Box<dyn Source>)
    };
    let config = serde_json::to_vec(config).unwrap();
    let files = vec![file("config.json", config), file("model.safetensors", safetensors(tensors))];
    FolderSource::new("folder", files).unwrap()
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

fn f32_bytes(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|n| n.to_le_bytes()).collect()
}

fn same(ours: &Value, theirs: &Json) -> bool {
    match (ours, theirs) {
        (Value::Bool(a), Json::Bool(b)) => a == b,
        (Value::String(a), Json::String(b)) => a == b,
        (Value::Array(Array::Bool(a)), Json::Array(b)) => json!(a) == json!(b),
        (ours, theirs) => ours.float().unwrap() as f32 == theirs.as_f64().unwrap() as f32,
    }
}

#[test]
fn every_family_reads_as_its_converted_file() {
    let mut seen = 0;
    let mut wrong = Vec::new();
    for family in std::fs::read_dir(golden()).unwrap().map(|entry| entry.unwrap().path()) {
        let read = |name: &str| -> Json {
            serde_json::from_slice(&std::fs::read(family.join(name)).unwrap()).unwrap()
        };
        let (golden, config) = (read("golden.json"), read("config.json"));
        let name = golden["family"].as_str().unwrap();
        let tensor = |listed: &Json| {
            let name = listed[0].as_str().unwrap().to_owned();
            let shape: Vec<u64> = serde_json::from_value(listed[1].clone()).unwrap();
            let number = |at: usize| listed[at].as_f64().unwrap() as f32;
            let count = shape.iter().product::<u64>() as usize;
            let bytes = f32_bytes(&numbers(&name, count, number(2), number(3)));
            (name, "F32", shape, bytes)
        };
        let tensors: Vec<_> = golden["tensors"].as_array().unwrap().iter().map(tensor).collect();
        let source = folder(&config, &tensors);
        let checkpoint = match block_on(wisp_models::open(&source)) {
            Ok(checkpoint) => checkpoint,
            Err(why) => {
                wrong.push(format!("{name}: {why}"));
                continue;
            }
        };
        let theirs = golden["canonical"]["tensors"].as_object().unwrap();
        for (tensor, facts) in theirs {
            let Some(ours) = checkpoint.tensor(tensor) else {
                wrong.push(format!("{name}: no tensor {tensor}"));
                continue;
            };
            if json!(ours.shape) != facts[0] {
                wrong.push(format!("{name}: {tensor} has the shape {:?}, not {}", ours.shape, facts[0]));
            }
            let ours = checksum(&values(&checkpoint, &source, tensor));
            if ours != facts[1] {
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
