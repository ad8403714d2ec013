//! GPU time of single dispatches, by timestamp queries around one pass each.

use wisp_base::{Error, Result, Setting};

use crate::device::Gpu;

/// Timestamps for up to `capacity` passes of one submission.
#[derive(Debug)]
pub struct Profiler {
    queries: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    capacity: u32,
}

impl Profiler {
    /// # Errors
    /// An adapter without timestamp queries.
    pub fn new(gpu: &Gpu, capacity: u32) -> Result<Self> {
        if !gpu.device().features().contains(wgpu::Features::TIMESTAMP_QUERY) {
            let error = Error::unsupported("this adapter has no timestamp queries");
            return Err(error.hint("run the bench without ", Setting::Ops, ""));
        }
        let count = capacity * 2;
        let queries = gpu.device().create_query_set(&wgpu::QuerySetDescriptor {
            label: Some("profile"),
            ty: wgpu::QueryType::Timestamp,
            count,
        });
        let resolved = gpu.device().create_buffer(&wgpu::BufferDescriptor {
            label: Some("profile"),
            size: u64::from(count) * 8,
            usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        });
        Ok(Self { queries, resolved, capacity })
    }

    /// A pass whose begin and end are timed as number `index`.
    pub fn pass<'a>(
        &self,
        encoder: &'a mut wgpu::CommandEncoder,
        index: u32,
    ) -> wgpu::ComputePass<'a> {
        let at = index.min(self.capacity.saturating_sub(1)) * 2;
        encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
            label: None,
            timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                query_set: &self.queries,
                beginning_of_pass_write_index: Some(at),
                end_of_pass_write_index: Some(at + 1),
            }),
        })
    }

    /// To be recorded after the last timed pass.
    pub fn resolve(&self, encoder: &mut wgpu::CommandEncoder, passes: u32) {
        encoder.resolve_query_set(&self.queries, 0..passes * 2, &self.resolved, 0);
    }

    /// Microseconds of each of the first `passes` passes.
    pub async fn microseconds(&self, gpu: &Gpu, passes: u32) -> Result<Vec<f64>> {
        let bytes = gpu.read(&self.resolved, 0, u64::from(passes) * 16).await?;
        let period = f64::from(gpu.queue().get_timestamp_period());
        let ticks: Vec<u64> = bytes
            .chunks_exact(8)
            .map(|c| u64::from_le_bytes(c.try_into().unwrap_or_default()))
            .collect();
        Ok(ticks
            .chunks_exact(2)
            .map(|t| t[1].saturating_sub(t[0]) as f64 * period / 1000.0)
            .collect())
    }
}
