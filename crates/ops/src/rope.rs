//! Rotary position embedding (Su et al. 2021) of queries and keys, then keys and
//! values into the paged cache: a pair (a, b) at angle φ = position·frequency
//! becomes (a·cos φ − b·sin φ, a·sin φ + b·cos φ).

use wisp_base::{Error, Format, KvType, Result};
use wisp_gpu::Kernel;
use wisp_graph::{
    Bind, Cost, CpuNode, Kind, Lower, Operation, PlanKey, Resource, Rows, StepToken, Tail, Tape,
    Value,
};

use crate::check::{self, Case};
use crate::{Attention, Epilogue, HeadNorm, Linear, RmsNorm, expect_cols, nth, record};

/// Positions of the fine part of the table; `FINE` of `shaders/lib/rope.wgsl`.
const FINE: usize = 256;

/// Which numbers of a head turn together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pairing {
    /// (2i, 2i + 1): llama's in GGUF files.
    Neighbours,
    /// (i, i + half): GPT-NeoX's.
    Halves,
}

/// Input: `[tokens, (heads + 2·kv_heads)·head_dim]`, queries then keys then values, or
/// two inputs, the queries and the rest; output: the turned queries. Resources: the
/// table of [`rope_table`], the cache.
#[derive(Debug, Clone, PartialEq)]
pub struct RopeAppend {
    /// Query heads.
    pub heads: usize,
    /// Heads of keys and values.
    pub kv_heads: usize,
    /// Numbers a head; a multiple of 4 and of the cache type's block.
    pub head_dim: usize,
    /// The first number of a head that turns.
    pub rope_first: usize,
    /// So many numbers from it on turn; even.
    pub rope_dim: usize,
    /// Which of them turn together.
    pub pairing: Pairing,
    /// There are values behind the keys.
    pub values: bool,
    /// What queries are multiplied by besides.
    pub heat: Option<Heat>,
    /// The row of the table at which another one begins, for tokens that are `long`.
    pub long_table: Option<usize>,
}

/// Multiplies the query at a position by 1 + factor·ln(1 + ⌊position / length⌋), so that
/// scores of long contexts stay apart (Llama 4, Ministral 3).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Heat {
    /// Of the logarithm.
    pub factor: f32,
    /// Positions a step of it; above 0.
    pub length: usize,
}

/// Rows of [`rope_table`] for so many positions.
pub fn rope_rows(positions: usize) -> usize {
    FINE + positions.div_ceil(FINE)
}

/// (cos, sin) of the angles of positions 0 … 255, then of 0, 256, 512, … below
/// `positions`, each for every frequency: `[256 + ⌈positions / 256⌉, frequencies, 2]`.
/// Computed in f64; the product of a fine and a coarse one as complex numbers is
/// exact to f32 rounding at any position. `scale` multiplies both (YaRN's factor).
pub fn rope_table(frequencies: &[f64], positions: usize, scale: f32) -> Vec<f32> {
    // No buffer is empty: where nothing turns, one angle stays 0.
    let frequencies = if frequencies.is_empty() { &[0.0] } else { frequencies };
    let coarse = (0..positions.div_ceil(FINE)).map(|c| c * FINE);
    let fine = (0..FINE).map(|p| (p, 1.0));
    let rows = fine.chain(coarse.map(|p| (p, f64::from(scale))));
    rows.flat_map(|(position, scale)| {
        frequencies.iter().flat_map(move |frequency| {
            let angle = position as f64 * frequency;
            [(angle.cos() * scale) as f32, (angle.sin() * scale) as f32]
        })
    })
    .collect()
}

impl RopeAppend {
    /// The first `rope_dim` numbers of a head turn; values lie behind the keys.
    pub fn new(
        heads: usize,
        kv_heads: usize,
        head_dim: usize,
        rope_dim: usize,
        pairing: Pairing,
    ) -> Self {
        let (rope_first, values, heat, long_table) = (0, true, None, None);
        Self { heads, kv_heads, head_dim, rope_first, rope_dim, pairing, values, heat, long_table }
    }

    /// Numbers of a row of queries.
    fn query_cols(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Numbers of a row of keys and values.
    fn kv_cols(&self) -> usize {
        (1 + usize::from(self.values)) * self.kv_heads * self.head_dim
    }

    /// What `rope_append.wgsl` and `output/rope_append.wgsl` both have.
    fn constants(&self, lower: &Lower<'_>, kernel: Kernel) -> Result<Kernel> {
        Ok(kernel
            .set("HEADS", self.heads as u64)
            .set("KV_HEADS", self.kv_heads as u64)
            .set("HEAD_DIM", self.head_dim as u64)
            .set("ROPE_DIM", self.rope_dim as u64)
            .set_bool("NEIGHBOURS", self.pairing == Pairing::Neighbours)
            .set_f32("HEAT", self.heat.map_or(0.0, |heat| heat.factor))
            .set("HEAT_LENGTH", self.heat.map_or(1, |heat| heat.length) as u64)
            .set("LONG_TABLE", self.long_table.unwrap_or(0) as u64)
            .set("Q_STRIDE", lower.output()?.stride() as u64)
            .set("PAGES_PER_SEQUENCE", lower.target.pages_per_sequence as u64))
    }

    fn binds(&self, lower: &Lower<'_>) -> Result<Vec<(&'static str, Bind)>> {
        Ok(vec![
            ("step", Bind::Step),
            ("pages", Bind::Pages),
            ("q", lower.bind_output()?),
            ("rope", Bind::Numbers(lower.id(0))),
            ("keys", Bind::Keys(lower.id(1))),
            ("values", Bind::Values(lower.id(1))),
        ])
    }

    fn heat(&self, position: usize) -> f32 {
        self.heat.map_or(1.0, |h| 1.0 + h.factor * ((position / h.length) as f32).ln_1p())
    }

    /// A head vector, turned.
    fn turn(&self, head: &[f32], token: &StepToken, table: &[f32]) -> Vec<f32> {
        let (half, position) = (self.rope_dim / 2, token.position as usize);
        let first = self.long_table.filter(|_| token.long).unwrap_or(0);
        let at = |row: usize, pair: usize| {
            let at = 2 * (row * half + pair);
            (f64::from(table[at]), f64::from(table[at + 1]))
        };
        let mut out = head.to_vec();
        for pair in 0..half {
            let (a, b) = match self.pairing {
                Pairing::Neighbours => (2 * pair, 2 * pair + 1),
                Pairing::Halves => (pair, pair + half),
            };
            let (a, b) = (self.rope_first + a, self.rope_first + b);
            let ((c0, s0), (c1, s1)) =
                (at(first + position % FINE, pair), at(first + FINE + position / FINE, pair));
            let (cos, sin) = (c0 * c1 - s0 * s1, c0 * s1 + s0 * c1);
            let (x, y) = (f64::from(head[a]), f64::from(head[b]));
            out[a] = (x * cos - y * sin) as f32;
            out[b] = (x * sin + y * cos) as f32;
        }
        out
    }
}

impl Operation for RopeAppend {
    fn name(&self) -> &'static str {
        "rope_append"
    }

    fn infer(&self, inputs: &[&Value], _: &[&Resource]) -> Result<Option<Value>> {
        if inputs.len() == 1 {
            expect_cols(nth(inputs, 0)?, self.query_cols() + self.kv_cols())?;
        } else {
            expect_cols(nth(inputs, 0)?, self.query_cols())?;
            expect_cols(nth(inputs, 1)?, self.kv_cols())?;
        }
        if !self.head_dim.is_multiple_of(4)
            || self.rope_first + self.rope_dim > self.head_dim
            || !self.rope_dim.is_multiple_of(2)
        {
            return Err(Error::unsupported(format!(
                "heads of {} numbers of which {} turn: they must be a multiple of 4, the turning \
                 ones an even number of them",
                self.head_dim, self.rope_dim
            )));
        }
        if self.heat.is_some_and(|heat| heat.length == 0) {
            return Err(Error::input("queries are heated in steps of 0 positions"));
        }
        let cols = self.heads * self.head_dim;
        Ok(Some(Value { name: "queries".into(), rows: Rows::Tokens, cols, kind: Kind::Activation }))
    }

    /// Heads that are yet to be normed.
    fn takes_prologue(&self, at: usize) -> bool {
        at == 0
    }

    fn cpu(&self, node: &mut CpuNode<'_>) -> Result<Vec<f32>> {
        let table = node.numbers(0)?.to_vec();
        let (dim, kv) = (self.head_dim, node.kv);
        // Queries, and keys and values, with the columns of their rows.
        let last = node.inputs() - 1;
        let cols = node.value(last)?.cols;
        let own = node.input(0)?.chunks_exact(node.value(0)?.cols);
        let rows = own.zip(node.input(last)?.chunks_exact(cols));
        let mut queries = Vec::new();
        for (token, (own, rest)) in node.step.tokens.iter().zip(rows) {
            let position = token.position as usize;
            for head in own[..self.query_cols()].chunks_exact(dim) {
                let heat = self.heat(position);
                queries.extend(self.turn(head, token, &table).iter().map(|x| heat * x));
            }
            for (h, head) in rest[cols - self.kv_cols()..].chunks_exact(dim).enumerate() {
                let is_key = h < self.kv_heads;
                let at = node.sequences.vector(
                    token.sequence,
                    position,
                    h % self.kv_heads,
                    self.kv_heads,
                    dim,
                );
                let mut head = if is_key { self.turn(head, token, &table) } else { head.to_vec() };
                kv.round(&mut head);
                let cache = node.cache_mut(1)?;
                let into = if is_key { &mut cache.keys } else { &mut cache.values };
                into[at..at + dim].copy_from_slice(&head);
            }
        }
        Ok(queries)
    }

    /// Values and keys of a cache without blocks, and pairs of which four numbers hold two.
    fn tail(&self, lower: &Lower<'_>) -> Option<Tail> {
        let pair = match lower.target.kv {
            KvType::F16 => "kv_pair/f16",
            KvType::F32 => "kv_pair/f32",
            KvType::Q8_0 | KvType::Q4_0 => return None,
        };
        let together = match self.pairing {
            Pairing::Neighbours => 2,
            Pairing::Halves if self.rope_dim.is_multiple_of(4) => 4,
            Pairing::Halves => return None,
        };
        if lower.inputs() > 1 || !self.values || self.rope_first > 0 {
            return None;
        }
        let kernel = self.constants(lower, Kernel::new("rope_append")).ok()?;
        Some(Tail {
            file: "output/rope_append",
            kernel: kernel.link("kv_pair", pair),
            binds: self.binds(lower).ok()?,
            together,
        })
    }

    fn gpu(&self, lower: &mut Lower<'_>) -> Result<()> {
        let kv = lower.target.kv;
        if !self.head_dim.is_multiple_of(kv.block()) {
            return Err(Error::unsupported(format!(
                "a KV cache of {} stores {} numbers together, but heads have {}: give --kv f16",
                kv.name(),
                kv.block(),
                self.head_dim
            )));
        }
        let most = (self.head_dim as u32).next_power_of_two();
        let kv_input = lower.inputs() - 1;
        let mut kernel = self
            .constants(lower, lower.kernel("rope_append"))?
            .set("THREADS", lower.target.tuning.reduce_threads.min(most))
            .set("ROPE_FIRST", self.rope_first as u64)
            .set("QUERY_STRIDE", lower.input(0).stride() as u64)
            .set("KV_STRIDE", lower.input(kv_input).stride() as u64)
            .set("KV_FIRST", if kv_input == 0 { self.query_cols() } else { 0 } as u64);
        let mut binds = self.binds(lower)?;
        if let Some(norm) = lower.prologue(0) {
            kernel = norm.link(kernel, "norm", &mut binds);
        } else {
            kernel = kernel.link("norm", "norm/none");
            binds.extend([("queries", lower.bind_input(0)), ("kv", lower.bind_input(kv_input))]);
        }
        let (queries, kv_cols) = (self.query_cols(), self.kv_cols());
        let groups = (self.heads + kv_cols / self.head_dim) as u32;
        let bytes = lower.bytes(Kind::Activation, 2 * queries + kv_cols) + kv.bytes(kv_cols) as u64;
        let flops = 6 * (self.heads + self.kv_heads) as u64 * self.rope_dim as u64 / 2;
        lower.dispatch(
            kernel,
            binds,
            move |c| [groups, c.tokens, 1],
            move |c| Cost {
                bytes: bytes * u64::from(c.tokens),
                flops: flops * u64::from(c.tokens),
            },
        );
        Ok(())
    }
}

/// Both pairings, part of a head, far positions; what lands in the cache is seen
/// by the cases of attention.
pub(crate) fn cases() -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for (pairing, rope_dim, head_dim) in [
        (Pairing::Neighbours, 16, 16),
        (Pairing::Halves, 16, 16),
        (Pairing::Halves, 6, 20),
        (Pairing::Halves, 0, 12),
    ] {
        let op = RopeAppend::new(3, 1, head_dim, rope_dim, pairing);
        let mut tape = Tape::new();
        let cols = op.query_cols() + op.kv_cols();
        let qkv = tape.input(Value {
            name: "qkv".into(),
            rows: Rows::Tokens,
            cols,
            kind: Kind::Activation,
        });
        let frequencies: Vec<_> =
            (0..rope_dim / 2).map(|i| 100f64.powf(-2.0 * i as f64 / rope_dim as f64)).collect();
        let data = std::sync::Arc::new(rope_table(&frequencies, 300, 1.0));
        let table = tape.resource(Resource::Table { name: "rope".into(), data });
        let cache =
            tape.resource(Resource::Cache { layer: 0, kv_heads: 1, head_dim, latent: false });
        let q = record(&mut tape, op, &[qkv], &[table, cache])?;
        let step = check::step(&[(0, 0), (0, 1), (1, 127), (2, 33)], &[]);
        cases.push(Case {
            inputs: vec![qkv],
            compare: vec![q],
            ..Case::new(format!("rope_append {pairing:?} {rope_dim} of {head_dim}"), tape, step)
        });
    }
    cases.push(two_tables()?);
    let heat = Some(Heat { factor: 0.3, length: 2 });
    cases.extend([
        behind_product(Pairing::Neighbours, 16, 16, KvType::F32, None, false)?,
        behind_product(Pairing::Neighbours, 12, 20, KvType::F16, None, false)?,
        behind_product(Pairing::Halves, 20, 20, KvType::F16, heat, false)?,
        behind_product(Pairing::Halves, 8, 12, KvType::F32, None, false)?,
        behind_product(Pairing::Halves, 6, 16, KvType::F32, None, false)?,
        behind_product(Pairing::Halves, 32, 32, KvType::Q8_0, None, false)?,
        behind_product(Pairing::Halves, 16, 20, KvType::F32, None, true)?,
        behind_product(Pairing::Neighbours, 32, 32, KvType::Q8_0, heat, true)?,
    ]);
    Ok(cases)
}

/// Sequences with the table for long contexts beside those with the other, at far positions.
fn two_tables() -> Result<Case> {
    let (rope_dim, head_dim, positions) = (12, 16, 300);
    let op = RopeAppend {
        long_table: Some(rope_rows(positions)),
        ..RopeAppend::new(3, 1, head_dim, rope_dim, Pairing::Halves)
    };
    let mut tape = Tape::new();
    let cols = op.query_cols() + op.kv_cols();
    let (rows, kind) = (Rows::Tokens, Kind::Activation);
    let qkv = tape.input(Value { name: "qkv".into(), rows, cols, kind });
    let mut data = Vec::new();
    for divisor in [1.0, 3.0] {
        let frequencies: Vec<f64> = (0..6).map(|i| 0.5f64.powi(i) / divisor).collect();
        data.extend(rope_table(&frequencies, positions, 1.1));
    }
    let (name, data) = ("rope".into(), std::sync::Arc::new(data));
    let table = tape.resource(Resource::Table { name, data });
    let cache = tape.resource(Resource::Cache { layer: 0, kv_heads: 1, head_dim, latent: false });
    let q = record(&mut tape, op, &[qkv], &[table, cache])?;
    let mut step = check::step(&[(0, 0), (0, 1), (1, 127), (2, 33)], &[]);
    step.tokens[2].long = true;
    let case = Case::new("rope_append with two tables", tape, step);
    Ok(Case { inputs: vec![qkv], compare: vec![q], ..case })
}

/// Behind the products that make queries, keys and values, whose kernel may turn and keep
/// them itself, or behind a norm of heads; several tokens, some of one sequence, then one.
fn behind_product(
    pairing: Pairing,
    rope_dim: usize,
    head_dim: usize,
    kv: KvType,
    heat: Option<Heat>,
    normed: bool,
) -> Result<Case> {
    let (heads, kv_heads, cols) = (4, 2, 96);
    let long_table = Some(rope_rows(300));
    let op = RopeAppend::new(heads, kv_heads, head_dim, rope_dim, pairing);
    let op = RopeAppend { heat, long_table, ..op };
    let mut tape = Tape::new();
    let (rows, kind) = (Rows::Tokens, Kind::Residual);
    let x = tape.input(Value { name: "x".into(), rows, cols, kind });
    let gain = tape.resource(check::vector("gain", cols));
    let h = record(&mut tape, RmsNorm { eps: 1e-5, outputs: false }, &[x], &[gain])?;
    // Keys' rows are in both matrices.
    let (all, first) = (op.query_cols() + op.kv_cols(), op.query_cols() + head_dim);
    let mut resources = vec![
        tape.resource(check::matrix("qk", Format::Q4_0, first, cols)),
        tape.resource(check::matrix("kv", Format::Q8_0, all - first, cols)),
    ];
    let bias = heat.is_some();
    if bias {
        resources.push(tape.resource(check::vector("bias", all)));
    }
    let product = Linear { epilogue: Epilogue::Store, bias };
    let mut qkv = record(&mut tape, product, &[h], &resources)?;
    if normed {
        let gains = tape.resource(check::vector("gains", 2 * head_dim));
        let (queries, keys) = (heads, kv_heads);
        let norm = HeadNorm { queries, query: head_dim, keys, key: head_dim, eps: 1e-5 };
        qkv = record(&mut tape, norm, &[qkv], &[gains])?;
    }
    // With a table for long contexts.
    let mut data = Vec::new();
    for base in [0.8f64, 0.7] {
        let frequencies: Vec<_> = (0..rope_dim / 2).map(|i| base.powi(i as i32)).collect();
        data.extend(rope_table(&frequencies, 300, 1.0));
    }
    let data = std::sync::Arc::new(data);
    let table = tape.resource(Resource::Table { name: "rope".into(), data });
    let cache = tape.resource(Resource::Cache { layer: 0, kv_heads, head_dim, latent: false });
    let q = record(&mut tape, op, &[qkv], &[table, cache])?;
    let y = record(&mut tape, Attention::new(heads, kv_heads, head_dim, 0.05), &[q], &[cache])?;
    let mut several = check::step(&[(0, 0), (0, 1), (1, 0), (0, 2), (2, 0)], &[]);
    several.tokens[4].long = true;
    let mut steps = Case::new("", Tape::new(), several).steps;
    let mut one = check::step(&[(2, 1)], &[]);
    one.tokens[0].long = true;
    one.splits = 1;
    steps.push((one, PlanKey { tokens: 1, outputs: 1, decode: true, sample: false }));
    let behind = if normed { "a norm" } else { "a product" };
    let name = format!("rope_append behind {behind}, {pairing:?} {rope_dim} of {head_dim}");
    let first = Case::new(format!("{name}, {} cache", kv.name()), tape, steps[0].0.clone());
    let bound = match kv {
        KvType::F32 => 2e-5,
        KvType::F16 => 2e-3,
        KvType::Q8_0 | KvType::Q4_0 => 1e-2,
    };
    Ok(Case { inputs: vec![x], compare: vec![q, y], steps, kv, bound, ..first })
}
