//! Loading a model for a command, with its progress on stderr.

use crate::args::{Global, Guessing};
use crate::out;
use crate::progress;
use crate::quantize::{Type, recast};
use crate::store::Store;
use indicatif::ProgressBar;
use pollster::block_on;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use wisp_base::{Error, Result};
use wisp_formats::{Checkpoint, FileSource, FolderSource, Source, split_files};
use wisp_runtime::{Engine, EngineOptions, Guess, Prepare, Progress, Shape, load_tokenizer};
use wisp_tokenizer::Tokenizer;

/// An engine, and how long it took to get it.
pub struct Loaded {
    /// Ready to generate.
    pub engine: Engine,
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
        autotune: true,
        kv: global.kv,
        ctx: global.ctx,
        verdicts: store.as_ref().map(|store| store.verdicts().into()),
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
        let mut engine = block_on(Engine::load(source.as_ref(), options, show))?;
        engine.recover_from(source);
        Ok(engine)
    })
}

/// As [`load`], ready to guess at tokens to come.
pub fn load_guessing(global: &Global, model: &str, guessing: &Guessing) -> Result<Loaded> {
    let guess = if guessing.is_on() { Guess::WhilePays } else { Guess::Never };
    let mut loaded = load_with(&EngineOptions { guess, ..options(global) }, model)?;
    if let Some(draft) = &guessing.draft {
        let options = EngineOptions { ctx: Some(loaded.engine.ctx()), ..options(global) };
        loaded.engine.draft_with(load_with(&options, draft)?.engine)?;
    }
    Ok(loaded)
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
    let load_ms = start.elapsed().as_secs_f64() * 1000.0;
    let memory = engine.memory();
    out::detail(format!(
        "{name} on {}, loaded in {load_ms:.0} ms: {} of weights, {} of KV cache for {} tokens, {} of \
         scratch",
        engine.device_name(),
        crate::bytes::shown(memory.weights),
        crate::bytes::shown(memory.kv),
        memory.ctx,
        crate::bytes::shown(memory.scratch)
    ));
    out::detail(format!("kernels: --tune {}", engine.tuning()));
    Ok(Loaded { engine, load_ms })
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

/// A spinner while kernels are checked, then a bar while weights go to the device.
#[derive(Default)]
struct Bar(Option<ProgressBar>);

impl Bar {
    fn show(&mut self, event: Progress) {
        match event {
            Progress::Checking => self.replace(progress::spinner("checking kernels")),
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
