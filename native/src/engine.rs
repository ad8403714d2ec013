//! Loading a model for a command, with its progress on stderr.

use crate::args::{Global, Speculative};
use crate::out;
use crate::progress;
use crate::store::Store;
use indicatif::ProgressBar;
use pollster::block_on;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;
use wisp_base::{Error, Result};
use wisp_convert::{Type, recast};
use wisp_formats::{Checkpoint, FileSource, FolderSource, Source, split_files};
use wisp_runtime::{
    Autotune, Engine, EngineOptions, Handle, MemoryPlan, Prepare, Progress, Shape, Speculation,
    in_thread, load_tokenizer,
};
use wisp_tokenizer::Tokenizer;

/// An engine, and how long it took to get it.
pub struct Loaded {
    /// Ready to generate.
    pub engine: Engine,
    /// From opening the file to having its weights on the device.
    pub load_ms: f64,
}

/// An engine in a thread of its own, and how long it took to get it.
pub struct Started {
    /// Ready for requests.
    pub handle: Handle,
    /// From opening the file to having its weights on the device.
    pub load_ms: f64,
}

/// What the flags ask of the engine.
pub fn options(global: &Global) -> EngineOptions {
    // Without a folder for them, the self-check runs and kernels are compiled each time.
    let store = Store::open().ok();
    EngineOptions {
        device: global.device.clone(),
        caps: global.caps.clone(),
        tuning: global.tune.clone(),
        autotune: Autotune::Always,
        kv: global.kv,
        ctx: global.ctx,
        self_check_results: store.as_ref().map(|store| store.self_check_results().into()),
        pipelines: store.as_ref().map(Store::pipelines),
        prepare: global.quantize.map(prepare),
        ..EngineOptions::default()
    }
}

/// The weights in another type.
pub fn prepare(of: Type) -> Prepare {
    Prepare(Arc::new(move |checkpoint| recast(checkpoint, of, None)))
}

/// Finds the model (downloading it where it has to), and loads it onto the device.
pub fn load(global: &Global, model: &str) -> Result<Loaded> {
    load_with(&options(global), model)
}

/// As [`load`], with other options.
pub fn load_with(options: &EngineOptions, model: &str) -> Result<Loaded> {
    let path = Store::find(model)?;
    loaded(&path.display().to_string(), &mut |show| {
        let source = source(&path)?;
        block_on(Engine::load(source.as_ref(), options, show))
    })
}

/// As [`start`], with draft tokens where they are asked for.
pub fn start_speculative(
    global: &Global,
    model: &str,
    speculative: &Speculative,
) -> Result<Started> {
    let speculation =
        if speculative.is_on() { Speculation::WhileFaster } else { Speculation::Never };
    let options = EngineOptions { speculation, ..options(global) };
    start(options, model, speculative.draft.as_deref())
}

/// As [`load_with`], in a thread of its own, where a lost device is replaced. `draft`: the model
/// that draft tokens come from.
pub fn start(options: EngineOptions, model: &str, draft: Option<&str>) -> Result<Started> {
    let path = Store::find(model)?;
    let draft = draft.map(Store::find).transpose()?;
    let name = path.display().to_string();
    start_with(&name, async move |show| {
        let source: Rc<dyn Source> = source(&path)?.into();
        let mut engine = Engine::load(source.as_ref(), &options, show).await?;
        engine.recover_from(source);
        if let Some(path) = draft {
            let speculation = Speculation::Never;
            let options = EngineOptions { ctx: Some(engine.ctx()), speculation, ..options };
            engine
                .draft_with(Engine::load(self::source(&path)?.as_ref(), &options, show).await?)?;
        }
        Ok(engine)
    })
}

fn start_with(
    name: &str,
    load: impl AsyncFnOnce(&mut dyn FnMut(Progress)) -> Result<Engine> + Send + 'static,
) -> Result<Started> {
    let start = Instant::now();
    let mut bar = Bar::default();
    let handle = block_on(in_thread(load)?.finished(&mut |event| bar.show(event)));
    bar.clear();
    let handle = handle?;
    let info = handle.info();
    let load_ms = milliseconds(start);
    told(name, &info.device_name(), load_ms, info.memory, info.tuning);
    Ok(Started { handle, load_ms })
}

/// Random weights of a shape.
pub fn random(options: &EngineOptions, shape: &Shape) -> Result<Loaded> {
    loaded(shape.name, &mut |show| block_on(Engine::random(shape, options, show)))
}

type Load<'a> = dyn FnMut(&mut dyn FnMut(Progress)) -> Result<Engine> + 'a;

fn loaded(name: &str, load: &mut Load<'_>) -> Result<Loaded> {
    let start = Instant::now();
    let mut bar = Bar::default();
    let made = load(&mut |event| bar.show(event));
    bar.clear();
    let engine = made?;
    let load_ms = milliseconds(start);
    told(name, &engine.device_name(), load_ms, engine.memory(), engine.tuning());
    Ok(Loaded { engine, load_ms })
}

fn milliseconds(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1000.0
}

/// What was loaded, for `--verbose`.
fn told(name: &str, device: &str, load_ms: f64, memory: MemoryPlan, tuning: impl Display) {
    out::detail(format!(
        "{name} on {device}, loaded in {load_ms:.0} ms: {} of weights, {} of KV cache for {} \
         tokens, {} of scratch",
        crate::bytes::shown(memory.weights),
        crate::bytes::shown(memory.kv),
        memory.ctx,
        crate::bytes::shown(memory.scratch)
    ));
    out::detail(format!("kernels: --tune {tuning}"));
}

/// The bytes of a model: a file, the files of a split model, or a folder of files.
pub fn source(path: &Path) -> Result<Box<dyn Source>> {
    if path.is_dir() {
        let folder = FolderSource::open(path)?;
        if folder.files().is_empty() {
            return Err(Error::input(format!(
                "{}: there is no config.json: give a .gguf file, or a folder with config.json \
                 and safetensors",
                path.display()
            )));
        }
        return Ok(Box::new(folder));
    }
    if let Some(split) = FolderSource::split(path)? {
        return Ok(Box::new(split));
    }
    Ok(Box::new(FileSource::open(path)?))
}

/// What the files of a hub folder end in.
const OF_A_FOLDER: [&str; 4] = ["safetensors", "json", "jinja", "txt"];

/// The files that a model is read from: of a folder, those that may be part of a model.
pub fn files(path: &Path) -> Vec<PathBuf> {
    if path.is_dir() {
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        let of_model = |path: &PathBuf| {
            path.extension().is_some_and(|end| OF_A_FOLDER.iter().any(|known| end == *known))
        };
        return entries.map(|entry| entry.path()).filter(of_model).collect();
    }
    split_files(path).unwrap_or_else(|| vec![path.to_path_buf()])
}

/// The header of a model; needs no device.
pub fn header(model: &str) -> Result<(PathBuf, Checkpoint)> {
    let path = Store::find(model)?;
    let checkpoint = block_on(wisp_runtime::open(source(&path)?.as_ref()))?;
    Ok((path, checkpoint))
}

/// The tokenizer of a model; needs no device.
pub fn tokenizer(model: &str) -> Result<(Checkpoint, Tokenizer)> {
    let (_, checkpoint) = header(model)?;
    let tokenizer = load_tokenizer(&checkpoint)?;
    Ok((checkpoint, tokenizer))
}

/// How many tokens the vocabulary has: the rows of the embedding, else the list of tokens.
pub fn vocab(checkpoint: &Checkpoint) -> Result<usize> {
    let rows = checkpoint.tensor("token_embd.weight").map(|tensor| tensor.rows());
    let listed = match checkpoint.metadata.get("tokenizer.ggml.tokens") {
        Some(wisp_formats::Value::Array(tokens)) => Some(tokens.len()),
        _ => None,
    };
    rows.and_then(|rows| usize::try_from(rows).ok())
        .or(listed)
        .ok_or_else(|| Error::input("the file has no vocabulary: give a language model"))
}

/// How far the kernels are, then the weights on their way to the device.
#[derive(Default)]
struct Bar(Option<ProgressBar>);

impl Bar {
    fn show(&mut self, event: Progress) {
        match event {
            Progress::Tuning => self.replace(progress::spinner("measuring kernels")),
            Progress::Checking { done, total } => self.count("checking kernels", done, total),
            Progress::Compiling { done, total } => self.count("compiling kernels", done, total),
            Progress::Note(text) => match &self.0 {
                Some(bar) => bar.suspend(|| out::note(text)),
                None => out::note(text),
            },
            Progress::Weights { done, total } => {
                if self.0.as_ref().is_none_or(|bar| bar.length() != Some(total)) {
                    self.replace(progress::bytes("loading", total));
                }
                if let Some(bar) = &self.0 {
                    bar.set_position(done);
                }
            }
        }
    }

    fn count(&mut self, what: &'static str, done: usize, total: usize) {
        if done == 0 {
            self.replace(progress::count(what, total));
        } else if let Some(bar) = &self.0 {
            bar.set_position(done as u64);
        }
    }

    fn replace(&mut self, bar: ProgressBar) {
        self.clear();
        self.0 = Some(bar);
    }

    fn clear(&mut self) {
        if let Some(bar) = self.0.take() {
            bar.finish_and_clear();
        }
    }
}
