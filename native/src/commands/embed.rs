//! `wisp embed` and `wisp similar`: texts to vectors, and how alike two are.

use crate::args::{Embed, Global, Similar};
use crate::engine;
use crate::files::json_text;
use crate::out::{self, Outcome};
use pollster::block_on;
use serde_json::json;
use std::io::BufRead;
use wisp_base::{Error, Result};
use wisp_runtime::{Embedding, Handle};

/// Texts a step at most.
const TOGETHER: usize = 32;

/// Texts between two looks at stdin.
const BATCH: usize = 256;

/// Runs `wisp embed`.
pub fn run(global: &Global, args: &Embed) -> Outcome {
    let embedder = Embedder::load(global, &args.model)?;
    let mut all = Vec::new();
    let mut texts = Vec::new();
    let mut lines = (1..).zip(std::io::stdin().lock().split(b'\n'));
    loop {
        let next = lines.next();
        let last = next.is_none();
        if let Some((number, line)) = next {
            let line = line.map_err(|cause| Error::io("cannot read stdin", cause))?;
            texts.push(json_text(number, &line)?);
        }
        if texts.len() < BATCH && !last {
            continue;
        }
        let vectors = embedder.vectors(&texts)?;
        texts.clear();
        if args.json {
            all.extend(vectors);
        } else {
            vectors.iter().try_for_each(|vector| out::json(&json!(vector)))?;
        }
        if last {
            break;
        }
    }
    if args.json { out::json(&json!({ "embeddings": all })) } else { Ok(()) }
}

/// Runs `wisp similar`.
pub fn similar(global: &Global, args: &Similar) -> Outcome {
    let embedder = Embedder::load(global, &args.model)?;
    let vectors = embedder.vectors(&[args.a.clone(), args.b.clone()])?;
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    };
    let [a, b] = &vectors[..] else { return Err(Error::input("two texts are needed").into()) };
    let cosine = dot(a, b) / (dot(a, a) * dot(b, b)).sqrt().max(1e-12);
    if args.json {
        return out::json(&json!({ "cosine": cosine }));
    }
    out::line(format!("{cosine:.4}"))
}

/// A model and what it is to do with texts.
struct Embedder {
    handle: Handle,
    settings: Embedding,
}

impl Embedder {
    fn load(global: &Global, model: &str) -> Result<Self> {
        let (_, checkpoint) = engine::header(model)?;
        let settings = Embedding::of(&checkpoint)?;
        drop(checkpoint);
        let most_tokens = settings.most_tokens.min(global.ctx.unwrap_or(usize::MAX));
        let options = wisp_runtime::EngineOptions {
            ctx: Some(most_tokens),
            max_sequences: TOGETHER,
            // Texts are short, mostly: together they take as much as one long one.
            share_cache: true,
            ..engine::options(global)
        };
        let handle = engine::start(options, model, None)?.handle;
        Ok(Self { handle, settings: Embedding { most_tokens, ..settings } })
    }

    fn vectors(&self, texts: &[String]) -> Result<Vec<Vec<f32>>> {
        let most = self.settings.most_tokens;
        let tokenizer = self.handle.tokenizer()?;
        let ids = |text: &String| tokenizer.encode_cut(text.as_bytes(), most);
        let ids = texts.iter().map(ids).collect::<Result<Vec<_>>>()?;
        block_on(self.handle.embed(ids, self.settings))
    }
}
