//! Submits steps, and reads the tokens that they sampled: the device's side of the loop.

use wisp_base::Result;
use wisp_gpu::{Buffer, CommandEncoder, Readback};
use wisp_graph::{MAX_DRAFTS, Step};
use wisp_ops::{NO_TOKEN, splits};

use crate::engine::stepper::{Stepper, Want};
use crate::schedule::{Planned, SampledRow};

/// A model on a device, and the staging buffers by which its tokens come back.
pub struct Runner<'e> {
    pub stepper: &'e mut Stepper,
    /// Staging buffers that nobody reads.
    ring: Vec<Buffer>,
}

/// A submitted step whose tokens are yet to be read.
pub struct InFlight {
    tokens: Readback,
    /// The rows of logits that are wanted on the host.
    logits: Option<Readback>,
    rows: Vec<SampledRow>,
}

/// What a step gave.
pub struct Completed {
    /// Who sampled a token in this step.
    pub rows: Vec<SampledRow>,
    /// What each of these sampled.
    pub tokens: Vec<u32>,
    /// `[rows that want them, Stepper::logits_row_bytes / 4]`
    pub logits: Vec<f32>,
}

impl<'e> Runner<'e> {
    pub fn new(stepper: &'e mut Stepper) -> Self {
        Self { stepper, ring: Vec::new() }
    }

    /// The step that was planned.
    fn step(&self, planned: &Planned) -> Step {
        let longest = planned.tokens.iter().map(|token| token.position as usize + 1).max();
        Step {
            tokens: planned.tokens.clone(),
            outputs: planned.outputs.clone(),
            splits: splits(&self.stepper.target.tuning, longest.unwrap_or(0)),
        }
    }

    /// Makes ready what a step needs, which takes long the first time.
    ///
    /// # Errors
    /// No memory for it, a kernel that does not compile.
    pub async fn prepare(&mut self, planned: &Planned) -> Result<()> {
        self.stepper.prepare(&self.step(planned), Want::Tokens).await.map(|_| ())
    }

    /// Submits what was planned, with copies of the sampled tokens, and of logits that are asked
    /// for, behind it.
    ///
    /// # Errors
    /// No memory for it ([`wisp_base::Error::Memory`]: it was not submitted), a lost device.
    pub async fn submit(&mut self, planned: &Planned) -> Result<InFlight> {
        for (slot, first, blocks) in &planned.new_blocks {
            self.stepper.write_pages(*slot, *first, blocks);
        }
        let step = &self.step(planned);
        let rows = planned.sampled.clone();
        let bytes = self.stepper.resources.shared.sampled.size();
        let staging = self.staging(bytes).await?;
        let wanted = (0u64..).zip(&rows).filter(|(_, row)| row.wants_logits);
        let wanted: Vec<u64> = wanted.map(|(at, _)| at).collect();
        let row_bytes = self.stepper.logits_row_bytes();
        let logits = match wanted.len() as u64 {
            0 => None,
            count => Some(self.staging(count * row_bytes).await?),
        };
        let key = self.stepper.prepare(step, Want::Tokens).await?;
        let begin = |encoder: &mut CommandEncoder, stepper: &Stepper| {
            let copy = |(slot, snapshot): &(usize, usize)| {
                stepper.resources.copy_slot(encoder, stepper.sequences + snapshot, *slot)
            };
            planned.restores.iter().try_for_each(copy)
        };
        let copy = |encoder: &mut CommandEncoder, stepper: &Stepper| {
            for (slot, snapshot) in &planned.saves {
                stepper.resources.copy_slot(encoder, *slot, stepper.sequences + snapshot)?;
            }
            let sampled = &stepper.resources.shared.sampled;
            encoder.copy_buffer_to_buffer(sampled, 0, &staging, 0, bytes);
            if let Some((logits, (buffer, offset))) = logits.as_ref().zip(stepper.logits_at(key)) {
                for (to, row) in (0u64..).zip(&wanted) {
                    let from = offset + row * row_bytes;
                    encoder.copy_buffer_to_buffer(buffer, from, logits, to * row_bytes, row_bytes);
                }
            }
            Ok(())
        };
        let submission = self.stepper.submit_between(step, Want::Tokens, begin, copy).await?;
        let gpu = &self.stepper.gpu;
        let logits = logits.map(|logits| gpu.begin_read(logits, submission));
        Ok(InFlight { tokens: gpu.begin_read(staging, submission), logits, rows })
    }

    /// Waits for a step.
    ///
    /// # Errors
    /// A lost device.
    pub async fn complete(&mut self, step: InFlight) -> Result<Completed> {
        let sampled: Vec<u32> = self.read(step.tokens).await?;
        let entry = |row: &SampledRow| row.slot * (1 + MAX_DRAFTS) + row.drafts;
        let sampled = |row| sampled.get(entry(row)).copied().unwrap_or(NO_TOKEN);
        let tokens = step.rows.iter().map(sampled).collect();
        let logits = match step.logits {
            Some(logits) => self.read(logits).await?,
            None => Vec::new(),
        };
        Ok(Completed { rows: step.rows, tokens, logits })
    }

    /// A staging buffer of so many bytes that nobody reads.
    async fn staging(&mut self, bytes: u64) -> Result<Buffer> {
        let gpu = &self.stepper.gpu;
        match self.ring.iter().position(|buffer| buffer.size() == bytes) {
            Some(at) => Ok(self.ring.swap_remove(at)),
            None => gpu.catch(|| gpu.staging(bytes)).await,
        }
    }

    /// What was copied into a staging buffer, which is free again.
    async fn read<T: bytemuck::AnyBitPattern + bytemuck::NoUninit>(
        &mut self,
        readback: Readback,
    ) -> Result<Vec<T>> {
        let (bytes, buffer) = readback.wait(&self.stepper.gpu).await?;
        self.ring.push(buffer);
        Ok(bytemuck::pod_collect_to_vec(&bytes))
    }
}
