//! y = norm(x)⊙f(gate), head by head: the gate behind a mixer. DeltaNet's gated norm is
//! RMSNorm(x)⊙silu(gate), Qwen3.5's attention has x⊙σ(gate).

use wisp_base::{Error, Result};
use wisp_graph::{Bind, Cost, CpuNode, Kind, Lower, Operation, Resource, Rows, Tape, Value};

use crate::check::{self, Case};
use crate::rms_norm::rms_normed;
use crate::{Activation, expect_cols, expect_len, nth, record};

/// Inputs: x `[tokens, heads·head_dim]`, changed in place; rows that hold the gates, as many
/// numbers. Resource: with a norm the gain `[head_dim]`, one for all heads.
#[derive(Debug, Clone, PartialEq)]
pub struct OutputGate {
    /// Heads.
    pub heads: usize,
    /// Numbers per head.
    pub head_dim: usize,
    /// Each head is normed first: what is added to its mean square.
    pub norm: Option<f32>,
    /// f.
    pub activation: Activation,
    /// The column of the gate's row where the gates begin.
    pub gate_first: usize,
}

impl OutputGate {
    fn numbers(&self) -> usize {
        self.heads * self.head_dim
    }
}

impl Operation for OutputGate {
    fn name(&self) -> &'static str {
        "output_gate"
    }

    fn infer(&self, inputs: &[&Value], resources: &[&Resource]) -> Result<Option<Value>> {
        let (x, gate) = (nth(inputs, 0)?, nth(inputs, 1)?);
        expect_cols(x, self.numbers())?;
        if self.gate_first + self.numbers() > gate.cols {
            return Err(Error::input(format!(
                "{} has {} columns, but the gates end at {}",
                gate.name,
                gate.cols,
                self.gate_first + self.numbers()
            )));
        }
        if self.norm.is_some() {
            expect_len(resources, 0, self.head_dim)?;
        }
        Ok(Some(Value { name: format!("gated {}", x.name), ..x.clone() }))
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }

    fn cpu(&self, node: &mut CpuNode<'_>) -> Result<Vec<f32>> {
        let gates = node.input(1)?.chunks_exact(node.value(1)?.cols);
        let mut y = node.input(0)?.to_vec();
        for (row, gates) in y.chunks_exact_mut(self.numbers()).zip(gates) {
            let gates = gates[self.gate_first..].chunks_exact(self.head_dim);
            for (head, gates) in row.chunks_exact_mut(self.head_dim).zip(gates) {
                if let Some(eps) = self.norm {
                    rms_normed(head, node.numbers(0)?, eps);
                }
                for (x, gate) in head.iter_mut().zip(gates) {
                    *x *= self.activation.of(*gate);
                }
            }
        }
        Ok(y)
    }

    fn gpu(&self, lower: &mut Lower<'_>) -> Result<()> {
        let most = (self.head_dim as u32).next_power_of_two();
        let mut kernel = lower
            .kernel(self.name())
            .set("THREADS", lower.target.tuning.reduce_threads.min(most))
            .set("HEAD_DIM", self.head_dim as u64)
            .set("STRIDE", lower.input(0).stride() as u64)
            .set("GATE_STRIDE", lower.input(1).stride() as u64)
            .set("GATE_FIRST", self.gate_first as u64);
        let mut binds = vec![("y", lower.bind_output()?), ("gate", lower.bind_input(1))];
        if let Some(eps) = self.norm {
            kernel = kernel.link("norm", "norm/rms").set_f32("EPS", eps);
            binds.push(("gain", Bind::Numbers(lower.id(0))));
        } else {
            kernel = kernel.link("norm", "norm/none");
        }
        kernel = self.activation.link(kernel);
        let heads = self.heads as u32;
        let bytes = lower.bytes(Kind::Activation, 3 * self.numbers());
        let flops = 8 * self.numbers() as u64;
        lower.dispatch_heads(kernel, binds, heads, Cost { bytes, flops });
        Ok(())
    }
}

/// With a norm and without, the gates at the start of their row and later.
pub(crate) fn cases() -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for (heads, head_dim, norm, activation, gate_first) in [
        (5, 20, Some(1e-6), Activation::Silu, 0),
        (3, 140, Some(1e-5), Activation::Silu, 33),
        (3, 12, None, Activation::Sigmoid, 7),
    ] {
        let op = OutputGate { heads, head_dim, norm, activation, gate_first };
        let mut tape = Tape::new();
        let (rows, kind) = (Rows::Tokens, Kind::Activation);
        let input = |name: &str, cols| Value { name: name.into(), rows, cols, kind };
        let x = tape.input(input("x", op.numbers()));
        let gate = tape.input(input("gate", gate_first + op.numbers()));
        let gain = norm.map(|_| tape.resource(check::vector("gain", head_dim)));
        let y = record(&mut tape, op, &[x, gate], gain.as_slice())?;
        let step = check::step(&[(0, 0), (0, 1), (1, 7)], &[]);
        cases.push(Case {
            inputs: vec![x, gate],
            compare: vec![y],
            ..Case::new(format!("output_gate {heads} × {head_dim}, {activation:?}"), tape, step)
        });
    }
    Ok(cases)
}
