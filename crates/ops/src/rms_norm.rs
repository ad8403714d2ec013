//! y = x·gain / sqrt(mean(x²) + eps), row by row (Zhang and Sennrich 2019).

use wisp_base::Result;
use wisp_gpu::Kernel;
use wisp_graph::{
    Bind, Cost, Counts, CpuNode, Kind, Link, Lower, Operation, Resource, Rows, Tape, Value,
};

use crate::check::{self, Case};
use crate::{expect_len, nth, record};

/// RMS norm of the residual stream. Input: `[tokens, cols]`; resource: the gain `[cols]`.
#[derive(Debug, Clone, PartialEq)]
pub struct RmsNorm {
    /// Added to the mean square.
    pub eps: f32,
    /// Only the rows whose logits are asked for.
    pub outputs: bool,
}

impl Operation for RmsNorm {
    fn name(&self) -> &'static str {
        "rms_norm"
    }

    fn infer(&self, inputs: &[&Value], resources: &[&Resource]) -> Result<Option<Value>> {
        let x = nth(inputs, 0)?;
        expect_len(resources, 0, x.cols)?;
        Ok(Some(normed(self.name(), x, self.outputs)))
    }

    fn cpu(&self, node: &mut CpuNode<'_>) -> Result<Vec<f32>> {
        let (gain, cols) = (node.numbers(0)?, node.value(0)?.cols);
        let rows = rows(node, self.outputs)?;
        let mut y = Vec::with_capacity(rows.len() * cols);
        for x in rows {
            let start = y.len();
            y.extend(x);
            rms_normed(&mut y[start..], gain, self.eps);
        }
        Ok(y)
    }

    /// Of one token, whose row of logits, if it has one, is row 0 too. Of more, each group of
    /// rows of a matrix would compute it again.
    fn as_input(&self, lower: &mut Lower<'_>) -> Result<Option<Link>> {
        if lower.key.tokens > 1 {
            return Ok(None);
        }
        let mut link = Link::new("input", "input/rms_norm");
        link.kernel = link
            .kernel
            .set("X_STRIDE4", lower.input(0).stride() as u64 / 4)
            .set_f32("EPS", self.eps);
        link.binds = vec![("x", lower.bind_input(0)), ("gain", Bind::Numbers(lower.id(0)))];
        Ok(Some(link))
    }

    fn gpu(&self, lower: &mut Lower<'_>) -> Result<()> {
        let gain = Bind::Numbers(lower.id(0));
        let kernel = lower.kernel(self.name());
        dispatch(lower, kernel, self.eps, self.outputs, vec![("gain", gain)], 4)
    }
}

/// x·gain / sqrt(mean(x²) + eps), in place: the definition of RMS norms, of rows and of heads.
pub(crate) fn rms_normed(x: &mut [f32], gain: &[f32], eps: f32) {
    let squares: f64 = x.iter().map(|x| f64::from(*x).powi(2)).sum();
    let scale = 1.0 / (squares / x.len() as f64 + f64::from(eps)).sqrt();
    for (x, gain) in x.iter_mut().zip(gain) {
        *x = (f64::from(*x) * scale) as f32 * gain;
    }
}

/// What a norm of `x` makes: all rows, or with `outputs` those whose logits are asked for.
pub(crate) fn normed(name: &str, x: &Value, outputs: bool) -> Value {
    let rows = if outputs { Rows::Outputs } else { x.rows };
    Value { name: format!("{name} of {}", x.name), rows, cols: x.cols, kind: Kind::Activation }
}

/// The rows of input 0 that [`normed`] keeps.
pub(crate) fn rows<'a>(node: &CpuNode<'a>, outputs: bool) -> Result<Vec<&'a [f32]>> {
    let rows: Vec<_> = node.input(0)?.chunks_exact(node.value(0)?.cols).collect();
    if !outputs {
        return Ok(rows);
    }
    Ok(node.step.outputs.iter().map(|token| rows[*token as usize]).collect())
}

/// A norm's kernel, a workgroup a row, with `flops` operations a number.
pub(crate) fn dispatch(
    lower: &mut Lower<'_>,
    kernel: Kernel,
    eps: f32,
    outputs: bool,
    vectors: Vec<(&'static str, Bind)>,
    flops: u64,
) -> Result<()> {
    let x = lower.input(0);
    let kernel = kernel
        .set("THREADS", lower.target.tuning.reduce_threads)
        .set("COLS", x.cols as u64)
        .set("STRIDE4", x.stride() as u64 / 4)
        .set_f32("EPS", eps)
        .set_bool("GATHER", outputs);
    let mut binds =
        vec![("step", Bind::Step), ("x", lower.bind_input(0)), ("y", lower.bind_output()?)];
    binds.extend(vectors);
    let by_outputs = lower.output()?.rows == Rows::Outputs;
    let rows = move |c: &Counts| if by_outputs { c.outputs } else { c.tokens };
    let cols = x.cols as u64;
    let bytes = 4 * cols + lower.bytes(lower.output()?.kind, x.cols);
    lower.dispatch(
        kernel,
        binds,
        move |c| [rows(c), 1, 1],
        move |c| {
            let rows = u64::from(rows(c));
            Cost { bytes: rows * bytes, flops: rows * cols * flops }
        },
    );
    Ok(())
}

/// Odd widths; all rows, and only those of outputs.
pub(crate) fn cases() -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for (cols, outputs) in [(5, false), (64, true), (301, false), (1030, true)] {
        let mut tape = Tape::new();
        let x =
            tape.input(Value { name: "x".into(), rows: Rows::Tokens, cols, kind: Kind::Residual });
        let gain = tape.resource(check::vector("gain", cols));
        let y = record(&mut tape, RmsNorm { eps: 1e-5, outputs }, &[x], &[gain])?;
        let step = check::step(&[(0, 0), (0, 1), (1, 7)], &[2, 0]);
        cases.push(Case {
            inputs: vec![x],
            compare: vec![y],
            ..Case::new(format!("rms_norm of {cols}"), tape, step)
        });
    }
    Ok(cases)
}
