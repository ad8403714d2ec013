//! Gated delta rule (Yang et al. 2024): with q, k scaled to length 1, q by 1/√d_k besides,
//! β = σ(b) and g = decay·softplus(a + dt_bias), a head's state `[d_k, d_v]` becomes
//! S ← e^g·S, δ = β(v − Sᵀk), S ← S + k·δᵀ, and its result is Sᵀq.

use std::sync::Arc;

use wisp_base::{Error, Result, Setting};
use wisp_gpu::{GatedDeltaTuning, Reduce};
use wisp_graph::{
    Bind, Cost, Counts, CpuNode, Kind, Lower, Operation, Resource, Rows, Tape, Value,
};

use crate::check::{self, Case};
use crate::{expect_cols, expect_len, expect_slots, nth, record};

/// Added to Σx² of a query or a key.
const EPS: f64 = 1e-6;

/// vec4s of a state that a thread should hold at most: 128 registers. With twice as many, RADV
/// and NVK keep some of them in memory.
const HELD: u32 = 32;

/// Numbers of a key at most.
const MOST_KEY_DIM: usize = 256;

/// Turns of loops per thread at most (`shaders/README.md`).
const MOST_TURNS: u64 = 65_535;

/// Inputs: q, k and v behind each other, `[tokens, 2·key_heads·key_dim + heads·value_dim]`; b,
/// then a, of each head, `[tokens, 2·heads]`. Output: `[tokens, heads·value_dim]`. Resources:
/// decay `[heads]`, which is −exp(A_log); dt_bias `[heads]`; slots `[heads, value_dim, key_dim]`.
#[derive(Debug, Clone, PartialEq)]
pub struct GatedDelta {
    /// Heads of queries and keys.
    pub key_heads: usize,
    /// Heads of values, each with a state; a multiple of `key_heads`.
    pub heads: usize,
    /// d_k; a multiple of 4, up to 256.
    pub key_dim: usize,
    /// d_v.
    pub value_dim: usize,
    /// Which key a head has: h ÷ (heads / key_heads), as transformers orders heads; else
    /// h mod key_heads, as most GGUF files do.
    pub grouped: bool,
}

impl GatedDelta {
    /// Numbers that a sequence keeps.
    pub fn state_len(&self) -> usize {
        self.heads * self.value_dim * self.key_dim
    }

    /// Columns of q, k and v together.
    pub fn input_cols(&self) -> usize {
        2 * self.key_heads * self.key_dim + self.heads * self.value_dim
    }

    fn key_head(&self, head: usize) -> usize {
        if self.grouped { head / (self.heads / self.key_heads) } else { head % self.key_heads }
    }
}

impl Operation for GatedDelta {
    fn name(&self) -> &'static str {
        "gated_delta"
    }

    fn infer(&self, inputs: &[&Value], resources: &[&Resource]) -> Result<Option<Value>> {
        expect_cols(nth(inputs, 0)?, self.input_cols())?;
        expect_cols(nth(inputs, 1)?, 2 * self.heads)?;
        expect_len(resources, 0, self.heads)?;
        expect_len(resources, 1, self.heads)?;
        expect_slots(resources, 2, self.state_len())?;
        if self.key_heads == 0 || !self.heads.is_multiple_of(self.key_heads) {
            return Err(Error::input(format!(
                "{} heads of values do not share {} heads of keys evenly",
                self.heads, self.key_heads
            )));
        }
        if !self.key_dim.is_multiple_of(4) || !(4..=MOST_KEY_DIM).contains(&self.key_dim) {
            return Err(Error::unsupported(format!(
                "keys of {} numbers: they must be a multiple of 4, up to {MOST_KEY_DIM}",
                self.key_dim
            )));
        }
        let (name, cols) = ("gated_delta".into(), self.heads * self.value_dim);
        Ok(Some(Value { name, rows: Rows::Tokens, cols, kind: Kind::Activation }))
    }

    fn cpu(&self, node: &mut CpuNode<'_>) -> Result<Vec<f32>> {
        let (dim, keys) = (self.key_dim, self.key_heads * self.key_dim);
        let (decay, bias) = (node.numbers(0)?.to_vec(), node.numbers(1)?.to_vec());
        let rows = node.input(0)?.chunks_exact(self.input_cols());
        let gates = node.input(1)?.chunks_exact(2 * self.heads);
        let mut y = Vec::new();
        for (token, (row, gates)) in node.step.tokens.iter().zip(rows.zip(gates)) {
            let slot = node.slot_mut(2, token)?;
            for head in 0..self.heads {
                let first = self.key_head(head) * dim;
                let q = unit(&row[first..first + dim], 1.0 / (dim as f64).sqrt());
                let k = unit(&row[keys + first..keys + first + dim], 1.0);
                let beta = 1.0 / (1.0 + (-f64::from(gates[head])).exp());
                let a = f64::from(gates[self.heads + head]) + f64::from(bias[head]);
                let kept = (f64::from(decay[head]) * a.exp().ln_1p()).exp();
                for j in head * self.value_dim..(head + 1) * self.value_dim {
                    let column = &mut slot[j * dim..(j + 1) * dim];
                    let seen: f64 = dot(column, &k) * kept;
                    let delta = beta * (f64::from(row[2 * keys + j]) - seen);
                    for (s, k) in column.iter_mut().zip(&k) {
                        *s = (kept * f64::from(*s) + k * delta) as f32;
                    }
                    y.push(dot(column, &q) as f32);
                }
            }
        }
        Ok(y)
    }

    fn gpu(&self, lower: &mut Lower<'_>) -> Result<()> {
        let cut = Cut::new(lower, self.key_dim as u32 / 4)?;
        let kernel = lower
            .kernel(self.name())
            .set("THREADS", cut.threads)
            .set("LANES", cut.lanes)
            .set("COLS", cut.columns)
            .set("TOKENS", cut.tokens)
            .set("SHARE", cut.share)
            .set("ROWS4", cut.rows4)
            .set("KEY_HEADS", self.key_heads as u64)
            .set("HEADS", self.heads as u64)
            .set("KEY_DIM4", self.key_dim as u64 / 4)
            .set("VALUE_DIM", self.value_dim as u64)
            .set_bool("GROUPED", self.grouped)
            .set("X_STRIDE4", lower.input(0).stride() as u64 / 4)
            .set("GATES_STRIDE", lower.input(1).stride() as u64)
            .set("Y_STRIDE", lower.output()?.stride() as u64);
        let binds = vec![
            ("step", Bind::Step),
            ("x", lower.bind_input(0)),
            ("gates", lower.bind_input(1)),
            ("y", lower.bind_output()?),
            ("decay", Bind::Numbers(lower.id(0))),
            ("dt_bias", Bind::Numbers(lower.id(1))),
            ("slots", Bind::Slots(lower.id(2))),
        ];
        let columns = cut.threads / cut.lanes * cut.columns;
        let (heads, groups) = (self.heads as u32, (self.value_dim as u32).div_ceil(columns));
        let numbers = self.input_cols() + 2 * self.heads + self.heads * self.value_dim;
        let bytes = lower.bytes(Kind::Activation, numbers);
        let state = self.state_len() as u64;
        let cost = move |tokens: u32, c: &Counts| Cost {
            bytes: bytes * u64::from(tokens) + 8 * state * u64::from(c.runs),
            flops: 7 * state * u64::from(tokens),
        };
        lower.dispatch(
            kernel.clone(),
            binds.clone(),
            move |c| [groups, heads, c.runs],
            move |c| cost(c.tokens - c.drafts, c),
        );
        if lower.key.tokens > 1 {
            lower.dispatch(
                kernel.set_bool("DRAFTS", true),
                binds,
                move |c| [groups, heads, if c.drafts > 0 { c.runs } else { 0 }],
                move |c| cost(c.drafts, c),
            );
        }
        Ok(())
    }
}

/// How the kernel's work is cut.
struct Cut {
    threads: u32,
    lanes: u32,
    columns: u32,
    rows4: u32,
    tokens: u32,
    /// Threads that load a token.
    share: u32,
}

impl Cut {
    fn new(lower: &Lower<'_>, key_dim4: u32) -> Result<Self> {
        let GatedDeltaTuning { threads, lanes, columns, tokens } = lower.target.tuning.gated_delta;
        let fewest = key_dim4.div_ceil(HELD).next_power_of_two();
        let lanes = match lower.target.variant.reduce {
            Reduce::Subgroup => lower.lanes(lanes.max(fewest).min(threads)),
            Reduce::Workgroup => fewest.min(threads),
        };
        let rows4 = key_dim4.div_ceil(lanes);
        let columns = columns.min((HELD / rows4).max(1));
        let step = lower.key.tokens as u32;
        let mut tokens = tokens.min(threads).min(step.next_power_of_two());
        // Keys, queries, values and factors of a token.
        let bytes = 32 * key_dim4 + 4 * threads / lanes * columns + 16;
        while tokens > 1 && tokens * bytes + 4 * threads > lower.target.workgroup_memory {
            tokens /= 2;
        }
        let share = lower.lanes(threads / tokens);
        let loads = 2 * key_dim4.div_ceil(share) + (tokens * columns).div_ceil(lanes);
        let turns = u64::from(step.div_ceil(tokens)) * u64::from(loads + tokens + 1);
        if turns > MOST_TURNS {
            let error = Error::unsupported(format!(
                "a step of {step} tokens is too long for the gated delta rule's kernel"
            ));
            return Err(error.hint("give a smaller prefill_tokens with ", Setting::Tuning, ""));
        }
        Ok(Self { threads, lanes, columns, rows4, tokens, share })
    }
}

/// Of length 1, times `scale`.
fn unit(x: &[f32], scale: f64) -> Vec<f64> {
    let squares: f64 = x.iter().map(|x| f64::from(*x).powi(2)).sum();
    x.iter().map(|x| f64::from(*x) * scale / (squares + EPS).sqrt()).collect()
}

fn dot(column: &[f32], x: &[f64]) -> f64 {
    column.iter().zip(x).map(|(s, x)| f64::from(*s) * x).sum()
}

/// Both orders of heads; columns and keys that fill no workgroup; runs as [`check::RUNS`] has
/// them.
pub(crate) fn cases() -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for (key_heads, heads, key_dim, value_dim, grouped) in
        [(2, 4, 12, 21, true), (3, 6, 36, 8, false), (1, 1, 128, 40, false), (1, 2, 256, 5, false)]
    {
        let op = GatedDelta { key_heads, heads, key_dim, value_dim, grouped };
        let mut tape = Tape::new();
        let (rows, kind) = (Rows::Tokens, Kind::Activation);
        let input = |name: &str, cols| Value { name: name.into(), rows, cols, kind };
        let x = tape.input(input("qkv", op.input_cols()));
        let gates = tape.input(input("gates", 2 * heads));
        // From almost nothing forgotten to almost everything.
        let data = Arc::new((0..heads).map(|head| -0.01 * 4f32.powi(head as i32)).collect());
        let decay = tape.resource(Resource::Table { name: "decay".into(), data });
        let bias = tape.resource(check::vector("dt_bias", heads));
        let slots = Resource::Slots { layer: 0, name: "delta", len: op.state_len() };
        let slots = tape.resource(slots);
        let name = format!("gated_delta {heads} × {key_dim} × {value_dim}");
        let y = record(&mut tape, op, &[x, gates], &[decay, bias, slots])?;
        cases.push(Case {
            inputs: vec![x, gates],
            compare: vec![y],
            steps: check::runs(&check::RUNS),
            ..Case::new(name, tape, check::step(&[(0, 0)], &[]))
        });
    }
    Ok(cases)
}
