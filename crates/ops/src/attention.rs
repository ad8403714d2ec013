//! y = softmax(q·Kᵀ / √head_dim)·V over the paged cache; query heads share
//! the keys and values of their group (Ainslie et al. 2023).

use wisp_base::{Format, KvType, Result};
use wisp_gpu::{Block, Kernel, Tuning};
use wisp_graph::{
    Bind, Cost, CpuNode, Kind, Lower, Operation, PAGE, PlanKey, Prologue, Resource, Rows, TILE,
    Tape, Value,
};

use crate::check::{self, Case, matrix};
use crate::linear::dot;
use crate::{
    Epilogue, Heat, Linear, Pairing, RopeAppend, capped, expect_cols, expect_len, nth, record,
    rope_table,
};

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
    /// Keeps scores within ± this (Gemma 2).
    pub cap: Option<f32>,
    /// A query sees so many positions up to its own; all that its step lets it see
    /// without it.
    pub window: Option<usize>,
    /// With a window, so many positions behind its own (encoders).
    pub ahead: usize,
    /// Resource 1 has a score for each query head that takes probability and gives no
    /// value (gpt-oss).
    pub sinks: bool,
    /// Values are the first so many numbers of keys (DeepSeek-V2); a multiple of 4.
    pub latent: Option<usize>,
}

/// The divisors of a number, the largest first.
fn divisors(of: usize) -> impl Iterator<Item = usize> {
    (1..=of).rev().filter(move |part| of.is_multiple_of(*part))
}

type Binds = Vec<(&'static str, Bind)>;

/// Into how many splits decode attention cuts a context of `keys` positions.
pub fn splits(tuning: &Tuning, keys: usize) -> u32 {
    (keys.div_ceil(tuning.attention.split_keys as usize) as u32).clamp(1, tuning.attention.splits)
}

impl Operation for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn infer(&self, inputs: &[&Value], resources: &[&Resource]) -> Result<Option<Value>> {
        if self.sinks {
            expect_len(resources, 1, self.heads)?;
        }
        expect_cols(nth(inputs, 0)?, self.heads * self.head_dim)?;
        let cols = self.heads * self.value_dim();
        let name = "attention".into();
        Ok(Some(Value { name, rows: Rows::Tokens, cols, kind: Kind::Activation }))
    }

    fn cpu(&self, node: &mut CpuNode<'_>) -> Result<Vec<f32>> {
        let (q, cache, dim) = (node.input(0)?, node.cache(0)?, self.head_dim);
        let mut y = Vec::with_capacity(q.len());
        let tokens = node.step.tokens.iter().zip(node.step.seen());
        for (row, (token, seen)) in q.chunks_exact(self.heads * dim).zip(tokens) {
            for (head, q) in row.chunks_exact(dim).enumerate() {
                let vector = |position: usize| {
                    let kv_head = head / (self.heads / self.kv_heads);
                    let sequences = &node.sequences;
                    let at =
                        sequences.vector(token.sequence, position, kv_head, self.kv_heads, dim);
                    at..at + dim
                };
                let (own, seen) = (token.position as usize + 1, seen as usize);
                let positions = match self.window {
                    Some(window) => own.saturating_sub(window)..seen.min(own + self.ahead),
                    None => 0..seen,
                };
                let score = |p| capped(dot(q, &cache.keys[vector(p)]) * self.scale, self.cap);
                let scores: Vec<f32> = positions.clone().map(score).collect();
                let sink = if self.sinks { node.numbers(1)?[head] } else { f32::NEG_INFINITY };
                let top = scores.iter().copied().fold(sink, f32::max);
                let value_dim = self.value_dim();
                let values = if self.latent.is_some() { &cache.keys } else { &cache.values };
                let mut sums = vec![0f64; value_dim];
                let mut total = f64::from(sink - top).exp();
                for (position, score) in positions.zip(&scores) {
                    let p = f64::from(score - top).exp();
                    total += p;
                    for (sum, v) in sums.iter_mut().zip(&values[vector(position)]) {
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
    /// Nothing special: all positions, no cap, no sinks.
    pub fn new(heads: usize, kv_heads: usize, head_dim: usize, scale: f32) -> Self {
        let (cap, window, ahead, sinks, latent) = (None, None, 0, false, None);
        Self { heads, kv_heads, head_dim, scale, cap, window, ahead, sinks, latent }
    }

    /// Numbers of a value.
    fn value_dim(&self) -> usize {
        self.latent.unwrap_or(self.head_dim)
    }

    /// Query heads a workgroup of decode: as many of those that share keys as its memory
    /// and its registers hold.
    fn share(&self, lower: &Lower<'_>, threads: u32) -> usize {
        let group = self.heads / self.kv_heads;
        let memory = lower.target.workgroup_memory as usize / 2;
        divisors(group)
            .find(|share| {
                16 * (share * self.head_dim / 4) + 8 * share * PAGE <= memory
                    && share * self.value_dim() / 4 <= 16 * threads as usize
            })
            .unwrap_or(1)
    }

    /// A kernel for `rows` queries that share keys, `keys` of them at a time.
    fn kernel(
        &self,
        lower: &Lower<'_>,
        name: &'static str,
        block: Block,
        [rows, keys]: [usize; 2],
    ) -> Kernel {
        let rows_each = divisors(rows).find(|each| *each <= block.rows as usize).unwrap_or(1);
        lower
            .kernel(name)
            .set("ROWS", rows as u64)
            .set("ROWS_EACH", rows_each as u64)
            .set("KEYS", keys as u64)
            .set("KEYS_EACH", (block.keys as usize).min(keys) as u64)
            .set("VALUES_EACH", block.values)
            .set("HEADS", self.heads as u64)
            .set("KV_HEADS", self.kv_heads as u64)
            .set("HEAD_DIM", self.head_dim as u64)
            .set("VALUE_DIM", self.value_dim() as u64)
            .set_bool("LATENT", self.latent.is_some())
            .set("PAGES_PER_SEQUENCE", lower.target.pages_per_sequence as u64)
            .set_f32("SCALE", self.scale)
            .set_f32("CAP", self.cap.unwrap_or(0.0))
            .set("WINDOW", self.window.unwrap_or(0) as u64)
            .set("AHEAD", self.ahead as u64)
            .link("sink", if self.sinks { "sink/vector" } else { "sink/none" })
            .set("Q_STRIDE4", lower.input(0).stride() as u64 / 4)
    }

    fn bind_cache(&self, lower: &Lower<'_>, mut binds: Binds) -> Binds {
        binds.push(("keys", Bind::Keys(lower.id(0))));
        binds.push(("values", Bind::Values(lower.id(0))));
        if self.sinks {
            binds.push(("sinks", Bind::Numbers(lower.id(1))));
        }
        binds
    }

    /// Bytes of keys and values of one position; FLOPs of one (token, position).
    fn costs(&self, lower: &Lower<'_>) -> (u64, u64) {
        let both = if self.latent.is_some() { 1 } else { 2 };
        let kv = both * lower.target.kv.bytes(self.kv_heads * self.head_dim) as u64;
        (kv, 2 * (self.heads * (self.head_dim + self.value_dim())) as u64)
    }

    fn decode(&self, lower: &mut Lower<'_>) -> Result<()> {
        let tuning = lower.target.tuning.attention;
        let tokens = lower.key.tokens as u64;
        let splits = u64::from(tuning.splits);
        let heads = self.heads as u64;
        let partials = lower.temp(tokens * splits * heads * self.value_dim() as u64 * 4);
        let stats = lower.temp(tokens * splits * heads * 8);
        let share = self.share(lower, tuning.threads);
        let kernel = self
            .kernel(lower, "attention_decode", tuning.decode, [share, PAGE])
            .set("THREADS", tuning.threads)
            .set("SPLITS", splits);
        let binds = vec![
            ("step", Bind::Step),
            ("pages", Bind::Pages),
            ("q", lower.bind_input(0)),
            ("partials", Bind::Temp(partials)),
            ("stats", Bind::Temp(stats)),
        ];
        let binds = self.bind_cache(lower, binds);
        let groups = (self.heads / share) as u32;
        let (kv_bytes, flops) = self.costs(lower);
        lower.dispatch(
            kernel,
            binds,
            move |c| [groups, c.splits, c.tokens],
            move |c| Cost { bytes: kv_bytes * c.keys, flops: flops * c.keys },
        );
        let merge = [
            ("step", Bind::Step),
            ("partials", Bind::Temp(partials)),
            ("stats", Bind::Temp(stats)),
        ];
        let constants =
            [("HEADS", heads), ("SPLITS", splits), ("HEAD_DIM4", self.value_dim() as u64 / 4)];
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
        let numbers = (self.heads * self.value_dim()) as u64;
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
        let tuning = lower.target.tuning.attention;
        let kernel = self
            .kernel(lower, "attention_prefill", tuning.prefill, [queries, keys])
            .set("THREADS", tuning.threads)
            .set("TILE", TILE as u64)
            .set("Y_STRIDE", lower.output()?.stride() as u64);
        let binds = vec![
            ("step", Bind::Step),
            ("pages", Bind::Pages),
            ("q", lower.bind_input(0)),
            ("y", lower.bind_output()?),
        ];
        let binds = self.bind_cache(lower, binds);
        let heads = self.heads as u32;
        let pieces = (TILE / queries) as u32;
        let (kv_bytes, flops) = self.costs(lower);
        let qy = lower.bytes(Kind::Activation, self.heads * (self.head_dim + self.value_dim()));
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

/// What a case tries besides plain attention.
#[derive(Clone, Copy, PartialEq)]
enum Special {
    None,
    /// Window, cap and sinks.
    Limits,
    /// Values are so many numbers of keys; queries are heated.
    Latent(usize),
    /// Each token sees what is behind it too, all of it or within a window.
    BothWays(Option<usize>),
}

/// A prompt in two pieces beside another sequence, then decode steps of all three
/// sequences, in splits; every cache type.
pub(crate) fn cases() -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for (heads, kv_heads, head_dim, kv, bound, special) in [
        (3, 1, 20, KvType::F32, 2e-5, Special::None),
        (7, 1, 80, KvType::F32, 2e-5, Special::Limits),
        (4, 4, 64, KvType::F16, 2e-3, Special::None),
        (6, 2, 32, KvType::Q8_0, 1e-2, Special::None),
        (2, 1, 128, KvType::Q4_0, 3e-2, Special::None),
        (3, 1, 28, KvType::F32, 2e-5, Special::Latent(20)),
        (8, 1, 576, KvType::F16, 2e-3, Special::Latent(512)),
        (3, 3, 20, KvType::F32, 2e-5, Special::BothWays(None)),
        (2, 2, 20, KvType::F32, 2e-5, Special::BothWays(Some(9))),
    ] {
        let latent = if let Special::Latent(dim) = special { Some(dim) } else { None };
        let rope_first = latent.unwrap_or(0);
        let rope_dim = head_dim - rope_first;
        let mut rope = RopeAppend::new(heads, kv_heads, head_dim, rope_dim, Pairing::Neighbours);
        let mut tape = Tape::new();
        let mut input = |name: &str, cols| {
            let (rows, kind) = (Rows::Tokens, Kind::Activation);
            tape.input(Value { name: name.into(), rows, cols, kind })
        };
        let (q_cols, kv_cols) = (heads * head_dim, kv_heads * head_dim);
        let inputs = match latent {
            None => vec![input("qkv", q_cols + 2 * kv_cols)],
            Some(_) => vec![input("queries", q_cols), input("keys", kv_cols)],
        };
        if latent.is_some() {
            let heat = Some(Heat { factor: 0.3, length: 9 });
            rope = RopeAppend { rope_first, values: false, heat, ..rope };
        }
        let frequencies: Vec<_> = (0..rope_dim / 2).map(|i| 0.9f64.powi(i as i32)).collect();
        let data = std::sync::Arc::new(rope_table(&frequencies, 128, 1.0));
        let table = tape.resource(Resource::Table { name: "rope".into(), data });
        let latent_cache = latent.is_some();
        let cache = Resource::Cache { layer: 0, kv_heads, head_dim, latent: latent_cache };
        let cache = tape.resource(cache);
        let q = record(&mut tape, rope, &inputs, &[table, cache])?;
        let scale = 1.0 / (head_dim as f32).sqrt();
        let mut attention = Attention::new(heads, kv_heads, head_dim, scale);
        attention.latent = latent;
        let mut resources = vec![cache];
        if special == Special::Limits {
            attention.cap = Some(0.5);
            attention.window = Some(19);
            attention.sinks = true;
            resources.push(tape.resource(check::vector("sinks", heads)));
        }
        let both_ways = matches!(special, Special::BothWays(_));
        if let Special::BothWays(Some(half)) = special {
            attention.window = Some(half + 1);
            attention.ahead = half;
        }
        let cols = heads * attention.value_dim();
        let y = record(&mut tape, attention, &[q], &resources)?;
        // A product behind it: with one token it merges the splits itself.
        let w = tape.resource(matrix("w", Format::Q8_0, 24, cols / 32 * 32));
        let y = match cols % 32 {
            0 if special != Special::Limits => {
                let logits = Linear { epilogue: Epilogue::LOGITS, bias: false };
                record(&mut tape, logits, &[y], &[w])?
            }
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
        steps.iter_mut().for_each(|(step, _)| step.both_ways = both_ways);
        let with = match special {
            Special::None => "",
            Special::Limits => ", window, cap and sinks",
            Special::Latent(_) => ", latent",
            Special::BothWays(None) => ", both ways",
            Special::BothWays(Some(_)) => ", both ways in a window",
        };
        let name = format!("attention {heads}/{kv_heads} of {head_dim}, {} cache{with}", kv.name());
        let first = Case::new(name, tape, steps[0].0.clone());
        cases.push(Case { inputs, compare: vec![y], steps, kv, bound, ..first });
    }
    Ok(cases)
}
