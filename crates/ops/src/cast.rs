//! y = x, as an activation.

use wisp_base::Result;
use wisp_graph::{Cost, CpuNode, Kind, Lower, Operation, Resource, Rows, Tape, Value};

use crate::check::{self, Case};
use crate::{nth, record};

/// The residual stream as an activation, for layers without a norm before them.
#[derive(Debug, Clone, PartialEq)]
pub struct Cast;

impl Operation for Cast {
    fn name(&self) -> &'static str {
        "cast"
    }

    fn infer(&self, inputs: &[&Value], _: &[&Resource]) -> Result<Option<Value>> {
        let x = nth(inputs, 0)?;
        Ok(Some(Value { name: "cast".into(), kind: Kind::Activation, ..x.clone() }))
    }

    fn cpu(&self, node: &mut CpuNode<'_>) -> Result<Vec<f32>> {
        Ok(node.input(0)?.to_vec())
    }

    fn gpu(&self, lower: &mut Lower<'_>) -> Result<()> {
        let x = lower.input(0);
        let threads = lower.target.tuning.reduce_threads;
        let fours = x.stride() as u32 / 4;
        let kernel = lower.kernel("cast").set("THREADS", threads).set("STRIDE4", u64::from(fours));
        let binds = vec![("x", lower.bind_input(0)), ("y", lower.bind_output()?)];
        let each = 4 * x.cols as u64 + lower.bytes(Kind::Activation, x.cols);
        let groups = fours.div_ceil(threads);
        lower.dispatch(
            kernel,
            binds,
            move |c| [groups, c.tokens, 1],
            move |c| Cost { bytes: each * u64::from(c.tokens), flops: 0 },
        );
        Ok(())
    }
}

/// An odd width.
pub(crate) fn cases() -> Result<Vec<Case>> {
    let mut tape = Tape::new();
    let value = Value { name: "x".into(), rows: Rows::Tokens, cols: 301, kind: Kind::Residual };
    let x = tape.input(value);
    let y = record(&mut tape, Cast, &[x], &[])?;
    let step = check::step(&[(0, 0), (0, 1), (1, 7)], &[]);
    Ok(vec![Case { inputs: vec![x], compare: vec![y], ..Case::new("cast of 301", tape, step) }])
}
