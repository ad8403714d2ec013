//! Device memory back to the host, without stalling the steps behind it.

use futures_channel::oneshot;
use wisp_base::{Error, Result};

use crate::device::{Gpu, SubmissionIndex};
use crate::signal::sent;

/// A mapping under way: `await` [`Readback::wait`] for its bytes.
#[derive(Debug)]
pub struct Readback {
    buffer: wgpu::Buffer,
    mapped: oneshot::Receiver<Result<(), String>>,
    after: SubmissionIndex,
}

impl Gpu {
    /// A buffer that [`Gpu::begin_read`] can read from.
    pub fn staging(&self, bytes: u64) -> wgpu::Buffer {
        self.count_allocated(bytes);
        self.device().create_buffer(&wgpu::BufferDescriptor {
            label: Some("staging"),
            size: bytes,
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        })
    }

    /// Asks for the contents of a staging buffer once the submission `after`, the
    /// last that writes it, is done; later submissions are not waited for.
    pub fn begin_read(&self, staging: wgpu::Buffer, after: SubmissionIndex) -> Readback {
        let (sender, mapped) = oneshot::channel();
        staging.map_async(wgpu::MapMode::Read, .., move |result| {
            // Nobody may wait for it any more.
            let _ = sender.send(result.map_err(|e| e.to_string()));
        });
        Readback { buffer: staging, mapped, after }
    }

    /// Copies `bytes` of `buffer` from `offset` on to the host. Waits for all submitted work.
    pub async fn read(&self, buffer: &wgpu::Buffer, offset: u64, bytes: u64) -> Result<Vec<u8>> {
        if bytes == 0 {
            return Ok(Vec::new());
        }
        let staging = self.catch(|| self.staging(bytes)).await?;
        let mut encoder = self.encoder();
        encoder.copy_buffer_to_buffer(buffer, offset, &staging, 0, bytes);
        let submission = self.submit(encoder)?;
        let (data, staging) = self.begin_read(staging, submission).wait(self).await?;
        staging.destroy();
        self.count_freed(bytes);
        Ok(data)
    }
}

impl Readback {
    /// The bytes, and the staging buffer for its next use.
    ///
    /// # Errors
    /// The device was lost.
    pub async fn wait(self, gpu: &Gpu) -> Result<(Vec<u8>, wgpu::Buffer)> {
        let mapped = sent(self.mapped, gpu, self.after).await?;
        gpu.check()?;
        mapped.map_err(|e| Error::device(format!("reading from the GPU failed: {e}")))?;
        let range = self
            .buffer
            .get_mapped_range(..)
            .map_err(|e| Error::device(format!("reading from the GPU failed: {e}")))?;
        let data = range.to_vec();
        drop(range);
        self.buffer.unmap();
        Ok((data, self.buffer))
    }
}
