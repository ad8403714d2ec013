//! y = softmax(q·Kᵀ / √head_dim)·V, causal, over the paged cache; query heads share
//! the keys and values of their group (Ainslie et al. 2023).

use wisp_base::{Format, KvType, Result};
use wisp_gpu::Tuning;
use wisp_graph::{
    Bind, Cost, CpuNode, Kind, Lower, Operation, PAGE, PlanKey, Prologue, Resource, Rows, TILE,
    Tape, Value,
};

use crate::check::{self, Case, matrix};
use crate::linear::dot;
use crate::{Epilogue, Linear, Pairing, RopeAppend, expect_cols, nth, record, rope_table};

/// Input: queries `[tokens, heads·head_dim]`; resource: the cache, which holds the
/// step's own keys and values already.
#[derive(Debug, Clone, PartialEq)]
pub struct Attention {
    /// Query heads; a multiple of `kv_heads`.
    pub heads: usize,
    /// Heads of keys and values.
    pub kv_heads: usize,
    /// Numbers a head; a multiple of 4.
    pub head_dim: usize,
    /// Multiplies scores: 1 / √head_dim, in most models.
    pub scale: f32,
}

/// Into how many splits decode attention cuts a context of `keys` positions.
pub fn splits(tuning: &Tuning, keys: usize) -> u32 {
    (keys.div_ceil(tuning.attention.split_keys as usize) as u32).clamp(1, tuning.attention.splits)
}

impl Operation for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn infer(&self, inputs: &[&Value], _: &[&Resource]) -> Result<Option<Value>> {
        let cols = self.heads * self.head_dim;
        expect_cols(nth(inputs, 0)?, cols)?;
        let name = "attention".into();
        Ok(Some(Value { name, rows: Rows::Tokens, cols, kind: Kind::Activation }))
    }

    fn cpu(&self, node: &mut CpuNode<'_>) -> Result<Vec<f32>> {
        let (q, cache, dim) = (node.input(0)?, node.cache(0)?, self.head_dim);
        let mut y = Vec::with_capacity(q.len());
        for (row, token) in q.chunks_exact(self.heads * dim).zip(&node.step.tokens) {
            for (head, q) in row.chunks_exact(dim).enumerate() {
                let vector = |position: usize| {
                    let kv_head = head / (self.heads / self.kv_heads);
                    let sequences = &node.sequences;
                    let at =
                        sequences.vector(token.sequence, position, kv_head, self.kv_heads, dim);
                    at..at + dim
                };
                let positions = 0..token.position as usize + 1;
                let scores: Vec<f32> =
                    positions.map(|p| dot(q, &cache.keys[vector(p)]) * self.scale).collect();
                let top = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let mut sums = vec![0f64; dim];
                let mut total = 0f64;
                for (position, score) in scores.iter().enumerate() {
                    let p = f64::from(score - top).exp();
                    total += p;
                    for (sum, v) in sums.iter_mut().zip(&cache.values[vector(position)]) {
                        *sum += p * f64::from(*v);
                    }
                }
                y.extend(sums.iter().map(|sum| (sum / total) as f32));
            }
        }
        Ok(y)
    }

    fn gpu(&self, lower: &mut Lower<'_>) -> Result<()> {
        if lower.key.decode { self.decode(lower) } else { self.prefill(lower) }
    }
}

impl Attention {
    fn kernel(&self, lower: &Lower<'_>, name: &'static str) -> wisp_gpu::Kernel {
        lower
            .kernel(name)
            .set("HEADS", self.heads as u64)
            .set("KV_HEADS", self.kv_heads as u64)
            .set("HEAD_DIM", self.head_dim as u64)
            .set("PAGES_PER_SEQUENCE", lower.target.pages_per_sequence as u64)
            .set_f32("SCALE", self.scale)
            .set("Q_STRIDE4", lower.input(0).stride() as u64 / 4)
    }

    /// Bytes of keys and values of one position; FLOPs of one (token, position).
    fn costs(&self, lower: &Lower<'_>) -> (u64, u64) {
        let kv = 2 * lower.target.kv.bytes(self.kv_heads * self.head_dim) as u64;
        (kv, 4 * (self.heads * self.head_dim) as u64)
    }

    fn decode(&self, lower: &mut Lower<'_>) -> Result<()> {
        let tuning = lower.target.tuning.attention;
        let tokens = lower.key.tokens as u64;
        let splits = u64::from(tuning.splits);
        let heads = self.heads as u64;
        let partials = lower.temp(tokens * splits * heads * self.head_dim as u64 * 4);
        let stats = lower.temp(tokens * splits * heads * 8);
        let kernel = self
            .kernel(lower, "attention_decode")
            .set("THREADS", tuning.threads)
            .set("SPLITS", splits);
        let binds = vec![
            ("step", Bind::Step),
            ("pages", Bind::Pages),
            ("q", lower.bind_input(0)),
            ("partials", Bind::Temp(partials)),
            ("stats", Bind::Temp(stats)),
            ("keys", Bind::Keys(lower.id(0))),
            ("values", Bind::Values(lower.id(0))),
        ];
        let kv_heads = self.kv_heads as u32;
        let (kv_bytes, flops) = self.costs(lower);
        lower.dispatch(
            kernel,
            binds,
            move |c| [kv_heads, c.splits, c.tokens],
            move |c| Cost { bytes: kv_bytes * c.keys, flops: flops * c.keys },
        );
        let merge = [
            ("step", Bind::Step),
            ("partials", Bind::Temp(partials)),
            ("stats", Bind::Temp(stats)),
        ];
        let constants =
            [("HEADS", heads), ("SPLITS", splits), ("HEAD_DIM4", self.head_dim as u64 / 4)];
        if lower.may_defer() {
            return lower.defer(Prologue {
                file: "input/merge",
                binds: merge.to_vec(),
                constants: constants.map(|(name, value)| (name, format!("{value}u"))).to_vec(),
            });
        }
        let mut kernel = lower
            .kernel("attention_merge")
            .set("THREADS", tuning.threads)
            .set("Y_STRIDE", lower.output()?.stride() as u64);
        for (name, value) in constants {
            kernel = kernel.set(name, value);
        }
        let mut binds = merge.to_vec();
        binds.push(("y", lower.bind_output()?));
        let numbers = (self.heads * self.head_dim) as u64;
        let groups = (numbers as u32 / 4).div_ceil(tuning.threads);
        lower.dispatch(
            kernel,
            binds,
            move |c| [groups, c.tokens, 1],
            move |c| {
                let all = numbers * u64::from(c.tokens) * u64::from(c.splits);
                Cost { bytes: 4 * all, flops: 2 * all }
            },
        );
        Ok(())
    }

    fn prefill(&self, lower: &mut Lower<'_>) -> Result<()> {
        // A tile of keys (or values) in f32 takes at most half of the workgroup memory,
        // queries a quarter.
        let row = 4 * self.head_dim;
        let memory = lower.target.workgroup_memory as usize;
        let fits = |share: usize| (1usize << (memory / share / row).max(1).ilog2()).max(1);
        let keys = fits(2).min(PAGE);
        let queries = fits(4).min(TILE);
        let threads = lower.target.tuning.attention.threads.max(queries as u32);
        let kernel = self
            .kernel(lower, "attention_prefill")
            .set("THREADS", threads)
            .set("TILE", TILE as u64)
            .set("QUERIES", queries as u64)
            .set("KEYS", keys as u64)
            .set("Y_STRIDE", lower.output()?.stride() as u64);
        let binds = vec![
            ("step", Bind::Step),
            ("pages", Bind::Pages),
            ("q", lower.bind_input(0)),
            ("y", lower.bind_output()?),
            ("keys", Bind::Keys(lower.id(0))),
            ("values", Bind::Values(lower.id(0))),
        ];
        let heads = self.heads as u32;
        let pieces = (TILE / queries) as u32;
        let (kv_bytes, flops) = self.costs(lower);
        let qy = 2 * lower.bytes(Kind::Activation, self.heads * self.head_dim);
        lower.dispatch(
            kernel,
            binds,
            move |c| [heads, c.tiles * pieces, 1],
            move |c| Cost {
                // Each tile reads the keys before it once.
                bytes: kv_bytes * c.keys / TILE as u64 + qy * u64::from(c.tokens),
                flops: flops * c.keys,
            },
        );
        Ok(())
    }
}

/// A prompt in two pieces beside another sequence, then decode steps of all three
/// sequences, in splits; every cache type.
pub(crate) fn cases() -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for (heads, kv_heads, head_dim, kv, bound) in [
        (3, 1, 20, KvType::F32, 2e-5),
        (4, 4, 64, KvType::F16, 2e-3),
        (6, 2, 32, KvType::Q8_0, 1e-2),
        (2, 1, 128, KvType::Q4_0, 3e-2),
    ] {
        let rope = RopeAppend {
            heads,
            kv_heads,
            head_dim,
            rope_dim: head_dim,
            pairing: Pairing::Neighbours,
        };
        let mut tape = Tape::new();
        let cols = (heads + 2 * kv_heads) * head_dim;
        let qkv = tape.input(Value {
            name: "qkv".into(),
            rows: Rows::Tokens,
            cols,
            kind: Kind::Activation,
        });
        let frequencies: Vec<_> = (0..head_dim / 2).map(|i| 0.9f64.powi(i as i32)).collect();
        let data = std::sync::Arc::new(rope_table(&frequencies, 128, 1.0));
        let table = tape.resource(Resource::Table { name: "rope".into(), data });
        let cache = tape.resource(Resource::Cache { layer: 0, kv_heads, head_dim });
        let q = record(&mut tape, rope, &[qkv], &[table, cache])?;
        let scale = 1.0 / (head_dim as f32).sqrt();
        let y = record(&mut tape, Attention { heads, kv_heads, head_dim, scale }, &[q], &[cache])?;
        // A product behind it: with one token it merges the splits itself.
        let w = tape.resource(matrix("w", Format::Q8_0, 24, heads * head_dim / 32 * 32));
        let y = match heads * head_dim % 32 {
            0 => record(&mut tape, Linear { epilogue: Epilogue::Logits }, &[y], &[w])?,
            _ => y,
        };
        let prompt: Vec<_> = (0..37).map(|p| (0, p)).chain((0..3).map(|p| (2, p))).collect();
        let more: Vec<_> = (37..70).map(|p| (0, p)).chain([(1, 0), (2, 3)]).collect();
        let mut steps = Case::new("", Tape::new(), check::step(&prompt, &[])).steps;
        steps.extend(Case::new("", Tape::new(), check::step(&more, &[])).steps);
        for (tokens, splits) in
            [(vec![(0, 70)], 1), (vec![(0, 71), (1, 1), (2, 4)], 2), (vec![(0, 72)], 3)]
        {
            let mut step = check::step(&tokens, &[]);
            step.splits = splits;
            let key = PlanKey { tokens: tokens.len(), outputs: 1, decode: true, sample: false };
            steps.push((step, key));
        }
        let name = format!("attention {heads}/{kv_heads} of {head_dim}, {} cache", kv.name());
        let first = Case::new(name, tape, steps[0].0.clone());
        cases.push(Case { inputs: vec![qkv], compare: vec![y], steps, kv, bound, ..first });
    }
    Ok(cases)
}
