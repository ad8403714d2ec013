//! Measuring a loaded model: prefill, decode, time by operation.

use std::ops::ControlFlow;

use web_time::Instant;
use wisp_base::{Error, Result, Setting};
use wisp_gpu::Profiler;
use wisp_graph::Step;
use wisp_runtime::limits::{copy_bandwidth, peak_flops};
use wisp_runtime::{Engine, Request, Want};

use crate::sweep::{Load, steps_of};

/// What `wisp bench` is to do.
#[derive(Debug, Clone)]
pub struct BenchOptions {
    /// Prompt length.
    pub prompt_tokens: usize,
    /// Tokens to decode.
    pub generate: usize,
    /// Rounds; the report has median, least and most.
    pub repeat: usize,
    /// Time each kind of dispatch on the GPU as well.
    pub ops: bool,
}

/// Median, least and most of some rounds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Spread {
    /// The middle one.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The most.
    pub max: f64,
}

/// One kind of dispatch in a decode step.
#[derive(Debug, Clone)]
pub struct OpTime {
    /// The op's name.
    pub op: String,
    /// Dispatches per step.
    pub calls: usize,
    /// GPU time a step, all calls together, in microseconds.
    pub gpu_us: f64,
    /// Bytes that must be read or written a step.
    pub bytes: u64,
    /// Floating-point operations per step.
    pub flops: u64,
}

/// What `wisp bench` found.
#[derive(Debug, Clone, Default)]
pub struct BenchReport {
    /// Prompt tokens per second.
    pub prefill_tokens_per_s: Spread,
    /// New tokens per second.
    pub decode_tokens_per_s: Spread,
    /// Dispatches in a decode step.
    pub dispatches_per_token: usize,
    /// Bytes that a decode step must read.
    pub bytes_per_token: u64,
    /// Bytes per token × tokens per second over the adapter's measured copy bandwidth.
    pub bandwidth_share: f64,
    /// Host time to prepare and submit a decode step, in microseconds.
    pub host_us_per_token: f64,
    /// Time to the first token after loading, in milliseconds.
    pub first_token_ms: f64,
    /// With `ops`.
    pub ops: Vec<OpTime>,
    /// With `ops`: the adapter's measured copy bandwidth in bytes per second, and the most f32
    /// operations that it does a second.
    pub limits: Option<(f64, f64)>,
}

impl Spread {
    pub(crate) fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or(0.0);
        let last = values.len().saturating_sub(1);
        Self { median: at(values.len() / 2), min: at(0), max: at(last) }
    }
}

/// Measures prefill and decode; see `wisp bench`.
///
/// # Errors
/// Sizes of 0 or beyond the context; a device that failed.
pub async fn bench(engine: &mut Engine, options: &BenchOptions) -> Result<BenchReport> {
    engine.expect_decoder()?;
    let BenchOptions { prompt_tokens, generate, repeat, ops } = *options;
    if prompt_tokens == 0 || generate < 2 || repeat == 0 {
        return Err(Error::input(
            "a bench needs at least 1 prompt token, 2 tokens to generate and 1 round",
        ));
    }
    if prompt_tokens + generate > engine.ctx() {
        let error = Error::input(format!(
            "{prompt_tokens} prompt tokens and {generate} to generate exceed the context of {}",
            engine.ctx()
        ));
        return Err(error.hint("give a larger ", Setting::Ctx, ""));
    }
    let mut report = BenchReport::default();
    let (mut prefill, mut decode) = (Vec::new(), Vec::new());
    // The first round compiles the kernels: it gives the time to the first token only.
    for round in 0..=repeat {
        let request = Request {
            prompt: prompt(engine, prompt_tokens, round),
            max_tokens: generate,
            ignore_eos: true,
            ..Request::default()
        };
        let done = engine.generate(&request, &mut |_| ControlFlow::Continue(())).await?.timings;
        if round == 0 {
            report.first_token_ms = done.prefill_ms;
        } else {
            prefill.push(done.prefill_tokens_per_s());
            decode.push(done.decode_tokens_per_s().unwrap_or(0.0));
        }
    }
    report.prefill_tokens_per_s = Spread::of(prefill);
    report.decode_tokens_per_s = Spread::of(decode);

    let depth = prompt_tokens + generate / 2;
    let step = steps_of(engine, Load::Decode { depth, batch: 1 }, 1)?.pop().unwrap_or_default();
    let key = engine.stepper_mut().prepare(&step, Want::Tokens).await?;
    let counts = step.counts();
    let costs = engine.stepper().plan(key).map(|plan| plan.costs(&counts)).unwrap_or_default();
    report.dispatches_per_token = costs.len();
    report.bytes_per_token = costs.iter().map(|(_, cost)| cost.bytes).sum();
    let bandwidth = copy_bandwidth(&engine.stepper().gpu).await?;
    let bytes_per_s = report.bytes_per_token as f64 * report.decode_tokens_per_s.median;
    report.bandwidth_share = bytes_per_s / bandwidth;
    report.host_us_per_token = host_time(engine, &step).await?;
    if ops {
        report.ops = op_times(engine, &step, repeat).await?;
        report.limits = Some((bandwidth, peak_flops(&engine.stepper().gpu).await?));
    }
    Ok(report)
}

/// Tokens that no earlier round has in its cache.
pub(crate) fn prompt(engine: &Engine, count: usize, round: usize) -> Vec<u32> {
    let vocab = engine.vocab();
    (0..count).map(|at| ((at * 7919 + round * 104_729 + 11) % vocab) as u32).collect()
}

/// Microseconds to prepare and submit a step, while the device is idle.
async fn host_time(engine: &mut Engine, step: &Step) -> Result<f64> {
    const ROUNDS: usize = 5;
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        engine.stepper_mut().submit(step, Want::Tokens, |_, _| ()).await?;
        times.push(start.elapsed().as_secs_f64() * 1e6);
        engine.stepper().gpu.flush().await?;
    }
    Ok(Spread::of(times).median)
}

/// GPU time of a decode step by operation, the mean of some rounds.
async fn op_times(engine: &mut Engine, step: &Step, rounds: usize) -> Result<Vec<OpTime>> {
    let key = engine.stepper_mut().prepare(step, Want::Tokens).await?;
    let counts = step.counts();
    let gpu = engine.stepper().gpu.clone();
    let Some(plan) = engine.stepper().plan(key) else { return Ok(Vec::new()) };
    let costs = plan.costs(&counts);
    let profiler = Profiler::new(&gpu, costs.len() as u32)?;
    gpu.write(&engine.stepper().resources.shared.step, 0, bytemuck::cast_slice(&step.words()));
    let mut ops: Vec<OpTime> = Vec::new();
    for _ in 0..rounds {
        let mut encoder = gpu.encoder();
        plan.record_each(&counts, |at, run| run(&mut profiler.pass(&mut encoder, at)));
        profiler.resolve(&mut encoder, costs.len() as u32);
        gpu.submit(encoder)?;
        let times = profiler.microseconds(&gpu, costs.len() as u32).await?;
        for ((name, _), time) in costs.iter().zip(times) {
            let found = ops.iter_mut().find(|op| op.op == *name);
            match found {
                Some(op) => op.gpu_us += time / rounds as f64,
                None => ops.push(OpTime {
                    op: (*name).to_owned(),
                    calls: 0,
                    gpu_us: time / rounds as f64,
                    bytes: 0,
                    flops: 0,
                }),
            }
        }
    }
    for (name, cost) in costs {
        if let Some(op) = ops.iter_mut().find(|op| op.op == name) {
            op.calls += 1;
            op.bytes += cost.bytes;
            op.flops += cost.flops;
        }
    }
    Ok(ops)
}
