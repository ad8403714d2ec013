//! y[t] = W[id of token t]

use wisp_base::{Error, Format, Result};
use wisp_graph::{Bind, Cost, CpuNode, Kind, Lower, Operation, Resource, Rows, Tape, Value};

use crate::check::{self, Case, matrix};
use crate::{record, weight};

/// Rows of the embedding matrix, one a token, into the residual stream.
/// Resources: the matrix `[vocab, cols]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Embed;

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
                None => node.sequences.sampled[token.sequence as usize],
            } as usize;
            let row = w.data.get(id * w.cols..(id + 1) * w.cols);
            y.extend_from_slice(row.ok_or_else(|| Error::input(format!("no token {id}")))?);
        }
        Ok(y)
    }

    fn gpu(&self, lower: &mut Lower<'_>) -> Result<()> {
        let w = lower.weight(0)?;
        let threads = lower.target.tuning.reduce_threads;
        let stride = lower.output()?.stride();
        let groups_x = (stride as u32 / 8).div_ceil(threads);
        let row_bytes =
            (w.format.bytes(w.cols.next_multiple_of(w.format.block())) + 4 * w.cols) as u64;
        for (at, rows) in lower.shards(w).into_iter().enumerate() {
            let kernel = lower
                .kernel("embed")
                .link("weight", crate::linear::weight_file(w.format))
                .set("THREADS", threads)
                .set("COLS", w.cols as u64)
                .set("N_ROWS", rows.len() as u64)
                .set("FIRST_ROW", rows.start as u64)
                .set("Y_STRIDE4", stride as u64 / 4);
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
}

/// Odd widths, every format, a token that only the GPU knows, a split matrix.
pub(crate) fn cases() -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for format in Format::ALL {
        let cols = if format.block() == 1 { 37 } else { 96usize.next_multiple_of(format.block()) };
        let mut tape = Tape::new();
        let w = tape.resource(matrix("w", format, 5, cols));
        let y = record(&mut tape, Embed, &[], &[w])?;
        let mut step = check::step(&[(0, 0), (0, 1), (1, 7), (2, 3)], &[]);
        step.tokens[2].id = None;
        let split = format == Format::Q8_0;
        cases.push(Case {
            compare: vec![y],
            max_binding: split.then_some(2 * 96),
            ..Case::new(format!("embed {format} of {cols}"), tape, step)
        });
    }
    Ok(cases)
}
