//! A callback of the device as something to await.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use crate::device::Gpu;

/// A value that a callback will set. Clones share it.
#[derive(Debug)]
pub(crate) struct Signal<T>(Arc<Mutex<State<T>>>);

#[derive(Debug)]
struct State<T> {
    value: Option<T>,
    waker: Option<Waker>,
}

impl<T> Clone for Signal<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Signal<T> {
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(State { value: None, waker: None })))
    }

    pub fn set(&self, value: T) {
        let mut state = self.state();
        state.value = Some(value);
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }

    /// The value, which comes with or after the submission `after`.
    pub async fn wait(&self, gpu: &Gpu, after: &wgpu::SubmissionIndex) -> T {
        std::future::poll_fn(|context| {
            turn(gpu, after);
            let mut state = self.state();
            match state.value.take() {
                Some(value) => Poll::Ready(value),
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
        .await
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Natively somebody must turn the crank for callbacks to run: waits for
/// `submission`. A browser calls them by itself.
fn turn(gpu: &Gpu, submission: &wgpu::SubmissionIndex) {
    if cfg!(target_arch = "wasm32") {
        return;
    }
    let _ = gpu.device().poll(wgpu::PollType::Wait {
        submission_index: Some(submission.clone()),
        timeout: Some(Duration::from_millis(500)),
    });
}
