//! y[t, r] = Σ_c x[t, c]·W[r, c], then what the epilogue makes of it.

use std::ops::Range;

use wisp_base::{Error, Format, Result};
use wisp_gpu::{Kernel, MatvecTuning};
use wisp_graph::{
    Bind, Cost, Counts, CpuNode, Kind, Lower, Operation, Resource, Rows, Tape, Value, Weight,
};

use crate::check::{self, Case, matrix};
use crate::{RmsNorm, expect_cols, nth, record, weight};

/// What becomes of the products: `shaders/output/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Epilogue {
    /// Stored as an activation.
    Store,
    /// Stored in f32: logits.
    Logits,
    /// Added to input 1, the residual stream, in place.
    Add,
    /// SwiGLU (Shazeer 2020): even rows of W are the gate's, odd ones the up
    /// projection's; silu(gate)·up is stored.
    SwiGlu,
}

/// A product with one or several weight matrices of the same width, whose rows
/// follow each other in the result. Input 0: x; resources: the matrices.
#[derive(Debug, Clone, PartialEq)]
pub struct Linear {
    /// What becomes of the products.
    pub epilogue: Epilogue,
}

impl Operation for Linear {
    fn name(&self) -> &'static str {
        match self.epilogue {
            Epilogue::Store => "linear",
            Epilogue::Logits => "logits",
            Epilogue::Add => "linear_add",
            Epilogue::SwiGlu => "linear_swiglu",
        }
    }

    fn infer(&self, inputs: &[&Value], resources: &[&Resource]) -> Result<Option<Value>> {
        let x = nth(inputs, 0)?;
        let mut rows = 0;
        for at in 0..resources.len() {
            let w = weight(resources, at)?;
            expect_cols(x, w.cols)?;
            rows += w.rows;
        }
        let (cols, kind) = match self.epilogue {
            Epilogue::Store => (rows, Kind::Activation),
            Epilogue::Logits => (rows, Kind::Logits),
            Epilogue::Add => {
                expect_cols(nth(inputs, 1)?, rows)?;
                (rows, Kind::Residual)
            }
            Epilogue::SwiGlu if rows % 2 == 1 => {
                return Err(Error::input(format!("{rows} rows are not pairs of gate and up")));
            }
            Epilogue::SwiGlu => (rows / 2, Kind::Activation),
        };
        let name = format!("{} of {}", self.name(), x.name);
        Ok(Some(Value { name, rows: x.rows, cols, kind }))
    }

    fn in_place(&self) -> Option<usize> {
        (self.epilogue == Epilogue::Add).then_some(1)
    }

    fn takes_prologue(&self, at: usize) -> bool {
        at == 0
    }

    fn cpu(&self, node: &mut CpuNode<'_>) -> Result<Vec<f32>> {
        let x = node.input(0)?;
        let mut y = Vec::new();
        for x in x.chunks_exact(node.value(0)?.cols) {
            for at in 0..node.resource_count() {
                let w = node.weight(at)?;
                y.extend(w.data.chunks_exact(w.cols).map(|w| dot(w, x)));
            }
        }
        Ok(match self.epilogue {
            Epilogue::Store | Epilogue::Logits => y,
            Epilogue::Add => node.input(1)?.iter().zip(y).map(|(x, y)| x + y).collect(),
            Epilogue::SwiGlu => {
                let pairs = y.as_chunks().0.iter();
                pairs.map(|[gate, up]| gate / (1.0 + (-gate).exp()) * up).collect()
            }
        })
    }

    fn gpu(&self, lower: &mut Lower<'_>) -> Result<()> {
        let rows = lower.input(0).rows;
        let most = lower.rows(rows) as u32;
        // Plans for many outputs hold both kernels, of which a step runs one.
        let up_to = lower.target.tuning.matvec.up_to;
        let mut first = 0;
        for resource in 0..lower.resource_count() {
            let w = lower.weight(resource)?;
            for (shard, range) in lower.shards(w).into_iter().enumerate() {
                let part =
                    Part { w, resource, shard, range: range.clone(), first: first + range.start };
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
}

impl Linear {
    fn matvec(&self, lower: &mut Lower<'_>, part: &Part<'_>) -> Result<()> {
        let mut tuning = lower.target.tuning.matvec;
        let lanes = lower.lanes(tuning.lanes);
        let rows_of_x = lower.input(0).rows;
        let most = lower.rows(rows_of_x) as u32;
        // A whole subgroup, if it divides the block's quadruples of numbers.
        let fours = part.w.format.gpu_block() as u32 / 4;
        let subgroup = lower.lanes(u32::MAX);
        let shares = tuning.share_x && lanes == 1 && fours.is_multiple_of(subgroup);
        let share = if shares { subgroup } else { 1 };
        // Where x should be shared and cannot be, loads of it are what a row costs.
        let tokens = if tuning.share_x && !shares { 2 } else { tuning.tokens };
        let tokens = tokens.min(most.next_power_of_two());
        if tokens > 1 {
            tuning.rows = tuning.rows_for_many;
        }
        let rows = part.range.len() as u32;
        let groups = |t: &MatvecTuning| rows.div_ceil(t.threads / lanes * t.rows);
        let passes = most.div_ceil(tokens);
        while groups(&tuning) * passes < tuning.groups && tuning.threads > lanes.max(share).max(8) {
            tuning.threads /= 2;
        }
        let (groups, up_to) = (groups(&tuning), tuning.up_to);
        let mut kernel = self
            .common(lower, lower.kernel("matvec"), part)?
            .set("THREADS", tuning.threads)
            .set("LANES", lanes)
            .set("ROWS", tuning.rows)
            .set("TOKENS", tokens)
            .set("SHARE", share)
            .set_bool("FOR_OUTPUTS", rows_of_x == Rows::Outputs);
        let mut binds = self.binds(lower, part)?;
        binds.push(("step", Bind::Step));
        match lower.prologue(0) {
            Some(prologue) => {
                kernel = kernel.link("input", prologue.file);
                kernel.constants.extend(prologue.constants.iter().cloned());
                binds.extend(prologue.binds.iter().copied());
            }
            None => {
                let stride4 = lower.input(0).stride() as u64 / 4;
                kernel = kernel.link("input", "input/plain").set("X_STRIDE4", stride4);
                binds.push(("x", lower.bind_input(0)));
            }
        }
        // Folded over x and y: shaders/lib/grid.wgsl.
        let (x, y) = if groups <= GRID_X { (groups, 1) } else { (GRID_X, groups.div_ceil(GRID_X)) };
        let count = count(rows_of_x);
        let (none, one) = (self.cost(lower, part, 0), self.cost(lower, part, 1));
        lower.dispatch(
            kernel,
            binds,
            move |c| [x, y, if count(c) <= up_to { count(c).div_ceil(tokens) } else { 0 }],
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
        let tuning = lower.target.tuning.matmul;
        let above = match lower.input(0).rows {
            Rows::Outputs => lower.target.tuning.matvec.up_to,
            Rows::Tokens => 0,
        };
        let rows = lower.input(0).rows;
        let most = lower.rows(rows) as u32;
        let tx = most.div_ceil(tuning.tokens).next_power_of_two().min(tuning.token_threads);
        let kernel = self
            .common(lower, lower.kernel("matmul"), part)?
            .set("THREADS", tuning.threads)
            .set("TX", tx)
            .set("TOKENS", tuning.tokens)
            .set("ROWS", tuning.rows)
            .set("X_STRIDE4", lower.input(0).stride() as u64 / 4)
            .set_bool("FOR_OUTPUTS", rows == Rows::Outputs);
        let mut binds = self.binds(lower, part)?;
        binds.push(("step", Bind::Step));
        binds.push(("x", lower.bind_input(0)));
        let tile_r = tuning.threads / tx * tuning.rows;
        let tile_t = tx * tuning.tokens;
        let groups = (part.range.len() as u32).div_ceil(tile_r);
        let count = count(rows);
        let (none, one) = (self.cost(lower, part, 0), self.cost(lower, part, 1));
        lower.dispatch(
            kernel,
            binds,
            move |c| [groups, if count(c) > above { count(c).div_ceil(tile_t) } else { 0 }, 1],
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

    fn common(&self, lower: &Lower<'_>, kernel: Kernel, part: &Part<'_>) -> Result<Kernel> {
        let output = match self.epilogue {
            Epilogue::Store => "output/store",
            Epilogue::Logits => "output/store_f32",
            Epilogue::Add => "output/add",
            Epilogue::SwiGlu => "output/swiglu",
        };
        Ok(kernel
            .link("weight", weight_file(part.w.format))
            .link("output", output)
            .set("COLS", part.w.cols as u64)
            .set("N_ROWS", part.range.len() as u64)
            .set("FIRST_ROW", part.first as u64)
            .set("Y_STRIDE", lower.output()?.stride() as u64))
    }

    fn binds(&self, lower: &Lower<'_>, part: &Part<'_>) -> Result<Vec<(&'static str, Bind)>> {
        let mut binds = Vec::new();
        if self.epilogue == Epilogue::Add && !lower.has_dispatches() {
            // No shader has it, y's buffer is the same: so that the planner sees
            // that the sum starts from the newest residual stream.
            binds.push(("residual", lower.bind_input(1)));
        }
        let id = lower.id(part.resource);
        binds.extend([
            ("y", lower.bind_output()?),
            ("weight_quants", Bind::Quants(id, part.shard)),
            ("weight_scales", Bind::Scales(id, part.shard)),
            ("weight_table", Bind::WeightTable(id)),
        ]);
        Ok(binds)
    }

    /// With `rows` rows of x.
    fn cost(&self, lower: &Lower<'_>, part: &Part<'_>, rows: u64) -> Cost {
        let (w, n) = (part.w, part.range.len());
        let x = lower.bytes(lower.input(0).kind, w.cols);
        let y = match self.epilogue {
            Epilogue::Store => lower.bytes(Kind::Activation, n),
            Epilogue::SwiGlu => lower.bytes(Kind::Activation, n / 2),
            Epilogue::Logits => 4 * n as u64,
            Epilogue::Add => 8 * n as u64,
        };
        Cost {
            bytes: w.format.bytes(n * w.cols) as u64 + rows * (x + y),
            flops: 2 * rows * (n * w.cols) as u64,
        }
    }
}

/// `GRID_X` of `shaders/lib/grid.wgsl`.
const GRID_X: u32 = 32768;

fn count(rows: Rows) -> impl Fn(&Counts) -> u32 + Copy + Send + Sync + 'static {
    move |c| match rows {
        Rows::Tokens => c.tokens,
        Rows::Outputs => c.outputs,
    }
}

/// The file that reads a format.
pub(crate) fn weight_file(format: Format) -> String {
    format!("weight/{}", format.name().to_lowercase())
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
    let epilogues = [Epilogue::Store, Epilogue::Logits, Epilogue::Add, Epilogue::SwiGlu];
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
                cases.push(case(format, epilogue, tokens, cols)?);
            }
        }
    }
    Ok(cases)
}

fn case(format: Format, epilogue: Epilogue, tokens: u32, cols: usize) -> Result<Case> {
    let norm = tokens == 1 && epilogue != Epilogue::Logits;
    let mut tape = Tape::new();
    let kind = if norm { Kind::Residual } else { Kind::Activation };
    let x = tape.input(Value { name: "x".into(), rows: Rows::Tokens, cols, kind });
    let mut inputs = vec![x];
    let mut x = x;
    if norm {
        let gain = tape.resource(Resource::Vector { tensor: "gain".into(), len: cols });
        x = record(&mut tape, RmsNorm { eps: 1e-5, outputs: false }, &[x], &[gain])?;
    }
    // Two matrices one below the other; SwiGLU needs pairs, others take odd counts.
    let (first, second) = if epilogue == Epilogue::SwiGlu { (34, 20) } else { (33, 18) };
    let first = tape.resource(matrix("a", format, first, cols));
    let second = tape.resource(matrix("b", format, second, cols));
    let mut from = vec![x];
    if epilogue == Epilogue::Add {
        let name = "residual".into();
        let residual =
            tape.input(Value { name, rows: Rows::Tokens, cols: 51, kind: Kind::Residual });
        inputs.push(residual);
        from.push(residual);
    }
    let y = record(&mut tape, Linear { epilogue }, &from, &[first, second])?;
    let positions: Vec<_> = (0..tokens).map(|p| (0, p)).collect();
    let name = format!("linear {format} {epilogue:?} of {tokens} × {cols}");
    Ok(Case {
        inputs,
        compare: vec![y],
        // Some rows a shard, at any format.
        max_binding: (tokens == 3).then_some(12 * 4 * cols as u64),
        ..Case::new(name, tape, check::step(&positions, &[0]))
    })
}
