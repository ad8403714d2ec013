//! Weights from a source to the device, a few MB at a time: read, repack, upload.

use wisp_base::quant::repack;
use wisp_base::{Error, Format, Result};
use wisp_formats::{Checkpoint, Source, TensorInfo};
use wisp_gpu::Gpu;
use wisp_graph::{DeviceResources, Part, Resource, ResourceId, Tape, Weight};

use crate::load::progress::Progress;

/// Bytes of the file in memory at once.
const CHUNK: usize = 2 << 20;

/// Bytes on their way to the device at most: whoever carries them there (a driver, a
/// browser's GPU process) has a copy of them. Waiting more often takes longer.
const UNDER_WAY: usize = 32 << 20;

/// Fills every weight and vector of `tape`.
///
/// # Errors
/// The source cannot be read; the device fails.
pub async fn weights(
    gpu: &Gpu,
    source: &dyn Source,
    checkpoint: &Checkpoint,
    tape: &Tape,
    resources: &DeviceResources,
    progress: &mut dyn FnMut(Progress),
) -> Result<()> {
    let total = checkpoint.tensors.iter().map(|t| t.bytes).sum();
    let mut loader =
        Loader { gpu, source, checkpoint, tape, resources, progress, under_way: 0, done: 0, total };
    for (index, resource) in tape.resources().iter().enumerate() {
        let id = tape.id(index);
        match resource {
            Resource::Weight(weight) if weight.interleave => {
                loader.interleaved(id, weight).await?;
            }
            Resource::Weight(weight) => loader.stacked(id, weight).await?,
            Resource::Vector(vector) => {
                let mut parts = Vec::new();
                for Part { tensor, rows } in &vector.parts {
                    let all = checkpoint.vector(source, loader.tensor(tensor)?).await?;
                    parts.push(all.get(rows.clone()).unwrap_or_default().to_vec());
                }
                let numbers: Vec<f32> = match parts.as_slice() {
                    [a, b] if vector.interleave => {
                        a.iter().zip(b).flat_map(|(a, b)| [*a, *b]).collect()
                    }
                    parts => parts.concat(),
                };
                resources.write_numbers(gpu, id, &numbers)?;
            }
            Resource::Table { .. } | Resource::Paged { .. } | Resource::Slots { .. } => {}
        }
    }
    gpu.flush().await
}

struct Loader<'a> {
    gpu: &'a Gpu,
    source: &'a dyn Source,
    checkpoint: &'a Checkpoint,
    tape: &'a Tape,
    resources: &'a DeviceResources,
    progress: &'a mut dyn FnMut(Progress),
    under_way: usize,
    done: u64,
    total: u64,
}

impl<'a> Loader<'a> {
    fn tensor(&self, name: &str) -> Result<&'a TensorInfo> {
        self.checkpoint
            .tensor(name)
            .ok_or_else(|| Error::input(format!("tensor {name} is missing")))
    }

    /// Parts one below the other.
    async fn stacked(&mut self, id: ResourceId, weight: &Weight) -> Result<()> {
        let row_bytes = weight.format.bytes(weight.cols);
        let mut first = 0;
        for part in &weight.parts {
            let tensor = self.tensor(&part.tensor)?;
            let rows = part.rows.len();
            let each = rows_a_chunk(weight.format, row_bytes);
            for start in (0..rows).step_by(each) {
                let count = each.min(rows - start);
                let bytes = self.rows(tensor, part.rows.start + start, count).await?;
                self.upload(id, weight, first + start, count, &bytes).await?;
            }
            first += rows;
        }
        Ok(())
    }

    /// Two parts whose rows alternate.
    async fn interleaved(&mut self, id: ResourceId, weight: &Weight) -> Result<()> {
        let row_bytes = weight.format.bytes(weight.cols);
        let [first, second] = weight.parts.as_slice() else {
            return Err(Error::input("two tensors alternate, not more or fewer"));
        };
        let rows = first.rows.len();
        let (first_row, second_row) = (first.rows.start, second.rows.start);
        let (first, second) = (self.tensor(&first.tensor)?, self.tensor(&second.tensor)?);
        let each = rows_a_chunk(weight.format, 2 * row_bytes);
        for start in (0..rows).step_by(each) {
            let count = each.min(rows - start);
            let a = self.rows(first, first_row + start, count).await?;
            let b = self.rows(second, second_row + start, count).await?;
            let pairs = a.chunks_exact(row_bytes).zip(b.chunks_exact(row_bytes));
            let mut bytes = Vec::with_capacity(a.len() + b.len());
            for (a, b) in pairs {
                bytes.extend_from_slice(a);
                bytes.extend_from_slice(b);
            }
            self.upload(id, weight, 2 * start, 2 * count, &bytes).await?;
        }
        Ok(())
    }

    async fn rows(&self, tensor: &TensorInfo, start: usize, count: usize) -> Result<Vec<u8>> {
        self.checkpoint.rows(self.source, tensor, start as u64, count).await
    }

    async fn upload(
        &mut self,
        id: ResourceId,
        weight: &Weight,
        first: usize,
        rows: usize,
        bytes: &[u8],
    ) -> Result<()> {
        let packed = repack(weight.format, bytes, weight.cols)?;
        self.resources.write_rows(self.gpu, self.tape, id, first, rows, &packed)?;
        self.under_way += bytes.len();
        if self.under_way >= UNDER_WAY {
            self.under_way = 0;
            self.gpu.flush().await?;
        }
        self.done += bytes.len() as u64;
        (self.progress)(Progress::Weights { done: self.done, total: self.total });
        Ok(())
    }
}

/// Rows of about [`CHUNK`] bytes whose words are whole.
fn rows_a_chunk(format: Format, row_bytes: usize) -> usize {
    let together = format.rows_together();
    (CHUNK / row_bytes.max(1) / together * together).max(together)
}
