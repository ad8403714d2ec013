//! y_h = W_h·x_h: each head's numbers through a matrix of its own, and what the matrix
//! does not take behind its result (latent attention: DeepSeek-AI 2024, section 2.1).

use wisp_base::{Error, Format, Result};
use wisp_graph::{Bind, Cost, CpuNode, Kind, Lower, Operation, Resource, Rows, Tape, Value};

use crate::check::{self, Case, matrix};
use crate::linear::dot;
use crate::product::weight_file;
use crate::{nth, record, weight};

/// Input: `[tokens, heads·n]`; resource: the heads' matrices one below the other,
/// `[heads·rows, cols]`, cols at most n. Output: `[tokens, heads·(rows + n − cols)]`.
#[derive(Debug, Clone, PartialEq)]
pub struct HeadLinear {
    /// Heads.
    pub heads: usize,
}

impl HeadLinear {
    /// Numbers of a head of x, and rows of its matrix.
    fn sizes(&self, x_cols: usize, rows: usize) -> (usize, usize) {
        (x_cols / self.heads, rows / self.heads)
    }
}

impl Operation for HeadLinear {
    fn name(&self) -> &'static str {
        "head_linear"
    }

    fn infer(&self, inputs: &[&Value], resources: &[&Resource]) -> Result<Option<Value>> {
        let (x, w) = (nth(inputs, 0)?, weight(resources, 0)?);
        let heads = self.heads;
        if heads == 0
            || !x.cols.is_multiple_of(heads)
            || !w.rows.is_multiple_of(heads)
            || !w.cols.is_multiple_of(4)
            || x.cols / heads < w.cols
        {
            return Err(Error::unsupported(format!(
                "{heads} heads of {} numbers in all with matrices of {} rows of {} in all: they \
                 must divide them, rows be a multiple of 4",
                x.cols, w.rows, w.cols
            )));
        }
        let (numbers, rows) = self.sizes(x.cols, w.rows);
        let cols = heads * (rows + numbers - w.cols);
        let name = self.name().into();
        Ok(Some(Value { name, rows: x.rows, cols, kind: Kind::Activation }))
    }

    fn cpu(&self, node: &mut CpuNode<'_>) -> Result<Vec<f32>> {
        let w = node.weight(0)?;
        let x_cols = node.value(0)?.cols;
        let (numbers, rows) = self.sizes(x_cols, w.data.len() / w.cols);
        let mut y = Vec::new();
        for x in node.input(0)?.chunks_exact(x_cols) {
            for (x, w_h) in x.chunks_exact(numbers).zip(w.data.chunks_exact(rows * w.cols)) {
                let (taken, rest) = x.split_at(w.cols);
                y.extend(w_h.chunks_exact(w.cols).map(|row| dot(row, taken)));
                y.extend(rest);
            }
        }
        Ok(y)
    }

    fn gpu(&self, lower: &mut Lower<'_>) -> Result<()> {
        let w = lower.weight(0)?;
        let (numbers, rows) = self.sizes(lower.input(0).cols, w.rows);
        let tuning = lower.target.tuning.matvec;
        let lanes = lower.lanes(tuning.lanes);
        let id = lower.id(0);
        let heads = self.heads as u32;
        for (shard, range) in lower.shards(w).into_iter().enumerate() {
            let kernel = lower
                .kernel("head_linear")
                .link("weight", weight_file(w.format))
                .set("THREADS", tuning.threads)
                .set("LANES", lanes)
                .set("COLS", w.cols as u64)
                .set("HEAD_ROWS", rows as u64)
                .set("X_HEAD", numbers as u64)
                .set("SHARD_FIRST", range.start as u64)
                .set("SHARD_ROWS", range.len() as u64)
                .set("X_STRIDE", lower.input(0).stride() as u64)
                .set("Y_STRIDE", lower.output()?.stride() as u64);
            let binds = vec![
                ("x", lower.bind_input(0)),
                ("y", lower.bind_output()?),
                ("weight_quants", Bind::Quants(id, shard)),
                ("weight_scales", Bind::Scales(id, shard)),
                ("weight_table", Bind::WeightTable(id)),
            ];
            let groups = ((rows + numbers - w.cols) as u32).div_ceil(tuning.threads / lanes);
            let product = (range.len() * w.cols) as u64;
            let bytes = w.format.bytes(range.len() * w.cols) as u64;
            lower.dispatch(
                kernel,
                binds,
                move |c| [groups, heads, c.tokens],
                move |c| {
                    let tokens = u64::from(c.tokens);
                    Cost { bytes: bytes * tokens, flops: 2 * product * tokens }
                },
            );
        }
        Ok(())
    }
}

/// With and without a rest, odd rows, in shards.
pub(crate) fn cases() -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for (format, heads, rows, cols, rest, max_binding) in [
        (Format::F16, 3, 7, 20, 8, None),
        (Format::Q8_0, 5, 24, 64, 0, None),
        (Format::Q4_0, 4, 33, 32, 4, Some(50 * 16)),
    ] {
        let mut tape = Tape::new();
        let (kind, numbers) = (Kind::Activation, heads * (cols + rest));
        let x = Value { name: "x".into(), rows: Rows::Tokens, cols: numbers, kind };
        let x = tape.input(x);
        let w = tape.resource(matrix("w", format, heads * rows, cols));
        let y = record(&mut tape, HeadLinear { heads }, &[x], &[w])?;
        let name = format!("head_linear {heads} × {format} {rows} × {cols} + {rest}");
        let step = check::step(&[(0, 0), (0, 1), (1, 7)], &[]);
        cases.push(Case {
            inputs: vec![x],
            compare: vec![y],
            max_binding,
            ..Case::new(name, tape, step)
        });
    }
    Ok(cases)
}
