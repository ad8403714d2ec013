//! y += factor·x·gain / sqrt(mean(x²) + eps): the norm behind a layer.

use wisp_base::Result;
use wisp_graph::{Bind, Cost, CpuNode, Kind, Lower, Operation, Resource, Rows, Tape, Value};

use crate::check::{self, Case};
use crate::rms_norm::rms_normed;
use crate::{expect_cols, expect_len, nth, record};

/// RMS norm of a layer's result (in f32), added to the residual stream in place.
/// Inputs: the result, the residual stream; resource: the gain `[cols]`.
#[derive(Debug, Clone, PartialEq)]
pub struct AddNorm {
    /// Added to the mean square.
    pub eps: f32,
    /// Multiplies what is added.
    pub factor: f32,
}

impl Operation for AddNorm {
    fn name(&self) -> &'static str {
        "add_norm"
    }

    fn infer(&self, inputs: &[&Value], resources: &[&Resource]) -> Result<Option<Value>> {
        let residual = nth(inputs, 1)?;
        expect_cols(nth(inputs, 0)?, residual.cols)?;
        expect_len(resources, 0, residual.cols)?;
        Ok(Some(Value { name: "add_norm".into(), ..residual.clone() }))
    }

    fn in_place(&self) -> Option<usize> {
        Some(1)
    }

    fn cpu(&self, node: &mut CpuNode<'_>) -> Result<Vec<f32>> {
        let (x, residual, gain) = (node.input(0)?, node.input(1)?, node.numbers(0)?);
        let cols = node.value(0)?.cols;
        let mut y = Vec::with_capacity(x.len());
        for (x, residual) in x.chunks_exact(cols).zip(residual.chunks_exact(cols)) {
            let mut normed = x.to_vec();
            rms_normed(&mut normed, gain, self.eps);
            y.extend(residual.iter().zip(normed).map(|(r, n)| r + self.factor * n));
        }
        Ok(y)
    }

    fn gpu(&self, lower: &mut Lower<'_>) -> Result<()> {
        let x = lower.input(0);
        let kernel = lower
            .kernel("add_norm")
            .set("THREADS", lower.target.tuning.reduce_threads)
            .set("COLS", x.cols as u64)
            .set("STRIDE4", x.stride() as u64 / 4)
            .set_f32("EPS", self.eps)
            .set_f32("FACTOR", self.factor);
        let binds = vec![
            ("x", lower.bind_input(0)),
            ("y", lower.bind_output()?),
            ("gain", Bind::Numbers(lower.id(0))),
        ];
        let cols = x.cols as u64;
        lower.dispatch(
            kernel,
            binds,
            |c| [c.tokens, 1, 1],
            move |c| {
                let tokens = u64::from(c.tokens);
                Cost { bytes: 12 * cols * tokens, flops: 5 * cols * tokens }
            },
        );
        Ok(())
    }
}

/// Odd widths.
pub(crate) fn cases() -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for cols in [5, 301] {
        let mut tape = Tape::new();
        let value = |name: &str| Value {
            name: name.into(),
            rows: Rows::Tokens,
            cols,
            kind: Kind::Residual,
        };
        let (x, residual) = (tape.input(value("x")), tape.input(value("residual")));
        let gain = tape.resource(check::vector("gain", cols));
        let op = AddNorm { eps: 1e-5, factor: 0.7 };
        let y = record(&mut tape, op, &[x, residual], &[gain])?;
        let step = check::step(&[(0, 0), (0, 1), (1, 7)], &[]);
        cases.push(Case {
            inputs: vec![x, residual],
            compare: vec![y],
            ..Case::new(format!("add_norm of {cols}"), tape, step)
        });
    }
    Ok(cases)
}
