//! y[t, r] = Σ_c x[t, c]·W[r, c] + bias[r].

use std::ops::Range;

use wisp_base::{Format, Result};
use wisp_gpu::Kernel;
use wisp_graph::{
    Bind, Cost, Counts, CpuNode, Kind, Lower, Operation, Resource, Rows, Tape, Value, Weight,
};

use crate::check::{self, Case, matrix};
use crate::product::{Matmul, Matvec, fits, link_x, link_y, result_bytes};
use crate::{
    Activation, Add, Glu, Pointwise, RmsNorm, expect_cols, expect_len, nth, record, weight,
};

/// A product with a matrix, or with several of the same width, whose rows then follow each other
/// in the result. Input: x; resources: the matrices, then the bias, if there is one, with a
/// number for each of their rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Linear {
    /// How results are stored: as activations, as logits, or in 32 bits for a norm to come that
    /// f16 may be too small for.
    pub kind: Kind,
    /// The last resource is a bias.
    pub bias: bool,
}

impl Linear {
    /// Without a bias, stored as activations.
    pub const PLAIN: Self = Self { kind: Kind::Activation, bias: false };
}

impl Operation for Linear {
    fn name(&self) -> &'static str {
        match self.kind {
            Kind::Activation | Kind::Residual => "linear",
            Kind::Logits => "logits",
        }
    }

    fn infer(&self, inputs: &[&Value], resources: &[&Resource]) -> Result<Option<Value>> {
        let x = nth(inputs, 0)?;
        let mut rows = 0;
        for at in 0..self.matrices(resources.len()) {
            let w = weight(resources, at)?;
            expect_cols(x, w.cols)?;
            rows += w.rows;
        }
        if self.bias {
            expect_len(resources, resources.len() - 1, rows)?;
        }
        let name = format!("{} of {}", self.name(), x.name);
        Ok(Some(Value { name, rows: x.rows, cols: rows, kind: self.kind }))
    }

    fn cpu(&self, node: &mut CpuNode<'_>) -> Result<Vec<f32>> {
        let x = node.input(0)?;
        let matrices = self.matrices(node.resource_count());
        let mut y = Vec::new();
        for x in x.chunks_exact(node.value(0)?.cols) {
            let start = y.len();
            for at in 0..matrices {
                let w = node.weight(at)?;
                y.extend(w.data.chunks_exact(w.cols).map(|w| dot(w, x)));
            }
            if self.bias {
                let bias = node.numbers(matrices)?;
                y[start..].iter_mut().zip(bias).for_each(|(y, bias)| *y += bias);
            }
        }
        Ok(y)
    }

    /// Any input; any output. One that says how many rows a thread must have needs all rows in one
    /// dispatch of matvec.
    fn takes(&self, lower: &Lower<'_>) -> Result<bool> {
        if lower.input_link().is_some_and(|link| link.interface != "input") {
            return Ok(false);
        }
        let few = lower.rows(lower.input(0).rows) as u32 <= lower.target.tuning.matvec.up_to;
        let whole = lower.output_link().is_some_and(|link| link.together.is_some());
        let own: &[_] = if self.bias { &["step", "row_bias"] } else { &["step"] };
        for at in 0..self.matrices(lower.resource_count()) {
            let w = lower.weight(at)?;
            if whole && (!few || lower.shards(w).len() > 1) || !fits(lower, w, own) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn gpu(&self, lower: &mut Lower<'_>) -> Result<()> {
        let rows = lower.input(0).rows;
        let most = lower.rows(rows) as u32;
        // Plans for many outputs hold both kernels, of which a step runs one.
        let up_to = lower.target.tuning.matvec.up_to;
        let of = (0..self.matrices(lower.resource_count()))
            .map(|resource| lower.weight(resource).map(|w| w.rows))
            .sum::<Result<usize>>()?;
        let mut first = 0;
        for resource in 0..self.matrices(lower.resource_count()) {
            let w = lower.weight(resource)?;
            for (shard, range) in lower.shards(w).into_iter().enumerate() {
                let first = first + range.start;
                let part = Part { w, resource, shard, range, first, of };
                if most <= up_to || rows == Rows::Outputs {
                    self.matvec(lower, &part)?;
                }
                if most > up_to {
                    self.matmul(lower, &part)?;
                }
            }
            first += w.rows;
        }
        Ok(())
    }
}

/// A shard of one of the matrices.
struct Part<'a> {
    w: &'a Weight,
    resource: usize,
    shard: usize,
    /// Rows of the shard, in the matrix.
    range: Range<usize>,
    /// Where its rows start in the result.
    first: usize,
    /// Rows of all matrices.
    of: usize,
}

impl Linear {
    /// How many of the resources are matrices.
    fn matrices(&self, resources: usize) -> usize {
        resources - usize::from(self.bias)
    }

    fn matvec(&self, lower: &mut Lower<'_>, part: &Part<'_>) -> Result<()> {
        let rows_of_x = lower.input(0).rows;
        let most = lower.rows(rows_of_x) as u32;
        let format = part.w.format;
        let together = lower.output_link().and_then(|link| link.together).unwrap_or(2);
        let tokens = Matvec::tokens(lower, format, most, together);
        let tiles = most.div_ceil(tokens);
        let size = [part.range.len(), part.w.cols];
        let product = Matvec::new(lower, format, size, (tokens, tiles), together);
        let up_to = lower.target.tuning.matvec.up_to;
        let kernel = product.kernel(lower, format, part.w.cols, 1);
        let (kernel, binds) = self.linked(lower, kernel, part)?;
        let count = count(rows_of_x);
        let (none, one) = (self.cost(lower, part, 0), self.cost(lower, part, 1));
        lower.dispatch(
            kernel,
            binds,
            move |c| product.groups(if count(c) <= up_to { count(c).div_ceil(tokens) } else { 0 }),
            move |c| {
                let rows = u64::from(count(c));
                Cost {
                    bytes: none.bytes * rows.div_ceil(u64::from(tokens))
                        + (one.bytes - none.bytes) * rows,
                    flops: one.flops * rows,
                }
            },
        );
        Ok(())
    }

    fn matmul(&self, lower: &mut Lower<'_>, part: &Part<'_>) -> Result<()> {
        let rows = lower.input(0).rows;
        let above = match rows {
            Rows::Outputs => lower.target.tuning.matvec.up_to,
            Rows::Tokens => 0,
        };
        let most = lower.rows(rows) as u32;
        let tile = Matmul::tile(lower, most, part.range.len());
        let product = Matmul::new(lower, part.range.len(), tile);
        let kernel = product.kernel(lower, part.w.format, part.w.cols);
        let (kernel, binds) = self.linked(lower, kernel, part)?;
        let count = count(rows);
        let (none, one) = (self.cost(lower, part, 0), self.cost(lower, part, 1));
        lower.dispatch(
            kernel,
            binds,
            move |c| {
                let many = count(c) > above;
                product.groups(if many { count(c).div_ceil(tile) } else { 0 })
            },
            move |c| {
                let rows = u64::from(count(c));
                Cost {
                    bytes: none.bytes + (one.bytes - none.bytes) * rows,
                    flops: one.flops * rows,
                }
            },
        );
        Ok(())
    }

    /// A product's kernel with all that it links and binds.
    fn linked(
        &self,
        lower: &Lower<'_>,
        kernel: Kernel,
        part: &Part<'_>,
    ) -> Result<(Kernel, Vec<(&'static str, Bind)>)> {
        let id = lower.id(part.resource);
        let mut binds = vec![
            ("step", Bind::Step),
            ("weight_quants", Bind::Quants(id, part.shard)),
            ("weight_scales", Bind::Scales(id, part.shard)),
            ("weight_table", Bind::WeightTable(id)),
        ];
        let kernel = link_x(lower, kernel, &mut binds);
        let kernel = link_y(lower, kernel, self.kind, &mut binds)?;
        // Links have the step too.
        let mut seen = std::collections::BTreeSet::new();
        binds.retain(|(name, _)| seen.insert(*name));
        let kernel = if self.bias {
            binds.push(("row_bias", Bind::Numbers(lower.id(lower.resource_count() - 1))));
            kernel.link("bias", "bias/vector").set("BIAS_ROWS", part.of as u64)
        } else {
            kernel.link("bias", "bias/none")
        };
        let kernel = kernel
            .link("tile", "tile/tokens")
            .set_bool("FOR_OUTPUTS", lower.input(0).rows == Rows::Outputs)
            .set("N_ROWS", part.range.len() as u64)
            .set("FIRST_ROW", part.first as u64);
        Ok((kernel, binds))
    }

    /// With `rows` rows of x.
    fn cost(&self, lower: &Lower<'_>, part: &Part<'_>, rows: u64) -> Cost {
        let (w, n) = (part.w, part.range.len());
        let x = lower.bytes(lower.input(0).kind, w.cols);
        let y = result_bytes(lower, self.kind) * n as u64;
        Cost {
            bytes: w.format.bytes(n * w.cols) as u64 + rows * (x + y),
            flops: 2 * rows * (n * w.cols) as u64,
        }
    }
}

fn count(rows: Rows) -> impl Fn(&Counts) -> u32 + Copy + Send + Sync + 'static {
    move |c| match rows {
        Rows::Tokens => c.tokens,
        Rows::Outputs => c.outputs,
    }
}

/// Summed in f64: the oracle adds no rounding of its own.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>() as f32
}

/// What is behind a product in a case.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Behind {
    Nothing,
    /// Results in 32 bits.
    Wide,
    Logits,
    /// Logits with a factor and a cap.
    Capped(f32, f32),
    Add(f32),
    /// Gate and up of one format.
    Glu(Activation),
    /// Of two.
    GluApart(Activation),
    Activate(Activation),
}

/// Formats that run with everything behind them at every number of rows.
const WHOLE: [Format; 4] = [Format::F16, Format::Q8_0, Format::Q4_0, Format::Q4_K];

/// Products of one row (with and without a norm before it), of a few, and of many; odd
/// sizes; split matrices. Some formats with everything behind them; the others, whose readers
/// are all that differs, with another one at each number of rows.
pub(crate) fn cases() -> Result<Vec<Case>> {
    let gated = Behind::Glu(Activation::Silu);
    let behind = [Behind::Nothing, Behind::Logits, Behind::Add(1.0), gated];
    let apart = Behind::GluApart(Activation::Silu);
    let mut cases = Vec::new();
    for (number, format) in Format::ALL.into_iter().enumerate() {
        for (at, behind) in behind.into_iter().enumerate() {
            for (turn, tokens) in [1, 3, 37].into_iter().enumerate() {
                if !WHOLE.contains(&format) && at != (number + turn) % 4 {
                    continue;
                }
                let cols = match format.block() {
                    1 => 75 + 2 * at,
                    // An odd number of blocks: scales of rows share words.
                    block => (96 + 32 * at).next_multiple_of(block) + block / 256 * 512,
                };
                cases.push(case(format, behind, tokens, cols, false)?);
            }
        }
    }
    // Whole tiles, and more than one of them each way.
    for format in [Format::F16, Format::Q4_K] {
        cases.push(case(format, Behind::Nothing, 150, 256, false)?);
    }
    // Gate and up of two formats.
    for (tokens, bias) in [(1, false), (3, true), (37, false), (150, true)] {
        cases.push(case(Format::Q8_0, apart, tokens, 96, bias)?);
    }
    // With a bias; activations, factors and caps. SmolLM2 needs none of them.
    let [relu, gelu, erf] = [Activation::ReluSquared, Activation::Gelu, Activation::GeluErf];
    for (at, behind) in [
        Behind::Nothing,
        Behind::Wide,
        Behind::Activate(relu),
        Behind::Activate(gelu),
        Behind::Activate(erf),
        Behind::Glu(gelu),
        Behind::Add(0.3),
        Behind::Capped(4.0, 3.0),
        Behind::Glu(Activation::Relu),
    ]
    .into_iter()
    .enumerate()
    {
        cases.push(case(Format::F16, behind, [1, 3, 37][at % 3], 75, true)?);
    }
    Ok(cases)
}

fn case(format: Format, behind: Behind, tokens: u32, cols: usize, bias: bool) -> Result<Case> {
    let norm = tokens == 1 && !matches!(behind, Behind::Logits | Behind::Capped(..));
    let mut tape = Tape::new();
    let kind = if norm { Kind::Residual } else { Kind::Activation };
    let x = tape.input(Value { name: "x".into(), rows: Rows::Tokens, cols, kind });
    let mut inputs = vec![x];
    let mut x = x;
    if norm {
        let gain = tape.resource(check::vector("gain", cols));
        x = record(&mut tape, RmsNorm { eps: 1e-5, outputs: false }, &[x], &[gain])?;
    }
    let product = |tape: &mut Tape, parts: &[(&str, Format, usize)], kind, bias_name: &str| {
        let mut resources: Vec<_> = parts
            .iter()
            .map(|(name, format, rows)| tape.resource(matrix(name, *format, *rows, cols)))
            .collect();
        if bias {
            let rows = parts.iter().map(|(_, _, rows)| rows).sum();
            resources.push(tape.resource(check::vector(bias_name, rows)));
        }
        record(tape, Linear { kind, bias }, &[x], &resources)
    };
    // Two matrices one below the other, odd counts; gates have one.
    let (first, second) = if tokens > 99 { (130, 71) } else { (33, 18) };
    let kind = match behind {
        Behind::Wide => Kind::Residual,
        Behind::Logits | Behind::Capped(..) => Kind::Logits,
        _ => Kind::Activation,
    };
    let y = match behind {
        Behind::Glu(activation) | Behind::GluApart(activation) => {
            let n = (first + second) / 2;
            let up = if matches!(behind, Behind::Glu(_)) { format } else { Format::Q4_0 };
            let gate = product(&mut tape, &[("gate", format, n)], kind, "gate bias")?;
            let up = product(&mut tape, &[("up", up, n)], kind, "up bias")?;
            record(&mut tape, Glu { activation, interleaved: false }, &[gate, up], &[])?
        }
        _ => {
            let parts = [("a", format, first), ("b", format, second)];
            let h = product(&mut tape, &parts, kind, "bias")?;
            match behind {
                Behind::Add(factor) => {
                    let (name, cols) = ("residual".into(), first + second);
                    let (rows, kind) = (Rows::Tokens, Kind::Residual);
                    let residual = tape.input(Value { name, rows, cols, kind });
                    inputs.push(residual);
                    record(&mut tape, Add { factor }, &[h, residual], &[])?
                }
                Behind::Activate(f) => record(&mut tape, Pointwise::Activate(f), &[h], &[])?,
                Behind::Capped(factor, cap) => {
                    record(&mut tape, Pointwise::Cap { factor, cap: Some(cap) }, &[h], &[])?
                }
                _ => h,
            }
        }
    };
    let positions: Vec<_> = (0..tokens).map(|at| (at / 128, at % 128)).collect();
    let with = if bias { " + bias" } else { "" };
    let name = format!("linear {format} {behind:?}{with} of {tokens} × {cols}");
    Ok(Case {
        inputs,
        compare: vec![y],
        // Some rows a shard, at any format.
        max_binding: (tokens == 3).then_some(12 * 4 * cols as u64),
        ..Case::new(name, tape, check::step(&positions, &[0]))
    })
}
