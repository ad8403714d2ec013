//! `wisp models --fit`: which models of the catalog this machine runs, best first.

use crate::args::Global;
use crate::bytes::shown;
use crate::engine;
use crate::out::{self, Outcome};
use crate::progress;
use crate::store::{Known, Purpose, Store};
use pollster::block_on;
use serde_json::{Value, json};
use std::cmp::Reverse;
use wisp_base::{Error, KvType, Result};
use wisp_runtime::DeviceReport;

/// The context that a chat should have.
const WANTED: u64 = 4096;
/// Less is not worth a model.
const LEAST: u64 = 2048;
/// Contexts are multiples of this.
const STEP: u64 = 256;
/// Tokens of a prompt that are computed at once, at most.
const PREFILL: u64 = 512;
/// Tokens per second below which waiting spoils a conversation: about what a person reads.
const QUICK: f64 = 5.0;
/// Share of its largest buffer that models may take, where an adapter does not tell its memory.
const SHARE: f64 = 0.9;

/// What a model may be made smaller to while it is loaded (`--quantize`): bits per weight, those
/// of the embedding counted in. Taken from files of 1B to 8B, and rounded up.
const SMALLER: [(&str, f64); 2] = [("Q3_K_M", 4.3), ("Q2_K", 3.5)];

/// What an adapter offers.
#[derive(Debug, Clone)]
struct Machine {
    name: String,
    /// `--device` takes it.
    index: usize,
    /// Bytes for a model.
    memory: u64,
    /// Bytes per buffer.
    buffer: u64,
    /// Bytes a second that kernels read.
    bandwidth: f64,
    copy_gb_per_s: f64,
    /// How the KV cache is stored unless asked otherwise.
    kv: KvType,
}

impl Machine {
    fn of(report: &DeviceReport) -> Self {
        let limit = |name: &str| {
            let limit = report.limits.iter().find(|(known, _)| known == name);
            limit.map_or(0, |(_, value)| *value)
        };
        let has = |name: &str| report.features.iter().any(|(known, has)| known == name && *has);
        let buffer = limit("max_buffer");
        // Metal and DX12 do not tell; a buffer there is at most a part of what there is.
        // What is told has the room that others need left out already.
        let memory = match limit("memory") {
            0 => (buffer as f64 * SHARE) as u64,
            told => told,
        };
        // Of what copies reach. A software adapter computes where it should read: SmolLM2's 30
        // tokens per second (crates/bench-results.md) are a fourteenth of it. No GPU was measured
        // yet: this much is usual for kernels that memory bounds.
        let share = if report.kind == "cpu" { 0.07 } else { 0.7 };
        Self {
            name: report.name.clone(),
            index: report.index,
            memory,
            buffer: limit("max_binding").min(buffer),
            bandwidth: report.copy_gb_per_s * 1e9 * share,
            copy_gb_per_s: report.copy_gb_per_s,
            kv: if has("f16") { KvType::F16 } else { KvType::F32 },
        }
    }
}

/// How a model runs here.
#[derive(Debug, Clone)]
struct Fit {
    known: &'static Known,
    /// The type of its weights.
    weights: &'static str,
    /// Is that another type than its file has?
    requantized: bool,
    kv: KvType,
    ctx: u64,
    /// Bytes in all.
    memory: u64,
    /// `None` of a model that generates none.
    tokens_per_s: Option<f64>,
}

/// What the person asks for.
#[derive(Debug, Clone, Copy, Default)]
struct Wish {
    kv: Option<KvType>,
    ctx: Option<u64>,
}

/// Bytes of a model: weights, KV cache, activations of a prompt's piece, logits.
fn bytes(known: &Known, weights: u64, ctx: u64, kv: KvType) -> u64 {
    let facts = known.facts;
    let [layers, hidden, queries, keys, ffn, vocab] =
        [facts.layers, facts.hidden, facts.queries, facts.keys, facts.ffn, facts.vocab]
            .map(u64::from);
    let cache = if known.purpose == Purpose::Embed { 0 } else { layers * token(keys, kv) * ctx };
    let widest = 4 * hidden + 2 * queries + 2 * keys + 3 * ffn;
    let scratch = PREFILL * widest * 2 + vocab * 32;
    weights + cache + scratch
}

/// Bytes of keys and values of a token in a layer.
fn token(keys: u64, kv: KvType) -> u64 {
    2 * kv.bytes(usize::try_from(keys).unwrap_or(usize::MAX)) as u64
}

/// The largest context up to `most` with which the model fits.
fn largest(machine: &Machine, known: &Known, weights: u64, kv: KvType, most: u64) -> Option<u64> {
    let a_token = token(known.facts.keys.into(), kv).max(1);
    let spare = machine.memory.checked_sub(bytes(known, weights, 0, kv))?;
    let in_memory = match known.purpose {
        Purpose::Embed => most,
        _ => spare / (a_token * u64::from(known.facts.layers)).max(1),
    };
    // Keys and values of a layer are a buffer each.
    let ctx = most.min(in_memory).min(machine.buffer / (a_token / 2).max(1));
    Some(if ctx == most { ctx } else { ctx / STEP * STEP }).filter(|ctx| *ctx > 0)
}

/// How a model runs on a machine, or what is missing.
fn fit(machine: &Machine, known: &'static Known, wish: Wish) -> Result<Fit, String> {
    let trained = u64::from(known.facts.context);
    let wanted = wish.ctx.unwrap_or(WANTED.min(trained));
    let least = wish.ctx.unwrap_or(LEAST.min(trained));
    let own = (known.weights, known.bytes(), false);
    let smaller = SMALLER.into_iter().map(|(name, bits)| {
        (name, (f64::from(known.facts.millions) * 1e6 * bits / 8.0) as u64, true)
    });
    let types: Vec<_> = match known.purpose {
        // They are small.
        Purpose::Embed => vec![own],
        _ => [own].into_iter().chain(smaller).collect(),
    };
    let caches = match wish.kv {
        Some(kv) => vec![kv],
        None => vec![machine.kv, KvType::Q8_0],
    };
    let most = |(_, weights, _): &(_, u64, _), kv| largest(machine, known, *weights, kv, wanted);
    let mut found = None;
    'types: for of in types.iter().filter(|of| !of.2 || of.1 < own.1) {
        for kv in &caches {
            if let Some(ctx) = most(of, *kv).filter(|ctx| *ctx >= least) {
                found = Some((*of, *kv, ctx));
                break 'types;
            }
        }
    }
    let Some(((weights, size, requantized), kv, ctx)) = found else {
        let need = bytes(known, own.1, wanted, caches.first().copied().unwrap_or(machine.kv));
        return Err(format!("needs {} of {}", shown(need), shown(machine.memory)));
    };
    // A conversation of a thousand tokens.
    let cache = u64::from(known.facts.layers) * token(known.facts.keys.into(), kv) * ctx.min(1024);
    let share = size as f64 / own.1 as f64;
    let read = known.facts.read.unwrap_or(own.1) as f64 * share + cache as f64;
    Ok(Fit {
        known,
        weights,
        requantized,
        kv,
        ctx,
        memory: bytes(known, size, ctx, kv),
        tokens_per_s: (known.purpose != Purpose::Embed).then(|| machine.bandwidth / read),
    })
}

/// What runs, best first, and what does not.
type Sorted = (Vec<Fit>, Vec<(&'static Known, String)>);

/// Chat models come before others; among them those that are quick enough, then those of their
/// own type, then the better ones, which stand further down in the catalog.
fn sorted(machine: &Machine, catalog: &'static [Known], wish: Wish) -> Sorted {
    let mut fits = Vec::new();
    let mut too_large = Vec::new();
    for (place, known) in catalog.iter().enumerate() {
        match fit(machine, known, wish) {
            Ok(fit) => fits.push((place, fit)),
            Err(why) => too_large.push((known, why)),
        }
    }
    fits.sort_by_key(|(place, fit)| {
        let purpose = match fit.known.purpose {
            Purpose::Chat => 0,
            Purpose::Base => 1,
            Purpose::Embed => 2,
        };
        let slow = fit.tokens_per_s.is_some_and(|speed| speed < QUICK);
        // Where all are slow, the quickest is the best.
        let tenths = fit.tokens_per_s.map_or(0, |speed| (speed * 10.0) as u64);
        let slowness = Reverse(if slow { tenths } else { u64::MAX });
        (purpose, slow, slowness, fit.requantized, Reverse(*place))
    });
    (fits.into_iter().map(|(_, fit)| fit).collect(), too_large)
}

/// Measures the adapter that would be taken.
fn machine(global: &Global) -> Result<Machine> {
    if let Some(of) = global.quantize {
        return Err(Error::input(format!(
            "--quantize {} does not go with this: it says itself which type fits; leave it out",
            of.name
        )));
    }
    let waiting = progress::spinner("measuring");
    let mut options = engine::options(global);
    // Of several adapters, the one that a model would be loaded on: the first.
    options.device.get_or_insert_with(|| "0".into());
    let found = block_on(wisp_runtime::devices(&options, false));
    waiting.finish_and_clear();
    let found = found?;
    found.first().map(Machine::of).ok_or_else(|| Error::device("there is no adapter"))
}

fn wish(global: &Global) -> Wish {
    Wish { kv: global.kv, ctx: global.ctx.map(|ctx| ctx as u64) }
}

/// The name of the best model for a conversation.
pub fn best(global: &Global) -> Result<&'static str> {
    let machine = machine(global)?;
    let (fits, _) = sorted(&machine, crate::store::KNOWN, wish(global));
    let best = fits.first().filter(|fit| fit.known.purpose == Purpose::Chat).ok_or_else(|| {
        Error::memory(format!(
            "no model of the catalog fits {} with {}: see `wisp models --fit`",
            machine.name,
            shown(machine.memory)
        ))
    })?;
    out::note(format!("best for {}: {}", machine.name, line(best, 0)));
    if best.requantized {
        out::note(format!("it fits with --quantize {}", best.weights.to_lowercase()));
    }
    Ok(best.known.name)
}

/// Runs `wisp models --fit`.
pub fn run(global: &Global, json: bool) -> Outcome {
    let machine = machine(global)?;
    let (fits, too_large) = sorted(&machine, crate::store::KNOWN, wish(global));
    if json {
        let too_large =
            too_large.iter().map(|(known, why)| json!({"name": known.name, "why": why}));
        return out::json(&json!({
            "device": machine.name,
            "index": machine.index,
            "memory": machine.memory,
            "copy_gb_per_s": out::finite(machine.copy_gb_per_s),
            "models": objects(&fits)?,
            "too_large": too_large.collect::<Vec<_>>(),
        }));
    }
    out::line(format!(
        "{}: {} for a model, {:.1} GB/s; best first",
        machine.name,
        shown(machine.memory),
        machine.copy_gb_per_s
    ))?;
    let width = fits.iter().map(|fit| fit.known.name.len()).max().unwrap_or(0);
    for fit in &fits {
        out::line(line(fit, width))?;
    }
    for (known, why) in &too_large {
        out::line(format!("{:width$}  does not fit: {why}", known.name))?;
    }
    Ok(())
}

fn objects(fits: &[Fit]) -> Result<Vec<Value>> {
    let here = Store::open()?.list()?;
    let path = |name: &str| {
        here.iter().find(|entry| entry.name == name).and_then(|entry| entry.path.clone())
    };
    let object = |fit: &Fit| {
        json!({
            "name": fit.known.name, "bytes": fit.known.bytes(), "path": path(fit.known.name),
            "purpose": fit.known.purpose.name(), "type": fit.weights,
            "requantized": fit.requantized, "kv": fit.kv.name(), "ctx": fit.ctx,
            "memory": fit.memory, "tokens_per_s": fit.tokens_per_s.map(out::finite),
        })
    };
    Ok(fits.iter().map(object).collect())
}

fn line(fit: &Fit, width: usize) -> String {
    let Fit { known, weights, kv, ctx, memory, tokens_per_s, .. } = fit;
    let speed = match tokens_per_s {
        Some(speed) if *speed < 10.0 => format!("about {speed:.1} tokens/s"),
        Some(speed) => format!("about {speed:.0} tokens/s"),
        None => "embeddings".into(),
    };
    format!(
        "{:width$}  {weights:<6} {ctx:>6} tokens of context, {} cache  {:>10}  {speed}",
        known.name,
        kv.name(),
        shown(*memory)
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::store::KNOWN;
    use wisp_convert::{Type, recast};
    use wisp_runtime::{EngineOptions, Shape, plan_memory};

    fn known(name: &str) -> &'static Known {
        KNOWN.iter().find(|known| known.name == name).unwrap()
    }

    fn machine(gib: f64, gb_per_s: f64) -> Machine {
        let memory = (gib * f64::from(1 << 30)) as u64;
        Machine {
            name: "some".into(),
            index: 0,
            memory,
            buffer: memory,
            bandwidth: gb_per_s * 1e9,
            copy_gb_per_s: gb_per_s,
            kv: KvType::F16,
        }
    }

    /// The engine's own plan for the model's sizes, in the type of its file.
    #[test]
    fn estimates_are_what_the_engine_plans() {
        for (name, ctx) in [
            ("smollm2-135m", 2048),
            ("llama-3.2-1b", 4096),
            ("llama-3.2-3b", 8192),
            ("qwen3-4b", 4096),
            ("gpt-oss-20b", 4096),
        ] {
            let known = known(name);
            let mut checkpoint = Shape::find(name).unwrap().checkpoint().unwrap();
            recast(&mut checkpoint, Type::parse(&known.weights.to_lowercase()).unwrap(), None)
                .unwrap();
            let options = EngineOptions { ctx: Some(ctx), ..EngineOptions::default() };
            let plan = plan_memory(&checkpoint, &options).unwrap();
            let estimate = bytes(known, known.bytes(), ctx as u64, KvType::F16);
            let ratio = estimate as f64 / plan.total() as f64;
            println!("{name}: {estimate} of {plan:?}: {ratio}");
            assert!((0.95..1.15).contains(&ratio), "{name}: {ratio}, {plan:?}");
            // The cache exactly.
            let layers = u64::from(known.facts.layers);
            let cache = layers * token(known.facts.keys.into(), KvType::F16) * ctx as u64;
            assert_eq!(cache, plan.kv, "{name}");
        }
    }

    #[test]
    fn the_best_is_the_largest_that_is_quick_enough() {
        for (gib, gb_per_s, name, weights) in [
            (24.0, 500.0, "gpt-oss-20b", "MXFP4"),
            (7.0, 250.0, "qwen3-8b", "Q4_K_M"),
            (5.5, 250.0, "qwen3-8b", "Q4_K_M"),
            (4.0, 100.0, "qwen3-4b", "Q4_K_M"),
            // Room for all, but slow.
            (64.0, 30.0, "gpt-oss-20b", "MXFP4"),
            (64.0, 12.0, "smollm3-3b", "Q4_K_M"),
            (64.0, 3.0, "smollm2-135m", "Q4_1"),
            (1.2, 100.0, "gemma3-1b", "Q4_K_M"),
            (0.25, 100.0, "smollm2-135m", "Q4_1"),
        ] {
            let (fits, too_large) = sorted(&machine(gib, gb_per_s), KNOWN, Wish::default());
            let best = fits.first().unwrap();
            assert_eq!((best.known.name, best.weights), (name, weights), "{gib} {gb_per_s}");
            assert_eq!(fits.len() + too_large.len(), KNOWN.len());
            for fit in &fits {
                assert!(fit.memory <= machine(gib, gb_per_s).memory, "{fit:?}");
                assert!(fit.ctx >= LEAST.min(fit.known.facts.context.into()), "{fit:?}");
            }
        }
        let (fits, _) = sorted(&machine(0.0, 1.0), KNOWN, Wish::default());
        assert!(fits.is_empty());
    }

    #[test]
    fn contexts_and_caches_are_made_to_fit_or_kept_as_asked() {
        let qwen = known("qwen3-8b");
        // Enough for the weights and half of the cache.
        let tight = machine(5.15, 100.0);
        let fitted = fit(&tight, qwen, Wish::default()).unwrap();
        assert!(!fitted.requantized && fitted.ctx >= LEAST && fitted.ctx <= WANTED, "{fitted:?}");
        let wish = Wish { ctx: Some(32_768), kv: None };
        let fitted = fit(&machine(7.5, 100.0), qwen, wish).unwrap();
        assert_eq!((fitted.ctx, fitted.kv, fitted.requantized), (32_768, KvType::Q8_0, false));
        let wish = Wish { ctx: Some(32_768), kv: Some(KvType::F32) };
        let why = fit(&tight, qwen, wish).unwrap_err();
        assert!(why.starts_with("needs 13.7 GiB of 5."), "{why}");
        // A type of fewer bits where its own does not fit.
        let fitted = fit(&machine(4.5, 100.0), qwen, Wish::default()).unwrap();
        assert!(fitted.requantized && fitted.weights == "Q3_K_M", "{fitted:?}");
    }
}
