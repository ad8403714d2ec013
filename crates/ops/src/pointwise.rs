//! Functions of each number of a row: an activation; factor and soft cap of logits.

use wisp_base::Result;
use wisp_gpu::Kernel;
use wisp_graph::{
    Bind, Cost, Counts, CpuNode, Kind, Link, Lower, Operation, Resource, Rows, Tape, Value,
};

use crate::check::{self, Case};
use crate::{Activation, capped, nth, record};

/// A function of each number of its input `[tokens, cols]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pointwise {
    /// An activation.
    Activate(Activation),
    /// factor·x, kept within ±cap by cap·tanh(factor·x / cap) (Gemma Team 2024).
    Cap {
        /// 1 in most models.
        factor: f32,
        /// None in most models.
        cap: Option<f32>,
    },
}

impl Operation for Pointwise {
    fn name(&self) -> &'static str {
        match self {
            Self::Activate(_) => "activate",
            Self::Cap { .. } => "cap",
        }
    }

    fn infer(&self, inputs: &[&Value], _: &[&Resource]) -> Result<Option<Value>> {
        let x = nth(inputs, 0)?;
        Ok(Some(Value { name: format!("{} of {}", self.name(), x.name), ..x.clone() }))
    }

    fn cpu(&self, node: &mut CpuNode<'_>) -> Result<Vec<f32>> {
        let of = |x: &f32| match self {
            Self::Activate(activation) => activation.of(*x),
            Self::Cap { factor, cap } => capped(factor * x, *cap),
        };
        Ok(node.input(0)?.iter().map(of).collect())
    }

    fn as_output(&self, lower: &Lower<'_>) -> Result<Option<Link>> {
        let mut link = match self {
            Self::Activate(activation) => {
                let link = Link::new("output", "output/activate");
                Link { kernel: activation.link(link.kernel), ..link }
            }
            Self::Cap { factor, cap } => {
                let link = Link::new("output", "output/store_f32");
                let kernel = link.kernel.set_f32("FACTOR", *factor);
                Link { kernel: kernel.set_f32("CAP", cap.unwrap_or(0.0)), ..link }
            }
        };
        let y = lower.output()?;
        link.kernel = link.kernel.set("Y_STRIDE", y.stride() as u64);
        link.binds = vec![("y", lower.bind_output()?)];
        link.bytes = lower.bytes(y.kind, 1);
        // Each writes one kind of number.
        let stored =
            if matches!(self, Self::Activate(_)) { Kind::Activation } else { Kind::Logits };
        Ok((y.kind == stored).then_some(link))
    }

    fn behind(&self, product: &'static str) -> &'static str {
        match (self, product) {
            (Self::Activate(_), "linear") => "linear_activate",
            _ => product,
        }
    }

    fn gpu(&self, lower: &mut Lower<'_>) -> Result<()> {
        let kernel = lower.kernel("pointwise");
        let kernel = match self {
            Self::Activate(activation) => activation.link(kernel),
            Self::Cap { factor, cap } => kernel
                .link("activation", "activation/none")
                .set_f32("FACTOR", *factor)
                .set_f32("CAP", cap.unwrap_or(0.0)),
        };
        let kind = lower.input(0).kind;
        let bytes = lower.bytes(kind, 2);
        dispatch(lower, stored_as(kernel, kind), Vec::new(), Cost { bytes, flops: 8 })
    }
}

/// What the kernel reads and writes as `scalar` is stored as values of `kind` are.
pub(crate) fn stored_as(kernel: Kernel, kind: Kind) -> Kernel {
    match kind {
        Kind::Activation => kernel,
        Kind::Residual | Kind::Logits => kernel.link("scalar", "scalar/f32"),
    }
}

/// A thread a number of the output, which costs `each`.
pub(crate) fn dispatch(
    lower: &mut Lower<'_>,
    kernel: Kernel,
    mut binds: Vec<(&'static str, Bind)>,
    each: Cost,
) -> Result<()> {
    let y = lower.output()?;
    let threads = lower.target.tuning.reduce_threads;
    let kernel = kernel
        .set("THREADS", threads)
        .set("COLS", y.cols as u64)
        .set("X_STRIDE", lower.input(0).stride() as u64)
        .set("Y_STRIDE", y.stride() as u64);
    binds.extend([("x", lower.bind_input(0)), ("y", lower.bind_output()?)]);
    let (groups, cols) = ((y.cols as u32).div_ceil(threads), y.cols as u64);
    let by_outputs = y.rows == Rows::Outputs;
    let rows = move |c: &Counts| if by_outputs { c.outputs } else { c.tokens };
    lower.dispatch(
        kernel,
        binds,
        move |c| [groups, rows(c), 1],
        move |c| {
            let numbers = cols * u64::from(rows(c));
            Cost { bytes: each.bytes * numbers, flops: each.flops * numbers }
        },
    );
    Ok(())
}

/// An activation; a factor and a cap.
pub(crate) fn cases() -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    let cap = Pointwise::Cap { factor: 3.0, cap: Some(2.0) };
    for (op, kind, cols) in
        [(Pointwise::Activate(Activation::GeluErf), Kind::Activation, 37), (cap, Kind::Logits, 301)]
    {
        let mut tape = Tape::new();
        let x = tape.input(Value { name: "x".into(), rows: Rows::Tokens, cols, kind });
        let y = record(&mut tape, op, &[x], &[])?;
        cases.push(Case {
            inputs: vec![x],
            compare: vec![y],
            ..Case::new(
                format!("{} of {cols}", op.name()),
                tape,
                check::step(&[(0, 0), (0, 1), (1, 7)], &[]),
            )
        });
    }
    Ok(cases)
}
