//! How long a step takes on a GPU that need not be there: a model of cost.
//!
//! A dispatch takes `dispatch + max(memory, latency, cache, arithmetic)`:
//! - `dispatch`: until the next one may begin, which reads what this one wrote;
//! - `memory`: its bytes by the memory's bandwidth;
//! - `latency`: by Little's law (Volkov 2016, "Understanding latency hiding on GPUs"), its bytes ×
//!   the latency / the bytes in flight. Those are the resident threads × what each has asked for
//!   before it waits, so that it is the waits of a thread, one after another, × how often the
//!   device is filled with threads;
//! - `cache`: what workgroups read again of what others have read;
//! - `arithmetic`: its f32 operations, unpacking of weights included, by the f32 rate.
//!
//! The last four overlap without loss in the model, so that it is an upper bound of the speed where
//! a kernel has enough in flight: the ends of dispatches, where some cores have no work, are in
//! `dispatch` alone.
//!
//! On a processor that runs shaders a load costs more than its bytes. There a kernel takes `work`
//! too: what it takes for a weight of a format, a key or a logit, measured ([`measured`]).

mod gpus;
mod launch;
mod measured;

use wisp_base::{Error, Result};
use wisp_formats::Checkpoint;
use wisp_gpu::{Caps, Off, Tuning, Variant};
use wisp_graph::{
    Cost, Counts, Dispatch, PAGE, PlanKey, Step, StepToken, Tape, Target, default_kv, lower,
};
use wisp_ops::splits;
use wisp_runtime::{Engine, EngineOptions};

pub use gpus::{GPUS, GpuSpec};
use launch::Launch;

/// A memory under load answers later than an idle one: about twice. An H100 then needs
/// 3350 GB/s × 546 ns = 1.8 MB in flight.
const LOADED: f64 = 2.0;

/// What reading reaches of a published bandwidth: refresh and turning the bus take the rest.
const REACHED: f64 = 0.9;

/// Bandwidth of a cache that all cores share over that of memory. It is 1.7 (H100) to 5 (RTX 4090)
/// by the microbenchmarks that `gpus.rs` names.
const CACHE: f64 = 2.0;

/// A dispatch that waits for the one before, within a pass: no vendor publishes it; about 2 µs are
/// reported for WebGPU over Vulkan and Metal.
const DISPATCH_S: f64 = 2e-6;

/// A device, as the model knows it. Rates are per second, times in seconds.
#[derive(Debug, Clone, PartialEq)]
pub struct Description {
    /// For people.
    pub name: String,
    /// Bytes of memory, as published or as copies measure it.
    pub bandwidth: f64,
    /// What part of it a kernel reaches.
    pub reached: f64,
    /// f32 operations.
    pub flops: f64,
    /// Of a dispatch that waits for the one before.
    pub dispatch: f64,
    /// How many threads wait, and for how long; unknown of processors, which fetch ahead.
    pub waits: Option<Waits>,
    /// Of processors: what kernels take, and how many cores share it.
    pub work: Vec<Work>,
}

/// Latencies, and the threads that hide them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Waits {
    /// Cores that workgroups are spread over.
    pub cores: f64,
    /// Resident threads per core at most.
    pub threads: f64,
    /// 32-bit registers per core.
    pub registers: f64,
    /// Resident workgroups per core at most.
    pub groups: f64,
    /// A load that memory under load answers.
    pub memory: f64,
    /// A load that a shared cache answers.
    pub cache: f64,
}

/// What a kernel takes on a processor, whatever the bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Work {
    /// The kernel, with what it reads: `matvec weight/q4_0 input/plain 2048u`.
    pub kernel: String,
    /// Seconds per unit (see `units`), all cores busy.
    pub seconds: f64,
    /// Cores: the last workgroups may leave some without any.
    pub cores: f64,
}

/// What limits a dispatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// The dispatch itself.
    Dispatch,
    /// The memory's bandwidth.
    Bandwidth,
    /// Too few bytes in flight.
    Latency,
    /// What is read again, from caches.
    Cache,
    /// The f32 rate.
    Arithmetic,
    /// What a processor takes per weight, key or logit.
    Work,
}

impl Bound {
    /// Why a prediction of that kind may be wrong.
    pub fn why(self) -> &'static str {
        match self {
            Self::Dispatch => {
                "little but the dispatch: its own work was not measured, and a step's first one \
                 waits for the submission too"
            }
            Self::Bandwidth => "by the bandwidth of copies, which its pattern of loads may miss",
            Self::Latency => {
                "by the waits counted in its shader, which a compiler may place better"
            }
            Self::Cache => "by a bandwidth of caches that was not measured",
            Self::Arithmetic => "by operations counted by hand for an NVIDIA GPU",
            Self::Work => "by its work at one size, whose rows and workgroups are others",
        }
    }

    /// For people, and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dispatch => "dispatch",
            Self::Bandwidth => "bandwidth",
            Self::Latency => "latency",
            Self::Cache => "cache",
            Self::Arithmetic => "arithmetic",
            Self::Work => "work",
        }
    }
}

/// Seconds of one dispatch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Seconds {
    /// All of it.
    pub total: f64,
    /// What most of it is.
    pub bound: Bound,
    /// Bytes in flight, where that is known.
    pub in_flight: Option<f64>,
}

/// One kind of dispatch in a step of decode.
#[derive(Debug, Clone, PartialEq)]
pub struct OpPrediction {
    /// The operation's name.
    pub op: &'static str,
    /// Dispatches per step.
    pub calls: usize,
    /// Microseconds per step, all calls together.
    pub us: f64,
    /// Bytes read or written.
    pub bytes: u64,
    /// Floating-point operations.
    pub flops: u64,
    /// Bytes in flight in the call that takes longest, where that is known.
    pub in_flight: Option<f64>,
    /// What limits that call.
    pub bound: Bound,
}

/// A step of decode of one sequence.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// The device.
    pub on: String,
    /// Positions behind the token.
    pub depth: usize,
    /// By operation, in the order of a step.
    pub ops: Vec<OpPrediction>,
    /// Bytes per token over the bandwidth × the time.
    pub bandwidth_share: f64,
}

impl Prediction {
    /// Milliseconds per token.
    pub fn ms(&self) -> f64 {
        self.ops.iter().map(|op| op.us).sum::<f64>() / 1000.0
    }

    /// Bytes per token.
    pub fn bytes(&self) -> u64 {
        self.ops.iter().map(|op| op.bytes).sum()
    }

    /// Dispatches per token.
    pub fn dispatches(&self) -> usize {
        self.ops.iter().map(|op| op.calls).sum()
    }
}

impl From<&GpuSpec> for Description {
    fn from(gpu: &GpuSpec) -> Self {
        Self {
            name: gpu.name.into(),
            bandwidth: gpu.bandwidth * 1e9,
            reached: REACHED,
            flops: gpu.tflops * 1e12,
            dispatch: DISPATCH_S,
            waits: Some(Waits::from(gpu)),
            work: Vec::new(),
        }
    }
}

impl From<&GpuSpec> for Waits {
    fn from(gpu: &GpuSpec) -> Self {
        Self {
            cores: gpu.cores.into(),
            threads: gpu.threads.into(),
            registers: gpu.registers.into(),
            groups: gpu.groups.into(),
            memory: LOADED * gpu.memory_ns * 1e-9,
            cache: gpu.l2_ns * 1e-9,
        }
    }
}

impl Waits {
    /// How often the device is filled with a launch's workgroups: once at least.
    fn fills(&self, launch: &Launch) -> f64 {
        let threads = self.threads.min(self.registers / f64::from(launch.registers));
        let each = (threads / launch.threads).floor().min(self.groups).max(1.0);
        (launch.groups / (each * self.cores)).max(1.0)
    }

    /// A launch's waits, one after another.
    fn latency(&self, launch: &Launch) -> f64 {
        let thread = launch.memory_waits * self.memory + launch.cache_waits * self.cache;
        thread * self.fills(launch)
    }
}

impl Description {
    /// How long a dispatch takes.
    fn of_dispatch(&self, dispatch: &Dispatch, counts: &Counts, cost: Cost) -> Seconds {
        let launch = Launch::of(dispatch, counts, cost);
        let name = kernel(dispatch);
        let work = self.work.iter().find(|work| work.kernel == name);
        let work = work.map(|work| {
            work.seconds * units(cost) * launch.padded * idle(launch.groups, work.cores)
        });
        self.seconds(&launch, cost.bytes as f64, work)
    }

    /// How long a launch takes that moves so many bytes, and so much work where it was measured.
    fn seconds(&self, launch: &Launch, bytes: f64, work: Option<f64>) -> Seconds {
        let parts = [
            (Bound::Bandwidth, bytes / (self.bandwidth * self.reached)),
            (Bound::Latency, self.waits.map_or(0.0, |waits| waits.latency(launch))),
            (Bound::Cache, launch.cache_bytes / (CACHE * self.bandwidth)),
            // Work has operations in it, as the processor takes them.
            (Bound::Arithmetic, if work.is_some() { 0.0 } else { launch.operations / self.flops }),
            (Bound::Work, work.unwrap_or(0.0)),
        ];
        let (bound, most) =
            parts.into_iter().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or(parts[0]);
        let fills = self.waits.map(|waits| waits.fills(launch));
        Seconds {
            total: self.dispatch + most,
            bound: if self.dispatch > most { Bound::Dispatch } else { bound },
            in_flight: fills.map(|fills| bytes / launch.memory_waits / fills),
        }
    }

    /// A step of decode, whose dispatches are those of `tape` lowered for `target`.
    ///
    /// # Errors
    /// An operation that cannot be lowered.
    pub fn predict(&self, tape: &Tape, target: &Target, depth: usize) -> Result<Prediction> {
        let counts = decode(&target.tuning, depth).counts();
        let mut ops: Vec<(OpPrediction, f64)> = Vec::new();
        for dispatch in lower(tape, target, DECODE)?.dispatches {
            if (dispatch.groups)(&counts).contains(&0) {
                continue;
            }
            let cost = (dispatch.cost)(&counts);
            let Seconds { total, bound, in_flight } = self.of_dispatch(&dispatch, &counts, cost);
            let us = total * 1e6;
            let known = ops.iter().position(|(op, _)| op.op == dispatch.label);
            let at = known.unwrap_or_else(|| {
                let (op, calls) = (dispatch.label, 0);
                let none =
                    OpPrediction { op, calls, us: 0.0, bytes: 0, flops: 0, in_flight, bound };
                ops.push((none, 0.0));
                ops.len() - 1
            });
            let (op, longest) = &mut ops[at];
            op.calls += 1;
            op.us += us;
            op.bytes += cost.bytes;
            op.flops += cost.flops;
            if us > *longest {
                (op.in_flight, op.bound, *longest) = (in_flight, bound, us);
            }
        }
        let ops = ops.into_iter().map(|(op, _)| op).collect();
        let mut made = Prediction { on: self.name.clone(), depth, ops, bandwidth_share: 0.0 };
        made.bandwidth_share = made.bytes() as f64 / (made.ms() / 1000.0) / self.bandwidth;
        Ok(made)
    }
}

/// The plan of such a step.
const DECODE: PlanKey = PlanKey { tokens: 1, outputs: 1, decode: true, sample: true };

/// A token behind `depth` positions.
fn decode(tuning: &Tuning, depth: usize) -> Step {
    let token = StepToken::causal(None, depth as u32, 0);
    let splits = splits(tuning, depth + 1);
    Step { tokens: vec![token], outputs: vec![0], splits }
}

/// By how much longer than evenly spread `cores` take for so many workgroups: the last ones may
/// leave some cores without any.
fn idle(groups: f64, cores: f64) -> f64 {
    (groups / cores).ceil() * cores / groups
}

/// A kernel with what it reads: what [`Work`] is known by.
fn kernel(dispatch: &Dispatch) -> String {
    let kernel = &dispatch.kernel;
    let reads: &[&str] = match kernel.name {
        "attention_decode" => &["kv"],
        _ => &["weight", "input"],
    };
    let links = reads.iter().filter_map(|name| kernel.links.get(name));
    // How fast rows are read depends on how long they are.
    links.chain(kernel.constants.get("COLS")).fold(kernel.name.to_owned(), |a, b| a + " " + b)
}

/// What a kernel's work is counted in: operations, or bytes where it computes nothing.
fn units(cost: Cost) -> f64 {
    if cost.flops > 0 { cost.flops as f64 } else { cost.bytes as f64 }
}

/// A step of decode on a GPU that need not be there. Of the options, those that say how kernels are
/// linked count.
///
/// # Errors
/// A model that this version does not run; options that are wrong.
pub fn predict(
    gpu: &GpuSpec,
    checkpoint: Checkpoint,
    options: &EngineOptions,
    depth: usize,
) -> Result<Prediction> {
    let checkpoint = options.prepared(checkpoint)?;
    let decoder = wisp_models::read(&checkpoint)?;
    if decoder.config.encoder {
        return Err(Error::unsupported("the model is an encoder, which predicts no tokens"));
    }
    let positions = (depth + 1).next_multiple_of(PAGE);
    let tape = decoder.tape(&checkpoint, positions, None)?.tape;
    let off = Off::parse(&options.caps)?;
    let caps = Caps { subgroups: !off.subgroups, f16: !off.f16, dot: !off.dot, coop: None };
    let variant = Variant::best(caps);
    let tuning = Tuning::GPU.with(&options.tuning)?.within(caps);
    let target = Target {
        kv: options.kv.unwrap_or(default_kv(variant)),
        // What drivers of GPUs allow at least.
        max_binding: 1 << 31,
        subgroup: gpu.subgroup,
        max_bindings: 16,
        workgroup_memory: gpu.workgroup_memory,
        pages_per_sequence: positions / PAGE,
        ..Target::least(variant, tuning)
    };
    Description::from(gpu).predict(&tape, &target, depth)
}

/// The adapter of an engine as the model of cost knows it: measured, and completed by published
/// figures where its name is among [`GPUS`].
///
/// # Errors
/// The device failed.
pub async fn describe(engine: &Engine) -> Result<Description> {
    let stepper = engine.stepper();
    measured::describe(&stepper.gpu, &stepper.target, &stepper.forward.tape).await
}

/// A step of an engine's decode behind `depth` positions, on a device that was described.
///
/// # Errors
/// An encoder.
pub fn predict_on(on: &Description, engine: &Engine, depth: usize) -> Result<Prediction> {
    engine.expect_decoder()?;
    let stepper = engine.stepper();
    on.predict(&stepper.forward.tape, &stepper.target, depth)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// 1000 GB/s, 10 TFLOP/s, 2 µs a dispatch; 10 cores of 1024 threads, 1 µs to memory, 0.5 µs to
    /// the cache.
    fn device() -> Description {
        Description {
            name: "test".into(),
            bandwidth: 1e12,
            reached: 0.8,
            flops: 1e13,
            dispatch: 2e-6,
            waits: Some(Waits {
                cores: 10.0,
                threads: 1024.0,
                registers: 32_768.0,
                groups: 12.0,
                memory: 1e-6,
                cache: 0.5e-6,
            }),
            work: Vec::new(),
        }
    }

    const LAUNCH: Launch = Launch {
        groups: 100.0,
        threads: 64.0,
        registers: 32,
        memory_waits: 4.0,
        cache_waits: 2.0,
        cache_bytes: 0.0,
        operations: 0.0,
        padded: 1.0,
    };

    #[track_caller]
    fn takes(device: &Description, launch: Launch, bytes: f64, us: f64, bound: Bound) -> Seconds {
        let seconds = device.seconds(&launch, bytes, None);
        assert!((seconds.total * 1e6 - us).abs() < 1e-6, "{seconds:?} in place of {us} µs");
        assert_eq!(seconds.bound, bound);
        seconds
    }

    #[test]
    fn the_limit_that_binds_counts() {
        let device = device();
        // 4 waits for memory and 2 for the cache; 100,000 bytes are in flight at a time.
        let slow = takes(&device, LAUNCH, 4e5, 7.0, Bound::Latency);
        assert_eq!(slow.in_flight, Some(1e5));
        // 8 MB at 800 GB/s.
        takes(&device, LAUNCH, 8e6, 12.0, Bound::Bandwidth);
        // 200 MFLOP at 10 TFLOP/s; 40 MB at twice the memory's bandwidth.
        let more = Launch { operations: 2e8, ..LAUNCH };
        takes(&device, more, 8e6, 22.0, Bound::Arithmetic);
        takes(&device, Launch { cache_bytes: 4e7, ..LAUNCH }, 8e6, 22.0, Bound::Cache);
        let short = Launch { memory_waits: 1.0, cache_waits: 0.0, ..LAUNCH };
        takes(&device, short, 1e3, 3.0, Bound::Dispatch);
    }

    #[test]
    fn latency_is_littles_law() {
        // Without waits for the cache: bytes × latency / bytes in flight.
        let launch = Launch { cache_waits: 0.0, ..LAUNCH };
        let (waits, bytes) = (device().waits.unwrap(), 1e6);
        let seconds = device().seconds(&launch, bytes, None);
        let law = bytes * waits.memory / seconds.in_flight.unwrap();
        assert!((waits.latency(&launch) - law).abs() < 1e-15);
    }

    #[test]
    fn threads_that_find_no_room_wait_for_others() {
        let waits = device().waits.unwrap();
        let fills = |groups, threads, registers| {
            waits.fills(&Launch { groups, threads, registers, ..LAUNCH })
        };
        // 12 workgroups of 64 threads a core; 16 have threads, and registers of 32 each.
        assert_eq!(fills(120.0, 64.0, 32), 1.0);
        assert_eq!(fills(240.0, 64.0, 32), 2.0);
        // 4 of 256 threads, by threads; 2 by registers, where a thread has 64.
        assert_eq!(fills(80.0, 256.0, 32), 2.0);
        assert_eq!(fills(80.0, 256.0, 64), 4.0);
        // One there is in any case.
        assert_eq!(fills(10.0, 1024.0, 255), 1.0);
    }

    #[test]
    fn work_counts_the_cores_that_wait() {
        assert_eq!([8.0, 9.0, 1.0].map(|groups| idle(groups, 2.0)), [1.0, 10.0 / 9.0, 2.0]);
        let processor = Description { waits: None, dispatch: 5e-5, ..device() };
        let launch = Launch { operations: 1e12, ..LAUNCH };
        let seconds = processor.seconds(&launch, 8e6, Some(1e-3));
        assert!((seconds.total - 1.05e-3).abs() < 1e-12);
        assert_eq!((seconds.bound, seconds.in_flight), (Bound::Work, None));
    }
}
