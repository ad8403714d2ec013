//! Lowering: a tape becomes a list of dispatches for one adapter and one token
//! bucket. Plain data; no device is needed.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use wisp_base::{Error, KvType, Result};
use wisp_gpu::{Coop, Kernel, Reduce, Tuning, Variant};

use crate::operation::Cost;
use crate::shards::shards;
use crate::step::Counts;
use crate::tape::{Kind, Node, Resource, ResourceId, Rows, Tape, Value, ValueId, Weight};

/// What is lowered for.
#[derive(Debug, Clone)]
pub struct Target {
    /// How kernels are linked.
    pub variant: Variant,
    /// What the KV cache stores.
    pub kv: KvType,
    /// Kernel parameters.
    pub tuning: Tuning,
    /// Bytes a storage binding at most.
    pub max_binding: u64,
    /// Threads in the smallest subgroup.
    pub subgroup: u32,
    /// Cooperative matrices of the adapter.
    pub coop: Option<Coop>,
    /// Bytes of workgroup memory.
    pub workgroup_memory: u32,
    /// Storage buffers a kernel.
    pub max_bindings: u32,
    /// Columns of the page table.
    pub pages_per_sequence: usize,
}

/// What a plan is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PlanKey {
    /// Most tokens a step.
    pub tokens: usize,
    /// Most rows of logits a step.
    pub outputs: usize,
    /// Every sequence has one token: attention is split over the context.
    pub decode: bool,
    /// Draw tokens, rather than leave the logits as they are.
    pub sample: bool,
}

/// Memory that only the dispatches of one node use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Temp(pub(crate) usize);

/// What a shader variable is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bind {
    /// A value.
    Value(ValueId),
    /// A node's own memory.
    Temp(Temp),
    /// Quants of a shard of a weight.
    Quants(ResourceId, usize),
    /// Scales of a shard of a weight.
    Scales(ResourceId, usize),
    /// What a weight's format looks its numbers up in; most have none.
    WeightTable(ResourceId),
    /// A vector or a table.
    Numbers(ResourceId),
    /// Keys of a cache.
    Keys(ResourceId),
    /// Values of a cache.
    Values(ResourceId),
    /// The step's words.
    Step,
    /// The page table.
    Pages,
    /// Tokens sampled last.
    Sampled,
    /// Token counts, for penalties.
    Counts,
    /// Logit bias.
    Bias,
    /// Sampling settings.
    Settings,
}

type Groups = Arc<dyn Fn(&Counts) -> [u32; 3] + Send + Sync>;
type CostOf = Arc<dyn Fn(&Counts) -> Cost + Send + Sync>;

/// One dispatch of a plan.
#[derive(Clone)]
pub struct Dispatch {
    /// What is run.
    pub kernel: Kernel,
    /// On what, by the names of the shader's variables.
    pub binds: Vec<(&'static str, Bind)>,
    /// How many workgroups; none where one of them is zero.
    pub groups: Groups,
    /// What it moves and computes.
    pub cost: CostOf,
    /// The operation's name.
    pub label: &'static str,
}

impl fmt::Debug for Dispatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} {:?}", self.label, self.kernel, self.binds)
    }
}

/// What a kernel links instead of reading a value: because it is never stored, or because
/// it is found by more than its numbers (pairs of tokens and experts, by expert).
#[derive(Debug, Clone)]
pub struct Prologue {
    /// The file under `shaders/`: of the interface `input`, `tile` or `norm`.
    pub file: &'static str,
    /// What its variables are bound to.
    pub binds: Vec<(&'static str, Bind)>,
    /// Its constants.
    pub constants: Vec<(&'static str, String)>,
}

impl Prologue {
    /// Lets it stand for `interface` in a kernel, and binds what it reads.
    pub fn link(
        &self,
        mut kernel: Kernel,
        interface: &'static str,
        binds: &mut Vec<(&'static str, Bind)>,
    ) -> Kernel {
        kernel.constants.extend(self.constants.iter().cloned());
        binds.extend(&self.binds);
        kernel.link(interface, self.file)
    }
}

/// An operation without a dispatch of its own: what the product before it links as its
/// `output`, in place of storing.
#[derive(Debug, Clone)]
pub struct Tail {
    /// The file under `shaders/output/`.
    pub file: &'static str,
    /// What it imports, and its constants.
    pub kernel: Kernel,
    /// What its variables are bound to, all of which it declares.
    pub binds: Vec<(&'static str, Bind)>,
    /// So many neighbouring results must come from one thread, in order.
    pub together: u32,
}

/// A lowered tape.
#[derive(Debug, Clone, Default)]
pub struct Lowered {
    /// In the order of execution.
    pub dispatches: Vec<Dispatch>,
    /// Bytes of each [`Temp`].
    pub temps: Vec<u64>,
}

/// Lowers a whole tape.
///
/// # Errors
/// Those of an operation.
pub fn lower(tape: &Tape, target: &Target, key: PlanKey) -> Result<Lowered> {
    let mut prologues = HashMap::new();
    let mut tails = HashSet::new();
    let mut lowered = Lowered::default();
    for (index, node) in tape.nodes().iter().enumerate() {
        if tails.contains(&index) {
            continue;
        }
        let mut at = Lower {
            tape,
            target,
            key,
            node,
            prologues: &mut prologues,
            tails: &mut tails,
            before: lowered.dispatches.len(),
            lowered: &mut lowered,
        };
        node.op.gpu(&mut at)?;
    }
    Ok(lowered)
}

/// What an operation sees while it is lowered.
#[derive(Debug)]
pub struct Lower<'a> {
    tape: &'a Tape,
    /// What is lowered for.
    pub target: &'a Target,
    /// Bucket and mode.
    pub key: PlanKey,
    node: &'a Node,
    prologues: &'a mut HashMap<ValueId, Prologue>,
    /// Nodes that the product before them does.
    tails: &'a mut HashSet<usize>,
    /// Dispatches of the nodes before.
    before: usize,
    lowered: &'a mut Lowered,
}

impl<'a> Lower<'a> {
    /// Facts of input `at`.
    pub fn input(&self, at: usize) -> &'a Value {
        self.tape.value(self.node.inputs[at])
    }

    /// How many inputs the node has.
    pub fn inputs(&self) -> usize {
        self.node.inputs.len()
    }

    /// Facts of the output.
    pub fn output(&self) -> Result<&'a Value> {
        Ok(self.tape.value(self.output_id()?))
    }

    fn output_id(&self) -> Result<ValueId> {
        let name = self.node.op.name();
        self.node.output.ok_or_else(|| Error::input(format!("{name} makes no value")))
    }

    /// How many resources the node has.
    pub fn resource_count(&self) -> usize {
        self.node.resources.len()
    }

    /// Facts of resource `at`.
    pub fn resource(&self, at: usize) -> &'a Resource {
        self.tape.get(self.node.resources[at])
    }

    /// Resource `at`, a weight.
    ///
    /// # Errors
    /// It is none.
    pub fn weight(&self, at: usize) -> Result<&'a Weight> {
        match self.resource(at) {
            Resource::Weight(weight) => Ok(weight),
            other => Err(Error::input(format!("{other:?} is no weight"))),
        }
    }

    /// The bind of input `at`.
    pub fn bind_input(&self, at: usize) -> Bind {
        Bind::Value(self.node.inputs[at])
    }

    /// The bind of the output.
    pub fn bind_output(&self) -> Result<Bind> {
        Ok(Bind::Value(self.output_id()?))
    }

    /// The id of resource `at`, for a bind.
    pub fn id(&self, at: usize) -> ResourceId {
        self.node.resources[at]
    }

    /// Shards of a weight on this adapter.
    pub fn shards(&self, weight: &Weight) -> Vec<std::ops::Range<usize>> {
        shards(weight, self.target.max_binding)
    }

    /// Most rows of values of this plan.
    pub fn rows(&self, rows: Rows) -> usize {
        match rows {
            Rows::Tokens => self.key.tokens,
            Rows::Outputs => self.key.outputs,
        }
    }

    /// Memory for the dispatches of this node (and, by a prologue, the next one's).
    pub fn temp(&mut self, bytes: u64) -> Temp {
        self.lowered.temps.push(bytes);
        Temp(self.lowered.temps.len() - 1)
    }

    /// Whether the output may be handed on as a prologue: a step has one token
    /// and every consumer takes it so.
    pub fn may_defer(&self) -> bool {
        self.key.tokens == 1 && self.is_taken()
    }

    /// Whether all that read the output take it as a prologue.
    pub fn is_taken(&self) -> bool {
        let Some(output) = self.node.output else { return false };
        self.tape.consumers(output).next().is_some()
            && self.tape.consumers(output).all(|(node, at)| node.op.takes_prologue(at))
    }

    /// Hands the output on as a prologue.
    ///
    /// # Errors
    /// The node makes no value.
    pub fn defer(&mut self, prologue: Prologue) -> Result<()> {
        let id = self.output_id()?;
        self.prologues.insert(id, prologue);
        Ok(())
    }

    /// How input `at` comes, if not as a stored value.
    pub fn prologue(&self, at: usize) -> Option<&Prologue> {
        self.prologues.get(&self.node.inputs[at])
    }

    /// The operation behind, if it alone takes the output and the product can do it, which
    /// `fits` tells. It will not be lowered then.
    pub fn tail(&mut self, fits: impl FnOnce(&Tail) -> bool) -> Option<Tail> {
        let output = self.node.output?;
        let mut consumers = self.tape.consumers(output);
        let (Some((node, 0)), None) = (consumers.next(), consumers.next()) else { return None };
        let at = self.tape.nodes().iter().position(|other| std::ptr::eq(other, node))?;
        let own = std::mem::replace(&mut self.node, node);
        let tail = node.op.tail(self).filter(fits);
        self.node = own;
        self.tails.extend(tail.is_some().then_some(at));
        tail
    }

    /// A kernel with what every kernel may link: `scalar`, `reduce`, `kv`.
    pub fn kernel(&self, name: &'static str) -> Kernel {
        Kernel::new(name)
            .link("scalar", self.target.variant.scalar_file())
            .link("reduce", self.target.variant.reduce_file())
            .link("kv", format!("kv/{}", self.target.kv.name()))
    }

    /// Threads that may share a row: subgroup shuffles reach no further than a subgroup.
    pub fn lanes(&self, wanted: u32) -> u32 {
        match self.target.variant.reduce {
            Reduce::Subgroup => wanted.min(self.target.subgroup.max(1)),
            Reduce::Workgroup => wanted,
        }
    }

    /// Cooperative matrices to multiply with.
    pub fn coop(&self) -> Option<Coop> {
        Coop::used(self.target.coop, self.target.variant, &self.target.tuning)
    }

    /// Bytes that `numbers` numbers of a value of this kind take.
    pub fn bytes(&self, kind: Kind, numbers: usize) -> u64 {
        value_bytes(self.target, kind, numbers)
    }

    /// Whether the node has added a dispatch.
    pub fn has_dispatches(&self) -> bool {
        self.lowered.dispatches.len() > self.before
    }

    /// Adds a dispatch.
    pub fn dispatch(
        &mut self,
        kernel: Kernel,
        binds: Vec<(&'static str, Bind)>,
        groups: impl Fn(&Counts) -> [u32; 3] + Send + Sync + 'static,
        cost: impl Fn(&Counts) -> Cost + Send + Sync + 'static,
    ) {
        let label = self.node.op.name();
        let (groups, cost) = (Arc::new(groups), Arc::new(cost));
        self.lowered.dispatches.push(Dispatch { kernel, binds, groups, cost, label });
    }
}

pub(crate) fn value_bytes(target: &Target, kind: Kind, numbers: usize) -> u64 {
    let each = match kind {
        Kind::Activation => target.variant.scalar.bytes(),
        Kind::Residual | Kind::Logits => 4,
    };
    numbers as u64 * each as u64
}
