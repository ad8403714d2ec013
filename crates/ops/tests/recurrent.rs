//! The CPU definitions of recurrent layers against transformers' (`data/make_recurrent.py`).
#![allow(clippy::unwrap_used)]

use wisp_base::KvType;
use wisp_graph::{
    Cpu, Kind, Resource, ResourceId, Rows, Sequences, StateSize, Step, StepToken, Tape, Value,
    ValueId, Vector,
};
use wisp_ops::check::relative_error;
use wisp_ops::{Activation, GatedDelta, OutputGate, ShortConv, record};

const TOKENS: usize = 24;
const KEY_HEADS: usize = 2;
const HEADS: usize = 4;
const KEY_DIM: usize = 8;
const VALUE_DIM: usize = 6;
const KERNEL: usize = 4;
const CHANNELS: usize = 10;
const LFM2_KERNEL: usize = 3;

/// Its numbers are f32, and its convolution is one in f32.
const BOUND: f64 = 1e-6;

/// Everything at once, and token by token.
const CUTS: [usize; 3] = [TOKENS, 5, 1];

/// Takes the file apart, in its order.
struct Golden(Vec<f32>);

impl Golden {
    fn new() -> Self {
        let bytes = include_bytes!("data/recurrent.bin");
        Self(bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect())
    }

    fn take(&mut self, count: usize) -> Vec<f32> {
        self.0.drain(..count).collect()
    }
}

fn input(tape: &mut Tape, cols: usize) -> ValueId {
    let (name, rows, kind) = (format!("{cols} columns"), Rows::Tokens, Kind::Activation);
    tape.input(Value { name, rows, cols, kind })
}

fn vector(tape: &mut Tape, vectors: &mut Vec<Vec<f32>>, numbers: Vec<f32>) -> ResourceId {
    let vector = Vector::all(format!("vector {}", vectors.len()), numbers.len());
    vectors.push(numbers);
    tape.resource(Resource::Vector(vector))
}

/// All rows of `value`, `cut` tokens per step.
fn run(
    cpu: &mut Cpu<'_>,
    inputs: &[(ValueId, &[f32])],
    values: &[ValueId],
    cut: usize,
) -> Vec<Vec<f32>> {
    let mut all = vec![Vec::new(); values.len()];
    for first in (0..TOKENS).step_by(cut) {
        let count = cut.min(TOKENS - first);
        let tokens = StepToken::run(&vec![0; count], first, 0).collect();
        let step = Step { tokens, splits: 1, ..Step::default() };
        let rows = |numbers: &[f32]| {
            let cols = numbers.len() / TOKENS;
            numbers[first * cols..(first + count) * cols].to_vec()
        };
        let inputs: Vec<_> = inputs.iter().map(|(id, numbers)| (*id, rows(numbers))).collect();
        let made = cpu.run(&step, &inputs).unwrap();
        for (all, id) in all.iter_mut().zip(values) {
            all.extend(made[id.index()].as_ref().unwrap());
        }
    }
    all
}

fn cpu<'a>(tape: &'a Tape, vectors: &[Vec<f32>]) -> Cpu<'a> {
    let state = StateSize { slots: 1, ..StateSize::default() };
    let load = |id: ResourceId| Ok(vectors[id.index()].clone());
    Cpu::new(tape, KvType::F32, state, Sequences::new(1, 1, 1), load).unwrap()
}

#[test]
fn qwens_gated_delta_net_is_that_of_transformers() {
    let mut golden = Golden::new();
    let (keys, hidden) = (KEY_HEADS * KEY_DIM, HEADS * VALUE_DIM);
    let channels = 2 * keys + hidden;
    let qkv = golden.take(TOKENS * channels);
    let gates = golden.take(TOKENS * 2 * HEADS);
    let z = golden.take(TOKENS * hidden);
    let (mut tape, mut vectors) = (Tape::new(), Vec::new());
    let taps = vector(&mut tape, &mut vectors, golden.take(channels * KERNEL));
    let decay = vector(&mut tape, &mut vectors, golden.take(HEADS));
    let bias = vector(&mut tape, &mut vectors, golden.take(HEADS));
    let gain = vector(&mut tape, &mut vectors, golden.take(VALUE_DIM));
    let convolved = golden.take(TOKENS * channels);
    let delta = golden.take(TOKENS * hidden);
    let state = golden.take(hidden * KEY_DIM);
    let gated = golden.take(TOKENS * hidden);

    let inputs = [channels, 2 * HEADS, hidden].map(|cols| input(&mut tape, cols));
    let activation = Some(Activation::Silu);
    let conv = ShortConv { channels, kernel: KERNEL, activation, gated: false, bias: false };
    let rule = GatedDelta {
        key_heads: KEY_HEADS,
        heads: HEADS,
        key_dim: KEY_DIM,
        value_dim: VALUE_DIM,
        grouped: true,
    };
    let gate = OutputGate {
        heads: HEADS,
        head_dim: VALUE_DIM,
        norm: Some(1e-6),
        activation: Activation::Silu,
        gate_first: 0,
    };
    let slots = |name, len| Resource::Slots { layer: 0, name, len };
    let tail = tape.resource(slots("conv", conv.state_len()));
    let matrix = tape.resource(slots("delta", rule.state_len()));
    let a = record(&mut tape, conv, &inputs[..1], &[taps, tail]).unwrap();
    let b = record(&mut tape, rule, &[a, inputs[1]], &[decay, bias, matrix]).unwrap();
    let c = record(&mut tape, gate, &[b, inputs[2]], &[gain]).unwrap();
    for cut in CUTS {
        let mut cpu = cpu(&tape, &vectors);
        let with = [(inputs[0], &qkv[..]), (inputs[1], &gates), (inputs[2], &z)];
        let made = run(&mut cpu, &with, &[a, b, c], cut);
        let close = |what: &str, got: &[f32], want: &[f32]| {
            let error = relative_error(got, want);
            assert!(error < BOUND, "{what}, {cut} tokens a step: {error:e}");
        };
        close("convolution", &made[0], &convolved);
        close("delta rule", &made[1], &delta);
        close("gated norm", &made[2], &gated);
        close("state", cpu.slot(matrix, 0).unwrap(), &state);
    }
}

#[test]
fn lfm2s_short_convolution_is_that_of_transformers() {
    let mut golden = Golden::new();
    let rest = TOKENS * 4 * CHANNELS + CHANNELS * (LFM2_KERNEL + 1);
    golden.take(golden.0.len() - rest);
    let x = golden.take(TOKENS * 3 * CHANNELS);
    let (mut tape, mut vectors) = (Tape::new(), Vec::new());
    let taps = vector(&mut tape, &mut vectors, golden.take(CHANNELS * LFM2_KERNEL));
    let bias = vector(&mut tape, &mut vectors, golden.take(CHANNELS));
    let expected = golden.take(TOKENS * CHANNELS);
    let conv = ShortConv {
        channels: CHANNELS,
        kernel: LFM2_KERNEL,
        activation: None,
        gated: true,
        bias: true,
    };
    let id = input(&mut tape, 3 * CHANNELS);
    let tail = tape.resource(Resource::Slots { layer: 0, name: "conv", len: conv.state_len() });
    let y = record(&mut tape, conv, &[id], &[taps, tail, bias]).unwrap();
    for cut in CUTS {
        let made = run(&mut cpu(&tape, &vectors), &[(id, &x)], &[y], cut);
        let error = relative_error(&made[0], &expected);
        assert!(error < BOUND, "{cut} tokens a step: {error:e}");
    }
}
