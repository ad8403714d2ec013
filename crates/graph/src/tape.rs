//! The tape: operations in the order of execution, as plain data.

use std::any::Any;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use wisp_base::{Error, Format, Result};

use crate::fused::Fused;
use crate::operation::Operation;

/// A value on a tape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(pub(crate) usize);

/// A resource on a tape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResourceId(pub(crate) usize);

impl ValueId {
    /// Its place in the order of recording.
    pub fn index(self) -> usize {
        self.0
    }
}

impl ResourceId {
    /// Its place in [`Tape::resources`].
    pub fn index(self) -> usize {
        self.0
    }
}

/// What the rows of a value stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// One row a token of the step.
    Tokens,
    /// One row a token whose logits are asked for.
    Outputs,
}

/// How the numbers of a value are stored on the GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The residual stream: f32 always, since it grows beyond f16 in some models.
    Residual,
    /// f16 or f32, as the variant has it.
    Activation,
    /// f32.
    Logits,
}

/// Something an operation makes: `[rows, cols]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Value {
    /// Which operation made it, and where.
    pub name: String,
    /// What its rows stand for.
    pub rows: Rows,
    /// Numbers per row.
    pub cols: usize,
    /// How they are stored.
    pub kind: Kind,
}

impl Value {
    /// Numbers from one row to the next on the GPU; the padding holds anything.
    pub fn stride(&self) -> usize {
        self.cols.next_multiple_of(8)
    }
}

/// Some rows of a tensor of a model file; numbers of it, where it has one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The tensor's name in the file.
    pub tensor: String,
    /// Which of its rows.
    pub rows: Range<usize>,
}

/// A matrix of a model file, or several of the same format and width as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weight {
    /// Rows of the file's tensors, one below the other.
    pub parts: Vec<Part>,
    /// Rows alternate between the two parts instead: 0 of the first, 0 of the
    /// second, 1 of the first …
    pub interleave: bool,
    /// How they are stored.
    pub format: Format,
    /// Rows of all parts together.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
}

/// Vectors of a model file as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vector {
    /// Numbers of the file's tensors, one behind the other.
    pub parts: Vec<Part>,
    /// Numbers alternate between the two parts instead.
    pub interleave: bool,
    /// Numbers of all parts together.
    pub len: usize,
}

impl Vector {
    /// All `len` numbers of a tensor.
    pub fn all(tensor: impl Into<String>, len: usize) -> Self {
        let parts = vec![Part { tensor: tensor.into(), rows: 0..len }];
        Self { parts, interleave: false, len }
    }
}

/// Something that outlives a step.
#[derive(Debug, Clone, PartialEq)]
pub enum Resource {
    /// A matrix.
    Weight(Weight),
    /// Numbers of tensors of the file, as f32.
    Vector(Vector),
    /// Numbers that the model computes once, on the host.
    Table {
        /// For people.
        name: String,
        /// The numbers.
        data: Arc<Vec<f32>>,
    },
    /// Keys and values of a layer, in pages: `[page, kv head, position, head_dim]` each.
    Paged {
        /// The layer.
        layer: usize,
        /// Heads of keys and values.
        kv_heads: usize,
        /// Numbers per head.
        head_dim: usize,
        /// Values are the first numbers of keys; none are kept beside them.
        latent: bool,
    },
    /// What a sequence carries from token to token, of a fixed size: f32, `[slot, len]`. The
    /// slot is [`crate::StepToken::sequence`]; at position 0 it counts as zeros, whatever it
    /// holds.
    Slots {
        /// The layer.
        layer: usize,
        /// What it is, for people.
        name: &'static str,
        /// Numbers per slot.
        len: usize,
    },
}

/// One operation of a tape.
#[derive(Debug, Clone)]
pub struct Node {
    /// What is done.
    pub op: Arc<dyn Operation>,
    /// With which values.
    pub inputs: Vec<ValueId>,
    /// With which resources.
    pub resources: Vec<ResourceId>,
    /// What it makes.
    pub output: Option<ValueId>,
}

impl Node {
    /// Its operation, if it is a `T`.
    pub fn is<T: Operation>(&self) -> Option<&T> {
        let op: &dyn Any = &*self.op;
        op.downcast_ref()
    }
}

/// A forward pass.
#[derive(Debug, Clone, Default)]
pub struct Tape {
    values: Vec<Value>,
    /// For a value made in place: the value whose buffer it takes over.
    over: Vec<Option<ValueId>>,
    resources: Vec<Resource>,
    nodes: Vec<Node>,
    /// Values that are read from outside.
    kept: Vec<ValueId>,
}

impl Tape {
    /// An empty tape.
    pub fn new() -> Self {
        Self::default()
    }

    /// A value that comes from outside; for tests of single operations.
    pub fn input(&mut self, value: Value) -> ValueId {
        self.values.push(value);
        self.over.push(None);
        ValueId(self.values.len() - 1)
    }

    /// Declares a resource; equal ones are one.
    pub fn resource(&mut self, resource: Resource) -> ResourceId {
        let at = self.resources.iter().position(|r| *r == resource).unwrap_or_else(|| {
            self.resources.push(resource);
            self.resources.len() - 1
        });
        ResourceId(at)
    }

    /// Records an operation and gives the value it makes.
    ///
    /// # Errors
    /// Inputs or resources that the operation does not fit.
    pub fn push(
        &mut self,
        op: impl Operation + 'static,
        inputs: &[ValueId],
        resources: &[ResourceId],
    ) -> Result<Option<ValueId>> {
        let node = self.node(op, inputs, resources)?;
        let output = node.output;
        self.nodes.push(node);
        Ok(output)
    }

    /// An operation that is not on the tape yet, with the value that it makes.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub fn node(
        &mut self,
        op: impl Operation + 'static,
        inputs: &[ValueId],
        resources: &[ResourceId],
    ) -> Result<Node> {
        let output = {
            let inputs: Vec<_> = inputs.iter().map(|i| self.value(*i)).collect();
            let resources: Vec<_> = resources.iter().map(|r| self.get(*r)).collect();
            op.infer(&inputs, &resources)
                // Names of operations say nothing to whoever gave the file.
                .map_err(|e| {
                    Error::input(format!("the model's sizes cannot be computed with: {e}"))
                })?
        };
        let output = output.map(|value| {
            self.values.push(value);
            self.over.push(op.in_place().and_then(|at| inputs.get(at).copied()));
            ValueId(self.values.len() - 1)
        });
        let (inputs, resources) = (inputs.to_vec(), resources.to_vec());
        Ok(Node { op: Arc::new(op), inputs, resources, output })
    }

    /// Lets `value` be there after a step: somebody outside reads it.
    pub fn keep(&mut self, value: ValueId) {
        if !self.kept.contains(&value) {
            self.kept.push(value);
        }
    }

    /// Whether it is read from outside.
    pub fn is_kept(&self, value: ValueId) -> bool {
        self.kept.contains(&value)
    }

    /// A value's facts.
    pub fn value(&self, id: ValueId) -> &Value {
        &self.values[id.0]
    }

    /// A resource's facts.
    pub fn get(&self, id: ResourceId) -> &Resource {
        &self.resources[id.0]
    }

    /// Every resource, in order of [`ResourceId`].
    pub fn resources(&self) -> &[Resource] {
        &self.resources
    }

    /// The id of resource number `index`.
    pub fn id(&self, index: usize) -> ResourceId {
        ResourceId(index)
    }

    /// Every operation, in order.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The nodes that read `value` (their places), each with the input's number.
    pub fn readers(&self, value: ValueId) -> impl Iterator<Item = (usize, usize)> {
        self.nodes.iter().enumerate().flat_map(move |(node, Node { inputs, .. })| {
            let inputs = inputs.iter().enumerate();
            inputs.filter(move |(_, id)| **id == value).map(move |(at, _)| (node, at))
        })
    }

    /// The one node that reads `value`, which nobody else does.
    pub fn only_reader(&self, value: ValueId) -> Option<(usize, usize)> {
        let mut readers = self.readers(value);
        let first = readers.next()?;
        (readers.next().is_none() && !self.is_kept(value)).then_some(first)
    }

    /// The node that makes `value`.
    pub fn maker(&self, value: ValueId) -> Option<usize> {
        self.nodes.iter().position(|node| node.output == Some(value))
    }

    /// The value whose buffer `id` takes over, where it is made in place.
    pub fn over(&self, id: ValueId) -> Option<ValueId> {
        self.over[id.0]
    }

    /// The first value of the chain of values that share `id`'s buffer.
    pub fn root(&self, mut id: ValueId) -> ValueId {
        while let Some(over) = self.over[id.0] {
            id = over;
        }
        id
    }

    /// The root of each value.
    pub(crate) fn roots(&self) -> Vec<ValueId> {
        (0..self.values.len()).map(|at| self.root(ValueId(at))).collect()
    }

    /// Lets `value` take over the buffer of `over`.
    pub(crate) fn set_over(&mut self, value: ValueId, over: ValueId) {
        self.over[value.0] = Some(over);
    }

    /// Puts `new` where the last of the nodes `old` is, in place of all of them. What `old` made
    /// and `new` does not must not be read by others.
    pub fn replace(&mut self, old: &[usize], new: Vec<Node>) {
        let last = old.iter().copied().max().unwrap_or(self.nodes.len());
        let mut new = Some(new);
        let nodes = std::mem::take(&mut self.nodes);
        for (at, node) in nodes.into_iter().enumerate() {
            if at == last {
                self.nodes.extend(new.take().into_iter().flatten());
            }
            if !old.contains(&at) {
                self.nodes.push(node);
            }
        }
        self.nodes.extend(new.into_iter().flatten());
    }

    /// Lets the node's value be `value`, which a node that it replaces made.
    pub fn stand_for(&mut self, mut node: Node, value: ValueId) -> Node {
        if let Some(own) = node.output.replace(value) {
            self.values[value.0].kind = self.values[own.0].kind;
            self.over[value.0] = self.over[own.0];
        }
        node
    }

    /// Forgets resources that no node has.
    pub(crate) fn drop_unused(&mut self) {
        let mut used = vec![false; self.resources.len()];
        self.nodes.iter().flat_map(|node| &node.resources).for_each(|id| used[id.0] = true);
        let mut left = used.iter().scan(0, |next, used| {
            *next += usize::from(*used);
            Some(*next)
        });
        let renumbered: Vec<usize> = left.by_ref().map(|count| count.saturating_sub(1)).collect();
        for id in self.nodes.iter_mut().flat_map(|node| &mut node.resources) {
            id.0 = renumbered[id.0];
        }
        let mut used = used.into_iter();
        self.resources.retain(|_| used.next().unwrap_or(true));
    }
}

fn names(parts: &[Part]) -> String {
    let names: Vec<_> = parts.iter().map(|part| part.tensor.as_str()).collect();
    names.join("+")
}

impl fmt::Display for Tape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, node) in self.nodes.iter().enumerate() {
            match node.is::<Fused>() {
                Some(fused) => write!(f, "{at:4} {fused:14}")?,
                None => write!(f, "{at:4} {:14}", node.op.name())?,
            }
            for id in &node.inputs {
                write!(f, " v{}", id.0)?;
            }
            for id in &node.resources {
                match self.get(*id) {
                    Resource::Weight(w) => {
                        let parts = names(&w.parts);
                        write!(f, " {parts}[{}, {}] {}", w.rows, w.cols, w.format)?;
                    }
                    Resource::Vector(v) => write!(f, " {}[{}]", names(&v.parts), v.len)?,
                    Resource::Table { name, data } => write!(f, " {name}[{}]", data.len())?,
                    Resource::Paged { layer, .. } => write!(f, " kv.{layer}")?,
                    Resource::Slots { layer, name, len } => {
                        write!(f, " {name}.{layer}[slots, {len}]")?;
                    }
                }
            }
            if let Some(id) = node.output {
                let value = self.value(id);
                let rows = if value.rows == Rows::Tokens { "tokens" } else { "outputs" };
                write!(f, " -> v{}[{rows}, {}]", id.0, value.cols)?;
                if let Some(over) = self.over[id.0] {
                    write!(f, " over v{}", over.0)?;
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
