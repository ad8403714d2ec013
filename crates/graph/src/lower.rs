//! Lowering: a tape becomes a list of dispatches for one adapter and one token
//! bucket. Plain data; no device is needed.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use wisp_base::{Error, KvType, Result};
use wisp_gpu::{AdapterFacts, Coop, Kernel, Reduce, Scalar, Tuning, Variant};

use crate::fuse::link;
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
    /// Storage buffers per kernel.
    pub max_bindings: u32,
    /// Columns of the page table.
    pub pages_per_sequence: usize,
    /// Products take in what is before and behind them; without it each operation runs alone.
    pub links: bool,
}

impl Target {
    /// An adapter, without room for any sequence. The KV cache is as [`default_kv`] says.
    pub fn of(facts: &AdapterFacts, variant: Variant, tuning: Tuning) -> Self {
        Self {
            max_binding: facts.max_binding.min(facts.max_buffer),
            subgroup: facts.subgroup_size.0,
            coop: facts.caps.coop,
            workgroup_memory: facts.max_workgroup_memory,
            max_bindings: facts.max_bindings,
            ..Self::least(variant, tuning)
        }
    }

    /// An adapter that has no more than WebGPU guarantees: for planning without one.
    pub fn least(variant: Variant, tuning: Tuning) -> Self {
        Self {
            variant,
            kv: default_kv(variant),
            tuning,
            max_binding: 128 << 20,
            subgroup: 32,
            coop: None,
            workgroup_memory: 16 << 10,
            max_bindings: 8,
            pages_per_sequence: 0,
            links: true,
        }
    }
}

/// What the KV cache stores where nobody asks: f16 halves it at no visible cost where the variant
/// computes in f16.
pub fn default_kv(variant: Variant) -> KvType {
    match variant.scalar {
        Scalar::F16 => KvType::F16,
        Scalar::F32 => KvType::F32,
    }
}

/// What a plan is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PlanKey {
    /// Most tokens per step.
    pub tokens: usize,
    /// Most rows of logits a step.
    pub outputs: usize,
    /// Every sequence has one token, and perhaps draft tokens: attention is split over the context.
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
    /// The slots of the sequences of a step.
    Slots(ResourceId),
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

/// What a kernel links for one of its interfaces, with what that needs: to compute what it
/// reads, or to do more with its results than to store them.
#[derive(Debug, Clone)]
pub struct Link {
    /// `input`, `output`, `norm`, `tile`.
    pub interface: &'static str,
    /// The file under `shaders/` that stands for it, what this imports, and its constants.
    pub kernel: Kernel,
    /// What its variables are bound to.
    pub binds: Vec<(&'static str, Bind)>,
    /// Of an output: so many neighbouring results must come from one thread, in order, which
    /// only products of a few rows can do, and of whole matrices.
    pub together: Option<u32>,
    /// Of an output: bytes that it moves for a result.
    pub bytes: u64,
    /// Of an output: the operation's input whose buffer its result takes over.
    pub in_place: Option<usize>,
}

impl Link {
    /// `file` for `interface`.
    pub fn new(interface: &'static str, file: &'static str) -> Self {
        let kernel = Kernel::new(file).link(interface, file);
        let (binds, together, bytes, in_place) = (Vec::new(), None, 0, None);
        Self { interface, kernel, binds, together, bytes, in_place }
    }

    /// Links it into a kernel, and binds what it needs.
    pub fn onto(&self, mut kernel: Kernel, binds: &mut Vec<(&'static str, Bind)>) -> Kernel {
        kernel.links.extend(self.kernel.links.clone());
        kernel.constants.extend(self.kernel.constants.clone());
        binds.extend(&self.binds);
        kernel
    }
}

/// What dispatches of one node leave for those that read its value, beside it: pairs of tokens
/// and experts, listed by expert.
pub(crate) type Lists = HashMap<ValueId, Link>;

/// A lowered tape.
#[derive(Debug, Clone, Default)]
pub struct Lowered {
    /// The tape, fused for the target.
    pub tape: Tape,
    /// In the order of execution.
    pub dispatches: Vec<Dispatch>,
    /// Bytes of each [`Temp`].
    pub temps: Vec<u64>,
}

/// Lowers a whole tape, fused for the target.
///
/// # Errors
/// Those of an operation.
pub fn lower(tape: &Tape, target: &Target, key: PlanKey) -> Result<Lowered> {
    let tape = link(tape, target, key)?;
    let (mut lowered, mut lists) = (Lowered::default(), Lists::new());
    for node in tape.nodes() {
        let mut at = Lower::new(&tape, target, key, node, &mut lowered, &mut lists);
        node.op.gpu(&mut at)?;
    }
    Ok(Lowered { tape, ..lowered })
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
    label: &'static str,
    /// Of input 0 and of the output.
    pub(crate) links: [Option<&'a Link>; 2],
    /// Dispatches of the nodes before.
    before: usize,
    lowered: &'a mut Lowered,
    lists: &'a mut Lists,
}

impl<'a> Lower<'a> {
    /// At `node`.
    pub(crate) fn new(
        tape: &'a Tape,
        target: &'a Target,
        key: PlanKey,
        node: &'a Node,
        lowered: &'a mut Lowered,
        lists: &'a mut Lists,
    ) -> Self {
        let (label, before) = (node.op.name(), lowered.dispatches.len());
        Self { tape, target, key, node, label, links: [None; 2], before, lowered, lists }
    }

    /// At another node, whose dispatches are called `label`.
    pub(crate) fn at<'b>(&'b mut self, node: &'b Node, label: &'static str) -> Lower<'b> {
        Lower {
            tape: self.tape,
            target: self.target,
            key: self.key,
            node,
            label,
            links: [None; 2],
            before: self.lowered.dispatches.len(),
            lowered: self.lowered,
            lists: self.lists,
        }
    }

    /// Resources of the node.
    pub(crate) fn resources(&self) -> &'a [ResourceId] {
        &self.node.resources
    }

    /// What computes input 0 where it is read, if it is not stored.
    pub fn input_link(&self) -> Option<&'a Link> {
        self.links[0]
    }

    /// What is done with the results, if they are not just stored.
    pub fn output_link(&self) -> Option<&'a Link> {
        self.links[1]
    }

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

    /// Memory for the dispatches of this node, and of those that read what it lists.
    pub fn temp(&mut self, bytes: u64) -> Temp {
        self.lowered.temps.push(bytes);
        Temp(self.lowered.temps.len() - 1)
    }

    /// What goes with input `at`: made by `make` for the first node that asks for it.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn list(
        &mut self,
        at: usize,
        make: impl FnOnce(&mut Self) -> Result<Link>,
    ) -> Result<Link> {
        let id = self.node.inputs[at];
        if let Some(link) = self.lists.get(&id) {
            return Ok(link.clone());
        }
        // Called after what it goes with.
        let maker = self.tape.maker(id).map(|at| self.tape.nodes()[at].op.name());
        let own = self.label;
        self.label = maker.unwrap_or(own);
        let link = make(self)?;
        self.label = own;
        self.lists.insert(id, link.clone());
        Ok(link)
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

    /// Adds a dispatch of a workgroup for each of `heads` heads of a token, which costs `token`.
    pub fn dispatch_heads(
        &mut self,
        kernel: Kernel,
        binds: Vec<(&'static str, Bind)>,
        heads: u32,
        token: Cost,
    ) {
        let groups = move |c: &Counts| [heads, c.tokens, 1];
        self.dispatch(kernel, binds, groups, move |c| {
            let tokens = u64::from(c.tokens);
            Cost { bytes: token.bytes * tokens, flops: token.flops * tokens }
        });
    }

    /// Adds a dispatch.
    pub fn dispatch(
        &mut self,
        kernel: Kernel,
        binds: Vec<(&'static str, Bind)>,
        groups: impl Fn(&Counts) -> [u32; 3] + Send + Sync + 'static,
        cost: impl Fn(&Counts) -> Cost + Send + Sync + 'static,
    ) {
        let (groups, cost) = (Arc::new(groups), Arc::new(cost));
        let label = self.label;
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
