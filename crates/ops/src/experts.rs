//! Products with the experts that each token was routed to: side by side through a
//! gated unit, or summed by their weights onto the residual stream.

use wisp_base::{Error, Format, Result};
use wisp_graph::{Bind, Cost, CpuNode, Kind, Lower, Operation, Resource, Rows, Tape, Value};

use crate::check::{self, Case, matrix};
use crate::linear::{GRID_X, dot, weight_file};
use crate::{Activation, Gating, Route, expect_cols, expect_len, nth, record, weight};

/// What becomes of the products.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ExpertsInto {
    /// x is the same for all experts; even rows of an expert's matrix are its gate's, odd
    /// ones its up projection's: `[tokens, used·rows/2]`.
    Gated(Activation),
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
            ExpertsInto::Gated(_) => Vec::new(),
            ExpertsInto::Sum { .. } => node.input(2)?.to_vec(),
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

    fn gpu(&self, lower: &mut Lower<'_>) -> Result<()> {
        let w = lower.weight(0)?;
        let rows = w.rows / self.experts;
        let tuning = lower.target.tuning.matvec;
        let lanes = lower.lanes(tuning.lanes);
        let id = lower.id(0);
        let (sum, slots) = match self.into {
            ExpertsInto::Gated(_) => (false, self.used as u32),
            ExpertsInto::Sum { .. } => (true, 1),
        };
        for (shard, range) in lower.shards(w).into_iter().enumerate() {
            let kernel = lower
                .kernel("experts")
                .link("weight", weight_file(w.format))
                .set("THREADS", tuning.threads)
                .set("LANES", lanes)
                .set("ROWS", tuning.rows)
                .set("COLS", w.cols as u64)
                .set("EXPERT_ROWS", rows as u64)
                .set("SHARD_FIRST", range.start as u64)
                .set("SHARD_ROWS", range.len() as u64)
                .set("USED", self.used as u64)
                .set_bool("SUM", sum)
                .set("X_STRIDE4", lower.input(0).stride() as u64 / 4)
                .set("ROUTE_STRIDE", lower.input(1).stride() as u64)
                .set("N_ROWS", if sum { rows } else { self.used * rows } as u64)
                .set("Y_STRIDE", lower.output()?.stride() as u64);
            let mut kernel = match self.into {
                ExpertsInto::Gated(activation) => activation.link_gate(kernel),
                ExpertsInto::Sum { factor } => {
                    kernel.link("output", "output/add").set_f32("FACTOR", factor)
                }
            };
            let mut binds = Vec::new();
            if sum && !lower.has_dispatches() {
                // As in `Linear`: so that the planner sees what the sum starts from.
                binds.push(("residual", lower.bind_input(2)));
            }
            binds.extend([
                ("x", lower.bind_input(0)),
                ("routes", lower.bind_input(1)),
                ("y", lower.bind_output()?),
                ("weight_quants", Bind::Quants(id, shard)),
                ("weight_scales", Bind::Scales(id, shard)),
                ("weight_table", Bind::WeightTable(id)),
            ]);
            if self.bias {
                kernel = kernel.link("bias", "bias/vector").set("BIAS_ROWS", w.rows as u64);
                binds.push(("row_bias", Bind::Numbers(lower.id(1))));
            } else {
                kernel = kernel.link("bias", "bias/none");
            }
            let groups = (rows as u32).div_ceil(tuning.threads / lanes * tuning.rows);
            let (x, y) =
                if groups <= GRID_X { (groups, 1) } else { (GRID_X, groups.div_ceil(GRID_X)) };
            // Each expert lies in one shard, mostly: counted with the first.
            let numbers = if shard == 0 { (self.used * rows * w.cols) as u64 } else { 0 };
            let bytes = w.format.bytes(numbers as usize) as u64;
            lower.dispatch(
                kernel,
                binds,
                move |c| [x, y, c.tokens * slots],
                move |c| {
                    let tokens = u64::from(c.tokens);
                    Cost { bytes: bytes * tokens, flops: 2 * numbers * tokens }
                },
            );
        }
        Ok(())
    }
}

/// Routed, gated and summed; one matrix in shards; the curve of gpt-oss with biases.
pub(crate) fn cases() -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for (format, activation, bias, tokens, split) in [
        (Format::Q8_0, Activation::Silu, false, 1, false),
        (Format::F16, Activation::Clamped, true, 5, false),
        (Format::Q4_0, Activation::Gelu, false, 3, true),
    ] {
        let (experts, used) = (5, 2);
        let (width, ffn) = if format == Format::F16 { (52, 44) } else { (96, 64) };
        let mut tape = Tape::new();
        let value =
            |name: &str, cols, kind| Value { name: name.into(), rows: Rows::Tokens, cols, kind };
        let logits = tape.input(value("router", experts, Kind::Residual));
        let x = tape.input(value("x", width, Kind::Activation));
        let residual = tape.input(value("residual", width, Kind::Residual));
        let route = Route {
            used,
            gating: Gating::Softmax,
            normalize: false,
            factor: 1.0,
            groups: (1, 1),
            bias: false,
        };
        let routes = record(&mut tape, route, &[logits], &[])?;
        let mut products = |inputs: &[_], name: &str, rows, cols, into| {
            let mut resources = vec![tape.resource(matrix(name, format, experts * rows, cols))];
            if bias {
                let name = format!("{name} bias");
                resources.push(tape.resource(check::vector(&name, experts * rows)));
            }
            record(&mut tape, Experts { experts, used, into, bias }, inputs, &resources)
        };
        let h = products(&[x, routes], "gate_up", 2 * ffn, width, ExpertsInto::Gated(activation))?;
        let sum = ExpertsInto::Sum { factor: 0.5 };
        let y = products(&[h, routes, residual], "down", width, ffn, sum)?;
        let positions: Vec<_> = (0..tokens).map(|p| (0, p)).collect();
        let name = format!("experts {format} {activation:?} of {tokens} × {width}");
        cases.push(Case {
            inputs: vec![logits, x, residual],
            compare: vec![h, y],
            max_binding: split.then_some(100 * 48),
            ..Case::new(name, tape, check::step(&positions, &[]))
        });
    }
    Ok(cases)
}
