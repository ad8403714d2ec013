//! What crosses between JavaScript and Rust as plain objects, by way of JSON.

use js_sys::JSON;
use serde::Serialize;
use wasm_bindgen::JsValue;
use wisp_api::{Fields, Refusal};
use wisp_base::{Error, KvType};
use wisp_runtime::{
    Autotune, CheckReport, EngineOptions, Handle, MemoryPlan, Progress, Speculation,
};

use crate::error::thrown;

/// Requests that share steps, where nothing else is asked for.
const SEQUENCES: usize = 4;

/// A plain object.
pub fn to_js(value: &impl Serialize) -> Result<JsValue, JsValue> {
    // Types with names for keys can always be written.
    JSON::parse(&serde_json::to_string(value).unwrap_or_default())
}

/// Options of a load, as `ts/src/options.ts` has checked them.
pub fn engine_options(options: &JsValue) -> Result<EngineOptions, JsValue> {
    let text = JSON::stringify(options)?.as_string().unwrap_or_default();
    read_options(&text).map_err(|refusal| thrown(refusal.error))
}

fn read_options(text: &str) -> Result<EngineOptions, Refusal> {
    let mut fields = Fields::of("", Fields::parse(text)?)?;
    let kv = fields.text("kv")?.map(|name| {
        let found = KvType::ALL.into_iter().find(|kv| kv.name() == name);
        let names = KvType::ALL.map(KvType::name).join(", ");
        found.ok_or_else(|| Error::input(format!("kv: {name:?} is not one of {names}")))
    });
    Ok(EngineOptions {
        caps: fields.text("caps")?.unwrap_or_default(),
        kv: kv.transpose()?,
        ctx: fields.count("contextLength", 1)?,
        max_sequences: fields.count("maxSequences", 1)?.unwrap_or(SEQUENCES),
        share_cache: true,
        memory_limit: fields.integer("memoryLimit", 1, i64::MAX)?.map(|bytes| bytes as u64),
        speculation: match fields.flag("lookup")? {
            true => Speculation::WhileFaster,
            false => Speculation::Never,
        },
        autotune: match fields.take("autotune").and_then(|value| value.as_bool()) {
            Some(true) => Autotune::Always,
            Some(false) => Autotune::Never,
            None => Autotune::Gpus,
        },
        self_check_results: Some(fields.text("selfCheckResults")?.unwrap_or_default().into()),
        ..EngineOptions::default()
    })
}

#[derive(Serialize, Clone)]
#[serde(tag = "phase", rename_all = "lowercase")]
pub enum Phase {
    Tuning,
    Checking { done: usize, total: usize },
    Compiling { done: usize, total: usize },
    Weights { done: u64, total: u64 },
    Note { text: String },
}

impl From<Progress> for Phase {
    fn from(progress: Progress) -> Self {
        match progress {
            Progress::Tuning => Self::Tuning,
            Progress::Checking { done, total } => Self::Checking { done, total },
            Progress::Compiling { done, total } => Self::Compiling { done, total },
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
}

impl Info {
    pub fn of(handle: &Handle) -> Self {
        let info = handle.info();
        let adapter = info.adapter.clone();
        let tokenizer = handle.tokenizer().ok();
        Self {
            features: Features {
                subgroups: adapter.caps.subgroups,
                f16: adapter.caps.f16,
                timestamps: adapter.timestamps,
            },
            adapter: Adapter {
                name: adapter.name,
                vendor: adapter.vendor,
                architecture: adapter.architecture,
                kind: adapter.kind,
                backend: adapter.backend,
            },
            variant: info.variant.to_string(),
            memory: info.memory.into(),
            vocab: info.vocab,
            model: Model {
                name: info.name.clone(),
                architecture: info.architecture.clone(),
                has_chat_template: tokenizer
                    .is_some_and(|t| t.has_chat_template() && t.chat().is_ok()),
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
