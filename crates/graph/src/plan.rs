//! A plan: a lowered tape with its buffers placed, its pipelines compiled and its
//! bind groups made. Replayed for every step of its bucket.

use std::collections::HashMap;
use std::sync::Arc;

use wisp_base::{Error, Result};
use wisp_gpu::{BindGroup, Binding, Buffer, ComputePass, Gpu, Pipeline};

use crate::device::{DeviceResource, DeviceResources, Scratch};
use crate::lower::{Bind, Dispatch, Lowered, PlanKey, Target, lower, value_bytes};
use crate::operation::Cost;
use crate::step::Counts;
use crate::tape::{Resource, Rows, Tape, ValueId};

/// Where a value or a temp lies.
#[derive(Debug, Clone)]
struct Place {
    buffer: Buffer,
    offset: u64,
    bytes: u64,
}

/// Memory that needs a place: a chain of values made in place, or a temp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Item {
    Root(ValueId),
    Temp(usize),
}

struct Ready {
    dispatch: Dispatch,
    pipeline: Arc<Pipeline>,
    bind_group: BindGroup,
}

/// A tape made ready for one device and one token bucket.
pub struct Plan {
    /// What it was made for.
    pub key: PlanKey,
    ready: Vec<Ready>,
    places: HashMap<Item, Place>,
    /// The value whose place each value has.
    roots: Vec<ValueId>,
}

impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Plan {:?} of {} dispatches", self.key, self.ready.len())
    }
}

impl Plan {
    /// Lowers `tape`, compiles what it needs, places its values.
    ///
    /// # Errors
    /// An operation that cannot be lowered, a kernel that does not compile, no
    /// memory left, or (a bug) a value that is read after it was overwritten.
    pub async fn build(
        gpu: &Gpu,
        tape: &Tape,
        target: &Target,
        key: PlanKey,
        resources: &DeviceResources,
        scratch: &mut Scratch,
    ) -> Result<Self> {
        let lowered = lower(tape, target, key)?;
        let kernels = lowered.dispatches.iter().map(|dispatch| &dispatch.kernel);
        gpu.precompile(kernels, &mut |_| ());
        let mut pipelines = Vec::with_capacity(lowered.dispatches.len());
        for dispatch in &lowered.dispatches {
            pipelines.push(gpu.pipeline(&dispatch.kernel).await?);
        }
        let tape = &lowered.tape;
        check_versions(&lowered, &pipelines)?;
        let slots = slots(target, key, &lowered, scratch.guard > 0);
        let places = place(gpu, scratch, &slots).await?;
        let make = || {
            let mut ready = Vec::with_capacity(pipelines.len());
            for (dispatch, pipeline) in lowered.dispatches.iter().zip(&pipelines) {
                let bindings = dispatch
                    .binds
                    .iter()
                    .filter(|(name, _)| pipeline.writes(name).is_some())
                    .map(|(name, bind)| resolve(tape, name, *bind, resources, &places))
                    .collect::<Result<Vec<_>>>()?;
                let bind_group = gpu.bind(pipeline, &bindings)?;
                let pipeline = pipeline.clone();
                ready.push(Ready { dispatch: dispatch.clone(), pipeline, bind_group });
            }
            Ok(ready)
        };
        let ready = gpu.catch(make).await??;
        Ok(Self { key, ready, places, roots: lowered.tape.roots() })
    }

    /// Makes the scratch memory that plans for `keys` take together, so that none of them
    /// needs more when it is made.
    ///
    /// # Errors
    /// As [`Self::scratch_bytes`]; no memory left.
    pub async fn reserve(
        gpu: &Gpu,
        tape: &Tape,
        target: &Target,
        keys: &[PlanKey],
        scratch: &mut Scratch,
    ) -> Result<()> {
        for key in keys {
            let lowered = lower(tape, target, *key)?;
            place(gpu, scratch, &slots(target, *key, &lowered, false)).await?;
        }
        Ok(())
    }

    /// Bytes of scratch memory that plans for `keys` take together, as [`Self::reserve`]
    /// makes it.
    ///
    /// # Errors
    /// An operation that cannot be lowered.
    pub fn scratch_bytes(tape: &Tape, target: &Target, keys: &[PlanKey]) -> Result<u64> {
        let mut sizes = Vec::new();
        for key in keys {
            let lowered = lower(tape, target, *key)?;
            assign(&mut sizes, &slots(target, *key, &lowered, false), 0);
        }
        Ok(sizes.iter().sum())
    }

    /// Records every dispatch of a step.
    pub fn record(&self, pass: &mut ComputePass<'_>, counts: &Counts) {
        for ready in &self.ready {
            ready.pipeline.dispatch(pass, &ready.bind_group, (ready.dispatch.groups)(counts));
        }
    }

    /// Records each dispatch of a step into a pass of its own; `pass` runs its
    /// second argument within pass number so-and-so.
    pub fn record_each(
        &self,
        counts: &Counts,
        mut pass: impl FnMut(u32, &mut dyn FnMut(&mut ComputePass<'_>)),
    ) {
        for (at, ready) in self.active(counts).enumerate() {
            let groups = (ready.dispatch.groups)(counts);
            pass(at as u32, &mut |p| ready.pipeline.dispatch(p, &ready.bind_group, groups));
        }
    }

    fn active<'a>(&'a self, counts: &'a Counts) -> impl Iterator<Item = &'a Ready> {
        self.ready.iter().filter(|r| !(r.dispatch.groups)(counts).contains(&0))
    }

    /// Name and cost of each dispatch of a step, in order.
    pub fn costs(&self, counts: &Counts) -> Vec<(&'static str, Cost)> {
        self.active(counts).map(|r| (r.dispatch.label, (r.dispatch.cost)(counts))).collect()
    }

    /// Buffer, first byte and bytes of a value.
    pub fn value(&self, id: ValueId) -> Option<(&Buffer, u64, u64)> {
        let place = self.places.get(&Item::Root(*self.roots.get(id.0)?))?;
        Some((&place.buffer, place.offset, place.bytes))
    }

    /// Every buffer with a guard on both sides: buffer, first byte and bytes within.
    pub fn guarded(&self) -> impl Iterator<Item = (&Buffer, u64, u64)> {
        self.places.values().map(|place| (&place.buffer, place.offset, place.bytes))
    }
}

fn item(tape: &Tape, bind: Bind) -> Option<Item> {
    match bind {
        Bind::Value(id) => Some(Item::Root(tape.root(id))),
        Bind::Temp(temp) => Some(Item::Temp(temp.0)),
        _ => None,
    }
}

/// Values made in place overwrite older ones: nobody may read those any more, and each must be
/// made of the newest.
fn check_versions(lowered: &Lowered, pipelines: &[Arc<Pipeline>]) -> Result<()> {
    let tape = &lowered.tape;
    let mut newest: HashMap<ValueId, ValueId> = HashMap::new();
    for (dispatch, pipeline) in lowered.dispatches.iter().zip(pipelines) {
        for (name, bind) in &dispatch.binds {
            let Bind::Value(id) = bind else { continue };
            let writes = pipeline.writes(name) == Some(true);
            let newest = newest.entry(tape.root(*id)).or_insert(*id);
            let made_of = if writes { tape.over(*id) } else { None };
            if *id != *newest && made_of != Some(*newest) {
                return Err(Error::input(format!(
                    "{} reads `{}` after it was overwritten in place",
                    dispatch.label,
                    tape.value(made_of.unwrap_or(*id)).name
                )));
            }
            if writes {
                *newest = *id;
            }
        }
    }
    Ok(())
}

#[derive(Debug)]
struct Slot {
    bytes: u64,
    items: Vec<(Item, u64)>,
    /// The last dispatch that uses what lies here now.
    busy_until: usize,
}

/// Gives each item a slot; items whose uses do not overlap may share one. Within
/// a dispatch all items are in use, so no two of its bindings share a buffer.
fn slots(target: &Target, key: PlanKey, lowered: &Lowered, alone: bool) -> Vec<Slot> {
    let tape = &lowered.tape;
    let mut first_last: Vec<(Item, usize, usize)> = Vec::new();
    for (at, dispatch) in lowered.dispatches.iter().enumerate() {
        for item in dispatch.binds.iter().filter_map(|(_, bind)| item(tape, *bind)) {
            match first_last.iter_mut().find(|(known, ..)| *known == item) {
                Some((_, _, last)) => *last = at,
                None => first_last.push((item, at, at)),
            }
        }
    }
    let mut slots: Vec<Slot> = Vec::new();
    for (item, first, last) in first_last {
        let bytes = match item {
            Item::Temp(at) => lowered.temps[at],
            Item::Root(id) => {
                let value = tape.value(id);
                let rows = match value.rows {
                    Rows::Tokens => key.tokens,
                    Rows::Outputs => key.outputs,
                };
                value_bytes(target, value.kind, rows * value.stride())
            }
        };
        let free = slots.iter_mut().filter(|slot| !alone && slot.busy_until < first);
        // The one that wastes least: the smallest that is large enough, else the largest.
        let best = free.min_by_key(|slot| {
            (
                slot.bytes < bytes,
                if slot.bytes < bytes { u64::MAX - slot.bytes } else { slot.bytes },
            )
        });
        match best {
            Some(slot) => {
                slot.bytes = slot.bytes.max(bytes);
                slot.items.push((item, bytes));
                slot.busy_until = last;
            }
            None => slots.push(Slot { bytes, items: vec![(item, bytes)], busy_until: last }),
        }
    }
    slots
}

/// The buffer of each slot: the smallest that is large enough and not taken, else a new one,
/// whose size is added to `sizes`.
fn assign(sizes: &mut Vec<u64>, slots: &[Slot], guard: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..slots.len()).collect();
    order.sort_by_key(|at| std::cmp::Reverse(slots[*at].bytes));
    let mut taken = vec![guard > 0; sizes.len()];
    let mut assigned = vec![0; slots.len()];
    for slot in order {
        let bytes = slots[slot].bytes;
        let fits = |(at, size): &(usize, &u64)| !taken[*at] && **size >= bytes;
        let found = sizes.iter().enumerate().filter(fits).min_by_key(|(_, size)| **size);
        let at = found.map_or(sizes.len(), |(at, _)| at);
        if at == sizes.len() {
            sizes.push(bytes.next_multiple_of(256).saturating_add(2 * guard));
            taken.push(false);
        }
        taken[at] = true;
        assigned[slot] = at;
    }
    assigned
}

async fn place(gpu: &Gpu, scratch: &mut Scratch, slots: &[Slot]) -> Result<HashMap<Item, Place>> {
    let guard = scratch.guard;
    let mut sizes: Vec<u64> = scratch.buffers.iter().map(Buffer::size).collect();
    let assigned = assign(&mut sizes, slots, guard);
    for bytes in &sizes[scratch.buffers.len()..] {
        scratch.buffers.push(gpu.catch(|| gpu.buffer("scratch", *bytes)).await?);
    }
    let mut places = HashMap::new();
    for (slot, at) in slots.iter().zip(assigned) {
        for (item, bytes) in &slot.items {
            let bytes = bytes.next_multiple_of(16).max(16);
            let buffer = scratch.buffers[at].clone();
            places.insert(*item, Place { buffer, offset: guard, bytes });
        }
    }
    Ok(places)
}

fn resolve<'a>(
    tape: &Tape,
    name: &'a str,
    bind: Bind,
    resources: &'a DeviceResources,
    places: &'a HashMap<Item, Place>,
) -> Result<Binding<'a>> {
    let missing = || Error::input(format!("nothing is there for `{name}` ({bind:?})"));
    if let Some(item) = item(tape, bind) {
        let place = places.get(&item).ok_or_else(missing)?;
        return Ok(Binding {
            name,
            buffer: &place.buffer,
            offset: place.offset,
            bytes: place.bytes,
        });
    }
    let shared = &resources.shared;
    let resource = |id: crate::tape::ResourceId| resources.resources.get(id.0).ok_or_else(missing);
    let buffer = match bind {
        Bind::Step => &shared.step,
        Bind::Pages => &shared.pages,
        Bind::Sampled => &shared.sampled,
        Bind::Counts => &shared.counts,
        Bind::Bias => &shared.bias,
        Bind::Settings => &shared.settings,
        Bind::Quants(id, at) | Bind::Scales(id, at) => match resource(id)? {
            DeviceResource::Weight(shards) => {
                let shard = shards.get(at).ok_or_else(missing)?;
                match bind {
                    Bind::Quants(..) => &shard.quants,
                    _ => shard.scales.as_ref().ok_or_else(missing)?,
                }
            }
            _ => return Err(missing()),
        },
        Bind::WeightTable(id) => match tape.get(id) {
            Resource::Weight(weight) => resources.tables.get(&weight.format).ok_or_else(missing)?,
            _ => return Err(missing()),
        },
        Bind::Numbers(id) => match resource(id)? {
            DeviceResource::Numbers(buffer) => buffer,
            _ => return Err(missing()),
        },
        Bind::Keys(id) | Bind::Values(id) => match (resource(id)?, bind) {
            (DeviceResource::Paged { keys, .. }, Bind::Keys(_)) => keys,
            (DeviceResource::Paged { values, .. }, _) => values,
            _ => return Err(missing()),
        },
        Bind::Slots(id) => match resource(id)? {
            DeviceResource::Slots { live, .. } => live,
            _ => return Err(missing()),
        },
        Bind::Value(_) | Bind::Temp(_) => return Err(missing()),
    };
    Ok(Binding::whole(name, buffer))
}
