//! Rotation of queries and keys, and keys and values into the paged cache, as one: what
//! [`Rotate`] and [`AppendKv`] do to the parts of a row.

use wisp_base::{Format, KvType, Result};
use wisp_gpu::Kernel;
use wisp_graph::{
    Bind, Cost, CpuNode, Kind, Link, Lower, Operation, PlanKey, Resource, Rows, Tape, Value,
};

use crate::append_kv::{append, check_block};
use crate::check::{self, Case};
use crate::{
    AppendKv, Attention, AttentionTemperature, Linear, Pairing, QkNorm, RmsNorm, Rope, Rotate,
    expect_cols, nth, record, rope_rows, rope_table,
};

/// Input: `[tokens, (heads + 2·kv_heads)·head_dim]`, queries then keys then values, or
/// two inputs, the queries and the rest; output: the rotated queries. Resources: the
/// table of [`rope_table`], the cache.
#[derive(Debug, Clone, PartialEq)]
pub struct RopeAppend {
    /// Of queries; keys rotate alike.
    pub queries: Rotate,
    /// Heads of keys and values; heads are a multiple of the cache type's block.
    pub kv_heads: usize,
    /// There are values behind the keys.
    pub values: bool,
}

impl RopeAppend {
    /// Values lie behind the keys; all heads rotate by `rope`.
    pub fn new(heads: usize, kv_heads: usize, rope: Rope) -> Self {
        let queries = Rotate { rope, heads, temperature: None };
        Self { queries, kv_heads, values: true }
    }

    /// Numbers of a row of queries.
    fn query_cols(&self) -> usize {
        self.queries.heads * self.queries.rope.head_dim
    }

    /// Numbers of a row of keys and values.
    fn kv_cols(&self) -> usize {
        (1 + usize::from(self.values)) * self.kv_heads * self.queries.rope.head_dim
    }

    /// What `rope_append.wgsl` and `output/rope_append.wgsl` both have.
    fn constants(&self, lower: &Lower<'_>, kernel: Kernel) -> Result<Kernel> {
        Ok(self
            .queries
            .rope
            .set(kernel, self.queries.temperature)
            .set("HEADS", self.queries.heads as u64)
            .set("KV_HEADS", self.kv_heads as u64)
            .set("HEAD_DIM", self.queries.rope.head_dim as u64)
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
        self.queries.rope.check()?;
        self.queries.temperature.map_or(Ok(()), AttentionTemperature::check)?;
        let (rows, kind) = (Rows::Tokens, Kind::Activation);
        Ok(Some(Value { name: "queries".into(), rows, cols: self.query_cols(), kind }))
    }

    fn cpu(&self, node: &mut CpuNode<'_>) -> Result<Vec<f32>> {
        let table = node.numbers(0)?.to_vec();
        let Rotate { rope, temperature, .. } = self.queries;
        // Queries, and keys and values, with the columns of their rows.
        let last = node.inputs() - 1;
        let cols = node.value(last)?.cols;
        let own = node.input(0)?.chunks_exact(node.value(0)?.cols);
        let rows = own.zip(node.input(last)?.chunks_exact(cols));
        let mut queries = Vec::new();
        for (token, (own, rest)) in node.step.tokens.iter().zip(rows) {
            let factor = temperature.map_or(1.0, |t| t.at(token.position as usize));
            for head in own[..self.query_cols()].chunks_exact(rope.head_dim) {
                queries.extend(rope.rotated(head, token, &table).iter().map(|x| factor * x));
            }
            let heads = rest[cols - self.kv_cols()..].chunks_exact(rope.head_dim);
            let keys: Vec<_> =
                heads.clone().take(self.kv_heads).map(|h| rope.rotated(h, token, &table)).collect();
            let values = heads.skip(self.kv_heads).map(<[f32]>::to_vec).collect::<Vec<_>>();
            append(node, 1, token, &keys, &values)?;
        }
        Ok(queries)
    }

    /// In a cache without blocks, and for pairs of which four numbers hold two.
    fn as_output(&self, lower: &Lower<'_>) -> Result<Option<Link>> {
        let pair = match lower.target.kv {
            KvType::F16 => "kv_pair/f16",
            KvType::F32 => "kv_pair/f32",
            KvType::Q8_0 | KvType::Q4_0 => return Ok(None),
        };
        let rope = self.queries.rope;
        let together = match rope.pairing {
            Pairing::Interleaved => 2,
            Pairing::NeoX if rope.dim.is_multiple_of(4) => 4,
            Pairing::NeoX => return Ok(None),
        };
        if lower.inputs() > 1 || !self.values || rope.first > 0 {
            return Ok(None);
        }
        let link = Link::new("output", "output/rope_append");
        let kernel = self.constants(lower, link.kernel.clone())?.link("kv_pair", pair);
        Ok(Some(Link {
            kernel,
            binds: self.binds(lower)?,
            together: Some(together),
            bytes: lower.bytes(Kind::Activation, 1),
            ..link
        }))
    }

    /// Heads that are normed where they are rotated: one buffer more than its own eight.
    fn takes(&self, lower: &Lower<'_>) -> Result<bool> {
        let norm = lower.input_link().is_some_and(|link| link.interface == "norm");
        let one = lower.inputs() == 1 && lower.output_link().is_none();
        Ok(norm && one && lower.target.max_bindings > 8)
    }

    fn gpu(&self, lower: &mut Lower<'_>) -> Result<()> {
        let kv = lower.target.kv;
        let rope = self.queries.rope;
        check_block(kv, rope.head_dim)?;
        let most = (rope.head_dim as u32).next_power_of_two();
        let kv_input = lower.inputs() - 1;
        let mut kernel = self
            .constants(lower, lower.kernel("rope_append"))?
            .set("THREADS", lower.target.tuning.reduce_threads.min(most))
            .set("ROPE_FIRST", rope.first as u64)
            .set("QUERY_STRIDE", lower.input(0).stride() as u64)
            .set("KV_STRIDE", lower.input(kv_input).stride() as u64)
            .set("KV_FIRST", if kv_input == 0 { self.query_cols() } else { 0 } as u64);
        let mut binds = self.binds(lower)?;
        if let Some(norm) = lower.input_link() {
            kernel = norm.onto(kernel, &mut binds);
        } else {
            kernel = kernel.link("norm", "norm/none");
            binds.extend([("queries", lower.bind_input(0)), ("kv", lower.bind_input(kv_input))]);
        }
        let (queries, kv_cols) = (self.query_cols(), self.kv_cols());
        let groups = (self.queries.heads + kv_cols / rope.head_dim) as u32;
        let bytes = lower.bytes(Kind::Activation, 2 * queries + kv_cols) + kv.bytes(kv_cols) as u64;
        let flops = 6 * (self.queries.heads + self.kv_heads) as u64 * rope.dim as u64 / 2;
        lower.dispatch_heads(kernel, binds, groups, Cost { bytes, flops });
        Ok(())
    }
}

/// Both pairings, part of a head, far positions; what lands in the cache is seen
/// by the cases of attention.
pub(crate) fn cases() -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for (pairing, rope_dim, head_dim) in [
        (Pairing::Interleaved, 16, 16),
        (Pairing::NeoX, 16, 16),
        (Pairing::NeoX, 6, 20),
        (Pairing::NeoX, 0, 12),
    ] {
        let op = RopeAppend::new(3, 1, Rope::new(head_dim, rope_dim, pairing));
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
            tape.resource(Resource::Paged { layer: 0, kv_heads: 1, head_dim, latent: false });
        let q = record(&mut tape, op, &[qkv], &[table, cache])?;
        let step = check::step(&[(0, 0), (0, 1), (1, 127), (2, 33)], &[]);
        cases.push(Case {
            inputs: vec![qkv],
            compare: vec![q],
            ..Case::new(format!("rope_append {pairing:?} {rope_dim} of {head_dim}"), tape, step)
        });
    }
    cases.push(two_tables()?);
    let temperature = Some(AttentionTemperature { factor: 0.3, length: 2 });
    cases.extend([
        behind_product(Pairing::Interleaved, 16, 16, KvType::F32, None, false)?,
        behind_product(Pairing::Interleaved, 12, 20, KvType::F16, None, false)?,
        behind_product(Pairing::NeoX, 20, 20, KvType::F16, temperature, false)?,
        behind_product(Pairing::NeoX, 8, 12, KvType::F32, None, false)?,
        behind_product(Pairing::NeoX, 6, 16, KvType::F32, None, false)?,
        behind_product(Pairing::NeoX, 32, 32, KvType::Q8_0, None, false)?,
        behind_product(Pairing::NeoX, 16, 20, KvType::F32, None, true)?,
        behind_product(Pairing::Interleaved, 32, 32, KvType::Q8_0, temperature, true)?,
    ]);
    Ok(cases)
}

/// Sequences with the table for long contexts beside those with the other, at far positions.
fn two_tables() -> Result<Case> {
    let (rope_dim, head_dim, positions) = (12, 16, 300);
    let long_table = Some(rope_rows(positions));
    let rope = Rope { long_table, ..Rope::new(head_dim, rope_dim, Pairing::NeoX) };
    let op = RopeAppend::new(3, 1, rope);
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
    let cache = tape.resource(Resource::Paged { layer: 0, kv_heads: 1, head_dim, latent: false });
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
    temperature: Option<AttentionTemperature>,
    normed: bool,
) -> Result<Case> {
    let (heads, kv_heads, cols) = (4, 2, 96);
    let long_table = Some(rope_rows(300));
    let rope = Rope { long_table, ..Rope::new(head_dim, rope_dim, pairing) };
    let mut tape = Tape::new();
    let (rows, kind) = (Rows::Tokens, Kind::Residual);
    let x = tape.input(Value { name: "x".into(), rows, cols, kind });
    let gain = tape.resource(check::vector("gain", cols));
    let h = record(&mut tape, RmsNorm { eps: 1e-5, outputs: false }, &[x], &[gain])?;
    let bias = temperature.is_some();
    // Keys are of two formats, which those of queries and of values are.
    let mut product = |name: &str, parts: &[(Format, usize)], norm: bool| {
        let matrix = |(format, heads): &(Format, usize)| {
            check::matrix(&format!("{name} {format}"), *format, heads * head_dim, cols)
        };
        let mut resources: Vec<_> = parts.iter().map(|part| tape.resource(matrix(part))).collect();
        let heads = parts.iter().map(|(_, heads)| heads).sum::<usize>();
        if bias {
            let bias = check::vector(&format!("{name} bias"), heads * head_dim);
            resources.push(tape.resource(bias));
        }
        let y = record(&mut tape, Linear { bias, ..Linear::PLAIN }, &[h], &resources)?;
        if !norm {
            return Ok(y);
        }
        let gain = tape.resource(check::vector(&format!("{name} gain"), head_dim));
        let norm = QkNorm { queries: heads, query: head_dim, keys: 0, key: 0, eps: 1e-5 };
        record(&mut tape, norm, &[y], &[gain])
    };
    let queries = product("q", &[(Format::Q4_0, heads)], normed)?;
    let keys = product("k", &[(Format::Q4_0, 1), (Format::Q8_0, kv_heads - 1)], normed)?;
    let values = product("v", &[(Format::Q8_0, kv_heads)], false)?;
    // With a table for long contexts.
    let mut data = Vec::new();
    for base in [0.8f64, 0.7] {
        let frequencies: Vec<_> = (0..rope_dim / 2).map(|i| base.powi(i as i32)).collect();
        data.extend(rope_table(&frequencies, 300, 1.0));
    }
    let data = std::sync::Arc::new(data);
    let table = tape.resource(Resource::Table { name: "rope".into(), data });
    let cache = tape.resource(Resource::Paged { layer: 0, kv_heads, head_dim, latent: false });
    let rotate = Rotate { rope, heads, temperature };
    let q = record(&mut tape, rotate, &[queries], &[table])?;
    let rotate = Rotate { rope, heads: kv_heads, temperature: None };
    let k = record(&mut tape, rotate, &[keys], &[table])?;
    tape.push(AppendKv { kv_heads, head_dim }, &[k, values], &[cache])?;
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
