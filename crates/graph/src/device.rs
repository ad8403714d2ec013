//! What outlives a step, on the device: weights, caches, state of the sequences.

use std::collections::BTreeMap;
use std::ops::Range;

use wisp_base::quant::{Repacked, repacked_words, table};
use wisp_base::{Error, Format, Result};
use wisp_gpu::{Buffer, CommandEncoder, Gpu};

use crate::lower::Target;
use crate::shards::shards;
use crate::step::{MAX_DRAFTS, PAGE};
use crate::tape::{Resource, ResourceId, Tape, Weight};

#[derive(Debug)]
pub(crate) struct Shard {
    pub rows: Range<usize>,
    pub quants: Buffer,
    /// Absent for formats without scales.
    pub scales: Option<Buffer>,
}

#[derive(Debug)]
pub(crate) enum DeviceResource {
    Weight(Vec<Shard>),
    Numbers(Buffer),
    Paged {
        keys: Buffer,
        values: Buffer,
    },
    Slots {
        /// Those of the sequences of a step, which kernels are bound to.
        live: Buffer,
        /// Those that nothing is computed with. Apart, since a copy cannot stay within one
        /// buffer, and their number is not limited by the size of a binding.
        snapshots: Option<Buffer>,
        /// How many slots `live` has.
        count: usize,
        /// Bytes per slot.
        bytes: u64,
    },
}

/// For how much state of sequences a device has room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StateSize {
    /// Pages of each [`Resource::Paged`].
    pub pages: usize,
    /// Sequences that a step may have: so many slots has each [`Resource::Slots`].
    pub slots: usize,
    /// Slots beside those, for copies ([`DeviceResources::copy_slot`]).
    pub snapshots: usize,
}

/// State that all plans of a tape share.
#[derive(Debug)]
pub struct Shared {
    /// Words of the step.
    pub step: Buffer,
    /// `[sequences, pages_per_sequence]`
    pub pages: Buffer,
    /// `[sequences, 1 + MAX_DRAFTS]`: what a sequence sampled behind its last token that was no
    /// draft, then behind each draft token.
    pub sampled: Buffer,
    /// `[sequences, vocab]`
    pub counts: Buffer,
    /// `[sequences, vocab]`
    pub bias: Buffer,
    /// `[sequences, 12]`
    pub settings: Buffer,
}

/// Everything that outlives a step.
#[derive(Debug)]
pub struct DeviceResources {
    pub(crate) resources: Vec<DeviceResource>,
    /// `weight_table` of the formats that have one.
    pub(crate) tables: BTreeMap<Format, Buffer>,
    /// State of the sequences.
    pub shared: Shared,
}

impl Shared {
    /// Bytes of each buffer, in the order of the fields.
    pub fn sizes(
        step_words: usize,
        sequences: usize,
        pages_per_sequence: usize,
        vocab: usize,
    ) -> [u64; 6] {
        let s = sequences as u64;
        let table = s * vocab as u64 * 4;
        let sampled = s * 4 * (1 + MAX_DRAFTS as u64);
        [step_words as u64 * 4, s * pages_per_sequence as u64 * 4, sampled, table, table, s * 48]
    }
}

impl DeviceResources {
    /// Allocates everything that `tape` names; tables are filled at once.
    /// `shared` is from [`Shared::sizes`].
    ///
    /// # Errors
    /// No memory left, in the device's words.
    pub async fn allocate(
        gpu: &Gpu,
        tape: &Tape,
        target: &Target,
        state: StateSize,
        shared: [u64; 6],
    ) -> Result<Self> {
        let mut resources = Vec::with_capacity(tape.resources().len());
        for resource in tape.resources() {
            resources.push(gpu.catch(|| make(gpu, resource, target, state)).await?);
        }
        let mut tables = BTreeMap::new();
        for resource in tape.resources() {
            let Resource::Weight(Weight { format, .. }) = resource else { continue };
            let words = table(*format);
            if !words.is_empty() && !tables.contains_key(format) {
                let make = || gpu.buffer("weight_table", words.len() as u64 * 4);
                let buffer = gpu.catch(make).await?;
                write(gpu, &buffer, 0, &words);
                tables.insert(*format, buffer);
            }
        }
        let shared = gpu
            .catch(|| {
                let [step, pages, sampled, counts, bias, settings] = shared;
                Shared {
                    step: gpu.buffer("step", step),
                    pages: gpu.buffer("pages", pages),
                    sampled: gpu.buffer("sampled", sampled),
                    counts: gpu.buffer("counts", counts),
                    bias: gpu.buffer("bias", bias),
                    settings: gpu.buffer("settings", settings),
                }
            })
            .await?;
        for (made, resource) in resources.iter().zip(tape.resources()) {
            if let (DeviceResource::Numbers(buffer), Resource::Table { data, .. }) =
                (made, resource)
            {
                gpu.write(buffer, 0, bytemuck::cast_slice(data));
            }
        }
        Ok(Self { resources, tables, shared })
    }

    /// Writes rows of a weight from row `first` (a multiple of
    /// [`wisp_base::Format::rows_together`]) on. The rows may cross shards.
    ///
    /// # Errors
    /// `id` is no weight, or the rows are not within it.
    pub fn write_rows(
        &self,
        gpu: &Gpu,
        tape: &Tape,
        id: ResourceId,
        first: usize,
        rows: usize,
        repacked: &Repacked,
    ) -> Result<()> {
        let (Resource::Weight(weight), Some(DeviceResource::Weight(shards))) =
            (tape.get(id), self.resources.get(id.0))
        else {
            return Err(Error::input("only weights have rows"));
        };
        let words = |rows| repacked_words(weight.format, rows, weight.cols);
        if first + rows > weight.rows
            || words(rows) != (repacked.quants.len(), repacked.scales.len())
        {
            return Err(Error::input(format!(
                "rows {first}..{} are not rows of a weight of {} rows",
                first + rows,
                weight.rows
            )));
        }
        for shard in shards {
            let start = first.max(shard.rows.start);
            let end = (first + rows).min(shard.rows.end);
            if start >= end {
                continue;
            }
            // In words: from where in `repacked`, to where in the shard.
            let (quants_from, scales_from) = words(start - first);
            let (quants_to, scales_to) = words(start - shard.rows.start);
            let (quants, scales) = words(end - start);
            write(gpu, &shard.quants, quants_to, &repacked.quants[quants_from..][..quants]);
            if let Some(buffer) = &shard.scales {
                let most = repacked.scales.len() - scales_from;
                write(gpu, buffer, scales_to, &repacked.scales[scales_from..][..scales.min(most)]);
            }
        }
        Ok(())
    }

    /// Fills a weight with `rows` again and again, copied on the device. They must be
    /// whole words: a multiple of [`wisp_base::Format::rows_together`] rows.
    ///
    /// # Errors
    /// `id` is no weight; no memory left for `rows`.
    pub async fn repeat_rows(&self, gpu: &Gpu, id: ResourceId, rows: &Repacked) -> Result<()> {
        let Some(DeviceResource::Weight(shards)) = self.resources.get(id.0) else {
            return Err(Error::input("only weights have rows"));
        };
        for (words, buffers) in [
            (&rows.quants, shards.iter().map(|shard| Some(&shard.quants)).collect::<Vec<_>>()),
            (&rows.scales, shards.iter().map(|shard| shard.scales.as_ref()).collect()),
        ] {
            if words.is_empty() {
                continue;
            }
            let bytes = words.len() as u64 * 4;
            let from = gpu.catch(|| gpu.buffer("repeated", bytes)).await?;
            write(gpu, &from, 0, words);
            let mut encoder = gpu.encoder();
            for to in buffers.into_iter().flatten() {
                let mut at = 0;
                while at < to.size() {
                    let count = bytes.min(to.size() - at);
                    encoder.copy_buffer_to_buffer(&from, 0, to, at, count);
                    at += count;
                }
            }
            gpu.submit(encoder)?;
            gpu.release(&from);
        }
        Ok(())
    }

    /// Writes a vector.
    ///
    /// # Errors
    /// `id` is none.
    pub fn write_numbers(&self, gpu: &Gpu, id: ResourceId, numbers: &[f32]) -> Result<()> {
        match self.resources.get(id.0) {
            Some(DeviceResource::Numbers(buffer)) => {
                gpu.write(buffer, 0, bytemuck::cast_slice(numbers));
                Ok(())
            }
            _ => Err(Error::input("only vectors take numbers")),
        }
    }

    /// Keys and values of a cache.
    pub fn cache(&self, id: ResourceId) -> Option<(&Buffer, &Buffer)> {
        match self.resources.get(id.0)? {
            DeviceResource::Paged { keys, values } => Some((keys, values)),
            _ => None,
        }
    }

    /// The slots of the sequences of a step: f32, `[slots, len]`.
    pub fn slots(&self, id: ResourceId) -> Option<&Buffer> {
        match self.resources.get(id.0)? {
            DeviceResource::Slots { live, .. } => Some(live),
            _ => None,
        }
    }

    /// Copies a slot in every [`Resource::Slots`]: a sequence's to a snapshot, or back.
    /// Snapshots are numbered behind the slots of the sequences: the first one is slot
    /// [`StateSize::slots`]. A tape without slots has nothing to copy.
    ///
    /// # Errors
    /// There is no such slot; both are sequences', or both snapshots.
    pub fn copy_slot(&self, encoder: &mut CommandEncoder, from: usize, to: usize) -> Result<()> {
        for resource in &self.resources {
            let DeviceResource::Slots { live, snapshots, count, bytes } = resource else {
                continue;
            };
            let find = |slot: usize| match (slot.checked_sub(*count), snapshots) {
                (None, _) => Some((live, slot as u64 * bytes)),
                (Some(slot), Some(buffer)) => {
                    let at = slot as u64 * bytes;
                    (at + bytes <= buffer.size()).then_some((buffer, at))
                }
                _ => None,
            };
            match (find(from), find(to)) {
                (Some((a, start)), Some((b, end))) if !std::ptr::eq(a, b) => {
                    encoder.copy_buffer_to_buffer(a, start, b, end, *bytes);
                }
                _ => {
                    return Err(Error::input(format!(
                        "slot {from} cannot be copied to slot {to}: one must be a sequence's and \
                         the other a snapshot"
                    )));
                }
            }
        }
        Ok(())
    }

    /// Bytes that `resource` takes on a device, in buffers of so many bytes.
    pub fn bytes(resource: &Resource, target: &Target, state: StateSize) -> Vec<u64> {
        match resource {
            Resource::Weight(weight) => shards(weight, target.max_binding)
                .iter()
                .flat_map(|rows| {
                    let (quants, scales) = repacked_words(weight.format, rows.len(), weight.cols);
                    [quants as u64 * 4, scales as u64 * 4]
                })
                .filter(|bytes| *bytes > 0)
                .collect(),
            // Read four at a time.
            Resource::Vector(v) => vec![v.len.next_multiple_of(8) as u64 * 4],
            Resource::Table { data, .. } => vec![data.len() as u64 * 4],
            Resource::Paged { kv_heads, head_dim, latent, .. } => {
                let bytes = target.kv.bytes(kv_heads * head_dim * PAGE) as u64;
                let keys = bytes.saturating_mul(state.pages as u64);
                // Every binding needs a buffer, if only of one block.
                vec![keys, if *latent { 64 } else { keys }]
            }
            Resource::Slots { len, .. } => {
                let bytes = |slots: usize| (slots as u64).saturating_mul(4 * *len as u64);
                let mut sizes = vec![bytes(state.slots)];
                sizes.extend((state.snapshots > 0).then(|| bytes(state.snapshots)));
                sizes
            }
        }
    }
}

fn make(gpu: &Gpu, resource: &Resource, target: &Target, state: StateSize) -> DeviceResource {
    let mut sizes = DeviceResources::bytes(resource, target, state).into_iter();
    let mut next = |label: &str| gpu.buffer(label, sizes.next().unwrap_or(0));
    match resource {
        Resource::Weight(weight) => {
            let label = weight.parts.first().map_or("weight", |part| part.tensor.as_str());
            let has_scales = repacked_words(weight.format, 1, weight.cols).1 > 0;
            let shard = |rows: Range<usize>| {
                let quants = next(label);
                Shard { rows, quants, scales: has_scales.then(|| next(label)) }
            };
            DeviceResource::Weight(
                shards(weight, target.max_binding).into_iter().map(shard).collect(),
            )
        }
        Resource::Vector(vector) => {
            let label = vector.parts.first().map_or("vector", |part| part.tensor.as_str());
            DeviceResource::Numbers(next(label))
        }
        Resource::Table { name, .. } => DeviceResource::Numbers(next(name)),
        Resource::Paged { .. } => {
            DeviceResource::Paged { keys: next("keys"), values: next("values") }
        }
        Resource::Slots { name, len, .. } => DeviceResource::Slots {
            live: next(name),
            snapshots: (state.snapshots > 0).then(|| next(name)),
            count: state.slots,
            bytes: 4 * *len as u64,
        },
    }
}

fn write(gpu: &Gpu, buffer: &Buffer, word: usize, words: &[u32]) {
    gpu.write(buffer, word as u64 * 4, bytemuck::cast_slice(words));
}

/// Buffers for the values of plans. Plans run one after the other, so they share
/// them.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(crate) buffers: Vec<Buffer>,
    /// Bytes of a guard; 0 shares and guards nothing.
    pub(crate) guard: u64,
}

impl Scratch {
    /// Gives every value its own buffer, between guards of `bytes` bytes (a
    /// multiple of 256).
    pub fn guarded(bytes: u64) -> Self {
        Self { buffers: Vec::new(), guard: bytes }
    }
}
