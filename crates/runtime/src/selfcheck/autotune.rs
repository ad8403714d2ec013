//! Kernel parameters measured on this adapter, once: products, which take most of a step. The
//! first load with an adapter, driver and weight format pays for it, within [`BUDGET`].

use std::time::Duration;

use web_time::Instant;
use wisp_base::{Format, Result};
use wisp_gpu::{CommandEncoder, Coop, Gpu, NATIVE, Tuning, shaders_hash};
use wisp_graph::{
    DeviceResources, Kind, Part, Plan, PlanKey, Resource, Rows, Scratch, Shared, StateSize, Step,
    StepToken, Tape, Target, Value, Vector, Weight,
};
use wisp_ops::{Linear, RmsNorm, record};

use super::{SelfCheckResults, adapter};
use crate::load::progress::Progress;
use crate::load::random_weights::{Drawn, bits, fill};
use crate::selfcheck::limits::timed;

/// No candidate is tried after that.
const BUDGET: Duration = Duration::from_secs(2);

/// A step of one measurement takes so many seconds at least, or its time is mostly the submission's:
/// in a browser, the way to the GPU's process and back.
const LONG_ENOUGH: f64 = if NATIVE { 4e-3 } else { 20e-3 };

/// Less than this much faster is chance.
const GAIN: f64 = 0.97;

/// For less than this much more speed nothing is rounded that need not be.
const PACKED_GAIN: f64 = 0.87;

/// Weights together larger than caches, as a model's are.
const BYTES: usize = 96 << 20;

/// Tokens of a prompt's step.
const PROMPT: usize = 64;

/// Tokens of a prompt's step where plain tiles multiply: as many as fill several.
const TILES: usize = 128;

/// Tokens of a prompt's step where cooperative matrices multiply: as many as fill its tiles.
const LONG: usize = 256;

/// What is tried, one parameter after the other, each with the best of those before: for
/// steps of so many tokens, on adapters of that kind. Packed products take more rows a
/// workgroup, which all share the rounding of x; on processors they lose (bench-results.md).
const TRIALS: [(usize, Adapters, &str, &[u32]); 17] = [
    (1, Adapters::Gpu, "matvec.lanes", &[32, 8, 4]),
    (1, Adapters::Gpu, "matvec.in_flight", &[512 << 10, 8 << 20]),
    (1, Adapters::Gpu, "matvec.rows", &[4]),
    (1, Adapters::Gpu, "matvec.threads", &[128, 64]),
    (1, Adapters::Gpu, "matvec.packed=1,matvec.threads", &[256, 128, 64]),
    (LONG, Adapters::Gpu, "matmul.coop", &[0]),
    (LONG, Adapters::Gpu, "matmul.coop_rows", &[64, 16]),
    (LONG, Adapters::Gpu, "matmul.coop_tokens", &[64, 16]),
    (LONG, Adapters::Gpu, "matmul.coop_subgroups", &[4, 16]),
    (LONG, Adapters::Gpu, "matmul.groups", &[1024, 64]),
    (TILES, Adapters::Gpu, "matmul.tokens=4,matmul.token_threads=16,matmul.threads", &[256]),
    (TILES, Adapters::Gpu, "matmul.threads", &[256, 64]),
    (TILES, Adapters::Gpu, "matmul.rows", &[8, 2]),
    (TILES, Adapters::Gpu, "matmul.groups", &[1024, 64]),
    (1, Adapters::Cpu, "matvec.rows", &[4]),
    (1, Adapters::Cpu, "matvec.groups", &[16]),
    (PROMPT, Adapters::Cpu, "matvec.rows_for_many", &[6, 8]),
];

/// Kinds of adapter whose kernels are cut differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Adapters {
    Cpu,
    Gpu,
}

/// The parameters for `target`'s adapter and `tape`'s weights: those that an earlier load
/// found, or found now and kept.
///
/// # Errors
/// The device failed.
pub async fn tuned(
    gpu: &Gpu,
    target: &Target,
    tape: &Tape,
    kept: Option<&SelfCheckResults>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Tuning> {
    let Some((format, layer)) = typical(tape) else { return Ok(target.tuning) };
    let (adapter, variant) = (adapter(gpu), target.variant);
    let key = format!("tuning | {adapter} | {variant} | {format} | {:016x}", shaders_hash());
    let known = kept.and_then(|kept| kept.find(&key));
    if let Some(known) = known.and_then(|text| target.tuning.with(&text).ok()) {
        return Ok(known);
    }
    progress(Progress::Tuning);
    // A browser frees memory when it likes, unless its device is destroyed: with `own`.
    let own = if NATIVE { gpu.clone() } else { Gpu::open(None, gpu.off()).await? };
    let found = search(&own, target, &layer).await;
    own.forget_pipelines();
    drop(own);
    let Ok(tuning) = found else {
        // No memory for it: as good as not measured.
        gpu.check()?;
        return Ok(target.tuning);
    };
    if let Some(kept) = kept {
        kept.add(&key, &tuning.to_string());
    }
    Ok(tuning)
}

/// A product of the typical layer.
struct Product<'a> {
    weight: &'a Weight,
    /// Its input is normed: one token's product does that itself.
    normed: bool,
}

/// The format of the largest matrix of a layer, and all products of that layer: what is right for
/// them is right for most of a step.
fn typical(tape: &Tape) -> Option<(Format, Vec<Product<'_>>)> {
    let normed: Vec<_> =
        tape.nodes().iter().filter(|n| n.op.name() == "rms_norm").map(|n| n.output).collect();
    let products = tape.nodes().iter().flat_map(|node| {
        let normed = node.inputs.first().is_some_and(|x| normed.contains(&Some(*x)));
        let resources = node.resources.iter().filter_map(|id| tape.resources().get(id.index()));
        resources.filter_map(move |resource| match resource {
            Resource::Weight(weight) => Some(Product { weight, normed }),
            _ => None,
        })
    });
    let of_layer = |product: &Product<'_>| {
        let named = |part: &Part| part.tensor.starts_with("blk.") && !part.tensor.contains("_exps");
        product.weight.parts.iter().all(named)
    };
    let products: Vec<_> = products.filter(of_layer).collect();
    let size = |product: &&Product<'_>| product.weight.rows * product.weight.cols;
    let largest = products.iter().max_by_key(size)?.weight;
    let layer = |weight: &Weight| Some(weight.parts.first()?.tensor.split('.').nth(1)?.to_owned());
    let same = products.into_iter().filter(|product| layer(product.weight) == layer(largest));
    Some((largest.format, same.collect()))
}

async fn search(gpu: &Gpu, target: &Target, layer: &[Product<'_>]) -> Result<Tuning> {
    let start = Instant::now();
    let kind = if gpu.facts().kind == "cpu" { Adapters::Cpu } else { Adapters::Gpu };
    Bench::new(gpu, target, layer).await?.best(gpu, kind, start).await
}

/// Matrices like those of the typical layer, and what a step with them needs.
struct Bench {
    tape: Tape,
    target: Target,
    resources: DeviceResources,
}

impl Bench {
    async fn new(gpu: &Gpu, target: &Target, layer: &[Product<'_>]) -> Result<Self> {
        let mut tape = Tape::new();
        let bytes: usize =
            layer.iter().map(|p| p.weight.rows * p.weight.format.bytes(p.weight.cols)).sum();
        for number in 0..(BYTES / bytes.max(1)).clamp(1, 8) {
            for (at, Product { weight, normed }) in layer.iter().enumerate() {
                let (rows, cols) = (Rows::Tokens, weight.cols);
                let kind = if *normed { Kind::Residual } else { Kind::Activation };
                let name = format!("x {number} {at}");
                let mut x = tape.input(Value { name, rows, cols, kind });
                if *normed {
                    let gain = Vector::all(format!("tuned gain.{number}.{at}"), cols);
                    let gain = tape.resource(Resource::Vector(gain));
                    x = record(&mut tape, RmsNorm { eps: 1e-5, outputs: false }, &[x], &[gain])?;
                }
                let tensor = format!("tuned.{number}.{at}");
                let parts = vec![Part { tensor, rows: 0..weight.rows }];
                let like = Weight { parts, interleave: false, ..(*weight).clone() };
                let matrix = tape.resource(Resource::Weight(like));
                record(&mut tape, Linear::PLAIN, &[x], &[matrix])?;
            }
        }
        let target = Target { pages_per_sequence: 1, ..target.clone() };
        let shared = Shared::sizes(Step::capacity(LONG, LONG), 1, 1, 1);
        let resources =
            DeviceResources::allocate(gpu, &tape, &target, StateSize::default(), shared).await?;
        let mut drawn = Drawn::new();
        fill(gpu, &tape, &resources, &mut drawn, bits).await?;
        Ok(Self { tape, target, resources })
    }

    async fn best(&self, gpu: &Gpu, kind: Adapters, start: Instant) -> Result<Tuning> {
        let mut best = self.target.tuning;
        let mut least = [None; 3];
        for (tokens, of, name, values) in TRIALS {
            // Prompts have one of two kernels.
            let coop = Coop::used(self.target.coop, self.target.variant, &best).is_some();
            if of != kind || (tokens > 1 && coop != (tokens == LONG)) {
                continue;
            }
            let least = &mut least[usize::from(tokens > 1) + usize::from(tokens == LONG)];
            for value in values {
                if start.elapsed() > BUDGET {
                    return Ok(best);
                }
                let before = match *least {
                    Some(before) => before,
                    None => self.seconds(gpu, best, tokens).await?,
                };
                *least = Some(before);
                let Ok(tried) = best.with(&format!("{name}={value}")) else { continue };
                let more = tried.matvec.packed && !best.matvec.packed;
                if more && !gpu.facts().caps.dot {
                    continue;
                }
                // What does not compile or is too large for the adapter is no candidate.
                let Ok(seconds) = self.seconds(gpu, tried, tokens).await else {
                    gpu.check()?;
                    continue;
                };
                if seconds < before * if more { PACKED_GAIN } else { GAIN } {
                    (best, *least) = (tried, Some(seconds));
                }
            }
        }
        Ok(best)
    }

    /// The least time of some steps of so many tokens.
    async fn seconds(&self, gpu: &Gpu, tuning: Tuning, tokens: usize) -> Result<f64> {
        const ROUNDS: usize = 3;
        // Those of the candidate before: together they take much memory.
        gpu.forget_pipelines();
        let target = Target { tuning, ..self.target.clone() };
        let key = PlanKey { tokens, outputs: 1, decode: tokens == 1, sample: false };
        let mut scratch = Scratch::default();
        let plan =
            Plan::build(gpu, &self.tape, &target, key, &self.resources, &mut scratch).await?;
        let step = Step {
            tokens: StepToken::run(&vec![0; tokens], 0, 0).collect(),
            outputs: vec![0],
            splits: 1,
        };
        gpu.write(&self.resources.shared.step, 0, bytemuck::cast_slice(&step.words()));
        let mut times = 1;
        let mut least = f64::INFINITY;
        let mut round = 0;
        while round < ROUNDS {
            let record = |encoder: &mut CommandEncoder| {
                let mut pass = gpu.pass(encoder);
                (0..times).for_each(|_| plan.record(&mut pass, &step.counts()));
            };
            let took = timed(gpu, record).await?;
            if took < LONG_ENOUGH && times < 64 {
                times *= 2;
                continue;
            }
            least = least.min(took / f64::from(times));
            round += 1;
        }
        Ok(least)
    }
}
