//! y[t] = factor·W[id of token t]; y[t] += W[position of token t]; y[t] += W[0]

use wisp_base::{Error, Format, Result};
use wisp_graph::{
    Bind, Cost, CpuNode, Kind, Lower, MAX_DRAFTS, Operation, Resource, Rows, Tape, Value,
};

use crate::check::{self, Case, matrix};
use crate::{expect_cols, nth, record, weight};

/// Rows of the embedding matrix, one a token, into the residual stream.
/// Resources: the matrix `[vocab, cols]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Embed {
    /// Multiplies them: 1 in most models.
    pub factor: f32,
}

/// Rows of a matrix `[rows, cols]`, added to the residual stream in place. Resources: the
/// matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddRow {
    /// Each token's by its position.
    OfPosition,
    /// The first, to all tokens.
    First,
}

impl Operation for Embed {
    fn name(&self) -> &'static str {
        "embed"
    }

    fn infer(&self, _: &[&Value], resources: &[&Resource]) -> Result<Option<Value>> {
        let cols = weight(resources, 0)?.cols;
        Ok(Some(Value { name: "embed".into(), rows: Rows::Tokens, cols, kind: Kind::Residual }))
    }

    fn cpu(&self, node: &mut CpuNode<'_>) -> Result<Vec<f32>> {
        let w = node.weight(0)?;
        let mut y = Vec::with_capacity(node.step.tokens.len() * w.cols);
        for token in &node.step.tokens {
            let id = match token.id {
                Some(id) => id,
                None => node.sequences.sampled[token.sequence as usize * (1 + MAX_DRAFTS)],
            } as usize;
            let row = w.data.get(id * w.cols..(id + 1) * w.cols);
            let row = row.ok_or_else(|| Error::input(format!("no token {id}")))?;
            y.extend(row.iter().map(|w| self.factor * w));
        }
        Ok(y)
    }

    fn gpu(&self, lower: &mut Lower<'_>) -> Result<()> {
        rows(lower, self.factor, None)
    }
}

impl Operation for AddRow {
    fn name(&self) -> &'static str {
        "add_row"
    }

    fn infer(&self, inputs: &[&Value], resources: &[&Resource]) -> Result<Option<Value>> {
        let x = nth(inputs, 0)?;
        expect_cols(x, weight(resources, 0)?.cols)?;
        Ok(Some(Value { name: self.name().into(), ..x.clone() }))
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }

    fn cpu(&self, node: &mut CpuNode<'_>) -> Result<Vec<f32>> {
        let (x, w) = (node.input(0)?, node.weight(0)?);
        let mut y = Vec::with_capacity(x.len());
        for (x, token) in x.chunks_exact(w.cols).zip(&node.step.tokens) {
            let at = if *self == Self::First { 0 } else { token.position as usize };
            let row = w.data.get(at * w.cols..(at + 1) * w.cols);
            let row = row.ok_or_else(|| Error::input(format!("no row {at}")))?;
            y.extend(x.iter().zip(row).map(|(x, w)| x + w));
        }
        Ok(y)
    }

    fn gpu(&self, lower: &mut Lower<'_>) -> Result<()> {
        rows(lower, 1.0, Some(*self))
    }
}

/// Rows of the matrix by id, or those that are added, a dispatch a shard.
fn rows(lower: &mut Lower<'_>, factor: f32, add: Option<AddRow>) -> Result<()> {
    let w = lower.weight(0)?;
    let threads = lower.target.tuning.reduce_threads;
    let stride = lower.output()?.stride();
    let groups_x = (stride as u32 / 8).div_ceil(threads);
    let row_bytes = (w.format.bytes(w.cols.next_multiple_of(w.format.block())) + 4 * w.cols) as u64;
    for (at, rows) in lower.shards(w).into_iter().enumerate() {
        let kernel = lower
            .kernel("embed")
            .link("weight", crate::product::weight_file(w.format))
            .set("THREADS", threads)
            .set("COLS", w.cols as u64)
            .set("N_ROWS", rows.len() as u64)
            .set("FIRST_ROW", rows.start as u64)
            .set("Y_STRIDE4", stride as u64 / 4)
            .set_f32("FACTOR", factor)
            .set_bool("ADD", add.is_some())
            .set_bool("FIRST", add == Some(AddRow::First));
        let binds = vec![
            ("step", Bind::Step),
            ("sampled", Bind::Sampled),
            ("y", lower.bind_output()?),
            ("weight_quants", Bind::Quants(lower.id(0), at)),
            ("weight_scales", Bind::Scales(lower.id(0), at)),
            ("weight_table", Bind::WeightTable(lower.id(0))),
        ];
        let first = at == 0;
        lower.dispatch(
            kernel,
            binds,
            move |c| [groups_x, c.tokens, 1],
            // Each token lies in one shard: count it once.
            move |c| Cost {
                bytes: if first { row_bytes * u64::from(c.tokens) } else { 0 },
                flops: 0,
            },
        );
    }
    Ok(())
}

/// Odd widths, every format, a token that only the GPU knows, a split matrix.
pub(crate) fn cases() -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for format in Format::ALL {
        let cols = if format.block() == 1 { 37 } else { 96usize.next_multiple_of(format.block()) };
        let mut tape = Tape::new();
        let w = tape.resource(matrix("w", format, 5, cols));
        let y = record(&mut tape, Embed { factor: 1.5 }, &[], &[w])?;
        let mut step = check::step(&[(0, 0), (0, 1), (1, 7), (2, 3)], &[]);
        step.tokens[2].id = None;
        let split = format == Format::Q8_0;
        cases.push(Case {
            compare: vec![y],
            max_binding: split.then_some(2 * 96),
            ..Case::new(format!("embed {format} of {cols}"), tape, step)
        });
    }
    for add in [AddRow::OfPosition, AddRow::First] {
        let mut tape = Tape::new();
        let value = Value { name: "x".into(), rows: Rows::Tokens, cols: 37, kind: Kind::Residual };
        let x = tape.input(value);
        let w = tape.resource(matrix("w", Format::F16, 9, 37));
        let y = record(&mut tape, add, &[x], &[w])?;
        let step = check::step(&[(0, 0), (0, 1), (1, 7), (2, 3)], &[]);
        cases.push(Case {
            inputs: vec![x],
            compare: vec![y],
            max_binding: Some(2 * 80),
            ..Case::new(format!("add_row {add:?}"), tape, step)
        });
    }
    Ok(cases)
}
