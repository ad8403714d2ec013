//! A product that computes what is before it where it reads, and does what is behind it with
//! its results, so that these are never stored.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use wisp_base::{Error, Result};

use crate::cpu::CpuNode;
use crate::lower::Lower;
use crate::operation::Operation;
use crate::tape::{Node, Resource, ResourceId, Value, ValueId};

/// Operations in order, as one. Its definition is that they run one after the other.
#[derive(Debug, Clone)]
pub struct Fused {
    parts: Vec<Part>,
    /// Which of them links the others.
    product: usize,
}

#[derive(Debug, Clone)]
struct Part {
    op: Arc<dyn Operation>,
    inputs: Vec<ValueId>,
    /// Among those of the whole.
    resources: Range<usize>,
    output: Option<ValueId>,
}

impl Fused {
    /// `nodes` as one, of which number `product` links the others: the one before it and the one
    /// behind it.
    pub(crate) fn node(nodes: &[&Node], product: usize) -> Node {
        let mut fused = Self { parts: Vec::new(), product: 0 };
        let (mut inputs, mut resources): (Vec<ValueId>, Vec<ResourceId>) = Default::default();
        for (at, node) in nodes.iter().enumerate() {
            // A node may be several already.
            let (parts, main) = match node.is::<Self>() {
                Some(fused) => (fused.parts.clone(), fused.product),
                None => (vec![Part::of(node)], 0),
            };
            if at == product {
                fused.product = fused.parts.len() + main;
            }
            for mut part in parts {
                for id in &part.inputs {
                    let own = fused.parts.iter().any(|before| before.output == Some(*id));
                    if !own && !inputs.contains(id) {
                        inputs.push(*id);
                    }
                }
                let first = resources.len();
                resources.extend(&node.resources[part.resources.clone()]);
                part.resources = first..resources.len();
                fused.parts.push(part);
            }
        }
        let output = nodes.last().and_then(|node| node.output);
        Node { op: Arc::new(fused), inputs, resources, output }
    }

    fn part(&self, at: usize, resources: &[ResourceId]) -> Node {
        let part = &self.parts[at];
        Node {
            op: part.op.clone(),
            inputs: part.inputs.clone(),
            resources: resources[part.resources.clone()].to_vec(),
            output: part.output,
        }
    }

    /// How often its parts read `value`.
    pub(crate) fn reads(&self, value: ValueId) -> usize {
        self.parts.iter().flat_map(|part| &part.inputs).filter(|id| **id == value).count()
    }

    /// The node of the product.
    pub(crate) fn product(&self, whole: &Node) -> Node {
        self.part(self.product, &whole.resources)
    }

    /// The node that is its output, if there is one.
    pub(crate) fn output(&self, whole: &Node) -> Option<Node> {
        (self.product + 1 < self.parts.len()).then(|| self.part(self.product + 1, &whole.resources))
    }
}

impl Part {
    fn of(node: &Node) -> Self {
        Self {
            op: node.op.clone(),
            inputs: node.inputs.clone(),
            resources: 0..node.resources.len(),
            output: node.output,
        }
    }
}

impl Operation for Fused {
    fn name(&self) -> &'static str {
        let product = self.parts[self.product].op.name();
        match self.parts.get(self.product + 1) {
            Some(output) => output.op.behind(product),
            None => product,
        }
    }

    /// It is made of nodes that have been checked.
    fn infer(&self, _: &[&Value], _: &[&Resource]) -> Result<Option<Value>> {
        Err(Error::input("fused operations are not recorded, but made"))
    }

    fn cpu(&self, node: &mut CpuNode<'_>) -> Result<Vec<f32>> {
        let mut own: Vec<(ValueId, Vec<f32>)> = Vec::new();
        let mut last = Vec::new();
        for at in 0..self.parts.len() {
            let part = self.part(at, node.resources());
            last = node.run(&part, &own)?;
            if let (Some(id), true) = (part.output, at + 1 < self.parts.len()) {
                own.push((id, std::mem::take(&mut last)));
            }
        }
        Ok(last)
    }

    fn gpu(&self, lower: &mut Lower<'_>) -> Result<()> {
        let name = self.name();
        let missing = || Error::input(format!("{name} cannot be computed as one"));
        let resources = lower.resources().to_vec();
        let input = match self.product.checked_sub(1) {
            Some(at) => {
                let part = self.part(at, &resources);
                let link = part.op.as_input(&mut lower.at(&part, part.op.name()))?;
                Some(link.ok_or_else(missing)?)
            }
            None => None,
        };
        let output = match self.product + 1 < self.parts.len() {
            true => {
                let part = self.part(self.product + 1, &resources);
                let link = part.op.as_output(&lower.at(&part, name))?;
                Some(link.ok_or_else(missing)?)
            }
            false => None,
        };
        let product = self.part(self.product, &resources);
        let mut at = lower.at(&product, name);
        at.links = [input.as_ref(), output.as_ref()];
        product.op.gpu(&mut at)
    }
}

impl fmt::Display for Fused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.parts.iter().map(|part| part.op.name()).collect();
        f.pad(&names.join(" + "))
    }
}
