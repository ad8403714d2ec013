//! y = softmax(q·Kᵀ / √head_dim)·V over the paged cache; query heads share
//! the keys and values of their group (Ainslie et al. 2023).

use wisp_base::{Error, Format, KvType, Result};
use wisp_gpu::{AttentionTuning, Block, Kernel, Reduce, Tuning};
use wisp_graph::{
    Bind, Cost, CpuNode, Kind, Link, Lower, Operation, PAGE, PlanKey, Resource, Rows, TILE, Tape,
    Temp, Value,
};

use crate::check::{self, Case, matrix};
use crate::linear::dot;
use crate::{
    AppendKv, AttentionTemperature, Linear, Pairing, Rope, RopeAppend, Rotate, capped, expect_cols,
    expect_len, nth, record, rope_table,
};

/// Input: queries `[tokens, heads·head_dim]`; resource: the cache, which holds the
/// step's own keys and values already.
#[derive(Debug, Clone, PartialEq)]
pub struct Attention {
    /// Query heads; a multiple of `kv_heads`.
    pub heads: usize,
    /// Heads of keys and values.
    pub kv_heads: usize,
    /// Numbers per head; a multiple of 4.
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

/// Rows per thread: all of them, if they are not too many.
fn rows_each(rows: usize, block: Block) -> usize {
    divisors(rows).find(|each| *each <= block.rows as usize).unwrap_or(1)
}

/// The largest power of two that is at most `most`, and at least 1.
fn power_of_two(most: usize) -> usize {
    1 << most.max(1).ilog2()
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
        for (row, token) in q.chunks_exact(self.heads * dim).zip(&node.step.tokens) {
            for (head, q) in row.chunks_exact(dim).enumerate() {
                let vector = |position: usize| {
                    let kv_head = head / (self.heads / self.kv_heads);
                    let sequences = &node.sequences;
                    let at =
                        sequences.vector(token.sequence, position, kv_head, self.kv_heads, dim);
                    at..at + dim
                };
                let (own, seen) = (token.position as usize + 1, token.seen as usize);
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

    /// Of one token: splits are merged on the way in.
    fn as_input(&self, lower: &mut Lower<'_>) -> Result<Option<Link>> {
        if !lower.key.decode || lower.key.tokens > 1 {
            return Ok(None);
        }
        let splits = self.splits(lower)?;
        let link = Link::new("input", "input/merge");
        let (kernel, binds) = self.merge(lower, link.kernel.clone(), &splits);
        Ok(Some(Link { kernel, binds, ..link }))
    }
}

/// What attention leaves of each split of the context.
struct Splits {
    /// `[tokens, splits, heads·value_dim]`.
    partials: Temp,
    /// `[tokens, splits, heads, 2]`: the largest score, and the sum of exponentials.
    stats: Temp,
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
    fn share(&self, lower: &Lower<'_>, threads: usize, keys: usize) -> usize {
        let group = self.heads / self.kv_heads;
        // Queries; scores and some of the largest; sums of groups and what `reduce` takes.
        let memory = lower.target.workgroup_memory as usize - 1024;
        divisors(group)
            .find(|share| {
                share * (4 * self.head_dim + 8 * keys) + 20 * threads <= memory
                    && share * self.value_dim() / 4 <= 16 * threads
            })
            .unwrap_or(1)
    }

    /// Threads that share a key in decode: each loads fours by twos, and all of the workgroup
    /// are busy with at most 16 products each. Adding up over them without subgroups would
    /// cost more than the loads.
    fn key_lanes(&self, lower: &Lower<'_>, rows_each: usize) -> usize {
        let tuning = lower.target.tuning.attention;
        let most = match lower.target.variant.reduce {
            Reduce::Subgroup => lower.lanes(tuning.key_lanes) as usize,
            Reduce::Workgroup => 1,
        };
        let (keys, threads) = (tuning.turn_keys as usize, tuning.threads as usize);
        let fits = |lanes: &usize| {
            let keys_each = keys * lanes / threads;
            (self.head_dim / 4).is_multiple_of(2 * lanes)
                && keys_each > 0
                && rows_each * keys_each <= 16
        };
        divisors(power_of_two(most)).find(fits).unwrap_or(1)
    }

    /// A kernel for `rows` queries that share keys, `keys` of them at a time.
    fn kernel(
        &self,
        lower: &Lower<'_>,
        name: &'static str,
        block: Block,
        [rows, keys]: [usize; 2],
    ) -> Kernel {
        let rows_each = rows_each(rows, block);
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

    /// Dispatches attention to each split of the context.
    fn splits(&self, lower: &mut Lower<'_>) -> Result<Splits> {
        let tuning = lower.target.tuning.attention;
        let tokens = lower.key.tokens as u64;
        let splits = u64::from(tuning.splits);
        let heads = self.heads as u64;
        let split_bytes = lower.bytes(Kind::Activation, self.heads * self.value_dim());
        let partials = lower.temp(tokens * splits * split_bytes);
        let stats = lower.temp(tokens * splits * heads * 8);
        let (threads, keys) = (tuning.threads as usize, tuning.turn_keys as usize);
        let share = self.share(lower, threads, keys);
        let parts = (self.value_dim() / 4).div_ceil(tuning.decode.values as usize);
        let rows_each = rows_each(share, tuning.decode);
        let items = share / rows_each * parts;
        let groups = power_of_two((threads / items).min(tuning.key_groups as usize));
        // Sums of many rows take the registers that loads would.
        let most = tuning.in_flight >> u32::from(rows_each > 4);
        let in_flight = (most.max(1) as usize).min(keys / groups);
        let mut kernel = self
            .kernel(lower, "attention_decode", tuning.decode, [share, keys])
            .set("THREADS", tuning.threads)
            .set("CHUNK", self.head_dim as u64 / 4)
            .set("KEY_GROUPS", groups as u64)
            .set("IN_FLIGHT", in_flight as u64)
            .set("SPLITS", splits);
        let lanes = self.key_lanes(lower, rows_each);
        if lanes > 1 {
            kernel = kernel
                .set("KEY_LANES", lanes as u64)
                .set("KEYS_EACH", (keys * lanes / threads) as u64)
                .set("TOP_LANES", lower.lanes(tuning.threads));
        }
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
        Ok(Splits { partials, stats })
    }

    /// What `attention_merge.wgsl` and `input/merge.wgsl` both have.
    fn merge(&self, lower: &Lower<'_>, kernel: Kernel, splits: &Splits) -> (Kernel, Binds) {
        let tuning = lower.target.tuning.attention;
        let at_once = divisors(8).find(|at_once| {
            *at_once <= tuning.in_flight as usize && tuning.splits.is_multiple_of(*at_once as u32)
        });
        let kernel = kernel
            .set("HEADS", self.heads as u64)
            .set("SPLITS", tuning.splits)
            .set("HEAD_DIM4", self.value_dim() as u64 / 4)
            .set("AT_ONCE", at_once.unwrap_or(1) as u64);
        let binds = vec![
            ("step", Bind::Step),
            ("partials", Bind::Temp(splits.partials)),
            ("stats", Bind::Temp(splits.stats)),
        ];
        (kernel, binds)
    }

    fn decode(&self, lower: &mut Lower<'_>) -> Result<()> {
        let tuning = lower.target.tuning.attention;
        let splits = self.splits(lower)?;
        let kernel = lower
            .kernel("attention_merge")
            .set("THREADS", tuning.threads)
            .set("Y_STRIDE", lower.output()?.stride() as u64);
        let (kernel, mut binds) = self.merge(lower, kernel, &splits);
        binds.push(("y", lower.bind_output()?));
        let numbers = (self.heads * self.value_dim()) as u64;
        let split_bytes = lower.bytes(Kind::Activation, self.heads * self.value_dim());
        let groups = (numbers as u32 / 4).div_ceil(tuning.threads);
        lower.dispatch(
            kernel,
            binds,
            move |c| [groups, c.tokens, 1],
            move |c| {
                let all = u64::from(c.tokens) * u64::from(c.splits);
                Cost { bytes: split_bytes * all, flops: 2 * numbers * all }
            },
        );
        Ok(())
    }

    /// The largest tile that fits workgroup memory and has a thread for each block of scores.
    fn tile(&self, lower: &Lower<'_>) -> Result<Tile> {
        let tuning = lower.target.tuning.attention;
        let memory = lower.target.workgroup_memory as usize - 512;
        let value4 = self.value_dim() / 4;
        let fours = divisors(self.head_dim / 4).find(|each| *each <= tuning.tile_chunk as usize);
        let chunk = fours.unwrap_or(1);
        let halves = |of: usize| (0..=of.ilog2()).map(move |by| of >> by);
        let shares = divisors(self.heads / self.kv_heads);
        let shares = shares.filter(|shared| shared * TILE <= (tuning.tile_rows as usize).max(TILE));
        let tiles = shares.flat_map(|shared| {
            let sizes = halves(TILE).flat_map(|queries| {
                halves((tuning.tile_keys as usize).min(2 * PAGE)).map(move |keys| (queries, keys))
            });
            sizes.map(move |(queries, keys)| {
                let room = (chunk * (keys + 1) / value4).max(1);
                let chunk_keys = power_of_two(room).min(keys);
                let rows_each = rows_each(shared * queries, tuning.prefill);
                Tile { shared, queries, keys, rows_each, chunk, chunk_keys }
            })
        });
        let fits = |tile: &Tile| {
            tile.bytes(&tuning, value4) <= memory
                && tile.blocks(&tuning) <= tuning.threads as usize
                && (tile.shared == 1 || tile.rows() * value4 <= 16 * tile.threads(&tuning))
        };
        let tile = tiles
            .filter(fits)
            .max_by_key(|tile| (tile.rows() * tile.keys, tile.rows().min(tile.keys)));
        let mut tile = tile.ok_or_else(|| {
            Error::device(format!("a head of {} is too large for the adapter", self.head_dim))
        })?;
        while tile.rows_each.is_multiple_of(2) && 2 * tile.blocks(&tuning) < tuning.threads as usize
        {
            tile.rows_each /= 2;
        }
        Ok(tile)
    }

    fn prefill(&self, lower: &mut Lower<'_>) -> Result<()> {
        let tuning = lower.target.tuning.attention;
        let tile = self.tile(lower)?;
        let kernel = self
            .kernel(lower, "attention_prefill", tuning.prefill, [tile.rows(), tile.keys])
            .set("THREADS", tile.threads(&tuning) as u64)
            .set("SHARED", tile.shared as u64)
            .set("ROWS_EACH", tile.rows_each as u64)
            .set("VALUES_EACH", tile.values_each(&tuning, self.value_dim() / 4) as u64)
            .set("CHUNK", tile.chunk as u64)
            .set("CHUNK_KEYS", tile.chunk_keys as u64)
            .set("IN_FLIGHT", tile.chunk_keys.min(tuning.in_flight.min(4) as usize) as u64)
            .set("TILE", TILE as u64)
            .set("Y_STRIDE", lower.output()?.stride() as u64);
        let binds = vec![
            ("step", Bind::Step),
            ("pages", Bind::Pages),
            ("q", lower.bind_input(0)),
            ("y", lower.bind_output()?),
        ];
        let binds = self.bind_cache(lower, binds);
        let heads = (self.heads / tile.shared) as u32;
        let pieces = (TILE / tile.queries) as u32;
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

/// What a workgroup of prefill takes at a time.
#[derive(Debug, Clone, Copy)]
struct Tile {
    /// Heads.
    shared: usize,
    queries: usize,
    keys: usize,
    rows_each: usize,
    /// Fours of queries and keys in its memory.
    chunk: usize,
    /// Values in its memory.
    chunk_keys: usize,
}

impl Tile {
    fn rows(&self) -> usize {
        self.shared * self.queries
    }

    fn slots(&self, tuning: &AttentionTuning) -> usize {
        self.keys / (tuning.prefill.keys as usize).min(self.keys)
    }

    /// Of scores, a thread each.
    fn blocks(&self, tuning: &AttentionTuning) -> usize {
        self.rows() / self.rows_each * self.slots(tuning)
    }

    fn threads(&self, tuning: &AttentionTuning) -> usize {
        self.blocks(tuning).next_power_of_two().min(tuning.threads as usize)
    }

    /// Fours of a value a thread: few enough that all threads have some, and enough that one
    /// part of the sums is all that a thread has, as far as its registers go.
    fn values_each(&self, tuning: &AttentionTuning, value4: usize) -> usize {
        let (blocks, threads) = (self.rows() / self.rows_each, self.threads(tuning));
        let mut each = tuning.prefill.values as usize;
        while each > 1 && blocks * value4.div_ceil(each) < threads {
            each /= 2;
        }
        while blocks * value4.div_ceil(each) > threads && 2 * each * self.rows_each <= 8 {
            each *= 2;
        }
        each
    }

    /// Workgroup memory: queries; keys or values; scores, their largest, what a row has.
    fn bytes(&self, tuning: &AttentionTuning, value4: usize) -> usize {
        let staged = (self.chunk * (self.keys + 1)).max(self.chunk_keys * value4);
        16 * (self.chunk * (self.rows() + 1) + staged)
            + 4 * self.rows() * (self.keys + self.slots(tuning) + 5)
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
        let rope = Rope::new(head_dim, rope_dim, Pairing::Interleaved);
        let rope = Rope { first: rope_first, ..rope };
        let mut rotate = Rotate { rope, heads, temperature: None };
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
            rotate.temperature = Some(AttentionTemperature { factor: 0.3, length: 9 });
        }
        let frequencies: Vec<_> = (0..rope_dim / 2).map(|i| 0.9f64.powi(i as i32)).collect();
        let data = std::sync::Arc::new(rope_table(&frequencies, 128, 1.0));
        let table = tape.resource(Resource::Table { name: "rope".into(), data });
        let latent_cache = latent.is_some();
        let cache = Resource::Paged { layer: 0, kv_heads, head_dim, latent: latent_cache };
        let cache = tape.resource(cache);
        let q = match latent {
            None => {
                let rotate = RopeAppend { queries: rotate, kv_heads, values: true };
                record(&mut tape, rotate, &inputs, &[table, cache])?
            }
            Some(_) => {
                let q = record(&mut tape, rotate, &inputs[..1], &[table])?;
                let rotate = Rotate { rope, heads: kv_heads, temperature: None };
                let k = record(&mut tape, rotate, &inputs[1..], &[table])?;
                tape.push(AppendKv { kv_heads, head_dim }, &[k], &[cache])?;
                q
            }
        };
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
        let bidirectional = matches!(special, Special::BothWays(_));
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
                let logits = Linear { kind: Kind::Logits, bias: false };
                record(&mut tape, logits, &[y], &[w])?
            }
            _ => y,
        };
        let prompt: Vec<_> = (0..37).map(|p| (0, p)).chain((0..3).map(|p| (2, p))).collect();
        let more: Vec<_> = (37..70).map(|p| (0, p)).chain([(1, 0), (2, 3)]).collect();
        let mut steps = Case::new("", Tape::new(), check::step(&prompt, &[])).steps;
        steps.extend(Case::new("", Tape::new(), check::step(&more, &[])).steps);
        // The last one as with draft tokens: several of one sequence, each from its own position.
        for (tokens, splits) in [
            (vec![(0, 70)], 1),
            (vec![(0, 71), (1, 1), (2, 4)], 2),
            (vec![(0, 72)], 3),
            (vec![(2, 5), (0, 73), (0, 74), (0, 75)], 2),
        ] {
            let mut step = check::step(&tokens, &[]);
            step.splits = splits;
            let key = PlanKey { tokens: tokens.len(), outputs: 1, decode: true, sample: false };
            steps.push((step, key));
        }
        if special == Special::None {
            // As an image in a prompt: some tokens in its middle see each other.
            let mut mixed = check::step(&prompt, &[]);
            mixed.tokens[8..21].iter_mut().for_each(|token| token.seen = 21);
            steps.extend(Case::new("", Tape::new(), mixed).steps);
        }
        if bidirectional {
            steps = steps.into_iter().map(|(step, key)| (step.bidirectional(), key)).collect();
        }
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
