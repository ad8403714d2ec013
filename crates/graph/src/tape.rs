//! The tape: operations in the order of execution, as plain data.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use wisp_base::{Error, Format, Result};

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
    /// Numbers a row.
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

/// Some rows of a tensor of a model file.
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

/// Something that outlives a step.
#[derive(Debug, Clone, PartialEq)]
pub enum Resource {
    /// A matrix.
    Weight(Weight),
    /// Tensors of the file with `len` numbers together, as f32.
    Vector {
        /// Their names in the file, one behind the other.
        tensors: Vec<String>,
        /// Their numbers alternate instead.
        interleave: bool,
        /// Numbers of all.
        len: usize,
    },
    /// Numbers that the model computes once, on the host.
    Table {
        /// For people.
        name: String,
        /// The numbers.
        data: Arc<Vec<f32>>,
    },
    /// Keys and values of a layer: `[page, kv head, slot, head_dim]` each.
    Cache {
        /// The layer.
        layer: usize,
        /// Heads of keys and values.
        kv_heads: usize,
        /// Numbers a head.
        head_dim: usize,
        /// Values are the first numbers of keys; none are kept beside them.
        latent: bool,
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

/// A forward pass.
#[derive(Debug, Clone, Default)]
pub struct Tape {
    values: Vec<Value>,
    /// For a value made in place: the value whose buffer it takes over.
    over: Vec<Option<ValueId>>,
    resources: Vec<Resource>,
    nodes: Vec<Node>,
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
        self.nodes.push(Node { op: Arc::new(op), inputs, resources, output });
        Ok(output)
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

    /// The nodes that read `value`, each with the input's number.
    pub fn consumers(&self, value: ValueId) -> impl Iterator<Item = (&Node, usize)> {
        self.nodes.iter().flat_map(move |node| {
            let inputs = node.inputs.iter().enumerate();
            inputs.filter(move |(_, id)| **id == value).map(move |(at, _)| (node, at))
        })
    }

    /// The first value of the chain of values that share `id`'s buffer.
    pub fn root(&self, mut id: ValueId) -> ValueId {
        while let Some(over) = self.over[id.0] {
            id = over;
        }
        id
    }
}

impl fmt::Display for Tape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, node) in self.nodes.iter().enumerate() {
            write!(f, "{at:4} {:14}", node.op.name())?;
            for id in &node.inputs {
                write!(f, " v{}", id.0)?;
            }
            for id in &node.resources {
                match self.get(*id) {
                    Resource::Weight(w) => {
                        let parts: Vec<_> = w.parts.iter().map(|p| p.tensor.as_str()).collect();
                        let parts = parts.join("+");
                        write!(f, " {parts}[{}, {}] {}", w.rows, w.cols, w.format)?;
                    }
                    Resource::Vector { tensors, len, .. } => {
                        write!(f, " {}[{len}]", tensors.join("+"))?;
                    }
                    Resource::Table { name, data } => write!(f, " {name}[{}]", data.len())?,
                    Resource::Cache { layer, .. } => write!(f, " kv.{layer}")?,
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
