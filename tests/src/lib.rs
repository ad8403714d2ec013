//! What the whole-engine tests share: the model under test, golden data, measures.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod counting;
pub mod damage;
pub mod hub;
pub mod readme;
pub mod tiny;

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};

use pollster::block_on;
use wisp_base::Result;
use wisp_formats::{BytesSource, FileSource, Source};
use wisp_runtime::{Completion, Engine, EngineOptions, Handle, Progress, Request, in_thread};

/// The four capability variants, as `--caps` has them.
pub const VARIANTS: [&str; 4] = ["", "f16=off", "subgroups=off", "subgroups=off,f16=off"];

/// SmolLM2-135M-Instruct, which `cargo xtask test` fetches. `None` (the test says so)
/// where a test is run by hand without it.
pub fn model() -> Option<PathBuf> {
    let path = std::env::var_os("WISP_TEST_MODEL").map(PathBuf::from);
    if path.is_none() {
        eprintln!("WISP_TEST_MODEL is not set: nothing was tested; run `cargo xtask test`");
    }
    path
}

/// Loads a model.
pub fn load(path: &Path, caps: &str, options: EngineOptions) -> Engine {
    let options = EngineOptions { caps: caps.to_owned(), ..options };
    load_from(&FileSource::open(path).unwrap(), options).unwrap().0
}

/// An engine that tests share.
pub struct Shared(Handle);

impl Shared {
    /// `make` runs in the engine's thread.
    pub fn new(make: impl FnOnce() -> Engine + Send + 'static) -> Self {
        let loading = in_thread(async move |_| Ok(make())).unwrap();
        Self(block_on(loading.finished(&mut |_| ())).expect("the engine was not loaded"))
    }

    /// Runs `work` when it is its turn; a test that fails leaves the engine to the others.
    pub fn with(&self, work: impl FnOnce(&mut Engine) + Send + 'static) {
        let caught =
            async move |engine: &mut Engine| catch_unwind(AssertUnwindSafe(|| work(engine)));
        if let Err(panic) = block_on(self.0.with(caught)).unwrap() {
            resume_unwind(panic);
        }
    }
}

/// Loads a model that is in memory, in f32; gives the notes for the person as well.
pub fn load_tiny(model: &tiny::Tiny, options: EngineOptions) -> Result<(Engine, Vec<String>)> {
    let caps = "f16=off".to_owned();
    let source = BytesSource::new("tiny.gguf", model.bytes());
    load_from(&source, EngineOptions { caps, ..options })
}

/// Loads a model; gives the notes for the person as well.
pub fn load_from(source: &dyn Source, options: EngineOptions) -> Result<(Engine, Vec<String>)> {
    let options =
        EngineOptions { self_check_results: Some(self_check_results().into()), ..options };
    let mut notes = Vec::new();
    let engine = block_on(Engine::load(source, &options, &mut |event| {
        if let Progress::Note(note) = event {
            notes.push(note);
        }
    }))?;
    Ok((engine, notes))
}

/// Kernels are compared with their definitions by tests of their own: once for all test
/// files is enough, and for those of `native/tests`, which have the same home. The file's
/// lines name the shaders, so that it may stay.
fn self_check_results() -> PathBuf {
    std::env::current_exe().unwrap().with_file_name("wisp-test-home").join("self-check.txt")
}

/// The answer to one request.
pub fn ask(engine: &mut Engine, request: &Request) -> Completion {
    try_ask(engine, request).unwrap()
}

/// The answer to one request, or what is wrong with it.
pub fn try_ask(engine: &mut Engine, request: &Request) -> Result<Completion> {
    block_on(engine.generate(request, &mut |_| ControlFlow::Continue(())))
}

/// The answers to several requests at once, and whose token came when.
pub fn ask_all(engine: &mut Engine, requests: &[Request]) -> (Vec<Result<Completion>>, Vec<usize>) {
    let mut order = Vec::new();
    let answers = block_on(engine.generate_all(requests, &mut |index, piece| {
        if piece.token.is_some() {
            order.push(index);
        }
        ControlFlow::Continue(())
    }));
    (answers.unwrap(), order)
}

/// A greedy request that goes on past end-of-generation tokens.
pub fn greedy(prompt: &[u32], max_tokens: usize) -> Request {
    Request { prompt: prompt.to_vec(), max_tokens, ignore_eos: true, ..Request::default() }
}

/// One prompt of `golden/smollm2`: made by PyTorch, see `golden/make_smollm2.py`.
pub struct Golden {
    /// Its name.
    pub name: String,
    /// The text.
    pub text: String,
    /// The messages that the text was rendered from, if any.
    pub messages: Option<serde_json::Value>,
    /// Its tokens.
    pub tokens: Vec<u32>,
    /// The 48 most likely next tokens, one after the other.
    pub greedy: Vec<u32>,
    /// How far the best logit was above the second, for each of them.
    pub margins: Vec<f64>,
    /// For prompt and greedy tokens: `-ln p` of each but the first.
    pub nll: Vec<f64>,
    /// `[positions, columns]` of the logits.
    pub columns: Vec<f32>,
    /// `[positions]`: L2 norms of the whole rows.
    pub norms: Vec<f32>,
    /// `[vocab]`, after the prompt.
    pub last: Vec<f32>,
}

/// All prompts, and which columns of the logits are kept.
pub fn goldens() -> (Vec<usize>, Vec<Golden>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/smollm2");
    let text = std::fs::read_to_string(folder.join("golden.json")).unwrap();
    let all: serde_json::Value = serde_json::from_str(&text).unwrap();
    let ids = |value: &serde_json::Value| -> Vec<u32> {
        value.as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as u32).collect()
    };
    let floats = |value: &serde_json::Value| -> Vec<f64> {
        value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
    };
    let columns = ids(&all["columns"]).into_iter().map(|id| id as usize).collect();
    let golden = |prompt: &serde_json::Value| {
        let name = prompt["name"].as_str().unwrap().to_owned();
        let npy = |what: &str| npy(&folder.join(format!("{name}.{what}.npy")));
        Golden {
            text: prompt["text"].as_str().unwrap().to_owned(),
            messages: prompt.get("messages").cloned(),
            tokens: ids(&prompt["tokens"]),
            greedy: ids(&prompt["greedy_tokens"]),
            margins: floats(&prompt["greedy_margins"]),
            nll: floats(&prompt["nll"]),
            columns: npy("columns"),
            norms: npy("norms"),
            last: npy("last_logits"),
            name,
        }
    };
    (columns, all["prompts"].as_array().unwrap().iter().map(golden).collect())
}

/// The numbers of a little-endian float32 NumPy file.
pub fn npy(path: &Path) -> Vec<f32> {
    let bytes = std::fs::read(path).unwrap();
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\0", "{}", path.display());
    let start = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    bytes[start..].as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

/// ‖a − b‖ / ‖b‖, with ‖b‖ given.
pub fn relative_l2(a: &[f32], b: &[f32], size: f64) -> f64 {
    assert_eq!(a.len(), b.len());
    let square = |x: f32| f64::from(x) * f64::from(x);
    a.iter().zip(b).map(|(a, b)| square(a - b)).sum::<f64>().sqrt() / size
}

/// Σ p·ln(p/q) of the distributions that two rows of logits stand for.
pub fn kl(p: &[f32], q: &[f32]) -> f64 {
    let log_softmax = |row: &[f32]| -> Vec<f64> {
        let top = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = row.iter().map(|l| f64::from(l - top).exp()).sum();
        row.iter().map(|l| f64::from(l - top) - sum.ln()).collect()
    };
    let (p, q) = (log_softmax(p), log_softmax(q));
    p.iter().zip(&q).map(|(p, q)| p.exp() * (p - q)).sum()
}

/// The first step at which two answers differ though its two best logits were not
/// nearly tied; after a tie the answers go their own ways.
pub fn first_difference(got: &[u32], want: &[u32], margins: &[f64]) -> Option<usize> {
    let at = (0..want.len()).find(|at| got.get(*at) != want.get(*at))?;
    (margins.get(at).copied().unwrap_or(f64::INFINITY) > 0.01).then_some(at)
}
