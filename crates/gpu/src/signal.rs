//! A callback of the device as something to await.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use wisp_base::{Error, Result};

use crate::device::{Gpu, SubmissionIndex};

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
    ///
    /// # Errors
    /// The device was lost: then nothing may come.
    pub async fn wait(&self, gpu: &Gpu, after: SubmissionIndex) -> Result<T> {
        let mut waited = Duration::ZERO;
        std::future::poll_fn(|context| {
            // A later submission may have run the callback by the way.
            let mut value = self.state().value.take();
            let mut idle = false;
            if value.is_none() {
                idle = run_callbacks(gpu, after, &mut waited);
                value = self.state().value.take();
            }
            if let Some(value) = value {
                return Poll::Ready(Ok(value));
            }
            if let Err(lost) = gpu.check() {
                return Poll::Ready(Err(lost));
            }
            if idle {
                let name = &gpu.facts().name;
                let error = format!("the GPU {name} failed: it is idle, but gave no answer");
                return Poll::Ready(Err(Error::device(error)));
            }
            self.state().waker = Some(context.waker().clone());
            // Natively callbacks run only when somebody asks for them: come back at once.
            if cfg!(not(target_arch = "wasm32")) {
                context.waker().wake_by_ref();
            }
            Poll::Pending
        })
        .await
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Between two looks at a device that has later work to do as well.
const LEAST_PAUSE: Duration = Duration::from_micros(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(1);

/// Runs the callbacks of what the device has done, after a wait for `submission` or for a part
/// of that time; `true` if all that was submitted is done. A browser calls them by itself.
///
/// `Device::poll` panics where a wait fails, which is how Vulkan tells of a lost device;
/// `Instance::poll_all` goes on, and leaves the telling to the device's callback. It can wait
/// for the newest submission only. For an older one it is asked again and again: the pauses
/// between cost nothing, since the device has the later ones to do.
fn run_callbacks(gpu: &Gpu, submission: SubmissionIndex, waited: &mut Duration) -> bool {
    if cfg!(target_arch = "wasm32") {
        return false;
    }
    if gpu.is_newest(submission) {
        return gpu.instance().poll_all(true);
    }
    let pause = (*waited / 16).clamp(LEAST_PAUSE, LONGEST_PAUSE);
    std::thread::sleep(pause);
    *waited += pause;
    gpu.instance().poll_all(false)
}
