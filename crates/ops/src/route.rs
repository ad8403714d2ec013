//! Which experts a token goes to (Shazeer et al. 2017): the `used` of most weight, as
//! pairs (number, weight).

use wisp_base::{Error, Result};
use wisp_graph::{Bind, Cost, CpuNode, Kind, Lower, Operation, Resource, Rows, Tape, Value};

use crate::check::{self, Case};
use crate::{expect_len, nth, record};

/// How logits become probabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gating {
    /// Of all experts together.
    Softmax,
    /// Of each alone (DeepSeek-V3).
    Sigmoid,
}

/// Input: logits in f32 `[tokens, experts]`; output in f32 `[tokens, 2·used]`.
/// Resource, with `bias`: what is added to probabilities to choose by, and only there.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// Experts that a token goes to.
    pub used: usize,
    /// How logits become probabilities.
    pub gating: Gating,
    /// A token's weights sum to 1 before `factor`.
    pub normalize: bool,
    /// Multiplies weights.
    pub factor: f32,
    /// Groups of experts, and how many of them are looked at; (1, 1): all.
    pub groups: (usize, usize),
    /// Resource 0 is a bias.
    pub bias: bool,
}

impl Operation for Route {
    fn name(&self) -> &'static str {
        "route"
    }

    fn infer(&self, inputs: &[&Value], resources: &[&Resource]) -> Result<Option<Value>> {
        let x = nth(inputs, 0)?;
        let (groups, groups_used) = self.groups;
        if self.used == 0
            || self.used > x.cols
            || groups == 0
            || !x.cols.is_multiple_of(groups)
            || groups_used == 0
            || groups_used > groups
            || x.cols / groups * groups_used < self.used
        {
            return Err(Error::input(format!(
                "{} of {} experts in {groups} groups, of which {groups_used} are used, cannot be \
                 chosen: the file is damaged",
                self.used, x.cols
            )));
        }
        if self.bias {
            expect_len(resources, 0, x.cols)?;
        }
        Ok(Some(Value { name: "routes".into(), cols: 2 * self.used, ..x.clone() }))
    }

    fn cpu(&self, node: &mut CpuNode<'_>) -> Result<Vec<f32>> {
        let experts = node.value(0)?.cols;
        let mut routes = Vec::new();
        for logits in node.input(0)?.chunks_exact(experts) {
            let logits: Vec<f64> = logits.iter().map(|x| f64::from(*x)).collect();
            let top = logits.iter().copied().fold(f64::MIN, f64::max);
            let total: f64 = logits.iter().map(|x| (x - top).exp()).sum();
            let probability = |x: &f64| match self.gating {
                Gating::Softmax => (x - top).exp() / total,
                Gating::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            };
            let probabilities: Vec<f64> = logits.iter().map(probability).collect();
            let mut scores = probabilities.clone();
            if self.bias {
                scores.iter_mut().zip(node.numbers(0)?).for_each(|(s, b)| *s += f64::from(*b));
            }
            self.mask_groups(&mut scores);
            let mut order: Vec<usize> = (0..experts).collect();
            order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b)));
            order.truncate(self.used);
            let sum: f64 = order.iter().map(|e| probabilities[*e]).sum();
            let divisor = if self.normalize { sum.max(1e-20) } else { 1.0 };
            for expert in order {
                let weight = probabilities[expert] / divisor * f64::from(self.factor);
                routes.extend([expert as f32, weight as f32]);
            }
        }
        Ok(routes)
    }

    fn gpu(&self, lower: &mut Lower<'_>) -> Result<()> {
        let experts = lower.input(0).cols as u64;
        let (groups, groups_used) = self.groups;
        let mut kernel = lower
            .kernel("route")
            .link("bias", if self.bias { "bias/vector" } else { "bias/none" })
            .set("THREADS", lower.target.tuning.reduce_threads)
            .set("EXPERTS", experts)
            .set("USED", self.used as u64)
            .set("GROUPS", groups as u64)
            .set("GROUPS_USED", groups_used as u64)
            .set_bool("SIGMOID", self.gating == Gating::Sigmoid)
            .set_bool("NORMALIZE", self.normalize)
            .set_f32("FACTOR", self.factor)
            .set("X_STRIDE", lower.input(0).stride() as u64)
            .set("Y_STRIDE", lower.output()?.stride() as u64);
        let mut binds = vec![("x", lower.bind_input(0)), ("y", lower.bind_output()?)];
        if self.bias {
            kernel = kernel.set("BIAS_ROWS", experts);
            binds.push(("row_bias", Bind::Numbers(lower.id(0))));
        }
        lower.dispatch(
            kernel,
            binds,
            |c| [c.tokens, 1, 1],
            move |c| {
                let tokens = u64::from(c.tokens);
                Cost { bytes: 4 * experts * tokens, flops: 8 * experts * tokens }
            },
        );
        Ok(())
    }
}

impl Route {
    /// Leaves the scores of the best groups: by their best two with sigmoid, their best
    /// with softmax.
    fn mask_groups(&self, scores: &mut [f64]) {
        let (groups, used) = self.groups;
        let each = scores.len() / groups;
        let best = match self.gating {
            Gating::Softmax => 1,
            Gating::Sigmoid => 2,
        };
        let group_scores: Vec<f64> = scores
            .chunks_exact(each)
            .map(|group| {
                let mut sorted = group.to_vec();
                sorted.sort_by(|a, b| b.total_cmp(a));
                sorted.iter().take(best).sum()
            })
            .collect();
        let mut order: Vec<usize> = (0..groups).collect();
        order.sort_by(|a, b| group_scores[*b].total_cmp(&group_scores[*a]).then(a.cmp(b)));
        for group in &order[used..] {
            scores[group * each..(group + 1) * each].fill(f64::MIN);
        }
    }
}

/// Softmax and sigmoid, with groups and a bias.
pub(crate) fn cases() -> Result<Vec<Case>> {
    let plain = Route {
        used: 2,
        gating: Gating::Softmax,
        normalize: true,
        factor: 1.0,
        groups: (1, 1),
        bias: false,
    };
    let groups = Route {
        used: 3,
        gating: Gating::Sigmoid,
        factor: 1.5,
        groups: (4, 2),
        bias: true,
        ..plain.clone()
    };
    let one = Route { used: 1, gating: Gating::Sigmoid, normalize: false, ..plain.clone() };
    let mut cases = Vec::new();
    for (op, experts) in [(plain, 77), (groups, 12), (one, 1)] {
        let mut tape = Tape::new();
        let value = Value {
            name: "router".into(),
            rows: Rows::Tokens,
            cols: experts,
            kind: Kind::Residual,
        };
        let x = tape.input(value);
        let mut resources = Vec::new();
        if op.bias {
            resources.push(tape.resource(check::vector("bias", experts)));
        }
        let name = format!("route {} of {experts} by {:?}", op.used, op.gating);
        let y = record(&mut tape, op, &[x], &resources)?;
        let step = check::step(&[(0, 0), (0, 1), (1, 7), (2, 2), (2, 3)], &[]);
        cases.push(Case { inputs: vec![x], compare: vec![y], ..Case::new(name, tape, step) });
    }
    Ok(cases)
}
