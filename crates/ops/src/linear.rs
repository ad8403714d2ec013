//! y[t, r] = Σ_c x[t, c]·W[r, c] + bias[r], then what the epilogue makes of it.

mod coop;

use std::ops::Range;

use wisp_base::quant::{split_words, table};
use wisp_base::{Error, Format, Result};
use wisp_gpu::Kernel;
use wisp_graph::{
    Bind, Cost, Counts, CpuNode, Kind, Lower, Operation, Resource, Rows, Tail, Tape, Value, Weight,
};

use crate::check::{self, Case, matrix};
use crate::product::{Matmul, Matvec, link_x};
use crate::{Activation, RmsNorm, capped, expect_cols, expect_len, nth, record, weight};

/// What becomes of the products: `shaders/output/`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Epilogue {
    /// Stored as an activation.
    Store,
    /// Stored in f32, for a norm to come that f16 may be too small for.
    Wide,
    /// Stored in f32, `factor` times, then kept within ±`cap` by cap·tanh(x / cap).
    Logits {
        /// 1 in most models.
        factor: f32,
        /// None in most models.
        cap: Option<f32>,
    },
    /// Added to input 1, the residual stream, in place, `factor` times.
    Add {
        /// 1 in most models.
        factor: f32,
    },
    /// A gated unit (Shazeer 2020): even rows of W are the gate's, odd ones the up
    /// projection's; activate(gate)·up is stored.
    Gated(Activation),
    /// The gate of a unit whose up projection is input 1, in f32 ([`Epilogue::Wide`]):
    /// activate(gate)·up is stored. For matrices of two formats.
    Gate(Activation),
    /// Through the activation.
    Activate(Activation),
}

impl Epilogue {
    /// Logits as they are.
    pub const LOGITS: Self = Self::Logits { factor: 1.0, cap: None };
    /// Added once.
    pub const ADD: Self = Self::Add { factor: 1.0 };
}

/// A product with one or several weight matrices of the same width, whose rows
/// follow each other in the result. Input 0: x; resources: the matrices, then the
/// bias, if there is one, with a number for each of their rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Linear {
    /// What becomes of the products.
    pub epilogue: Epilogue,
    /// The last resource is a bias.
    pub bias: bool,
}

impl Operation for Linear {
    fn name(&self) -> &'static str {
        match self.epilogue {
            Epilogue::Store | Epilogue::Wide => "linear",
            Epilogue::Logits { .. } => "logits",
            Epilogue::Add { .. } => "linear_add",
            Epilogue::Gated(_) => "linear_gated",
            Epilogue::Gate(_) => "linear_gate",
            Epilogue::Activate(_) => "linear_activate",
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
        let (cols, kind) = match self.epilogue {
            Epilogue::Store | Epilogue::Activate(_) => (rows, Kind::Activation),
            Epilogue::Wide => (rows, Kind::Residual),
            Epilogue::Logits { .. } => (rows, Kind::Logits),
            Epilogue::Add { .. } => {
                expect_cols(nth(inputs, 1)?, rows)?;
                (rows, Kind::Residual)
            }
            Epilogue::Gate(_) => {
                expect_cols(nth(inputs, 1)?, rows)?;
                (rows, Kind::Activation)
            }
            Epilogue::Gated(_) if rows % 2 == 1 => {
                return Err(Error::input(format!("{rows} rows are not pairs of gate and up")));
            }
            Epilogue::Gated(_) => (rows / 2, Kind::Activation),
        };
        let name = format!("{} of {}", self.name(), x.name);
        Ok(Some(Value { name, rows: x.rows, cols, kind }))
    }

    fn in_place(&self) -> Option<usize> {
        self.adds().then_some(1)
    }

    /// The up projection takes a binding, as a norm would: together they may be too many.
    fn takes_prologue(&self, at: usize) -> bool {
        at == 0 && !matches!(self.epilogue, Epilogue::Gate(_))
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
        Ok(match self.epilogue {
            Epilogue::Store | Epilogue::Wide => y,
            Epilogue::Logits { factor, cap } => {
                y.into_iter().map(|y| capped(factor * y, cap)).collect()
            }
            Epilogue::Add { factor } => {
                node.input(1)?.iter().zip(y).map(|(x, y)| x + factor * y).collect()
            }
            Epilogue::Gated(activation) => {
                y.as_chunks().0.iter().map(|[gate, up]| activation.gated(*gate, *up)).collect()
            }
            Epilogue::Gate(activation) => {
                let up = node.input(1)?;
                y.into_iter().zip(up).map(|(gate, up)| activation.gated(gate, *up)).collect()
            }
            Epilogue::Activate(activation) => y.into_iter().map(|y| activation.of(y)).collect(),
        })
    }

    fn gpu(&self, lower: &mut Lower<'_>) -> Result<()> {
        let rows = lower.input(0).rows;
        let most = lower.rows(rows) as u32;
        // Plans for many outputs hold both kernels, of which a step runs one.
        let up_to = lower.target.tuning.matvec.up_to;
        let of = (0..self.matrices(lower.resource_count()))
            .map(|resource| lower.weight(resource).map(|w| w.rows))
            .sum::<Result<usize>>()?;
        let tail = if most <= up_to { self.tail(lower)? } else { None };
        let mut first = 0;
        for resource in 0..self.matrices(lower.resource_count()) {
            let w = lower.weight(resource)?;
            for (shard, range) in lower.shards(w).into_iter().enumerate() {
                let first = first + range.start;
                let part = Part { w, resource, shard, range, first, of };
                if most <= up_to || rows == Rows::Outputs {
                    self.matvec(lower, &part, tail.as_ref())?;
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

    fn adds(&self) -> bool {
        matches!(self.epilogue, Epilogue::Add { .. })
    }

    /// The operation behind, where products may hand their results on to it.
    fn tail(&self, lower: &mut Lower<'_>) -> Result<Option<Tail>> {
        let most = lower.rows(lower.input(0).rows) as u32;
        let (mut own, mut each) = (0, Vec::new());
        for at in 0..self.matrices(lower.resource_count()) {
            let w = lower.weight(at)?;
            if self.epilogue != Epilogue::Store || lower.shards(w).len() > 1 {
                return Ok(None);
            }
            let parts = [true, split_words(w.format, 1, w.cols).1 > 0, !table(w.format).is_empty()];
            own = own.max(parts.into_iter().filter(|there| *there).count());
            each.push(Matvec::rows(lower, Matvec::tokens(lower, w.format, most)));
        }
        own += lower.prologue(0).map_or(1, |x| x.binds.len()) + usize::from(self.bias);
        let bindings = lower.target.max_bindings as usize;
        Ok(lower.tail(|tail| {
            own + tail.binds.len() <= bindings
                && each.iter().all(|rows| rows.is_multiple_of(tail.together))
        }))
    }

    fn matvec(&self, lower: &mut Lower<'_>, part: &Part<'_>, tail: Option<&Tail>) -> Result<()> {
        let rows_of_x = lower.input(0).rows;
        let most = lower.rows(rows_of_x) as u32;
        let format = part.w.format;
        let tokens = Matvec::tokens(lower, format, most);
        let tiles = most.div_ceil(tokens);
        let product = Matvec::new(lower, format, part.range.len(), tokens, tiles);
        let up_to = lower.target.tuning.matvec.up_to;
        let kernel = product.kernel(lower, format, part.w.cols);
        let mut kernel = self.common(lower, kernel, part, tail)?;
        let mut binds = self.binds(lower, part, tail)?;
        kernel = link_x(lower, kernel, &mut binds);
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
        let (tuning, memory) = (lower.target.tuning.matmul, lower.target.workgroup_memory);
        let cut = lower.coop().and_then(|coop| coop::Cut::of(coop, &tuning, most, memory));
        let (format, cols, n) = (part.w.format, part.w.cols, part.range.len());
        let (kernel, tile, groups) = match cut {
            Some(cut) => {
                let [tile, rows] = cut.tile();
                (cut.kernel(lower, format, cols), tile, (n as u32).div_ceil(rows))
            }
            None => {
                let tile = Matmul::tile(lower, most);
                let product = Matmul::new(lower, n, tile);
                (product.kernel(lower, format, cols), tile, product.groups)
            }
        };
        let mut kernel = self.common(lower, kernel, part, None)?;
        let mut binds = self.binds(lower, part, None)?;
        kernel = link_x(lower, kernel, &mut binds);
        let count = count(rows);
        let (none, one) = (self.cost(lower, part, 0), self.cost(lower, part, 1));
        lower.dispatch(
            kernel,
            binds,
            move |c| {
                let many = count(c) > above;
                [groups, if many { count(c).div_ceil(tile) } else { 0 }, 1]
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

    fn common(
        &self,
        lower: &Lower<'_>,
        mut kernel: Kernel,
        part: &Part<'_>,
        tail: Option<&Tail>,
    ) -> Result<Kernel> {
        if let Some(tail) = tail {
            kernel.links.extend(tail.kernel.links.clone());
            kernel.constants.extend(tail.kernel.constants.clone());
            kernel = kernel.link("output", tail.file);
        } else {
            kernel = self.output(kernel).set("Y_STRIDE", lower.output()?.stride() as u64);
        }
        let kernel = match self.bias {
            true => kernel.link("bias", "bias/vector").set("BIAS_ROWS", part.of as u64),
            false => kernel.link("bias", "bias/none"),
        };
        Ok(kernel
            .link("tile", "tile/tokens")
            .set_bool("FOR_OUTPUTS", lower.input(0).rows == Rows::Outputs)
            .set("N_ROWS", part.range.len() as u64)
            .set("FIRST_ROW", part.first as u64))
    }

    fn output(&self, kernel: Kernel) -> Kernel {
        match self.epilogue {
            Epilogue::Store => kernel.link("output", "output/store"),
            Epilogue::Wide => kernel.link("output", "output/store_f32"),
            Epilogue::Logits { factor, cap } => kernel
                .link("output", "output/store_f32")
                .set_f32("FACTOR", factor)
                .set_f32("CAP", cap.unwrap_or(0.0)),
            Epilogue::Add { factor } => {
                kernel.link("output", "output/add").set_f32("FACTOR", factor)
            }
            Epilogue::Gated(activation) => activation.link_gate(kernel),
            Epilogue::Gate(activation) => {
                activation.link_gate(kernel).link("output", "output/gate")
            }
            Epilogue::Activate(activation) => {
                activation.link(kernel.link("output", "output/activate"))
            }
        }
    }

    fn binds(
        &self,
        lower: &Lower<'_>,
        part: &Part<'_>,
        tail: Option<&Tail>,
    ) -> Result<Vec<(&'static str, Bind)>> {
        let mut binds = Vec::new();
        if self.adds() && !lower.has_dispatches() {
            // No shader has it, y's buffer is the same: so that the planner sees
            // that the sum starts from the newest residual stream.
            binds.push(("residual", lower.bind_input(1)));
        }
        match tail {
            Some(tail) => binds.extend(&tail.binds),
            None => binds.extend([("step", Bind::Step), ("y", lower.bind_output()?)]),
        }
        if matches!(self.epilogue, Epilogue::Gate(_)) {
            binds.push(("up", lower.bind_input(1)));
        }
        let id = lower.id(part.resource);
        binds.extend([
            ("weight_quants", Bind::Quants(id, part.shard)),
            ("weight_scales", Bind::Scales(id, part.shard)),
            ("weight_table", Bind::WeightTable(id)),
        ]);
        if self.bias {
            binds.push(("row_bias", Bind::Numbers(lower.id(lower.resource_count() - 1))));
        }
        Ok(binds)
    }

    /// With `rows` rows of x.
    fn cost(&self, lower: &Lower<'_>, part: &Part<'_>, rows: u64) -> Cost {
        let (w, n) = (part.w, part.range.len());
        let x = lower.bytes(lower.input(0).kind, w.cols);
        let y = match self.epilogue {
            Epilogue::Store | Epilogue::Activate(_) => lower.bytes(Kind::Activation, n),
            Epilogue::Gated(_) => lower.bytes(Kind::Activation, n / 2),
            Epilogue::Gate(_) => 4 * n as u64 + lower.bytes(Kind::Activation, n),
            Epilogue::Wide | Epilogue::Logits { .. } => 4 * n as u64,
            Epilogue::Add { .. } => 8 * n as u64,
        };
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

/// Formats that run with every epilogue at every number of rows.
const WHOLE: [Format; 4] = [Format::F16, Format::Q8_0, Format::Q4_0, Format::Q4_K];

/// Products of one row (with and without a norm before it), of a few, and of many; odd
/// sizes; split matrices. Some formats with every epilogue; the others, whose readers
/// are all that differs, with another one at each number of rows.
pub(crate) fn cases() -> Result<Vec<Case>> {
    let gated = Epilogue::Gated(Activation::Silu);
    let epilogues = [Epilogue::Store, Epilogue::LOGITS, Epilogue::ADD, gated];
    let apart = Epilogue::Gate(Activation::Silu);
    let mut cases = Vec::new();
    for (number, format) in Format::ALL.into_iter().enumerate() {
        for (at, epilogue) in epilogues.into_iter().enumerate() {
            for (turn, tokens) in [1, 3, 37].into_iter().enumerate() {
                if !WHOLE.contains(&format) && at != (number + turn) % 4 {
                    continue;
                }
                let cols = match format.block() {
                    1 => 75 + 2 * at,
                    // An odd number of blocks: scales of rows share words.
                    block => (96 + 32 * at).next_multiple_of(block) + block / 256 * 512,
                };
                cases.push(case(format, epilogue, tokens, cols, false)?);
            }
        }
    }
    // Whole tiles, and more than one of them each way.
    for format in [Format::F16, Format::Q4_K] {
        cases.push(case(format, Epilogue::Store, 150, 256, false)?);
    }
    // Gate and up of two formats.
    for (tokens, bias) in [(1, false), (3, true), (37, false), (150, true)] {
        cases.push(case(Format::Q8_0, apart, tokens, 96, bias)?);
    }
    // With a bias; activations, factors and caps. SmolLM2 needs none of them.
    let [relu, gelu, erf] = [Activation::ReluSquared, Activation::Gelu, Activation::GeluErf];
    for (at, epilogue) in [
        Epilogue::Store,
        Epilogue::Wide,
        Epilogue::Activate(relu),
        Epilogue::Activate(gelu),
        Epilogue::Activate(erf),
        Epilogue::Gated(gelu),
        Epilogue::Add { factor: 0.3 },
        Epilogue::Logits { factor: 4.0, cap: Some(3.0) },
        Epilogue::Gated(Activation::Relu),
    ]
    .into_iter()
    .enumerate()
    {
        cases.push(case(Format::F16, epilogue, [1, 3, 37][at % 3], 75, true)?);
    }
    Ok(cases)
}

fn case(format: Format, epilogue: Epilogue, tokens: u32, cols: usize, bias: bool) -> Result<Case> {
    let second_input = match epilogue {
        Epilogue::Add { .. } => Some("residual"),
        Epilogue::Gate(_) => Some("up"),
        _ => None,
    };
    let norm = tokens == 1 && epilogue != Epilogue::LOGITS;
    let mut tape = Tape::new();
    let kind = if norm { Kind::Residual } else { Kind::Activation };
    let x = tape.input(Value { name: "x".into(), rows: Rows::Tokens, cols, kind });
    let mut inputs = vec![x];
    let mut x = x;
    if norm {
        let gain = tape.resource(check::vector("gain", cols));
        x = record(&mut tape, RmsNorm { eps: 1e-5, outputs: false }, &[x], &[gain])?;
    }
    // Two matrices one below the other; SwiGLU needs pairs, others take odd counts.
    let pairs = matches!(epilogue, Epilogue::Gated(_));
    let (first, second) = match (pairs, tokens) {
        (_, 100..) => (130, 71),
        (true, _) => (34, 20),
        (false, _) => (33, 18),
    };
    let mut resources = vec![
        tape.resource(matrix("a", format, first, cols)),
        tape.resource(matrix("b", format, second, cols)),
    ];
    if bias {
        resources.push(tape.resource(check::vector("bias", first + second)));
    }
    let mut from = vec![x];
    if let Some(name) = second_input {
        let (name, cols) = (name.into(), first + second);
        let value = tape.input(Value { name, rows: Rows::Tokens, cols, kind: Kind::Residual });
        inputs.push(value);
        from.push(value);
    }
    let y = record(&mut tape, Linear { epilogue, bias }, &from, &resources)?;
    let positions: Vec<_> = (0..tokens).map(|at| (at / 128, at % 128)).collect();
    let with = if bias { " + bias" } else { "" };
    let name = format!("linear {format} {epilogue:?}{with} of {tokens} × {cols}");
    Ok(Case {
        inputs,
        compare: vec![y],
        // Some rows a shard, at any format.
        max_binding: (tokens == 3).then_some(12 * 4 * cols as u64),
        ..Case::new(name, tape, check::step(&positions, &[0]))
    })
}
