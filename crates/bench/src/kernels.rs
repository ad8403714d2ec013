//! Time of every kernel on an adapter, at the sizes of `wisp_ops::bench`.

use wisp_base::Result;
use wisp_gpu::{Buffer, CommandEncoder, Gpu, Off, Profiler, Tuning, Variant};
use wisp_graph::{
    Counts, DeviceResources, Lowered, PAGE, Plan, Scratch, Shared, StateSize, Target, lower,
};
use wisp_ops::check::{Case, fill_inputs, target};
use wisp_runtime::EngineOptions;
use wisp_runtime::limits::{beyond_caches, copy_bandwidth, peak_flops, timed};
use wisp_runtime::random_weights::{Drawn, fill, numbers};

use crate::Spread;

/// Rounds before those that count: the first one compiles, and wakes the device.
const WARM_UP: usize = 2;

/// How long dispatches of one kernel run together where only the host has a clock.
const TOGETHER_S: f64 = 5e-3;

/// The dispatches of one kernel in one case.
#[derive(Debug, Clone)]
pub struct KernelTime {
    /// What it computes.
    pub operation: &'static str,
    /// Its file under `shaders/`.
    pub kernel: &'static str,
    /// At which sizes.
    pub case: String,
    /// Microseconds.
    pub us: Spread,
    /// Bytes that must be read or written.
    pub bytes: u64,
    /// Floating-point operations.
    pub flops: u64,
}

/// An adapter that is measured.
#[derive(Debug)]
pub struct KernelBench {
    gpu: Gpu,
    variant: Variant,
    tuning: Tuning,
    /// Written between two measurements, so that caches hold nothing of the first one.
    swept: [Buffer; 2],
    /// The adapter's name, and how kernels are linked.
    pub device: String,
    /// Bytes a second of copies.
    pub bandwidth: f64,
    /// f32 operations per second at most.
    pub flops: f64,
    /// The device's own clock is read around single dispatches, and caches are cold.
    /// Without, the host's around many: what a cache holds is read from there.
    pub timestamps: bool,
}

impl KernelBench {
    /// Opens the adapter, measures what it can do at most.
    ///
    /// # Errors
    /// There is none, or it failed.
    pub async fn open(options: &EngineOptions) -> Result<Self> {
        let gpu = Gpu::open(options.device.as_deref(), Off::parse(&options.caps)?).await?;
        let variant = Variant::best(gpu.facts().caps);
        let tuning = gpu.tuning().with(&options.tuning)?.within(gpu.facts().caps);
        let (bandwidth, flops) = (copy_bandwidth(&gpu).await?, peak_flops(&gpu).await?);
        let bytes = beyond_caches(&gpu);
        let sweep = || [gpu.buffer("sweep from", bytes), gpu.buffer("sweep to", bytes)];
        let swept = gpu.catch(sweep).await?;
        let device = format!("{} ({variant})", gpu.facts().name);
        let timestamps = gpu.facts().timestamps;
        Ok(Self { gpu, variant, tuning, swept, device, bandwidth, flops, timestamps })
    }

    /// Measures every kernel of whose line (`kernel operation case`) `filter` is a part,
    /// `samples` times, and gives each to `found` at once.
    ///
    /// # Errors
    /// The device failed, or has too little memory for a case.
    pub async fn run(
        &self,
        filter: &str,
        samples: usize,
        found: &mut dyn FnMut(KernelTime),
    ) -> Result<()> {
        let mut drawn = Drawn::new();
        for case in wisp_ops::bench::cases(&self.tuning)? {
            for time in self.case(&case, filter, samples, &mut drawn).await? {
                found(time);
            }
            // The sizes of a case are its own.
            self.gpu.forget_pipelines();
            self.gpu.flush().await?;
        }
        Ok(())
    }

    async fn case(
        &self,
        case: &Case,
        filter: &str,
        samples: usize,
        drawn: &mut Drawn,
    ) -> Result<Vec<KernelTime>> {
        let (gpu, tape) = (&self.gpu, &case.tape);
        let Some((step, key)) = case.steps.first() else { return Ok(Vec::new()) };
        let counts = step.counts();
        let positions = step.tokens.iter().map(|token| token.position as usize + 1);
        let pages = positions.max().unwrap_or(1).div_ceil(PAGE);
        let target =
            Target { pages_per_sequence: pages, ..target(gpu, case, self.variant, self.tuning) };
        // Which kernels there are is known before anything is made.
        let (mut times, line_of) = lines(case, &lower(tape, &target, *key)?, &counts);
        let wanted =
            |t: &KernelTime| format!("{} {} {}", t.kernel, t.operation, t.case).contains(filter);
        if !times.iter().any(wanted) {
            return Ok(Vec::new());
        }

        let page_table: Vec<u32> = (0..pages as u32).collect();
        let settings = case.settings.first().copied().unwrap_or_default().words();
        let sizes = Shared::sizes(step.words().len(), 1, pages, case.vocab.max(1));
        let state = StateSize { pages, slots: 1, snapshots: 0 };
        let device = DeviceResources::allocate(gpu, tape, &target, state, sizes).await?;
        let shared = &device.shared;
        gpu.write(&shared.step, 0, bytemuck::cast_slice(&step.words()));
        gpu.write(&shared.pages, 0, bytemuck::cast_slice(&page_table));
        gpu.write(&shared.settings, 0, bytemuck::cast_slice(&settings));
        fill(gpu, tape, &device, drawn, numbers).await?;
        // Each value has memory of its own, so that inputs are there in every round.
        let mut scratch = Scratch::guarded(256);
        let plan = Plan::build(gpu, tape, &target, *key, &device, &mut scratch).await?;
        fill_inputs(gpu, case, &plan, &target, 0);

        let rounds = match self.timestamps {
            true => self.by_device(&plan, &counts, samples).await?,
            false => self.by_host(&plan, &counts, samples).await?,
        };
        for (line, time) in times.iter_mut().enumerate() {
            let of_line = |round: &Vec<f64>| {
                let own = round.iter().zip(&line_of).filter(|(_, of)| **of == line);
                own.map(|(us, _)| us).sum()
            };
            time.us = Spread::of(rounds.iter().map(of_line).collect());
        }
        times.retain(wanted);
        Ok(times)
    }

    /// Microseconds of each dispatch, a vector a round.
    async fn by_device(
        &self,
        plan: &Plan,
        counts: &Counts,
        rounds: usize,
    ) -> Result<Vec<Vec<f64>>> {
        let dispatches = plan.costs(counts).len() as u32;
        let profiler = Profiler::new(&self.gpu, dispatches)?;
        let mut all = Vec::new();
        for round in 0..WARM_UP + rounds {
            let mut encoder = self.gpu.encoder();
            plan.record_each(counts, |at, run| {
                self.sweep(&mut encoder);
                run(&mut profiler.pass(&mut encoder, at));
            });
            profiler.resolve(&mut encoder, dispatches);
            self.gpu.submit(encoder)?;
            let times = profiler.microseconds(&self.gpu, dispatches).await?;
            if round >= WARM_UP {
                all.push(times);
            }
        }
        Ok(all)
    }

    fn sweep(&self, encoder: &mut CommandEncoder) {
        let [from, to] = &self.swept;
        encoder.copy_buffer_to_buffer(from, 0, to, 0, to.size());
    }

    /// The same by the host's clock: each dispatch again and again in one submission.
    async fn by_host(&self, plan: &Plan, counts: &Counts, rounds: usize) -> Result<Vec<Vec<f64>>> {
        let dispatches = plan.costs(counts).len();
        let mut times = vec![1; dispatches];
        let mut all = Vec::new();
        for round in 0..WARM_UP + rounds {
            let mut us = Vec::new();
            for (wanted, times) in times.iter_mut().enumerate() {
                let record = |encoder: &mut CommandEncoder| {
                    let mut pass = self.gpu.pass(encoder);
                    plan.record_each(counts, |at, run| {
                        if at as usize == wanted {
                            (0..*times).for_each(|_| run(&mut pass));
                        }
                    });
                };
                let each = timed(&self.gpu, record).await? / f64::from(*times);
                us.push(each * 1e6);
                if round < WARM_UP {
                    *times = (TOGETHER_S / each).clamp(1.0, 1000.0) as u32;
                }
            }
            if round >= WARM_UP {
                all.push(us);
            }
        }
        Ok(all)
    }
}

/// The lines of a case, still without times, and which of them each dispatch belongs to: a
/// weight of several shards has a dispatch each.
fn lines(case: &Case, lowered: &Lowered, counts: &Counts) -> (Vec<KernelTime>, Vec<usize>) {
    let mut times: Vec<KernelTime> = Vec::new();
    let mut line_of = Vec::new();
    for dispatch in &lowered.dispatches {
        if (dispatch.groups)(counts).contains(&0) {
            continue;
        }
        let (operation, kernel) = (dispatch.label, dispatch.kernel.name);
        let known = times.iter().position(|t| (t.operation, t.kernel) == (operation, kernel));
        let line = known.unwrap_or_else(|| {
            let (case, us) = (case.name.clone(), Spread::default());
            times.push(KernelTime { operation, kernel, case, us, bytes: 0, flops: 0 });
            times.len() - 1
        });
        let cost = (dispatch.cost)(counts);
        times[line].bytes += cost.bytes;
        times[line].flops += cost.flops;
        line_of.push(line);
    }
    (times, line_of)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn finite(bench: &KernelBench, filter: &str) -> Vec<KernelTime> {
        let mut times = Vec::new();
        pollster::block_on(bench.run(filter, 3, &mut |time| times.push(time))).unwrap();
        for time in &times {
            let Spread { median, min, max } = time.us;
            assert!(min > 0.0 && min <= median && median <= max && max.is_finite(), "{time:?}");
        }
        times
    }

    #[test]
    fn both_clocks_give_every_kernel_a_time() {
        let mut bench = pollster::block_on(KernelBench::open(&EngineOptions::default())).unwrap();
        assert!(bench.bandwidth > 0.0 && bench.flops > 0.0);
        for timestamps in [bench.timestamps, false] {
            bench.timestamps = timestamps;
            let norms = finite(&bench, "rms_norm");
            assert_eq!(norms.len(), 2, "{norms:?}");
            // Bytes are those of rows in and out, with the gains.
            assert!(norms[1].bytes > 60 * norms[0].bytes && norms[0].bytes > 4 * 2048);
            // Two kernels of a case; one of them alone.
            assert_eq!(finite(&bench, "decode at 128, 32/8 heads of 64, f16").len(), 2);
            assert_eq!(finite(&bench, "attention_merge attention decode at 128,").len(), 4);
        }
        assert!(finite(&bench, "no such kernel").is_empty());
    }
}
