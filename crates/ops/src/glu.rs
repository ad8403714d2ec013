//! y = f(gate)·up: a gated unit (Shazeer 2020).

use wisp_base::{Error, Result};
use wisp_gpu::Kernel;
use wisp_graph::{Cost, CpuNode, Kind, Link, Lower, Operation, Resource, Rows, Tape, Value};

use crate::check::{self, Case};
use crate::{Activation, expect_cols, nth, pointwise, record};

/// Inputs: gate and up `[tokens, n]`; or `interleaved` as one, gate 0, up 0, gate 1, …
/// `[tokens, 2·n]`. Output: `[tokens, n]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Glu {
    /// f.
    pub activation: Activation,
    /// Columns of gate and up alternate in one input.
    pub interleaved: bool,
}

impl Glu {
    fn link(&self, kernel: Kernel) -> Kernel {
        let gate = match self.activation {
            Activation::Clamped { .. } => "gate/clamped",
            _ => "gate/product",
        };
        self.activation.link(kernel.link("gate", gate))
    }
}

impl Operation for Glu {
    fn name(&self) -> &'static str {
        "glu"
    }

    fn infer(&self, inputs: &[&Value], _: &[&Resource]) -> Result<Option<Value>> {
        let gate = nth(inputs, 0)?;
        let cols = if self.interleaved { gate.cols / 2 } else { gate.cols };
        if self.interleaved && !gate.cols.is_multiple_of(2) {
            return Err(Error::input(format!(
                "{} columns are not pairs of gate and up",
                gate.cols
            )));
        }
        if inputs.iter().any(|input| input.kind != Kind::Activation) {
            return Err(Error::input("gate and up are activations"));
        }
        if !self.interleaved {
            expect_cols(nth(inputs, 1)?, cols)?;
        }
        let name = format!("gated {}", gate.name);
        Ok(Some(Value { name, rows: gate.rows, cols, kind: Kind::Activation }))
    }

    fn cpu(&self, node: &mut CpuNode<'_>) -> Result<Vec<f32>> {
        let gate = node.input(0)?;
        if self.interleaved {
            let pairs = gate.as_chunks().0.iter();
            return Ok(pairs.map(|[gate, up]| self.activation.gated(*gate, *up)).collect());
        }
        let pairs = gate.iter().zip(node.input(1)?);
        Ok(pairs.map(|(gate, up)| self.activation.gated(*gate, *up)).collect())
    }

    fn as_output(&self, lower: &Lower<'_>) -> Result<Option<Link>> {
        let file = if self.interleaved { "output/glu_interleaved" } else { "output/glu" };
        let mut link = Link::new("output", file);
        link.kernel = self.link(link.kernel).set("Y_STRIDE", lower.output()?.stride() as u64);
        link.binds = vec![("y", lower.bind_output()?)];
        let each = lower.bytes(Kind::Activation, 1);
        if self.interleaved {
            link.bytes = each / 2;
        } else {
            link.binds.push(("up", lower.bind_input(1)));
            link.bytes = 2 * each;
        }
        Ok(Some(link))
    }

    fn behind(&self, product: &'static str) -> &'static str {
        match (product, self.interleaved) {
            ("linear", true) => "linear_gated",
            ("linear", false) => "linear_gate",
            ("experts", true) => "experts_gated",
            ("experts", false) => "experts_gate",
            _ => product,
        }
    }

    fn gpu(&self, lower: &mut Lower<'_>) -> Result<()> {
        let kernel = self.link(lower.kernel(self.name())).set_bool("INTERLEAVED", self.interleaved);
        let up = lower.bind_input(if self.interleaved { 0 } else { 1 });
        let bytes = lower.bytes(Kind::Activation, 3);
        pointwise::dispatch(lower, kernel, vec![("up", up)], Cost { bytes, flops: 8 })
    }
}

/// Two inputs, and one.
pub(crate) fn cases() -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for (activation, interleaved, n) in [
        (Activation::Silu, false, 37),
        (Activation::GPT_OSS, false, 5),
        (Activation::Gelu, true, 33),
    ] {
        let mut tape = Tape::new();
        let mut input = |name: &str, cols| {
            let (rows, kind) = (Rows::Tokens, Kind::Activation);
            tape.input(Value { name: name.into(), rows, cols, kind })
        };
        let inputs = match interleaved {
            true => vec![input("gate and up", 2 * n)],
            false => vec![input("gate", n), input("up", n)],
        };
        let y = record(&mut tape, Glu { activation, interleaved }, &inputs, &[])?;
        let step = check::step(&[(0, 0), (0, 1), (1, 7)], &[]);
        let name = format!("glu {activation:?} of {n}");
        cases.push(Case { inputs, compare: vec![y], ..Case::new(name, tape, step) });
    }
    Ok(cases)
}
