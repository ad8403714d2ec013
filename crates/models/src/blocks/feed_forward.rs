//! The feed-forward layer that all tokens go through.

use wisp_base::Result;
use wisp_graph::{Kind, ValueId};
use wisp_ops::{Glu, Pointwise, record};

use crate::config::Gate;
use crate::decoder::Recorder;
use crate::tensors::Rows;

impl Recorder<'_> {
    /// The layer for `h`, added to the residual stream `x` (both `[tokens, hidden_size]`).
    pub(crate) fn feed_forward(
        &mut self,
        layer: usize,
        intermediate_size: usize,
        h: ValueId,
        x: ValueId,
    ) -> Result<ValueId> {
        let (c, n) = (self.c, intermediate_size);
        let name = |tensor: &str| format!("blk.{layer}.{tensor}");
        let kind = Kind::Activation;
        let h = match c.gate {
            Gate::Gated => {
                let gate = self.product(h, &name("ffn_gate"), n, c.ffn_bias, kind)?;
                let up = self.product(h, &name("ffn_up"), n, c.ffn_bias, kind)?;
                self.glu(gate, up)?
            }
            Gate::Fused => {
                // One matrix, the gate's rows above the up projection's.
                let part = |first| vec![Rows::some(name("ffn_up.weight"), first, n, 2 * n)];
                let gate = self.linear(h, part(0), None, kind)?;
                let up = self.linear(h, part(n), None, kind)?;
                self.glu(gate, up)?
            }
            Gate::Plain => {
                let h = self.product(h, &name("ffn_up"), n, c.ffn_bias, kind)?;
                record(&mut self.tape, Pointwise::Activate(c.activation), &[h], &[])?
            }
        };
        self.add(h, x, &name("ffn_down"), c.ffn_bias, &name("post_ffw_norm"))
    }

    /// activation(gate)·up.
    pub(crate) fn glu(&mut self, gate: ValueId, up: ValueId) -> Result<ValueId> {
        let glu = Glu { activation: self.c.activation, interleaved: false };
        record(&mut self.tape, glu, &[gate, up], &[])
    }
}
