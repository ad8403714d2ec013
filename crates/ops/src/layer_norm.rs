//! y = (x − mean)/sqrt(variance + eps)·gain + bias, row by row (Ba et al. 2016).

use wisp_base::Result;
use wisp_graph::{Bind, CpuNode, Kind, Lower, Operation, Resource, Rows, Tape, Value};

use crate::check::{self, Case};
use crate::rms_norm::{dispatch, normed, rows};
use crate::{expect_len, nth, record};

/// Layer norm of the residual stream. Input: `[tokens, cols]`; resources: the gain and
/// the bias, `[cols]` each.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerNorm {
    /// Added to the variance.
    pub eps: f32,
    /// Only the rows whose logits are asked for.
    pub outputs: bool,
}

impl Operation for LayerNorm {
    fn name(&self) -> &'static str {
        "layer_norm"
    }

    fn infer(&self, inputs: &[&Value], resources: &[&Resource]) -> Result<Option<Value>> {
        let x = nth(inputs, 0)?;
        expect_len(resources, 0, x.cols)?;
        expect_len(resources, 1, x.cols)?;
        Ok(Some(normed(self.name(), x, self.outputs)))
    }

    fn cpu(&self, node: &mut CpuNode<'_>) -> Result<Vec<f32>> {
        let (gain, bias) = (node.numbers(0)?, node.numbers(1)?);
        let (rows, cols) = (rows(node, self.outputs)?, node.value(0)?.cols);
        let mut y = Vec::with_capacity(rows.len() * cols);
        for x in rows {
            let mean = x.iter().map(|x| f64::from(*x)).sum::<f64>() / cols as f64;
            let squares: f64 = x.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum();
            let scale = 1.0 / (squares / cols as f64 + f64::from(self.eps)).sqrt();
            let normed = x.iter().map(|x| ((f64::from(*x) - mean) * scale) as f32);
            y.extend(normed.zip(gain).zip(bias).map(|((x, gain), bias)| x * gain + bias));
        }
        Ok(y)
    }

    fn gpu(&self, lower: &mut Lower<'_>) -> Result<()> {
        let gain = Bind::Numbers(lower.id(0));
        let bias = Bind::Numbers(lower.id(1));
        let vectors = vec![("gain", gain), ("row_bias", bias)];
        dispatch(lower, self.name(), self.eps, self.outputs, vectors, 7)
    }
}

/// Odd widths; all rows, and only those of outputs.
pub(crate) fn cases() -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for (cols, outputs) in [(5, false), (64, true), (301, false)] {
        let mut tape = Tape::new();
        let x =
            tape.input(Value { name: "x".into(), rows: Rows::Tokens, cols, kind: Kind::Residual });
        let gain = tape.resource(check::vector("gain", cols));
        let bias = tape.resource(check::vector("bias", cols));
        let y = record(&mut tape, LayerNorm { eps: 1e-5, outputs }, &[x], &[gain, bias])?;
        let step = check::step(&[(0, 0), (0, 1), (1, 7)], &[2, 0]);
        cases.push(Case {
            inputs: vec![x],
            compare: vec![y],
            ..Case::new(format!("layer_norm of {cols}"), tape, step)
        });
    }
    Ok(cases)
}
