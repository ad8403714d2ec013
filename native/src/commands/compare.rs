//! `wisp compare`: what a type of weights or of cache costs in quality.

use crate::args::{Compare, Global};
use crate::bytes::shown;
use crate::engine;
use crate::files;
use crate::out::{self, Outcome};
use crate::progress;
use pollster::block_on;
use serde_json::{Value as Json, json};
use wisp_base::{Error, Result};
use wisp_bench::{BenchOptions, bench};
use wisp_runtime::{Engine, EngineOptions, log_sum_exp};

/// What is read where no text is given: tales, facts, figures, a program.
const TEXT: &str = include_str!("../compare.txt");

/// Tokens of it that are looked at: their logits are kept, a row of the vocabulary each.
const MOST: usize = 512;

/// One of those that are compared.
struct Candidate {
    name: String,
    model: String,
    options: EngineOptions,
}

/// What came of one.
struct Row {
    name: String,
    bytes: u64,
    perplexity: f64,
    divergence: Divergence,
    decode: f64,
}

/// How far its distributions are from the first one's.
#[derive(Default)]
struct Divergence {
    mean: f64,
    p99: f64,
    agreement: f64,
}

/// Runs the command.
pub fn run(global: &Global, args: &Compare) -> Outcome {
    let text = args.text.as_deref().map(files::read).transpose()?;
    let text = text.unwrap_or_else(|| TEXT.into());
    let candidates = candidates(global, args)?;
    let mut ids = Vec::new();
    let mut first = Vec::new();
    let mut rows = Vec::new();
    for candidate in &candidates {
        let mut engine = engine::load_with(&candidate.options, &candidate.model)?.engine;
        let own = tokens(&engine, &text)?;
        if rows.is_empty() {
            ids = own;
        } else if own != ids {
            return Err(Error::input(format!(
                "{} makes other tokens of the text than {}: only models of one vocabulary can be \
                 compared",
                candidate.name, candidates[0].name
            ))
            .into());
        }
        let spinner = progress::spinner(format!("reading with {}", candidate.name));
        let logits = block_on(engine.logits(&ids, true, None));
        let decode = decode_speed(&mut engine);
        spinner.finish_and_clear();
        let (logits, vocab) = (log_softmax(logits?, engine.columns()), engine.columns());
        let divergence = match rows.is_empty() {
            true => Divergence { agreement: 1.0, ..Divergence::default() },
            false => divergence(&first, &logits, vocab)?,
        };
        let perplexity = perplexity(&logits, &ids, vocab);
        let (name, bytes) = (candidate.name.clone(), engine.memory().weights);
        rows.push(Row { name, bytes, perplexity, divergence, decode: decode? });
        if first.is_empty() {
            first = logits;
        }
    }
    if args.json {
        let rows: Vec<Json> = rows.iter().map(object).collect();
        return out::json(&json!({"text_tokens": ids.len(), "models": rows}));
    }
    table(&rows, ids.len())
}

/// A, and B or A in each of the types.
fn candidates(global: &Global, args: &Compare) -> Result<Vec<Candidate>> {
    let of = |name: String, model: &str, options| Candidate { name, model: model.into(), options };
    let mut plain = engine::options(global);
    plain.ctx = Some(global.ctx.unwrap_or(MOST));
    let mut all = vec![of(args.a.clone(), &args.a, plain.clone())];
    if let Some(b) = &args.b {
        let kv = args.kv_b.or(plain.kv);
        all.push(of(b.clone(), b, EngineOptions { kv, ..plain.clone() }));
    }
    for kv in args.kvs.iter().flatten() {
        let options = EngineOptions { kv: Some(*kv), ..plain.clone() };
        all.push(of(format!("{} cache", kv.name()), &args.a, options));
    }
    for made in args.types.iter().flatten() {
        let prepare = Some(engine::prepare(*made));
        all.push(of(made.name.into(), &args.a, EngineOptions { prepare, ..plain.clone() }));
    }
    if all.len() == 1 {
        return Err(Error::input(
            "there is nothing to compare with: name a second model, --types q8_0,q4_k_m or --kvs \
             f16,q8_0",
        ));
    }
    Ok(all)
}

fn tokens(engine: &Engine, text: &[u8]) -> Result<Vec<u32>> {
    let mut ids = engine.tokenizer()?.encode(text, true, false)?;
    ids.truncate(engine.ctx().min(MOST));
    if ids.len() < 2 {
        return Err(Error::input("the text has fewer than 2 tokens: give a longer one"));
    }
    Ok(ids)
}

/// Tokens per second, one after the other.
fn decode_speed(engine: &mut Engine) -> Result<f64> {
    let room = engine.ctx().saturating_sub(16).clamp(2, 17);
    let options = BenchOptions { prompt_tokens: 8, generate: room, repeat: 1, ops: false };
    Ok(block_on(bench(engine, &options))?.decode_tokens_per_s.median)
}

/// Natural logarithms of the probabilities, row by row.
fn log_softmax(mut logits: Vec<f32>, vocab: usize) -> Vec<f32> {
    for row in logits.chunks_exact_mut(vocab) {
        let all = log_sum_exp(row);
        row.iter_mut().for_each(|logit| *logit = (f64::from(*logit) - all) as f32);
    }
    logits
}

fn perplexity(logs: &[f32], ids: &[u32], vocab: usize) -> f64 {
    let own = logs.chunks_exact(vocab).zip(&ids[1..]);
    let sum: f64 = own.map(|(row, id)| f64::from(row[*id as usize])).sum();
    (-sum / (ids.len() - 1) as f64).exp()
}

fn top(row: &[f32]) -> usize {
    let best = row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
    best.map_or(0, |(at, _)| at)
}

/// Σ p·ln(p/q) at each position, p of the first model.
fn divergence(p: &[f32], q: &[f32], vocab: usize) -> Result<Divergence> {
    if p.len() != q.len() {
        return Err(Error::input("the models have vocabularies of different sizes"));
    }
    let pairs = || p.chunks_exact(vocab).zip(q.chunks_exact(vocab));
    let kl = |(p, q): (&[f32], &[f32])| -> f64 {
        p.iter().zip(q).map(|(p, q)| f64::from(*p).exp() * f64::from(p - q)).sum()
    };
    let mut all: Vec<f64> = pairs().map(kl).map(|kl| kl.max(0.0)).collect();
    if all.iter().any(|kl| !kl.is_finite()) {
        return Err(Error::device("a model's logits are not finite numbers: try --caps f16=off"));
    }
    let same = pairs().filter(|(p, q)| top(p) == top(q)).count();
    let count = all.len() as f64;
    all.sort_by(f64::total_cmp);
    let p99 = all[(0.99 * (count - 1.0)).round() as usize];
    Ok(Divergence { mean: all.iter().sum::<f64>() / count, p99, agreement: same as f64 / count })
}

fn object(row: &Row) -> Json {
    json!({
        "model": row.name, "bytes": row.bytes, "perplexity": row.perplexity,
        "kl_mean": row.divergence.mean, "kl_p99": row.divergence.p99,
        "top1_agreement": row.divergence.agreement, "decode_tokens_per_s": row.decode,
    })
}

fn table(rows: &[Row], tokens: usize) -> Outcome {
    let width = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0);
    out::line(format!(
        "{:width$} {:>10} {:>11} {:>9} {:>9} {:>7} {:>9}",
        "", "weights", "perplexity", "mean KL", "99 % KL", "top-1", "tokens/s"
    ))?;
    for row in rows {
        let Divergence { mean, p99, agreement } = &row.divergence;
        out::line(format!(
            "{:width$} {:>10} {:>11.3} {mean:>9.5} {p99:>9.5} {:>6.1}% {:>9.1}",
            row.name,
            shown(row.bytes),
            row.perplexity,
            100.0 * agreement,
            row.decode
        ))?;
    }
    out::line(format!("over {tokens} tokens; KL and top-1 against the first"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn divergence_is_that_of_the_definition() {
        let p = log_softmax(vec![0.0, 1.0, 2.0, 1.0, 1.0, 1.0], 3);
        let q = log_softmax(vec![0.0, 1.0, 2.0, 0.0, 0.0, 2.0], 3);
        let d = divergence(&p, &q, 3).unwrap();
        // ln(e² + 2) − ln 3 − 2/3, by hand.
        let second = (2f64.exp() + 2.0).ln() - 3f64.ln() - 2.0 / 3.0;
        assert!((d.mean - second / 2.0).abs() < 1e-6 && (d.p99 - second).abs() < 1e-6);
        // Of equal ones the last is the top.
        assert_eq!(d.agreement, 1.0);
        assert!(
            (perplexity(&p, &[0, 2, 2], 3) - (1.0 / (p[2].exp() / 3.0).sqrt()) as f64).abs() < 1e-6
        );
    }
}
