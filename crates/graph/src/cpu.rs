//! The CPU executor: every operation's definition, in plain loops over f32.
//! The oracle that the GPU is compared with; nothing else computes with it.

use wisp_base::{Error, KvType, Result};

use crate::device::StateSize;
use crate::step::{MAX_DRAFTS, PAGE, Step, StepToken};
use crate::tape::{Node, Resource, ResourceId, Rows, Tape, Value, ValueId};

/// A weight matrix, decoded: `[rows, cols]`.
#[derive(Debug, Clone, Default)]
pub struct CpuWeight {
    /// Row by row.
    pub data: Vec<f32>,
    /// Columns.
    pub cols: usize,
}

/// Keys and values of one layer: `[page, kv head, slot, head_dim]` each.
#[derive(Debug, Clone, Default)]
pub struct CpuCache {
    /// Keys, already turned by RoPE.
    pub keys: Vec<f32>,
    /// Values.
    pub values: Vec<f32>,
}

#[derive(Debug, Clone)]
enum CpuResource {
    Weight(CpuWeight),
    Numbers(Vec<f32>),
    Paged(CpuCache),
    /// `[slot, len]`, with its len; behind the slots of the sequences one for draft tokens.
    Slots(Vec<f32>, usize),
}

/// What each sequence slot has beside its KV cache.
#[derive(Debug, Clone, Default)]
pub struct Sequences {
    /// `[sequences, pages_per_sequence]` page numbers.
    pub pages: Vec<u32>,
    /// Columns of `pages`.
    pub pages_per_sequence: usize,
    /// `[sequences, 1 + MAX_DRAFTS]`: what each sampled last, behind no draft token and behind
    /// so many.
    pub sampled: Vec<u32>,
    /// `[sequences, vocab]`: times in the answer; bit 31: in the prompt.
    pub counts: Vec<u32>,
    /// `[sequences, vocab]` added to logits.
    pub bias: Vec<f32>,
    /// Sampling settings, as their words on the GPU.
    pub settings: Vec<u32>,
}

/// A tape with its resources, ready to run on the CPU.
#[derive(Debug)]
pub struct Cpu<'a> {
    tape: &'a Tape,
    resources: Vec<CpuResource>,
    /// State of the sequences.
    pub sequences: Sequences,
    /// What the cache stores: numbers are rounded as they would be there.
    pub kv: KvType,
}

impl<'a> Cpu<'a> {
    /// `weight` gives the numbers of each [`Resource::Weight`] and
    /// [`Resource::Vector`]; `state` is what there is room for (snapshots are of no use here).
    ///
    /// # Errors
    /// Those of `weight`.
    pub fn new(
        tape: &'a Tape,
        kv: KvType,
        state: StateSize,
        sequences: Sequences,
        mut weight: impl FnMut(ResourceId) -> Result<Vec<f32>>,
    ) -> Result<Self> {
        let resource = |(at, resource): (usize, &Resource)| {
            Ok(match resource {
                Resource::Weight(w) => {
                    CpuResource::Weight(CpuWeight { data: weight(ResourceId(at))?, cols: w.cols })
                }
                Resource::Vector(_) => CpuResource::Numbers(weight(ResourceId(at))?),
                Resource::Table { data, .. } => CpuResource::Numbers(data.to_vec()),
                Resource::Paged { kv_heads, head_dim, .. } => {
                    let numbers = vec![0.0; state.pages * PAGE * kv_heads * head_dim];
                    CpuResource::Paged(CpuCache { keys: numbers.clone(), values: numbers })
                }
                // Nobody may read what no token has written.
                Resource::Slots { len, .. } => {
                    CpuResource::Slots(vec![f32::NAN; (state.slots + 1) * len], *len)
                }
            })
        };
        let resources = tape.resources().iter().enumerate().map(resource).collect::<Result<_>>()?;
        Ok(Self { tape, resources, sequences, kv })
    }

    /// Runs a step; gives every value, `[rows, cols]` each. `inputs` are the
    /// values that come from outside.
    ///
    /// # Errors
    /// Those of an operation.
    pub fn run(
        &mut self,
        step: &Step,
        inputs: &[(ValueId, Vec<f32>)],
    ) -> Result<Vec<Option<Vec<f32>>>> {
        let mut values = Vec::new();
        for (id, data) in inputs {
            put(&mut values, *id, data.clone());
        }
        for node in self.tape.nodes() {
            let mut at = CpuNode {
                tape: self.tape,
                node,
                values: &values,
                own: &[],
                resources: &mut self.resources,
                sequences: &mut self.sequences,
                kv: self.kv,
                step,
            };
            let made = node.op.cpu(&mut at)?;
            if let Some(id) = node.output {
                put(&mut values, id, made);
            }
        }
        Ok(values)
    }

    /// A sequence's slot of a [`Resource::Slots`].
    pub fn slot(&self, id: ResourceId, sequence: usize) -> Option<&[f32]> {
        match self.resources.get(id.0) {
            Some(CpuResource::Slots(all, len)) => all.get(sequence * len..)?.get(..*len),
            _ => None,
        }
    }

    /// Keys and values of a [`Resource::Paged`].
    pub fn cache(&self, id: ResourceId) -> Option<&CpuCache> {
        match self.resources.get(id.0) {
            Some(CpuResource::Paged(cache)) => Some(cache),
            _ => None,
        }
    }
}

fn put(values: &mut Vec<Option<Vec<f32>>>, id: ValueId, data: Vec<f32>) {
    if values.len() <= id.0 {
        values.resize(id.0 + 1, None);
    }
    values[id.0] = Some(data);
}

/// What an operation sees of the CPU executor.
#[derive(Debug)]
pub struct CpuNode<'a> {
    tape: &'a Tape,
    node: &'a Node,
    values: &'a [Option<Vec<f32>>],
    /// Values within a fused operation.
    own: &'a [(ValueId, Vec<f32>)],
    resources: &'a mut [CpuResource],
    /// State of the sequences.
    pub sequences: &'a mut Sequences,
    /// What the cache stores.
    pub kv: KvType,
    /// The step.
    pub step: &'a Step,
}

impl<'a> CpuNode<'a> {
    /// Input `at`: `[rows, cols]`.
    ///
    /// # Errors
    /// It has not been computed.
    pub fn input(&self, at: usize) -> Result<&'a [f32]> {
        let find = |id: &ValueId| match self.own.iter().find(|(own, _)| own == id) {
            Some((_, own)) => Some(own.as_slice()),
            None => self.values.get(id.0)?.as_deref(),
        };
        self.node.inputs.get(at).and_then(find).ok_or_else(|| self.lacks("input", at))
    }

    /// Resources of the node.
    pub(crate) fn resources(&self) -> &'a [ResourceId] {
        &self.node.resources
    }

    /// Runs the definition of another node, which reads `own` too.
    pub(crate) fn run(&mut self, node: &Node, own: &[(ValueId, Vec<f32>)]) -> Result<Vec<f32>> {
        node.op.cpu(&mut CpuNode {
            tape: self.tape,
            node,
            values: self.values,
            own,
            resources: self.resources,
            sequences: self.sequences,
            kv: self.kv,
            step: self.step,
        })
    }

    /// How many inputs the node has.
    pub fn inputs(&self) -> usize {
        self.node.inputs.len()
    }

    /// Facts of input `at`.
    ///
    /// # Errors
    /// There is none.
    pub fn value(&self, at: usize) -> Result<&'a Value> {
        let id = self.node.inputs.get(at).ok_or_else(|| self.lacks("input", at))?;
        Ok(self.tape.value(*id))
    }

    /// How many rows values of this step have.
    pub fn rows(&self, rows: Rows) -> usize {
        match rows {
            Rows::Tokens => self.step.tokens.len(),
            Rows::Outputs => self.step.outputs.len(),
        }
    }

    /// How many resources the node has.
    pub fn resource_count(&self) -> usize {
        self.node.resources.len()
    }

    fn resource(&self, at: usize) -> Result<&CpuResource> {
        let id = self.node.resources.get(at).ok_or_else(|| self.lacks("resource", at))?;
        Ok(&self.resources[id.0])
    }

    /// Resource `at`, a matrix.
    ///
    /// # Errors
    /// It is none.
    pub fn weight(&self, at: usize) -> Result<&CpuWeight> {
        match self.resource(at)? {
            CpuResource::Weight(weight) => Ok(weight),
            _ => Err(self.lacks("weight", at)),
        }
    }

    /// Resource `at`, a vector or a table.
    ///
    /// # Errors
    /// It is neither.
    pub fn numbers(&self, at: usize) -> Result<&[f32]> {
        match self.resource(at)? {
            CpuResource::Numbers(numbers) => Ok(numbers),
            _ => Err(self.lacks("vector", at)),
        }
    }

    /// Resource `at`, a cache.
    ///
    /// # Errors
    /// It is none.
    pub fn cache(&self, at: usize) -> Result<&CpuCache> {
        match self.resource(at)? {
            CpuResource::Paged(cache) => Ok(cache),
            _ => Err(self.lacks("cache", at)),
        }
    }

    /// Resource `at`, a cache, to be written.
    ///
    /// # Errors
    /// It is none.
    pub fn cache_mut(&mut self, at: usize) -> Result<&mut CpuCache> {
        let error = self.lacks("cache", at);
        let id = *self.node.resources.get(at).ok_or_else(|| error.clone())?;
        match &mut self.resources[id.0] {
            CpuResource::Paged(cache) => Ok(cache),
            _ => Err(error),
        }
    }

    /// The slot of `token`'s sequence in resource `at`; zeros, where the sequence begins there.
    /// That of a draft token is a copy, which goes with the last of them.
    ///
    /// # Errors
    /// It has no slots, or none for this sequence.
    pub fn slot_mut(&mut self, at: usize, token: &StepToken) -> Result<&mut [f32]> {
        let error = self.lacks("slot", at);
        let id = *self.node.resources.get(at).ok_or_else(|| error.clone())?;
        let CpuResource::Slots(all, len) = &mut self.resources[id.0] else { return Err(error) };
        let start = token.sequence as usize * *len;
        let Some(drafts) = all.len().checked_sub(*len).filter(|drafts| start < *drafts) else {
            return Err(error);
        };
        let follows = |other: &StepToken| {
            other.draft && other.sequence == token.sequence && other.position + 1 == token.position
        };
        let at = if token.draft { drafts } else { start };
        if token.draft && !self.step.tokens.iter().any(follows) {
            all.copy_within(start..start + *len, drafts);
        }
        let slot = &mut all[at..at + *len];
        if token.position == 0 {
            slot.fill(0.0);
        }
        Ok(slot)
    }

    fn lacks(&self, what: &str, at: usize) -> Error {
        Error::input(format!("{} has no {what} {at}", self.node.op.name()))
    }
}

impl Sequences {
    /// Empty state for so many sequences.
    pub fn new(sequences: usize, pages_per_sequence: usize, vocab: usize) -> Self {
        Self {
            pages: vec![0; sequences * pages_per_sequence],
            pages_per_sequence,
            sampled: vec![0; sequences * (1 + MAX_DRAFTS)],
            counts: vec![0; sequences * vocab],
            bias: vec![0.0; sequences * vocab],
            settings: Vec::new(),
        }
    }

    /// Where in a cache the vector of (sequence, position, head) starts.
    pub fn vector(
        &self,
        sequence: u32,
        position: usize,
        head: usize,
        heads: usize,
        dim: usize,
    ) -> usize {
        let at = sequence as usize * self.pages_per_sequence + position / PAGE;
        let page = self.pages[at] as usize;
        ((page * heads + head) * PAGE + position % PAGE) * dim
    }
}
