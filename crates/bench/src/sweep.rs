//! Prefill by prompt length, decode by context and by how many sequences take a step.

use web_time::Instant;
use wisp_base::{Error, Result, Setting};
use wisp_graph::{Step, StepToken};
use wisp_ops::splits;
use wisp_runtime::limits::copy_bandwidth;
use wisp_runtime::{BlockTable, Engine, Want};

use crate::Spread;
use crate::model::prompt;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// A prompt of so many tokens, in as many steps as it takes.
    Prefill(usize),
    /// A new token for each of `batch` sequences that have `depth` positions behind them.
    Decode {
        /// Positions in the cache.
        depth: usize,
        /// Sequences a step.
        batch: usize,
    },
}

/// One measurement.
#[derive(Debug, Clone)]
pub struct Point {
    /// Of what.
    pub load: Load,
    /// Tokens per second, of all sequences together.
    pub tokens_per_s: Spread,
    /// Bytes that a step of decode, or a whole prompt, must read and write.
    pub bytes: u64,
    /// Floating-point operations of the same.
    pub flops: u64,
    /// Bytes per second over the adapter's measured copy bandwidth.
    pub bandwidth_share: f64,
}

impl Load {
    /// Positions that the cache must have room for, where decode takes `steps` steps.
    pub fn positions(self, steps: usize) -> usize {
        match self {
            Self::Prefill(tokens) => tokens,
            // A sequence's pages are its own.
            Self::Decode { depth, batch } => {
                (depth + steps).next_multiple_of(wisp_graph::PAGE).saturating_mul(batch)
            }
        }
    }

    /// Sequences that take steps together.
    pub fn sequences(self) -> usize {
        match self {
            Self::Prefill(_) => 1,
            Self::Decode { batch, .. } => batch,
        }
    }
}

/// Measures each of `loads`, `repeat` times; decode for `steps` steps. The cache holds
/// whatever it holds: how long a step takes does not depend on it.
///
/// # Errors
/// What the engine was not loaded for; a device that failed.
pub async fn sweep(
    engine: &mut Engine,
    loads: &[Load],
    steps: usize,
    repeat: usize,
) -> Result<Vec<Point>> {
    engine.expect_decoder()?;
    let bandwidth = copy_bandwidth(&engine.stepper().gpu).await?;
    let mut points = Vec::new();
    for load in loads {
        let sequence_ends = match *load {
            Load::Prefill(tokens) => tokens,
            Load::Decode { depth, .. } => depth + steps,
        };
        if load.sequences() > engine.stepper().sequences || sequence_ends > engine.ctx() {
            let error = Error::input(format!(
                "{load:?} does not fit {} sequences and a context of {}",
                engine.stepper().sequences,
                engine.ctx()
            ));
            return Err(error.hint("give a larger ", Setting::Ctx, ""));
        }
        points.push(point(engine, *load, steps, repeat, bandwidth).await?);
    }
    Ok(points)
}

async fn point(
    engine: &mut Engine,
    load: Load,
    steps: usize,
    repeat: usize,
    bandwidth: f64,
) -> Result<Point> {
    let all = steps_of(engine, load, steps)?;
    // What one unit of the report is: a prompt, or a step of decode.
    let (units, tokens) = match load {
        Load::Prefill(tokens) => (1, tokens),
        Load::Decode { batch, .. } => (steps, steps * batch),
    };
    let (mut bytes, mut flops) = (0, 0);
    for step in &all {
        let key = engine.stepper_mut().prepare(step, Want::Tokens).await?;
        let costs = engine.stepper().plan(key).map(|plan| plan.costs(&step.counts()));
        for (_, cost) in costs.unwrap_or_default() {
            bytes += cost.bytes;
            flops += cost.flops;
        }
    }
    let mut rates = Vec::new();
    // The first round wakes the device.
    for round in 0..=repeat {
        let start = Instant::now();
        for step in &all {
            engine.stepper_mut().submit(step, Want::Tokens, |_, _| ()).await?;
        }
        engine.stepper().gpu.flush().await?;
        if round > 0 {
            rates.push(tokens as f64 / start.elapsed().as_secs_f64());
        }
    }
    let tokens_per_s = Spread::of(rates);
    let rounds_per_s = tokens_per_s.median / tokens as f64;
    Ok(Point {
        load,
        tokens_per_s,
        bytes: bytes / units as u64,
        flops: flops / units as u64,
        bandwidth_share: bytes as f64 * rounds_per_s / bandwidth,
    })
}

/// The steps of a load; its sequences have pages of their own.
pub(crate) fn steps_of(engine: &mut Engine, load: Load, steps: usize) -> Result<Vec<Step>> {
    give_pages(engine, load, steps)?;
    let tuning = engine.stepper().target.tuning;
    let step = |tokens: Vec<StepToken>, outputs: Vec<u32>, end: usize| Step {
        tokens,
        outputs,
        splits: splits(&tuning, end),
    };
    Ok(match load {
        Load::Prefill(tokens) => {
            let prompt = prompt(engine, tokens, 0);
            let each = engine.stepper().most_tokens();
            let part = |(number, part): (usize, &[u32])| {
                let first = number * each;
                let end = first + part.len();
                let last = (end == tokens).then(|| part.len() as u32 - 1);
                step(StepToken::run(part, first, 0).collect(), last.into_iter().collect(), end)
            };
            prompt.chunks(each).enumerate().map(part).collect()
        }
        Load::Decode { depth, batch } => {
            // Each what its sequence sampled last.
            let token = |sequence: usize, position: usize| {
                StepToken::causal(None, position as u32, sequence as u32)
            };
            let at = |position: usize| {
                let tokens = (0..batch).map(|sequence| token(sequence, position)).collect();
                step(tokens, (0..batch as u32).collect(), position + 1)
            };
            (depth..depth + steps).map(at).collect()
        }
    })
}

fn give_pages(engine: &mut Engine, load: Load, steps: usize) -> Result<()> {
    let sequences = load.sequences();
    let each = load.positions(steps) / sequences.max(1);
    let mut given = Vec::new();
    let mut full = Ok(());
    for sequence in 0..sequences {
        let mut pages = BlockTable::default();
        full = engine.blocks_mut().allocate(&mut pages, each);
        engine.stepper().write_pages(sequence, 0, &pages.list);
        given.push(pages);
        if full.is_err() {
            break;
        }
    }
    given.into_iter().for_each(|pages| engine.blocks_mut().free(pages));
    engine.blocks_mut().forget();
    full
}
