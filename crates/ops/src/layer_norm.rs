//! y = (x − mean)/sqrt(variance + eps)·gain + bias, row by row (Ba et al. 2016).

use wisp_base::Result;
use wisp_graph::{Bind, CpuNode, Kind, Lower, Operation, Resource, Rows, Tape, Value};

use crate::check::{self, Case};
use crate::rms_norm::{dispatch, normed, rows};
use crate::{expect_len, nth, record};

/// Layer norm of the residual stream. Input: `[tokens, cols]`; resources: the gain, and
/// the bias if there is one, `[cols]` each.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerNorm {
    /// Added to the variance.
    pub eps: f32,
    /// Only the rows whose logits are asked for.
    pub outputs: bool,
    /// Resource 1 is a bias.
    pub bias: bool,
    /// The result is a residual stream itself, in f32 (BERT).
    pub wide: bool,
}

impl Operation for LayerNorm {
    fn name(&self) -> &'static str {
        "layer_norm"
    }

    fn infer(&self, inputs: &[&Value], resources: &[&Resource]) -> Result<Option<Value>> {
        let x = nth(inputs, 0)?;
        expect_len(resources, 0, x.cols)?;
        if self.bias {
            expect_len(resources, 1, x.cols)?;
        }
        let kind = if self.wide { Kind::Residual } else { Kind::Activation };
        Ok(Some(Value { kind, ..normed(self.name(), x, self.outputs) }))
    }

    fn cpu(&self, node: &mut CpuNode<'_>) -> Result<Vec<f32>> {
        let (rows, cols) = (rows(node, self.outputs)?, node.value(0)?.cols);
        let gain = node.numbers(0)?;
        let bias = if self.bias { node.numbers(1)?.to_vec() } else { vec![0.0; cols] };
        let mut y = Vec::with_capacity(rows.len() * cols);
        for x in rows {
            let mean = x.iter().map(|x| f64::from(*x)).sum::<f64>() / cols as f64;
            let squares: f64 = x.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum();
            let scale = 1.0 / (squares / cols as f64 + f64::from(self.eps)).sqrt();
            let normed = x.iter().map(|x| ((f64::from(*x) - mean) * scale) as f32);
            y.extend(normed.zip(gain).zip(&bias).map(|((x, gain), bias)| x * gain + bias));
        }
        Ok(y)
    }

    fn gpu(&self, lower: &mut Lower<'_>) -> Result<()> {
        let mut kernel = lower.kernel(self.name());
        let mut vectors = vec![("gain", Bind::Numbers(lower.id(0)))];
        if self.bias {
            let cols = lower.input(0).cols as u64;
            kernel = kernel.link("bias", "bias/vector").set("BIAS_ROWS", cols);
            vectors.push(("row_bias", Bind::Numbers(lower.id(1))));
        } else {
            kernel = kernel.link("bias", "bias/none");
        }
        if self.wide {
            kernel = kernel.link("scalar", "scalar/f32");
        }
        dispatch(lower, kernel, self.eps, self.outputs, vectors, 7)
    }
}

/// Odd widths; all rows, and only those of outputs.
pub(crate) fn cases() -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for (cols, outputs, bias, wide) in
        [(5, false, true, false), (64, true, false, false), (301, true, true, true)]
    {
        let mut tape = Tape::new();
        let x =
            tape.input(Value { name: "x".into(), rows: Rows::Tokens, cols, kind: Kind::Residual });
        let gain = tape.resource(check::vector("gain", cols));
        let mut vectors = vec![gain];
        if bias {
            vectors.push(tape.resource(check::vector("bias", cols)));
        }
        let norm = LayerNorm { eps: 1e-5, outputs, bias, wide };
        let y = record(&mut tape, norm, &[x], &vectors)?;
        let step = check::step(&[(0, 0), (0, 1), (1, 7)], &[2, 0]);
        cases.push(Case {
            inputs: vec![x],
            compare: vec![y],
            ..Case::new(format!("layer_norm of {cols}"), tape, step)
        });
    }
    Ok(cases)
}
