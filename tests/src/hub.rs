//! Folders of the Hugging Face hub in memory, and the tiny checkpoint of each family:
//! `golden/make_families.py`, `golden/make_scaled.py`.

use std::path::{Path, PathBuf};

use safetensors::tensor::TensorView;
use serde_json::{Map, Value as Json, json};
use wisp_formats::{BytesSource, FolderSource, Source};

/// A tensor of a safetensors file: name, type, shape, bytes.
pub type Tensor = (String, &'static str, Vec<u64>, Vec<u8>);

/// A family's golden data.
pub struct Family {
    /// `qwen3_moe`
    pub name: String,
    /// golden.json
    pub golden: Json,
    path: PathBuf,
}

/// All of them, by name.
pub fn families() -> Vec<Family> {
    in_folder("golden/families")
}

/// Checkpoints in floats of 8 and 4 bits: `golden/make_scaled.py`.
pub fn scaled() -> Vec<Family> {
    in_folder("golden/scaled")
}

fn in_folder(folder: &str) -> Vec<Family> {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut paths: Vec<_> =
        std::fs::read_dir(all).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let family = |path: PathBuf| {
        let golden = read(&path, "golden.json");
        Family { name: golden["family"].as_str().unwrap().to_owned(), golden, path }
    };
    paths.into_iter().map(family).collect()
}

fn read(folder: &Path, name: &str) -> Json {
    serde_json::from_slice(&std::fs::read(folder.join(name)).unwrap()).unwrap()
}

impl Family {
    /// The checkpoint, as the hub would have it.
    pub fn folder(&self) -> FolderSource {
        self.folder_with(&Map::new())
    }

    /// The same with other settings in its config.json.
    pub fn folder_with(&self, settings: &Map<String, Json>) -> FolderSource {
        folder(&self.config(settings), &self.tensors())
    }

    /// config.json with other settings.
    pub fn config(&self, settings: &Map<String, Json>) -> Json {
        let mut config = read(&self.path, "config.json");
        config.as_object_mut().unwrap().extend(settings.clone());
        config
    }

    /// Its tensors.
    pub fn tensors(&self) -> Vec<Tensor> {
        let tensor = |listed: &Json| {
            let name = listed[0].as_str().unwrap().to_owned();
            let shape: Vec<u64> = serde_json::from_value(listed[1].clone()).unwrap();
            // Those of make_scaled.py say what they are.
            let kind = listed[2].as_str();
            let at = usize::from(kind.is_some());
            let number = |place: usize| listed[at + place].as_f64().unwrap() as f32;
            let count = shape.iter().product::<u64>() as u32;
            let high = |shift: u32| hashed(&name, count).map(move |x| (x >> shift) as u8);
            let (dtype, bytes) = match kind {
                None | Some("plain") => {
                    ("F32", f32_bytes(&numbers(&name, count, number(2), number(3))))
                }
                Some("fp8") => {
                    let finite = |code: u8| if code & 127 == 127 { 0 } else { code };
                    ("F8_E4M3", high(24).map(finite).collect())
                }
                Some("scales") => {
                    let fraction = |x: u32| (x >> 9) as f32 / (1 << 23) as f32;
                    let scale = |x: u32| number(2) * (1.0 + fraction(x));
                    ("F32", f32_bytes(&hashed(&name, count).map(scale).collect::<Vec<_>>()))
                }
                Some("bytes") => ("U8", high(24).collect()),
                Some("exponents") => ("U8", high(30).map(|e| e + number(2) as u8).collect()),
                Some(other) => panic!("{name} is {other}"),
            };
            (name, dtype, shape, bytes)
        };
        self.golden["tensors"].as_array().unwrap().iter().map(tensor).collect()
    }

    /// PyTorch's logits at all positions (an encoder's hidden states), row by row.
    pub fn logits(&self) -> Vec<f32> {
        crate::npy(&self.path.join("logits.npy"))
    }
}

/// `hashed` of make_families.py.
fn hashed(name: &str, count: u32) -> impl Iterator<Item = u32> + use<> {
    let fnv = |seed: u32, byte: u8| (seed ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    let seed = name.bytes().fold(0x811C_9DC5, fnv);
    (0..count).map(move |at| {
        let x = at.wrapping_mul(0x9E37_79B9).wrapping_add(seed);
        let x = (x ^ (x >> 16)).wrapping_mul(0x85EB_CA6B);
        let x = (x ^ (x >> 13)).wrapping_mul(0xC2B2_AE35);
        x ^ (x >> 16)
    })
}

/// `numbers` of make_families.py.
fn numbers(name: &str, count: u32, scale: f32, offset: f32) -> Vec<f32> {
    hashed(name, count).map(|x| offset + scale * ((x >> 24) as f32 - 128.0) / 128.0).collect()
}

/// Little-endian.
pub fn f32_bytes(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|n| n.to_le_bytes()).collect()
}

/// A folder with a config.json and these tensors.
pub fn folder(config: &Json, tensors: &[Tensor]) -> FolderSource {
    files(config, vec![("model.safetensors".into(), safetensors(tensors))])
}

/// The same with a file for every `each` tensors, and the index that names them.
pub fn sharded(config: &Json, tensors: &[Tensor], each: usize) -> FolderSource {
    sharded_as(config, tensors, each, str::to_owned)
}

/// The same, with files under other names than the index says.
pub fn sharded_as(
    config: &Json,
    tensors: &[Tensor],
    each: usize,
    really: impl Fn(&str) -> String,
) -> FolderSource {
    let (mut map, mut all) = (Map::new(), Vec::new());
    for (at, part) in tensors.chunks(each).enumerate() {
        let name = format!("model-{at}.safetensors");
        map.extend(part.iter().map(|(tensor, ..)| (tensor.clone(), json!(name))));
        all.push((really(&name), safetensors(part)));
    }
    let index = serde_json::to_vec(&json!({"metadata": {}, "weight_map": map})).unwrap();
    all.push(("model.safetensors.index.json".into(), index));
    files(config, all)
}

fn files(config: &Json, mut files: Vec<(String, Vec<u8>)>) -> FolderSource {
    files.push(("config.json".into(), serde_json::to_vec(config).unwrap()));
    let source = |(name, bytes): (String, Vec<u8>)| {
        let source = BytesSource::new(&*name, bytes);
        (name, Box::new(source) as Box<dyn Source>)
    };
    FolderSource::new("folder", files.into_iter().map(source).collect()).unwrap()
}

fn safetensors(tensors: &[Tensor]) -> Vec<u8> {
    let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
        let dtype = serde_json::from_value(json!(dtype)).unwrap();
        let shape = shape.iter().map(|dim| *dim as usize).collect();
        (name, TensorView::new(dtype, shape, bytes).unwrap())
    });
    safetensors::serialize(views, None).unwrap()
}
