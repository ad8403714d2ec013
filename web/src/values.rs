//! What crosses between JavaScript and Rust as plain objects.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use wasm_bindgen::JsValue;
use wisp_base::{Error, KvType};
use wisp_runtime::{
    Cancel, CheckReport, Completion, Engine, EngineOptions, Guess, Logprobs, MemoryPlan, Progress,
    Sampling,
};

use crate::error::{message, thrown};

/// Requests that share steps, where nothing else is asked for.
const SEQUENCES: usize = 4;

/// Reads an object; `what` is for the message.
pub fn from_js<T: DeserializeOwned>(what: &str, value: JsValue) -> Result<T, JsValue> {
    serde_wasm_bindgen::from_value(value)
        .map_err(|why| thrown(Error::input(format!("{what}: {}", message(&why.into())))))
}

/// A plain object.
pub fn to_js(value: &impl Serialize) -> Result<JsValue, JsValue> {
    Ok(value.serialize(&serde_wasm_bindgen::Serializer::json_compatible())?)
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct LoadOptions {
    caps: Option<String>,
    kv: Option<String>,
    context_length: Option<usize>,
    max_sequences: Option<usize>,
    memory_limit: Option<u64>,
    lookup: Option<bool>,
    verdicts: Option<String>,
}

impl LoadOptions {
    pub fn engine_options(self) -> Result<EngineOptions, JsValue> {
        let kv = self.kv.map(|name| {
            let found = KvType::ALL.into_iter().find(|kv| kv.name() == name);
            let names = KvType::ALL.map(KvType::name).join(", ");
            found.ok_or_else(|| thrown(Error::input(format!("kv: {name:?} is not one of {names}"))))
        });
        Ok(EngineOptions {
            caps: self.caps.unwrap_or_default(),
            kv: kv.transpose()?,
            ctx: self.context_length,
            max_sequences: self.max_sequences.unwrap_or(SEQUENCES),
            share_cache: true,
            memory_limit: self.memory_limit,
            guess: if self.lookup == Some(true) { Guess::WhilePays } else { Guess::Never },
            verdicts: Some(self.verdicts.unwrap_or_default().into()),
            ..EngineOptions::default()
        })
    }
}

#[derive(Serialize, Clone)]
#[serde(tag = "phase", rename_all = "lowercase")]
pub enum Phase {
    Checking,
    Weights { done: u64, total: u64 },
    Note { text: String },
}

impl From<Progress> for Phase {
    fn from(progress: Progress) -> Self {
        match progress {
            Progress::Checking => Self::Checking,
            Progress::Weights { done, total } => Self::Weights { done, total },
            Progress::Note(text) => Self::Note { text },
        }
    }
}

#[derive(Serialize, Clone)]
#[serde(rename_all = "camelCase")]
pub struct Memory {
    weights: u64,
    kv: u64,
    scratch: u64,
    total: u64,
    context_length: usize,
}

impl From<MemoryPlan> for Memory {
    fn from(plan: MemoryPlan) -> Self {
        let MemoryPlan { weights, kv, scratch, ctx } = plan;
        Self { weights, kv, scratch, total: plan.total(), context_length: ctx }
    }
}

#[derive(Serialize)]
pub struct Info {
    adapter: Adapter,
    variant: String,
    features: Features,
    memory: Memory,
    vocab: usize,
    model: Model,
}

#[derive(Serialize)]
struct Adapter {
    name: String,
    vendor: String,
    architecture: String,
    kind: &'static str,
    backend: String,
}

#[derive(Serialize)]
struct Features {
    subgroups: bool,
    f16: bool,
    timestamps: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Model {
    name: String,
    architecture: String,
    has_chat_template: bool,
    /// The texts that end an answer in a conversation.
    chat_stop: Vec<&'static str>,
}

impl From<&Engine> for Info {
    fn from(engine: &Engine) -> Self {
        let facts = engine.gpu().facts().clone();
        let tokenizer = engine.tokenizer().ok();
        Self {
            adapter: Adapter {
                name: facts.name,
                vendor: facts.vendor,
                architecture: facts.architecture,
                kind: facts.kind,
                backend: facts.backend,
            },
            variant: engine.variant().to_string(),
            features: Features {
                subgroups: facts.caps.subgroups,
                f16: facts.caps.f16,
                timestamps: facts.timestamps,
            },
            memory: engine.memory().into(),
            vocab: engine.vocab(),
            model: Model {
                name: engine.name().to_owned(),
                architecture: engine.architecture().to_owned(),
                has_chat_template: tokenizer
                    .is_some_and(|t| t.has_chat_template() && t.chat().is_ok()),
                chat_stop: tokenizer
                    .and_then(|tokenizer| tokenizer.chat().ok())
                    .map_or(Vec::new(), |chat| chat.stop().to_vec()),
            },
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    pub pages: Pages,
    pub heap_bytes: f64,
    pub steps: u64,
    pub requests: usize,
}

#[derive(Serialize)]
pub struct Pages {
    pub free: usize,
    pub total: usize,
}

#[derive(Serialize)]
pub struct Check {
    name: String,
    ok: bool,
    error: String,
}

impl From<CheckReport> for Check {
    fn from(report: CheckReport) -> Self {
        let CheckReport { case, variant, error, bound, passed } = report;
        let error = format!("{error:.1e}, allowed {bound:.1e}");
        Self { name: format!("{case}, {variant}"), ok: passed, error }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    prompt: Vec<u32>,
    max_tokens: Option<usize>,
    stop: Option<Vec<String>>,
    ignore_eos: Option<bool>,
    temperature: Option<f32>,
    top_k: Option<u32>,
    top_p: Option<f32>,
    min_p: Option<f32>,
    repetition_penalty: Option<f32>,
    presence_penalty: Option<f32>,
    frequency_penalty: Option<f32>,
    logit_bias: Option<Vec<(u32, f32)>>,
    seed: Option<u64>,
    logprobs: Option<usize>,
}

impl From<Request> for wisp_runtime::Request {
    fn from(request: Request) -> Self {
        let usual = Sampling::default();
        Self {
            prompt: request.prompt,
            max_tokens: request.max_tokens.unwrap_or(usize::MAX),
            stop: request.stop.unwrap_or_default(),
            ignore_eos: request.ignore_eos.unwrap_or_default(),
            logprobs: request.logprobs,
            cancel: Cancel::default(),
            sampling: Sampling {
                temperature: request.temperature.unwrap_or(usual.temperature),
                top_k: request.top_k.unwrap_or(usual.top_k),
                top_p: request.top_p.unwrap_or(usual.top_p),
                min_p: request.min_p.unwrap_or(usual.min_p),
                repetition_penalty: request.repetition_penalty.unwrap_or(usual.repetition_penalty),
                presence_penalty: request.presence_penalty.unwrap_or(usual.presence_penalty),
                frequency_penalty: request.frequency_penalty.unwrap_or(usual.frequency_penalty),
                logit_bias: request.logit_bias.unwrap_or_default(),
                seed: request.seed.unwrap_or(usual.seed),
            },
        }
    }
}

/// What a request's callback is told.
#[derive(Serialize, Clone)]
#[serde(tag = "type", rename_all = "lowercase", rename_all_fields = "camelCase")]
pub enum Event {
    Piece {
        #[serde(skip_serializing_if = "Option::is_none")]
        token: Option<u32>,
        text: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        logprobs: Option<TokenLogprobs>,
    },
    Lost {
        message: String,
    },
    Restored,
    Done {
        finish_reason: &'static str,
        tokens: Vec<u32>,
        text: String,
        prompt_tokens: usize,
        timings: Timings,
    },
    Error {
        kind: &'static str,
        message: String,
    },
}

#[derive(Serialize, Clone)]
pub struct TokenLogprobs {
    logprob: f32,
    top: Vec<TokenLogprob>,
}

#[derive(Serialize, Clone)]
pub struct TokenLogprob {
    token: u32,
    logprob: f32,
}

#[derive(Serialize, Clone)]
#[serde(rename_all = "camelCase")]
pub struct Timings {
    prefill_ms: f64,
    prefill_tokens: usize,
    decode_ms: f64,
    decode_tokens: usize,
    guessed_tokens: usize,
}

impl Event {
    pub fn error(error: &Error) -> Self {
        Self::Error { kind: crate::error::kind(error), message: crate::error::sentence(error) }
    }

    /// `prompt_tokens`: how many there were.
    pub fn of(event: wisp_runtime::Event, prompt_tokens: usize) -> Self {
        match event {
            wisp_runtime::Event::Piece(piece) => Self::Piece {
                token: piece.token,
                text: piece.text,
                logprobs: piece.logprobs.map(TokenLogprobs::from),
            },
            wisp_runtime::Event::Done(Ok(Completion { tokens, text, finish, timings })) => {
                let timings = Timings {
                    prefill_ms: timings.prefill_ms,
                    prefill_tokens: timings.prefill_tokens,
                    decode_ms: timings.decode_ms,
                    decode_tokens: timings.decode_tokens,
                    guessed_tokens: timings.guessed_tokens,
                };
                Self::Done { finish_reason: finish.name(), tokens, text, prompt_tokens, timings }
            }
            wisp_runtime::Event::Done(Err(error)) => Self::error(&error),
        }
    }
}

impl From<Logprobs> for TokenLogprobs {
    fn from(Logprobs { logprob, top }: Logprobs) -> Self {
        let top = top.into_iter().map(|(token, logprob)| TokenLogprob { token, logprob });
        Self { logprob, top: top.collect() }
    }
}
