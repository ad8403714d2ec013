//! Device memory back to the host, without stalling the steps behind it.

use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

use wisp_base::{Error, Result};

use crate::device::Gpu;

/// A mapping under way: `await` [`Readback::wait`] for its bytes.
#[derive(Debug)]
pub struct Readback {
    buffer: wgpu::Buffer,
    state: Arc<Mutex<State>>,
    after: wgpu::SubmissionIndex,
}

#[derive(Debug, Default)]
struct State {
    done: Option<Result<(), String>>,
    waker: Option<Waker>,
}

impl Gpu {
    /// A buffer that [`Gpu::begin_read`] can read from.
    pub fn staging(&self, bytes: u64) -> wgpu::Buffer {
        self.device().create_buffer(&wgpu::BufferDescriptor {
            label: Some("staging"),
            size: bytes,
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        })
    }

    /// Asks for the contents of a staging buffer once the submission `after`, the
    /// last that writes it, is done; later submissions are not waited for.
    pub fn begin_read(&self, staging: wgpu::Buffer, after: wgpu::SubmissionIndex) -> Readback {
        let state = Arc::new(Mutex::new(State::default()));
        let shared = state.clone();
        staging.map_async(wgpu::MapMode::Read, .., move |result| {
            if let Ok(mut state) = shared.lock() {
                state.done = Some(result.map_err(|e| e.to_string()));
                if let Some(waker) = state.waker.take() {
                    waker.wake();
                }
            }
        });
        Readback { buffer: staging, state, after }
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
        Ok(data)
    }
}

impl Readback {
    /// The bytes, and the staging buffer for its next use.
    ///
    /// # Errors
    /// The device was lost.
    pub async fn wait(self, gpu: &Gpu) -> Result<(Vec<u8>, wgpu::Buffer)> {
        let state = self.state.clone();
        let mapped = std::future::poll_fn(|context| {
            gpu.turn(&self.after);
            let Ok(mut state) = state.lock() else { return Poll::Ready(Err("poisoned".into())) };
            match state.done.take() {
                Some(result) => Poll::Ready(result),
                None => {
                    state.waker = Some(context.waker().clone());
                    // Natively nobody else turns the crank: come back at once.
                    if cfg!(not(target_arch = "wasm32")) {
                        context.waker().wake_by_ref();
                    }
                    Poll::Pending
                }
            }
        })
        .await;
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
