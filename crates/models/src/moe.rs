//! Mixture of experts (Shazeer et al. 2017) in place of a feed-forward layer.

use wisp_base::Result;
use wisp_graph::ValueId;
use wisp_ops::{Epilogue, Experts, ExpertsInto, Gating, Linear, Route, record};

use crate::decoder::Block;
use crate::keys::Keys;
use crate::tensors::{Pair, Rows};

/// The tensor that chooses a layer's experts: a layer without it is dense.
pub(crate) fn router(layer: usize) -> String {
    format!("blk.{layer}.ffn_gate_inp.weight")
}

/// How a model's experts are chosen and built.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExpertsConfig {
    /// Experts a layer.
    pub count: usize,
    /// Experts that a token goes to.
    pub used: usize,
    /// Numbers of an expert's layer.
    pub ffn: usize,
    /// How router logits become probabilities.
    pub gating: Gating,
    /// A token's weights sum to 1.
    pub normalize: bool,
    /// Multiplies weights.
    pub factor: f32,
    /// Groups of experts, and how many of them are looked at.
    pub groups: (usize, usize),
    /// Experts are chosen with a bias on their probability.
    pub choice_bias: bool,
    /// The router and the experts have biases.
    pub bias: bool,
    /// Numbers of the expert that every token goes to, if there is one.
    pub shared: Option<Shared>,
}

/// The expert that every token goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shared {
    /// Numbers of its layer.
    pub ffn: usize,
    /// It has a gate of its own: the sigmoid of a product with x.
    pub gated: bool,
}

impl ExpertsConfig {
    /// The common keys: softmax over all experts, `normalize` or not where the file does not
    /// say.
    pub(crate) fn read(keys: &Keys<'_>, normalize: bool) -> Result<Self> {
        let ffn = keys.opt_size("expert_feed_forward_length")?;
        Ok(Self {
            count: keys.size("expert_count")?,
            used: keys.size("expert_used_count")?,
            ffn: ffn.map_or_else(|| keys.size("feed_forward_length"), Ok)?,
            gating: Gating::Softmax,
            normalize: keys.opt_flag("expert_weights_norm")?.unwrap_or(normalize),
            factor: 1.0,
            groups: (1, 1),
            choice_bias: false,
            bias: false,
            shared: None,
        })
    }
}

impl Block<'_> {
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
        let router = [("ffn_gate_inp", e.count)];
        let logits = self.product(layer, Epilogue::Wide, &[h], &router, c.width, e.bias)?;
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
        // All that reads h comes before the first sum: a norm that is a prologue reads the
        // residual stream itself.
        let own = self.gated(routed, e.bias, h, routes)?;
        let Some(shared) = e.shared else { return self.summed(routed, e.bias, [own, routes, x]) };
        if shared.gated {
            // One expert that is always chosen, by its gate's weight.
            let gate = [("ffn_gate_inp_shexp", 1)];
            let logit = self.product(layer, Epilogue::Wide, &[h], &gate, c.width, false)?;
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
        let rows = [name("ffn_gate_shexp.weight"), name("ffn_up_shexp.weight")];
        let rows = rows.map(|tensor| Rows::all(tensor, shared.ffn));
        let gated = self.gated_unit(rows, None, shared.ffn, h)?;
        let x = self.summed(routed, e.bias, [own, routes, x])?;
        let epilogue = Epilogue::Add { factor: c.residual_factor };
        let down = name("ffn_down_shexp.weight");
        let w = self.tensors.matrix(&mut self.tape, down, c.width, shared.ffn)?;
        record(&mut self.tape, Linear { epilogue, bias: false }, &[gated, x], &[w])
    }

    /// Gate and up projections of each token's experts, as one gated unit.
    fn gated(&mut self, of: Routed, bias: bool, h: ValueId, routes: ValueId) -> Result<ValueId> {
        let c = self.c;
        let all = of.experts.saturating_mul(of.ffn);
        let names = |end| [of.name("ffn_gate", end), of.name("ffn_up", end)];
        let parts = names("weight").map(|tensor| Rows::all(tensor, all));
        match self.tensors.pair(&mut self.tape, parts, c.width)? {
            Pair::Alternating(w) => {
                let mut resources = vec![w];
                if bias {
                    let names = names("bias");
                    resources.push(self.tensors.interleaved_vectors(&mut self.tape, names, all)?);
                }
                let op = of.op(ExpertsInto::Gated(c.activation), bias);
                record(&mut self.tape, op, &[h, routes], &resources)
            }
            Pair::Apart([gate, up]) => {
                let (mut gate, mut up) = (vec![gate], vec![up]);
                if bias {
                    let [of_gate, of_up] = names("bias");
                    gate.push(self.tensors.vector(&mut self.tape, of_gate, all)?);
                    up.push(self.tensors.vector(&mut self.tape, of_up, all)?);
                }
                let up = record(&mut self.tape, of.op(ExpertsInto::Wide, bias), &[h, routes], &up)?;
                let op = of.op(ExpertsInto::Gate(c.activation), bias);
                record(&mut self.tape, op, &[h, routes, up], &gate)
            }
        }
    }

    /// Down projections of `[h, routes, x]`, summed onto x.
    fn summed(&mut self, of: Routed, bias: bool, inputs: [ValueId; 3]) -> Result<ValueId> {
        let c = self.c;
        let rows = of.experts.saturating_mul(c.width);
        let down = of.name("ffn_down", "weight");
        let mut resources = vec![self.tensors.matrix(&mut self.tape, down, rows, of.ffn)?];
        if bias {
            let bias = of.name("ffn_down", "bias");
            resources.push(self.tensors.vectors(&mut self.tape, &[(bias, rows)])?);
        }
        let op = of.op(ExpertsInto::Sum { factor: c.residual_factor }, bias);
        record(&mut self.tape, op, &inputs, &resources)
    }
}

/// Experts of one kind in a layer, whose tensors have `kind` in their names.
#[derive(Clone, Copy)]
struct Routed {
    layer: usize,
    kind: &'static str,
    experts: usize,
    /// Experts a token.
    used: usize,
    /// Numbers of an expert's layer.
    ffn: usize,
}

impl Routed {
    fn name(&self, tensor: &str, end: &str) -> String {
        format!("blk.{}.{tensor}_{}.{end}", self.layer, self.kind)
    }

    fn op(&self, into: ExpertsInto, bias: bool) -> Experts {
        Experts { experts: self.experts, used: self.used, into, bias }
    }
}
