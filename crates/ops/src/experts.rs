//! Products with the experts that each token was routed to (Shazeer et al. 2017): side by side,
//! or summed by their weights.

use std::ops::Range;

use wisp_base::{Error, Format, Result};
use wisp_graph::{
    Bind, Cost, CpuNode, Kind, Link, Lower, Operation, Resource, Rows, Tape, Value, Weight,
};

use crate::check::{self, Case, matrix};
use crate::groups::Groups;
use crate::linear::dot;
use crate::product::{Matmul, Matvec, fits, link_x, link_y, result_bytes};
use crate::{
    Activation, Add, Gating, Glu, RmsNorm, Route, expect_cols, expect_len, nth, record, weight,
};

/// Inputs: x, the routes of [`Route`]. Resources: the experts' matrices one below the other, then
/// their bias, if they have one. Output: `[tokens, used·rows]`, in the order of routes; a sum's
/// is `[tokens, rows]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Experts {
    /// Experts in all.
    pub experts: usize,
    /// Experts per token.
    pub used: usize,
    /// x has a part for each expert, and the result is Σ weight·product; else x is the same for
    /// all experts.
    pub sum: bool,
    /// Resource 1 is a bias.
    pub bias: bool,
}

impl Operation for Experts {
    fn name(&self) -> &'static str {
        if self.sum { "experts_sum" } else { "experts" }
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
        expect_cols(x, if self.sum { self.used * w.cols } else { w.cols })?;
        let cols = if self.sum { rows } else { self.used * rows };
        Ok(Some(Value { name: self.name().into(), rows: x.rows, cols, kind: self.kind() }))
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
        let x = node.input(0)?.chunks_exact(node.value(0)?.cols);
        let routes = node.input(1)?.chunks_exact(2 * self.used);
        let mut y = Vec::new();
        for (x, routes) in x.zip(routes) {
            let start = y.len();
            for (slot, route) in routes.chunks_exact(2).enumerate() {
                let expert = route[0] as usize;
                if !self.sum {
                    y.extend(products(expert, x));
                    continue;
                }
                y.resize(start + rows, 0.0);
                let part = &x[slot * w.cols..(slot + 1) * w.cols];
                for (y, product) in y[start..].iter_mut().zip(products(expert, part)) {
                    *y += route[1] * product;
                }
            }
        }
        Ok(y)
    }

    /// Outputs of pairs; an input where pairs are not grouped and have no parts of x.
    fn takes(&self, lower: &Lower<'_>) -> Result<bool> {
        let grouped = self.groups(lower)?.is_some();
        if lower.output_link().is_some_and(|link| link.together.is_some())
            || lower
                .input_link()
                .is_some_and(|link| link.interface != "input" || self.sum || grouped)
        {
            return Ok(false);
        }
        let own: &[_] = if self.bias { &["routes", "row_bias"] } else { &["routes"] };
        Ok(fits(lower, lower.weight(0)?, own))
    }

    fn gpu(&self, lower: &mut Lower<'_>) -> Result<()> {
        let w = lower.weight(0)?;
        let groups = self.groups(lower)?;
        let list = match groups {
            Some(groups) => Some((groups, lower.list(1, |lower| groups.list(lower))?)),
            None => None,
        };
        // Workgroups of several experts cannot add to the same row.
        let parts = list.is_some().then(|| self.part_bytes(lower, w)).filter(|_| self.sum);
        let parts = parts.map(|bytes| Bind::Temp(lower.temp(bytes)));
        for (shard, range) in lower.shards(w).into_iter().enumerate() {
            self.products(lower, w, (shard, range), list.as_ref(), parts)?;
        }
        parts.map_or(Ok(()), |parts| self.combine(lower, parts))
    }
}

impl Experts {
    /// How results are stored: sums in 32 bits, as the residual stream that they are added to.
    fn kind(&self) -> Kind {
        if self.sum { Kind::Residual } else { Kind::Activation }
    }

    /// Bytes of all pairs' products.
    fn part_bytes(&self, lower: &Lower<'_>, w: &Weight) -> u64 {
        4 * (lower.rows(Rows::Tokens) * self.used * w.rows / self.experts) as u64
    }

    /// How pairs are grouped by expert, if they are.
    fn groups(&self, lower: &Lower<'_>) -> Result<Option<Groups>> {
        let w = lower.weight(0)?;
        // Where a token's experts lie in several shards, each dispatch has a part of the sum, which
        // it must add to something.
        let adds = lower.output_link().is_some_and(|link| link.in_place.is_some());
        if self.sum && !adds && lower.shards(w).len() > 1 {
            return Ok(Some(Groups::any(lower, self.experts, self.used)));
        }
        let groups = Groups::of(lower, self.experts, self.used);
        let parts = self.part_bytes(lower, w);
        Ok(groups.filter(|_| !self.sum || parts <= lower.target.max_binding))
    }

    /// The products with one shard of `w`: of a tile of an expert's tokens, where they are
    /// grouped, or of a pair; sums of ungrouped ones are of all of a token's experts at once.
    fn products(
        &self,
        lower: &mut Lower<'_>,
        w: &Weight,
        (shard, range): (usize, Range<usize>),
        list: Option<&(Groups, Link)>,
        parts: Option<Bind>,
    ) -> Result<()> {
        let (rows, used) = (w.rows / self.experts, self.used);
        let groups = list.map(|(groups, _)| *groups);
        let one_sum = self.sum && groups.is_none();
        let slots = if one_sum { 1 } else { used as u32 };
        let most = lower.rows(Rows::Tokens) as u32;
        let size = [rows, w.cols];
        // Workgroups of a step of so many tokens.
        let (product, kernel): (Box<dyn Fn(u32) -> [u32; 3] + Send + Sync>, _) = match groups {
            Some(groups) if groups.many => {
                let product = Matmul::new(lower, rows, groups.tile);
                let kernel = product.kernel(lower, w.format, w.cols);
                (Box::new(move |tokens| product.groups(groups.tiles(tokens))), kernel)
            }
            Some(groups) => {
                let tiles = groups.tiles(most);
                let product = Matvec::new(lower, w.format, size, (groups.tile, tiles), 2);
                let kernel = product.kernel(lower, w.format, w.cols, 1);
                (Box::new(move |tokens| product.groups(groups.tiles(tokens))), kernel)
            }
            None => {
                let product = Matvec::new(lower, w.format, size, (1, most * slots), 2);
                let matrices = if one_sum { used } else { 1 };
                let kernel = product.kernel(lower, w.format, w.cols, matrices);
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
        let mut binds = vec![
            ("weight_quants", Bind::Quants(id, shard)),
            ("weight_scales", Bind::Scales(id, shard)),
            ("weight_table", Bind::WeightTable(id)),
        ];
        if let Some((_, tiles)) = list {
            kernel = tiles.onto(kernel, &mut binds);
        } else {
            let tile = if one_sum { "tile/summed" } else { "tile/routed" };
            kernel = kernel.link("tile", tile).set("ROUTE_STRIDE", lower.input(1).stride() as u64);
            binds.push(("routes", lower.bind_input(1)));
        }
        if self.sum || groups.is_some() {
            let part4 = if self.sum { w.cols as u64 / 4 } else { 0 };
            kernel = kernel
                .link("input", "input/pairs")
                .set("X_STRIDE4", lower.input(0).stride() as u64 / 4)
                .set("PART4", part4)
                .set("MATRICES", if one_sum { used as u64 } else { 1 });
            binds.push(("x", lower.bind_input(0)));
        } else {
            kernel = link_x(lower, kernel, &mut binds);
        }
        if let Some(parts) = parts {
            binds.push(("y", parts));
            kernel =
                kernel.link("output", "output/store_f32").set("Y_STRIDE", (used * rows) as u64);
        } else {
            kernel = link_y(lower, kernel, self.kind(), &mut binds)?;
        }
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
        let x = if self.sum { self.used * w.cols } else { w.cols };
        let y = match (self.sum, one_sum) {
            (false, _) => result_bytes(lower, self.kind()) * (self.used * rows) as u64,
            (true, true) => result_bytes(lower, self.kind()) * rows as u64,
            (true, false) => 4 * (self.used * rows) as u64,
        };
        lower.bytes(Kind::Activation, x) + y
    }

    /// Sums the products of each token's experts, which lie at `parts`, by their weights.
    fn combine(&self, lower: &mut Lower<'_>, parts: Bind) -> Result<()> {
        let threads = lower.target.tuning.reduce_threads;
        let w = lower.weight(0)?;
        let (cols, used) = (w.rows / self.experts, self.used as u64);
        let kernel = lower
            .kernel("combine")
            .set("THREADS", threads)
            .set("N_ROWS", cols as u64)
            .set("USED", used)
            .set("ROUTE_STRIDE", lower.input(1).stride() as u64);
        let mut binds = vec![("x", parts), ("routes", lower.bind_input(1))];
        let kernel = link_y(lower, kernel, self.kind(), &mut binds)?;
        let y = result_bytes(lower, self.kind());
        let groups = (cols as u32 / 2).div_ceil(threads);
        lower.dispatch(
            kernel,
            binds,
            move |c| [groups, c.tokens, 1],
            move |c| {
                let numbers = cols as u64 * u64::from(c.tokens);
                Cost { bytes: (4 * used + y) * numbers, flops: 2 * used * numbers }
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
    let products = |tape: &mut Tape, inputs: &[_], name: &str, (format, rows, cols), sum| {
        let mut resources = vec![tape.resource(matrix(name, format, experts * rows, cols))];
        if bias {
            let name = format!("{name} bias");
            resources.push(tape.resource(check::vector(&name, experts * rows)));
        }
        record(tape, Experts { experts, used, sum, bias }, inputs, &resources)
    };
    let of_up = if with == With::Apart { Format::Q8_0 } else { format };
    let up = products(&mut tape, &[normed, routes], "up", (of_up, ffn, width), false)?;
    let gate = products(&mut tape, &[normed, routes], "gate", (format, ffn, width), false)?;
    let h = record(&mut tape, Glu { activation, interleaved: false }, &[gate, up], &[])?;
    let sum = products(&mut tape, &[h, routes], "down", (format, width, ffn), true)?;
    let y = record(&mut tape, Add { factor: 0.5 }, &[sum, residual], &[])?;
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
