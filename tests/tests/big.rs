//! A vocabulary matrix far beyond one binding, and experts made of a dense model: what
//! needs more memory than the other tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use pollster::block_on;
use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use serde_json::json;
use wisp_base::{Format, Result};
use wisp_formats::{
    BytesSource, FileSource, FolderSource, Gguf, GgufWriter, LocalFuture, Source, Value,
};
use wisp_runtime::EngineOptions;
use wisp_tests::{ask, first_difference, goldens, greedy, load_from, model, relative_l2};

const VOCAB: usize = 262_147;
const WIDTH: usize = 600;

/// A weight of the big matrix, around 0.
fn number(at: u64) -> f32 {
    let x = (at as u32).wrapping_mul(0x9E37_79B9) ^ (at >> 7) as u32;
    let x = (x ^ (x >> 15)).wrapping_mul(0x2C1B_3C6D);
    ((x ^ (x >> 12)) >> 20) as f32 / 2048.0 - 1.0
}

/// A safetensors file whose first tensor is the big matrix, made while it is read; the
/// others are zeros, but for norms, which are ones.
struct Made {
    header: Vec<u8>,
    ones: Vec<std::ops::Range<u64>>,
    len: u64,
}

impl Made {
    fn new(tensors: &[(&str, Vec<usize>)]) -> Self {
        let (mut infos, mut at, mut ones) = (Vec::new(), 0u64, Vec::new());
        for (name, shape) in tensors {
            let end = at + 4 * shape.iter().product::<usize>() as u64;
            if shape.len() == 1 {
                ones.push(at..end);
            }
            let data_offsets = (at as usize, end as usize);
            let info = TensorInfo { dtype: Dtype::F32, shape: shape.clone(), data_offsets };
            infos.push(((*name).to_owned(), info));
            at = end;
        }
        let json = serde_json::to_vec(&Metadata::new(None, infos).unwrap()).unwrap();
        let header = [&(json.len() as u64).to_le_bytes()[..], &json].concat();
        Self { len: header.len() as u64 + at, header, ones }
    }

    fn byte(&self, at: u64) -> u8 {
        let Some(data) = at.checked_sub(self.header.len() as u64) else {
            return self.header[at as usize];
        };
        let number = match data / 4 {
            at if at < (VOCAB * WIDTH) as u64 => number(at),
            _ if self.ones.iter().any(|ones| ones.contains(&data)) => 1.0,
            _ => 0.0,
        };
        number.to_le_bytes()[data as usize % 4]
    }
}

impl Source for Made {
    fn name(&self) -> &str {
        "model.safetensors"
    }

    fn len(&self) -> u64 {
        self.len
    }

    fn read<'a>(&'a self, offset: u64, into: &'a mut [u8]) -> LocalFuture<'a, Result<()>> {
        for (at, byte) in (offset..).zip(into.iter_mut()) {
            *byte = self.byte(at);
        }
        Box::pin(std::future::ready(Ok(())))
    }
}

#[test]
fn a_vocabulary_of_600_mb_works_on_bindings_of_128_mib() {
    let config = json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": WIDTH,
        "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 5,
        "num_key_value_heads": 1, "vocab_size": VOCAB, "max_position_embeddings": 64,
        "rms_norm_eps": 1e-5, "tie_word_embeddings": true,
    });
    let layer = |name: &str| format!("model.layers.0.{name}.weight");
    let names = [
        ("input_layernorm", vec![WIDTH]),
        ("self_attn.q_proj", vec![WIDTH, WIDTH]),
        ("self_attn.k_proj", vec![WIDTH / 5, WIDTH]),
        ("self_attn.v_proj", vec![WIDTH / 5, WIDTH]),
        ("self_attn.o_proj", vec![WIDTH, WIDTH]),
        ("post_attention_layernorm", vec![WIDTH]),
        ("mlp.gate_proj", vec![8, WIDTH]),
        ("mlp.up_proj", vec![8, WIDTH]),
        ("mlp.down_proj", vec![WIDTH, 8]),
    ]
    .map(|(name, shape)| (layer(name), shape));
    let mut tensors = vec![("model.embed_tokens.weight", vec![VOCAB, WIDTH])];
    tensors.extend(names.iter().map(|(name, shape)| (name.as_str(), shape.clone())));
    tensors.push(("model.norm.weight", vec![WIDTH]));
    let made = Made::new(&tensors);
    assert!(made.len > 600_000_000);
    let bytes = serde_json::to_vec(&config).unwrap();
    let files: Vec<(String, Box<dyn Source>)> = vec![
        ("config.json".into(), Box::new(BytesSource::new("config.json", bytes))),
        ("model.safetensors".into(), Box::new(made)),
    ];
    let folder = FolderSource::new("big", files).unwrap();
    let caps = "f16=off".to_owned();
    let options = EngineOptions { caps, ctx: Some(64), ..EngineOptions::default() };
    let (mut engine, _) = load_from(&folder, options).unwrap();
    // The layer adds nothing: logits are W times the token's own row of W, normed. Tokens
    // of the first, a middle and the last part of the matrix.
    let tokens = [3, 131_071, VOCAB as u32 - 1];
    let logits = block_on(engine.logits(&tokens, true, None)).unwrap();
    assert_eq!(logits.len(), tokens.len() * VOCAB);
    for (token, logits) in tokens.iter().zip(logits.chunks_exact(VOCAB)) {
        let row = |row: usize| (row * WIDTH..(row + 1) * WIDTH).map(|at| number(at as u64));
        let own: Vec<f32> = row(*token as usize).collect();
        let squares: f64 = own.iter().map(|x| f64::from(*x).powi(2)).sum();
        let scale = 1.0 / (squares / WIDTH as f64 + 1e-5).sqrt();
        let product = |r: usize| {
            let sum: f64 = row(r).zip(&own).map(|(w, x)| f64::from(w) * f64::from(*x)).sum();
            (sum * scale) as f32
        };
        let want: Vec<f32> = (0..VOCAB).map(product).collect();
        let size = want.iter().map(|w| f64::from(*w).powi(2)).sum::<f64>().sqrt();
        let error = relative_l2(logits, &want, size);
        assert!(error < 1e-5, "token {token}: {error:.1e}");
    }
}

#[test]
fn a_dense_model_as_equal_experts_gives_the_same_tokens() {
    const EXPERTS: u64 = 3;
    let Some(path) = model() else { return };
    let source = FileSource::open(&path).unwrap();
    let dense = block_on(Gguf::read(&source)).unwrap();
    let mut writer = GgufWriter::new();
    for (key, value) in dense.metadata.iter() {
        writer = writer.metadata(key, value.clone());
    }
    for (key, count) in [("llama.expert_count", EXPERTS as u32), ("llama.expert_used_count", 2)] {
        writer = writer.metadata(key, Value::U32(count));
    }
    for tensor in &dense.tensors {
        let mut bytes = vec![0; tensor.bytes as usize];
        block_on(source.read(tensor.offset, &mut bytes)).unwrap();
        let feed = ["ffn_gate.", "ffn_up.", "ffn_down."].iter().any(|n| tensor.name.contains(n));
        let (mut name, mut shape) = (tensor.name.clone(), tensor.shape.clone());
        if feed {
            name = name.replace(".weight", "_exps.weight");
            shape.push(EXPERTS);
            bytes = bytes.repeat(EXPERTS as usize);
        }
        writer = writer.tensor(name, shape, tensor.format, bytes);
        if tensor.name.contains("ffn_norm") {
            // Experts of the same worth, nearly: two of three are taken.
            let width = tensor.shape[0];
            let router: Vec<u8> =
                (0..EXPERTS * width).flat_map(|at| (number(at * 7) * 1e-2).to_le_bytes()).collect();
            let name = tensor.name.replace("ffn_norm", "ffn_gate_inp");
            writer = writer.tensor(name, vec![width, EXPERTS], Format::F32, router);
        }
    }
    let file = BytesSource::new("experts.gguf", writer.finish().unwrap());
    let caps = "f16=off".to_owned();
    let options = EngineOptions { caps, ctx: Some(320), ..EngineOptions::default() };
    let (mut engine, _) = load_from(&file, options).unwrap();
    for golden in goldens().1.iter().take(3) {
        let tokens = ask(&mut engine, &greedy(&golden.tokens, 16)).tokens;
        let differs = first_difference(&tokens, &golden.greedy[..16], &golden.margins);
        assert_eq!(differs, None, "{}", golden.name);
    }
}
