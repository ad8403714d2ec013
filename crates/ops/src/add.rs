//! y = x + factor·h: a layer's result added to the residual stream.

use wisp_base::{Error, Result};
use wisp_graph::{Cost, CpuNode, Kind, Link, Lower, Operation, Resource, Rows, Tape, Value};

use crate::check::{self, Case};
use crate::{expect_cols, nth, pointwise, record};

/// Inputs: h `[tokens, cols]`, the residual stream x of the same size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Add {
    /// Multiplies h; 1 in most models.
    pub factor: f32,
}

impl Operation for Add {
    fn name(&self) -> &'static str {
        "add"
    }

    fn infer(&self, inputs: &[&Value], _: &[&Resource]) -> Result<Option<Value>> {
        let (h, x) = (nth(inputs, 0)?, nth(inputs, 1)?);
        expect_cols(h, x.cols)?;
        if x.kind != Kind::Residual {
            return Err(Error::input(format!("{} is not the residual stream", x.name)));
        }
        Ok(Some(Value { name: self.name().into(), ..x.clone() }))
    }

    fn cpu(&self, node: &mut CpuNode<'_>) -> Result<Vec<f32>> {
        let sum = |(h, x): (&f32, &f32)| x + self.factor * h;
        Ok(node.input(0)?.iter().zip(node.input(1)?).map(sum).collect())
    }

    /// In place: a product adds its results.
    fn as_output(&self, lower: &Lower<'_>) -> Result<Option<Link>> {
        let mut link = Link::new("output", "output/add");
        link.kernel = link
            .kernel
            .set("Y_STRIDE", lower.output()?.stride() as u64)
            .set_f32("FACTOR", self.factor);
        link.binds = vec![("y", lower.bind_output()?)];
        (link.bytes, link.in_place) = (8, Some(1));
        Ok(Some(link))
    }

    fn behind(&self, product: &'static str) -> &'static str {
        if product == "linear" { "linear_add" } else { product }
    }

    fn gpu(&self, lower: &mut Lower<'_>) -> Result<()> {
        let kernel = lower.kernel(self.name()).set_f32("FACTOR", self.factor);
        let kernel = pointwise::stored_as(kernel, lower.input(0).kind);
        let binds = vec![("residual", lower.bind_input(1))];
        let bytes = 8 + lower.bytes(lower.input(0).kind, 1);
        pointwise::dispatch(lower, kernel, binds, Cost { bytes, flops: 2 })
    }
}

/// Results in 16 bits, where the variant has them, and in 32.
pub(crate) fn cases() -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for (kind, cols, factor) in [(Kind::Activation, 37, 1.0), (Kind::Residual, 301, 0.3)] {
        let mut tape = Tape::new();
        let (rows, stream) = (Rows::Tokens, Kind::Residual);
        let h = tape.input(Value { name: "h".into(), rows, cols, kind });
        let x = tape.input(Value { name: "x".into(), rows, cols, kind: stream });
        let y = record(&mut tape, Add { factor }, &[h, x], &[])?;
        cases.push(Case {
            inputs: vec![h, x],
            compare: vec![y],
            ..Case::new(format!("add of {cols}"), tape, check::step(&[(0, 0), (0, 1), (1, 7)], &[]))
        });
    }
    Ok(cases)
}
