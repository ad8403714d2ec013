//! The description of an adapter that is present.

use std::collections::BTreeMap;

use wisp_base::Result;
use wisp_gpu::{Binding, CommandEncoder, Gpu, Kernel, Pipeline};
use wisp_graph::{
    DeviceResources, Dispatch, Kind, PAGE, Part, Plan, PlanKey, Resource, Rows, Scratch, Shared,
    StateSize, Step, Tape, Target, Value, ValueId, Vector, Weight, lower,
};
use wisp_ops::{Attention, Linear, RmsNorm, SETTING_WORDS, Sample, record};
use wisp_runtime::limits::{beyond_caches, copy_bandwidth, peak_flops, timed};
use wisp_runtime::random_weights::{Drawn, bits, fill};

use super::{
    DECODE, Description, GpuSpec, LOADED, Waits, Work, decode, idle, kernel, launch, units,
};
use crate::Spread;

/// Dispatches of one measurement take so many seconds at least.
const LONG_ENOUGH: f64 = 4e-3;

/// Measurements, the median of which counts: predictions are of what steps mostly take.
const ROUNDS: usize = 5;

/// Loads of a chain, each of which says where the next one is: of another line of the caches.
const CHAIN: u32 = 4096;
const LINE: usize = 128;

/// A cache that all cores share answers in about half the time of memory, by `gpus.rs`.
const CACHE_SHARE: f64 = 0.5;

/// Sizes at which work is measured: bytes of a matrix (more than caches hold), positions, logits.
const BYTES_OF_W: usize = 32 << 20;
const POSITIONS: usize = 512;
const VOCAB: usize = 65_536;

/// Measures `gpu` as far as the kernels of `tape` need it, lowered for `target`.
///
/// # Errors
/// The device failed.
pub(crate) async fn describe(gpu: &Gpu, target: &Target, tape: &Tape) -> Result<Description> {
    let facts = gpu.facts();
    let dispatch = dispatch(gpu).await?;
    let (mut waits, mut work) = (None, Vec::new());
    if facts.kind == "cpu" {
        work = measure_work(gpu, target, tape, dispatch).await?;
    } else if let Some(known) = GpuSpec::of_adapter(&facts.name) {
        waits = Some(Waits::from(&known));
    } else {
        waits = Some(unknown(latency(gpu).await?));
    }
    Ok(Description {
        name: facts.name.clone(),
        bandwidth: copy_bandwidth(gpu).await?,
        reached: 1.0,
        flops: peak_flops(gpu).await?,
        dispatch,
        waits,
        work,
    })
}

/// A GPU whose cores nobody counted: all threads are resident.
fn unknown(latency: f64) -> Waits {
    let all = f64::INFINITY;
    let (memory, cache) = (LOADED * latency, CACHE_SHARE * latency);
    Waits { cores: all, threads: all, registers: all, groups: all, memory, cache }
}

/// Seconds of a run: the median of some rounds, of as many runs as take long enough.
async fn seconds(gpu: &Gpu, run: impl Fn(&mut CommandEncoder, u32)) -> Result<f64> {
    let (mut times, mut rounds) = (1, Vec::new());
    while rounds.len() < ROUNDS {
        let took = timed(gpu, |encoder| run(encoder, times)).await?;
        if took < LONG_ENOUGH && times < 1 << 12 {
            times *= 2;
            continue;
        }
        rounds.push(took / f64::from(times));
    }
    Ok(Spread::of(rounds).median)
}

/// Seconds of a dispatch that does next to nothing but writes what the one before has written.
async fn dispatch(gpu: &Gpu) -> Result<f64> {
    const THREADS: u32 = 64;
    /// A few, so that processors wake their threads.
    const GROUPS: u32 = 16;
    let kernel = Kernel::new("peak").set("THREADS", THREADS).set("ROUNDS", 1u32);
    let pipeline = gpu.pipeline(&kernel).await?;
    let words = u64::from(GROUPS * THREADS) * 4;
    let (x, y) = gpu.catch(|| (gpu.buffer("peak x", 8), gpu.buffer("peak y", words))).await?;
    gpu.write(&x, 0, bytemuck::cast_slice(&[0.5f32, 1.0]));
    let bound = gpu.bind(&pipeline, &[Binding::whole("x", &x), Binding::whole("y", &y)])?;
    let found = seconds(gpu, |encoder, times| {
        let mut pass = gpu.pass(encoder);
        (0..times).for_each(|_| pipeline.dispatch(&mut pass, &bound, [GROUPS, 1, 1]));
    });
    let found = found.await?;
    gpu.release(&x);
    gpu.release(&y);
    Ok(found)
}

/// Seconds of a load that memory answers, by a chain of them (`shaders/latency.wgsl`).
async fn latency(gpu: &Gpu) -> Result<f64> {
    let bytes = 1usize << beyond_caches(gpu).max(4096).ilog2();
    let lines = bytes / LINE;
    let mut chain = vec![0u32; bytes / 4];
    for line in 0..lines {
        // A sequence that visits every line once before it comes back (Hull and Dobell 1962).
        let next = line.wrapping_mul(1_664_525).wrapping_add(1_013_904_223) % lines;
        chain[line * LINE / 4] = (next * LINE / 4) as u32;
    }
    let pipelines = [1, CHAIN].map(|turns| Kernel::new("latency").set("TURNS", turns));
    let make = || (gpu.buffer("latency x", bytes as u64), gpu.buffer("latency y", 4));
    let (x, y) = gpu.catch(make).await?;
    gpu.write(&x, 0, bytemuck::cast_slice(&chain));
    gpu.write(&y, 0, &[0; 4]);
    let mut times = Vec::new();
    for kernel in &pipelines {
        let pipeline = gpu.pipeline(kernel).await?;
        let bound = gpu.bind(&pipeline, &[Binding::whole("x", &x), Binding::whole("y", &y)])?;
        let run = |pipeline: &Pipeline, encoder: &mut CommandEncoder, times| {
            let mut pass = gpu.pass(encoder);
            (0..times).for_each(|_| pipeline.dispatch(&mut pass, &bound, [1, 1, 1]));
        };
        times.push(seconds(gpu, |encoder, times| run(&pipeline, encoder, times)).await?);
    }
    gpu.release(&x);
    gpu.release(&y);
    Ok((times[1] - times[0]).max(0.0) / f64::from(CHAIN - 1))
}

/// What the kernels of a step take per unit of their work, each measured at a size of its own.
async fn measure_work(gpu: &Gpu, target: &Target, tape: &Tape, dispatch: f64) -> Result<Vec<Work>> {
    let mut wanted = BTreeMap::new();
    for dispatch in lower(tape, target, DECODE)?.dispatches {
        wanted.entry(kernel(&dispatch)).or_insert(dispatch);
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
    let mut work = Vec::new();
    for (name, like) in wanted {
        let Some(tape) = alone(&like)? else { continue };
        if let Some(seconds) = unit(gpu, target, &tape, &name, dispatch, cores).await? {
            work.push(Work { kernel: name, seconds, cores });
        }
    }
    Ok(work)
}

/// A value from outside.
fn value(rows: Rows, cols: usize, kind: Kind) -> Value {
    Value { name: "x".into(), rows, cols, kind }
}

/// Records attention of so many heads, heads of keys, numbers per key and per value.
fn attention(
    tape: &mut Tape,
    [heads, kv_heads, head_dim, value_dim]: [usize; 4],
) -> Result<ValueId> {
    let q = tape.input(value(Rows::Tokens, heads * head_dim, Kind::Activation));
    let latent = value_dim != head_dim;
    let cache = tape.resource(Resource::Paged { layer: 0, kv_heads, head_dim, latent });
    let op = Attention::new(heads, kv_heads, head_dim, 1.0 / (head_dim as f32).sqrt());
    let op = Attention { latent: latent.then_some(value_dim), ..op };
    record(tape, op, &[q], &[cache])
}

/// A tape of one operation with a kernel like that of `dispatch`, where its work counts.
fn alone(dispatch: &Dispatch) -> Result<Option<Tape>> {
    let kernel = &dispatch.kernel;
    let mut tape = Tape::new();
    let of = |name| launch::constant(kernel, name, 1.0) as usize;
    match (kernel.name, launch::format(kernel)) {
        ("matvec", Some(format)) => {
            let cols = of("COLS");
            let x = match kernel.links.get("input").map(String::as_str) {
                Some("input/rms_norm") => {
                    let x = tape.input(value(Rows::Tokens, cols, Kind::Residual));
                    let gain = tape.resource(Resource::Vector(Vector::all("gain", cols)));
                    let norm = RmsNorm { eps: 1e-5, outputs: false };
                    record(&mut tape, norm, &[x], &[gain])?
                }
                Some("input/merge") => {
                    let (heads, dim) = (of("HEADS"), 4 * of("HEAD_DIM4"));
                    attention(&mut tape, [heads, heads, dim, dim])?
                }
                _ => tape.input(value(Rows::Tokens, cols, Kind::Activation)),
            };
            let rows = (BYTES_OF_W / format.bytes(cols)).next_multiple_of(64);
            let parts = vec![Part { tensor: "w".into(), rows: 0..rows }];
            let w = Weight { parts, interleave: false, format, rows, cols };
            let w = tape.resource(Resource::Weight(w));
            record(&mut tape, Linear::PLAIN, &[x], &[w])?;
        }
        ("attention_decode", _) => {
            attention(&mut tape, ["HEADS", "KV_HEADS", "HEAD_DIM", "VALUE_DIM"].map(of))?;
        }
        ("sample_prepare" | "sample_pick", _) => {
            let logits = tape.input(value(Rows::Outputs, VOCAB, Kind::Logits));
            tape.push(Sample, &[logits], &[])?;
        }
        _ => return Ok(None),
    }
    Ok(Some(tape))
}

/// Seconds per unit of the kernel `name` of `tape`.
async fn unit(
    gpu: &Gpu,
    target: &Target,
    tape: &Tape,
    name: &str,
    dispatch: f64,
    cores: f64,
) -> Result<Option<f64>> {
    let pages = POSITIONS / PAGE;
    let target = Target { pages_per_sequence: pages, ..target.clone() };
    let step: Step = decode(&target.tuning, POSITIONS - 1);
    let (counts, words) = (step.counts(), step.words());
    let sampling = tape.nodes().iter().any(|node| node.op.name() == "sample");
    let key = PlanKey { sample: sampling, ..DECODE };
    let lowered = lower(tape, &target, key)?;
    let Some(at) = lowered.dispatches.iter().position(|d| kernel(d) == name) else {
        return Ok(None);
    };
    let sizes = Shared::sizes(words.len(), 1, pages, VOCAB);
    let state = StateSize { pages, slots: 1, snapshots: 0 };
    let resources = DeviceResources::allocate(gpu, tape, &target, state, sizes).await?;
    let shared = &resources.shared;
    let table: Vec<u32> = (0..pages as u32).collect();
    gpu.write(&shared.step, 0, bytemuck::cast_slice(&words));
    gpu.write(&shared.pages, 0, bytemuck::cast_slice(&table));
    gpu.write(&shared.settings, 0, bytemuck::cast_slice(&[0u32; SETTING_WORDS]));
    fill(gpu, tape, &resources, &mut Drawn::new(), bits).await?;
    let plan = Plan::build(gpu, tape, &target, key, &resources, &mut Scratch::default()).await?;
    let found = seconds(gpu, |encoder, times| {
        let mut pass = gpu.pass(encoder);
        plan.record_each(&counts, |number, run| {
            if number as usize == at {
                (0..times).for_each(|_| run(&mut pass));
            }
        });
    });
    let found = found.await?;
    let measured = &lowered.dispatches[at];
    let groups: f64 = (measured.groups)(&counts).map(f64::from).iter().product();
    let units = units((measured.cost)(&counts));
    Ok(Some((found - dispatch).max(0.0) / units / idle(groups, cores)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use wisp_gpu::Off;

    #[test]
    fn an_adapter_is_measured() {
        let gpu = pollster::block_on(Gpu::open(None, Off::default())).unwrap();
        let [dispatch, load] =
            [pollster::block_on(dispatch(&gpu)), pollster::block_on(latency(&gpu))]
                .map(Result::unwrap);
        assert!((1e-8..1e-2).contains(&dispatch), "{dispatch}");
        // A chain of loads takes longer than any cache, and less than a page fault.
        assert!((1e-9..1e-5).contains(&load), "{load}");
    }
}
