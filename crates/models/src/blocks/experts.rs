//! Mixture of experts (Shazeer et al. 2017) in place of a feed-forward layer.

use wisp_base::Result;
use wisp_graph::{Kind, ResourceId, ValueId};
use wisp_ops::{Add, Experts, Gating, Route, record};

use crate::config::ExpertsConfig;
use crate::decoder::Recorder;

impl Recorder<'_> {
    /// The experts' sum for `h` onto the residual stream `x`.
    pub(crate) fn experts(
        &mut self,
        layer: usize,
        e: &ExpertsConfig,
        h: ValueId,
        x: ValueId,
    ) -> Result<ValueId> {
        let c = self.c;
        let name = |tensor: &str| format!("blk.{layer}.{tensor}");
        let logits = self.product(h, &name("ffn_gate_inp"), e.count, e.bias, Kind::Residual)?;
        let route = Route {
            used: e.used,
            gating: e.gating,
            normalize: e.normalize,
            factor: e.factor,
            groups: e.groups,
            bias: e.choice_bias,
        };
        let mut resources = Vec::new();
        if e.choice_bias {
            let bias = name("exp_probs_b.bias");
            resources.push(self.tensors.vector(&mut self.tape, bias, e.count)?);
        }
        let routes = record(&mut self.tape, route, &[logits], &resources)?;
        let routed = Routed { layer, kind: "exps", experts: e.count, used: e.used, ffn: e.ffn };
        // All that reads h comes before the first sum: a norm that a product computes as it reads
        // reads the residual stream itself.
        let own = self.gated(routed, e.bias, h, routes)?;
        let Some(shared) = e.shared else { return self.summed(routed, e.bias, [own, routes, x]) };
        if shared.gated {
            // One expert that is always chosen, by its gate's weight.
            let gate = name("ffn_gate_inp_shexp");
            let logit = self.product(h, &gate, 1, false, Kind::Residual)?;
            let route = Route {
                used: 1,
                gating: Gating::Sigmoid,
                normalize: false,
                factor: 1.0,
                groups: (1, 1),
                bias: false,
            };
            let always = record(&mut self.tape, route, &[logit], &[])?;
            let one = Routed { layer, kind: "shexp", experts: 1, used: 1, ffn: shared.ffn };
            let gated = self.gated(one, false, h, always)?;
            let x = self.summed(routed, e.bias, [own, routes, x])?;
            return self.summed(one, false, [gated, always, x]);
        }
        let [gate, up] = ["ffn_gate_shexp", "ffn_up_shexp"].map(name);
        let gate = self.product(h, &gate, shared.ffn, false, Kind::Activation)?;
        let up = self.product(h, &up, shared.ffn, false, Kind::Activation)?;
        let gated = self.glu(gate, up)?;
        let x = self.summed(routed, e.bias, [own, routes, x])?;
        let down = name("ffn_down_shexp");
        let h = self.product(gated, &down, c.hidden_size, false, Kind::Activation)?;
        record(&mut self.tape, Add { factor: c.residual_factor }, &[h, x], &[])
    }

    /// Gate and up projections of each token's experts, as gated units.
    fn gated(&mut self, of: Routed, bias: bool, h: ValueId, routes: ValueId) -> Result<ValueId> {
        let rows = of.experts.saturating_mul(of.ffn);
        let gate = self.of_experts(of, "ffn_gate", [rows, self.c.hidden_size], bias);
        let gate = record(&mut self.tape, of.op(false, bias), &[h, routes], &gate?)?;
        let up = self.of_experts(of, "ffn_up", [rows, self.c.hidden_size], bias)?;
        let up = record(&mut self.tape, of.op(false, bias), &[h, routes], &up)?;
        self.glu(gate, up)
    }

    /// Matrices of all experts one below the other, and their bias.
    fn of_experts(
        &mut self,
        of: Routed,
        tensor: &str,
        [rows, cols]: [usize; 2],
        bias: bool,
    ) -> Result<Vec<ResourceId>> {
        let name = of.name(tensor, "weight");
        let mut resources = vec![self.tensors.matrix(&mut self.tape, name, rows, cols)?];
        if bias {
            let name = of.name(tensor, "bias");
            resources.push(self.tensors.vector(&mut self.tape, name, rows)?);
        }
        Ok(resources)
    }

    /// Down projections of `[h, routes, x]`, summed onto x.
    fn summed(&mut self, of: Routed, bias: bool, inputs: [ValueId; 3]) -> Result<ValueId> {
        let [h, routes, x] = inputs;
        let rows = of.experts.saturating_mul(self.c.hidden_size);
        let down = self.of_experts(of, "ffn_down", [rows, of.ffn], bias)?;
        let sum = record(&mut self.tape, of.op(true, bias), &[h, routes], &down)?;
        record(&mut self.tape, Add { factor: self.c.residual_factor }, &[sum, x], &[])
    }
}

/// Experts of one kind in a layer, whose tensors have `kind` in their names.
#[derive(Clone, Copy)]
struct Routed {
    layer: usize,
    kind: &'static str,
    experts: usize,
    /// Experts per token.
    used: usize,
    /// Numbers of an expert's layer.
    ffn: usize,
}

impl Routed {
    fn name(&self, tensor: &str, end: &str) -> String {
        format!("blk.{}.{tensor}_{}.{end}", self.layer, self.kind)
    }

    fn op(&self, sum: bool, bias: bool) -> Experts {
        Experts { experts: self.experts, used: self.used, sum, bias }
    }
}
