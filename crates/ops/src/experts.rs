//! Products with the experts that each token was routed to: side by side through a
//! gated unit, or summed by their weights onto the residual stream.

use std::ops::Range;

use wisp_base::{Error, Format, Result};
use wisp_graph::{
    Bind, Cost, CpuNode, Kind, Lower, Operation, Resource, Rows, Tape, Value, Weight,
};

use crate::check::{self, Case, matrix};
use crate::groups::Groups;
use crate::linear::dot;
use crate::product::{Matmul, Matvec, link_x};
use crate::{Activation, Gating, RmsNorm, Route, expect_cols, expect_len, nth, record, weight};

/// What becomes of the products.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ExpertsInto {
    /// x is the same for all experts; even rows of an expert's matrix are its gate's, odd
    /// ones its up projection's: `[tokens, used·rows/2]`.
    Gated(Activation),
    /// x is the same for all experts; stored in f32, for [`Self::Gate`]: `[tokens, used·rows]`.
    Wide,
    /// The gates of units whose up projections are input 2, of [`Self::Wide`]: activate(gate)·up
    /// is stored. For matrices of two formats.
    Gate(Activation),
    /// x has a part for each expert; Σ weight·product is added to input 2, the residual
    /// stream, in place, `factor` times.
    Sum {
        /// 1 in most models.
        factor: f32,
    },
}

/// Inputs: x, the routes of [`Route`], the residual stream for a sum. Resources: the
/// experts' matrices one below the other, then their bias, if they have one.
#[derive(Debug, Clone, PartialEq)]
pub struct Experts {
    /// Experts in all.
    pub experts: usize,
    /// Experts a token.
    pub used: usize,
    /// What becomes of the products.
    pub into: ExpertsInto,
    /// Resource 1 is a bias.
    pub bias: bool,
}

impl Operation for Experts {
    fn name(&self) -> &'static str {
        match self.into {
            ExpertsInto::Gated(_) => "experts_gated",
            ExpertsInto::Wide => "experts",
            ExpertsInto::Gate(_) => "experts_gate",
            ExpertsInto::Sum { .. } => "experts_sum",
        }
    }

    fn infer(&self, inputs: &[&Value], resources: &[&Resource]) -> Result<Option<Value>> {
        let (x, w) = (nth(inputs, 0)?, weight(resources, 0)?);
        expect_cols(nth(inputs, 1)?, 2 * self.used)?;
        if self.experts == 0 || !w.rows.is_multiple_of(2 * self.experts) || w.cols % 4 != 0 {
            return Err(Error::unsupported(format!(
                "{} experts with {} rows of {} in all: rows must be even, columns a multiple of 4",
                self.experts, w.rows, w.cols
            )));
        }
        if self.bias {
            expect_len(resources, 1, w.rows)?;
        }
        let rows = w.rows / self.experts;
        let name = self.name().into();
        Ok(Some(match self.into {
            ExpertsInto::Gated(_) => {
                expect_cols(x, w.cols)?;
                let cols = self.used * rows / 2;
                Value { name, rows: x.rows, cols, kind: Kind::Activation }
            }
            ExpertsInto::Wide => {
                expect_cols(x, w.cols)?;
                Value { name, rows: x.rows, cols: self.used * rows, kind: Kind::Residual }
            }
            ExpertsInto::Gate(_) => {
                expect_cols(x, w.cols)?;
                expect_cols(nth(inputs, 2)?, self.used * rows)?;
                Value { name, rows: x.rows, cols: self.used * rows, kind: Kind::Activation }
            }
            ExpertsInto::Sum { .. } => {
                expect_cols(x, self.used * w.cols)?;
                expect_cols(nth(inputs, 2)?, rows)?;
                Value { name, rows: x.rows, cols: rows, kind: Kind::Residual }
            }
        }))
    }

    fn in_place(&self) -> Option<usize> {
        matches!(self.into, ExpertsInto::Sum { .. }).then_some(2)
    }

    fn cpu(&self, node: &mut CpuNode<'_>) -> Result<Vec<f32>> {
        let w = node.weight(0)?;
        let rows = w.data.len() / w.cols / self.experts;
        let bias = if self.bias { Some(node.numbers(1)?) } else { None };
        // Products of expert `e` with x.
        let products = |e: usize, x: &[f32]| -> Vec<f32> {
            let own = e * rows..(e + 1) * rows;
            own.map(|row| {
                let product = dot(&w.data[row * w.cols..(row + 1) * w.cols], x);
                product + bias.map_or(0.0, |bias| bias[row])
            })
            .collect()
        };
        let mut y = match self.into {
            ExpertsInto::Sum { .. } => node.input(2)?.to_vec(),
            _ => Vec::new(),
        };
        let x = node.input(0)?.chunks_exact(node.value(0)?.cols);
        let routes = node.input(1)?.chunks_exact(2 * self.used);
        for (token, (x, routes)) in x.zip(routes).enumerate() {
            for (slot, route) in routes.chunks_exact(2).enumerate() {
                let expert = route[0] as usize;
                match self.into {
                    ExpertsInto::Gated(activation) => {
                        let products = products(expert, x);
                        let pairs = products.chunks_exact(2);
                        y.extend(pairs.map(|pair| activation.gated(pair[0], pair[1])));
                    }
                    ExpertsInto::Wide => y.extend(products(expert, x)),
                    ExpertsInto::Gate(activation) => {
                        let up = node.input(2)?.get(y.len()..).unwrap_or_default();
                        let pairs = products(expert, x).into_iter().zip(up);
                        y.extend(pairs.map(|(gate, up)| activation.gated(gate, *up)));
                    }
                    ExpertsInto::Sum { factor } => {
                        let part = &x[slot * w.cols..(slot + 1) * w.cols];
                        let into = &mut y[token * rows..(token + 1) * rows];
                        for (y, product) in into.iter_mut().zip(products(expert, part)) {
                            *y += factor * route[1] * product;
                        }
                    }
                }
            }
        }
        Ok(y)
    }

    fn takes_prologue(&self, at: usize) -> bool {
        at == 0 && matches!(self.into, ExpertsInto::Gated(_) | ExpertsInto::Wide)
    }

    fn gpu(&self, lower: &mut Lower<'_>) -> Result<()> {
        let w = lower.weight(0)?;
        let parts = 4 * (lower.rows(Rows::Tokens) * self.used * w.rows / self.experts) as u64;
        let groups = Groups::of(lower, self.experts, self.used)
            .filter(|_| !self.sums() || parts <= lower.target.max_binding);
        let into = match self.into {
            // Workgroups of several experts cannot add to the same row of the residual stream.
            ExpertsInto::Sum { .. } if groups.is_some() => Bind::Temp(lower.temp(parts)),
            _ => lower.bind_output()?,
        };
        for (shard, range) in lower.shards(w).into_iter().enumerate() {
            self.products(lower, w, (shard, range), groups, into)?;
        }
        match self.into {
            ExpertsInto::Sum { factor } if groups.is_some() => self.combine(lower, factor, into),
            _ => Ok(()),
        }
    }
}

impl Experts {
    fn sums(&self) -> bool {
        matches!(self.into, ExpertsInto::Sum { .. })
    }

    /// The products with one shard of `w`: of a tile of an expert's tokens, where they are
    /// grouped, or of a pair; sums of ungrouped ones are of all of a token's experts at once.
    fn products(
        &self,
        lower: &mut Lower<'_>,
        w: &Weight,
        (shard, range): (usize, Range<usize>),
        groups: Option<Groups>,
        into: Bind,
    ) -> Result<()> {
        let (rows, used) = (w.rows / self.experts, self.used);
        let one_sum = self.sums() && groups.is_none();
        let slots = if one_sum { 1 } else { used as u32 };
        let most = lower.rows(Rows::Tokens) as u32;
        // Workgroups of a step of so many tokens.
        let (product, kernel): (Box<dyn Fn(u32) -> [u32; 3] + Send + Sync>, _) = match groups {
            Some(groups) if groups.many => {
                let product = Matmul::new(lower, rows, groups.tile);
                let kernel = product.kernel(lower, w.format, w.cols);
                (Box::new(move |tokens| product.groups(groups.tiles(tokens))), kernel)
            }
            Some(groups) => {
                let tiles = groups.tiles(most);
                let product = Matvec::new(lower, w.format, rows, groups.tile, tiles);
                let kernel = product.kernel(lower, w.format, w.cols);
                (Box::new(move |tokens| product.groups(groups.tiles(tokens))), kernel)
            }
            None => {
                let product = Matvec::new(lower, w.format, rows, 1, most * slots);
                let kernel = product.kernel(lower, w.format, w.cols);
                (Box::new(move |tokens| product.groups(tokens * slots)), kernel)
            }
        };
        let mut kernel = kernel
            .set("EXPERT_ROWS", rows as u64)
            .set("SHARD_FIRST", range.start as u64)
            .set("SHARD_ROWS", range.len() as u64)
            .set("USED", used as u64)
            .set("N_ROWS", if one_sum { rows } else { used * rows } as u64);
        let id = lower.id(0);
        let mut binds = Vec::new();
        if one_sum && !lower.has_dispatches() {
            // As in `Linear`: so that the planner sees what the sum starts from.
            binds.push(("residual", lower.bind_input(2)));
        }
        binds.extend([
            ("y", into),
            ("weight_quants", Bind::Quants(id, shard)),
            ("weight_scales", Bind::Scales(id, shard)),
            ("weight_table", Bind::WeightTable(id)),
        ]);
        match lower.prologue(1) {
            Some(list) if groups.is_some() => {
                kernel = list.link(kernel, "tile", &mut binds);
            }
            _ => {
                let tile = if one_sum { "tile/summed" } else { "tile/routed" };
                kernel =
                    kernel.link("tile", tile).set("ROUTE_STRIDE", lower.input(1).stride() as u64);
                binds.push(("routes", lower.bind_input(1)));
            }
        }
        if self.sums() || groups.is_some() {
            let part4 = if self.sums() { w.cols as u64 / 4 } else { 0 };
            kernel = kernel
                .link("input", "input/pairs")
                .set("X_STRIDE4", lower.input(0).stride() as u64 / 4)
                .set("PART4", part4)
                .set("MATRICES", if one_sum { used as u64 } else { 1 });
            binds.push(("x", lower.bind_input(0)));
        } else {
            kernel = link_x(lower, kernel, &mut binds);
        }
        kernel = match self.into {
            ExpertsInto::Gated(activation) => {
                activation.link_gate(kernel).set("Y_STRIDE", lower.output()?.stride() as u64)
            }
            ExpertsInto::Wide => kernel
                .link("output", "output/store_f32")
                .set("Y_STRIDE", lower.output()?.stride() as u64),
            ExpertsInto::Gate(activation) => {
                binds.push(("up", lower.bind_input(2)));
                activation
                    .link_gate(kernel)
                    .link("output", "output/gate")
                    .set("Y_STRIDE", lower.output()?.stride() as u64)
            }
            ExpertsInto::Sum { factor } if one_sum => kernel
                .link("output", "output/add")
                .set_f32("FACTOR", factor)
                .set("Y_STRIDE", lower.output()?.stride() as u64),
            ExpertsInto::Sum { .. } => {
                kernel.link("output", "output/store_f32").set("Y_STRIDE", (used * rows) as u64)
            }
        };
        if self.bias {
            kernel = kernel.link("bias", "bias/vector").set("BIAS_ROWS", w.rows as u64);
            binds.push(("row_bias", Bind::Numbers(lower.id(1))));
        } else {
            kernel = kernel.link("bias", "bias/none");
        }
        // An expert's matrix, as much of it as this shard has of all.
        let numbers = (rows * w.cols) as u64 * range.len() as u64 / w.rows as u64;
        let bytes = w.format.bytes(numbers as usize) as u64;
        let own = if shard == 0 { self.own_bytes(lower, w, one_sum) } else { 0 };
        lower.dispatch(
            kernel,
            binds,
            move |c| product(c.tokens),
            move |c| {
                let tokens = u64::from(c.tokens);
                let pairs = tokens * used as u64;
                let read = match groups {
                    Some(groups) => groups.experts_with_tokens(c.tokens) * bytes as f64,
                    None => (pairs * bytes) as f64,
                };
                Cost { bytes: read as u64 + own * tokens, flops: 2 * numbers * pairs }
            },
        );
        Ok(())
    }

    /// Bytes a token of x and of the results.
    fn own_bytes(&self, lower: &Lower<'_>, w: &Weight, one_sum: bool) -> u64 {
        let rows = w.rows / self.experts;
        let activations = |numbers| lower.bytes(Kind::Activation, numbers);
        match self.into {
            ExpertsInto::Gated(_) => activations(w.cols) + activations(self.used * rows / 2),
            ExpertsInto::Wide => activations(w.cols) + 4 * (self.used * rows) as u64,
            ExpertsInto::Gate(_) => {
                let up = 4 * (self.used * rows) as u64;
                activations(w.cols) + up + activations(self.used * rows)
            }
            ExpertsInto::Sum { .. } => {
                let results = if one_sum { 8 * rows } else { 4 * self.used * rows };
                activations(self.used * w.cols) + results as u64
            }
        }
    }

    /// Adds the products of each token's experts, which lie at `parts`, to the residual
    /// stream.
    fn combine(&self, lower: &mut Lower<'_>, factor: f32, parts: Bind) -> Result<()> {
        let threads = lower.target.tuning.reduce_threads;
        let (cols, used) = (lower.output()?.cols, self.used as u64);
        let kernel = lower
            .kernel("combine")
            .set("THREADS", threads)
            .set("COLS", cols as u64)
            .set("USED", used)
            .set_f32("FACTOR", factor)
            .set("ROUTE_STRIDE", lower.input(1).stride() as u64)
            .set("Y_STRIDE", lower.output()?.stride() as u64);
        let binds = vec![
            ("residual", lower.bind_input(2)),
            ("x", parts),
            ("routes", lower.bind_input(1)),
            ("y", lower.bind_output()?),
        ];
        let groups = (cols as u32).div_ceil(threads);
        lower.dispatch(
            kernel,
            binds,
            move |c| [groups, c.tokens, 1],
            move |c| {
                let numbers = cols as u64 * u64::from(c.tokens);
                Cost { bytes: (4 * used + 8) * numbers, flops: 2 * used * numbers }
            },
        );
        Ok(())
    }
}

/// What is special about a case.
#[derive(Debug, Clone, Copy, PartialEq)]
enum With {
    Nothing,
    /// Biases of the experts' products.
    Bias,
    /// Matrices in shards that part experts.
    Shards,
    /// One expert is far likelier than the others.
    Favourite,
    /// Gate and up are of two formats, and in shards.
    Apart,
}

/// Routed, gated and summed, a pair at a time and grouped: experts without a token, all
/// tokens with one expert, odd sizes, tiles that are not full, one matrix in shards, the
/// curve of gpt-oss with biases.
pub(crate) fn cases() -> Result<Vec<Case>> {
    use With::{Apart, Bias, Favourite, Nothing, Shards};
    [
        (Format::Q8_0, Activation::Silu, (5, 2), 1, Nothing),
        (Format::F16, Activation::GPT_OSS, (3, 3), 1, Bias),
        (Format::Q4_0, Activation::Gelu, (7, 2), 3, Shards),
        (Format::F16, Activation::Clamped { alpha: 1.25, limit: 0.5 }, (12, 2), 5, Bias),
        (Format::F16, Activation::GPT_OSS, (5, 2), 5, Bias),
        (Format::Q4_0, Activation::Gelu, (5, 2), 3, Shards),
        (Format::Q4_0, Activation::Gelu, (5, 2), 53, Shards),
        (Format::F16, Activation::GPT_OSS, (4, 1), 70, Bias),
        (Format::Q8_0, Activation::Silu, (24, 1), 30, Nothing),
        (Format::Q8_0, Activation::Silu, (20, 16), 19, Nothing),
        (Format::Q8_0, Activation::Silu, (6, 1), 41, Favourite),
        (Format::MXFP4, Activation::GPT_OSS, (1, 1), 90, Bias),
        (Format::Q4_0, Activation::Silu, (5, 2), 1, Apart),
        (Format::Q4_0, Activation::Gelu, (7, 2), 3, Apart),
        (Format::Q4_0, Activation::Silu, (5, 2), 5, Apart),
        (Format::Q4_0, Activation::Silu, (4, 1), 70, Apart),
    ]
    .into_iter()
    .map(|(format, activation, experts, tokens, with)| {
        case(format, activation, experts, tokens, with)
    })
    .collect()
}

fn case(
    format: Format,
    activation: Activation,
    (experts, used): (usize, usize),
    tokens: u32,
    with: With,
) -> Result<Case> {
    let (width, ffn) = if format == Format::F16 { (52, 44) } else { (96, 64) };
    let mut tape = Tape::new();
    let value =
        |name: &str, cols, kind| Value { name: name.into(), rows: Rows::Tokens, cols, kind };
    let favourite = with == With::Favourite;
    let route = Route {
        used,
        gating: if favourite { Gating::Sigmoid } else { Gating::Softmax },
        normalize: false,
        factor: 1.0,
        groups: (1, 1),
        bias: favourite,
    };
    // The first resource's numbers: of six, one leads by more than probabilities differ.
    let bias = favourite.then(|| tape.resource(check::vector("likely", experts)));
    let logits = tape.input(value("router", experts, Kind::Residual));
    let kind = if tokens == 1 { Kind::Residual } else { Kind::Activation };
    let x = tape.input(value("x", width, kind));
    let residual = tape.input(value("residual", width, Kind::Residual));
    let routes = record(&mut tape, route, &[logits], bias.as_slice())?;
    let mut normed = x;
    if tokens == 1 {
        let gain = tape.resource(check::vector("gain", width));
        normed = record(&mut tape, RmsNorm { eps: 1e-5, outputs: false }, &[x], &[gain])?;
    }
    let bias = with == With::Bias;
    let mut products = |inputs: &[_], name: &str, format, rows, cols, into| {
        let mut resources = vec![tape.resource(matrix(name, format, experts * rows, cols))];
        if bias {
            let name = format!("{name} bias");
            resources.push(tape.resource(check::vector(&name, experts * rows)));
        }
        record(&mut tape, Experts { experts, used, into, bias }, inputs, &resources)
    };
    let h = if with == With::Apart {
        let (wide, gate) = (ExpertsInto::Wide, ExpertsInto::Gate(activation));
        let up = products(&[normed, routes], "up", Format::Q8_0, ffn, width, wide)?;
        products(&[normed, routes, up], "gate", format, ffn, width, gate)?
    } else {
        let gated = ExpertsInto::Gated(activation);
        products(&[normed, routes], "gate_up", format, 2 * ffn, width, gated)?
    };
    let sum = ExpertsInto::Sum { factor: 0.5 };
    let y = products(&[h, routes, residual], "down", format, width, ffn, sum)?;
    let positions: Vec<_> = (0..tokens).map(|p| (0, p)).collect();
    let name = format!(
        "experts {format} {activation:?} {used} of {experts}, {with:?}, {tokens} × {width}"
    );
    Ok(Case {
        inputs: vec![logits, x, residual],
        compare: vec![h, y],
        max_binding: matches!(with, With::Shards | With::Apart).then_some(100 * 48),
        ..Case::new(name, tape, check::step(&positions, &[]))
    })
}
