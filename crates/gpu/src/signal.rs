//! Waiting for what a callback of the device sends.

use std::future::Future;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use futures_channel::oneshot::Receiver;
use wisp_base::{Error, Result};

use crate::device::{Gpu, SubmissionIndex};

/// What a callback sends, which is run with or after the submission `after`.
///
/// # Errors
/// The device was lost: then nothing may come.
pub(crate) async fn sent<T>(receiver: Receiver<T>, gpu: &Gpu, after: SubmissionIndex) -> Result<T> {
    let mut receiver = pin!(receiver);
    let mut waited = Duration::ZERO;
    std::future::poll_fn(|context| {
        // A later submission may have run the callback by the way.
        let mut sent = receiver.as_mut().poll(context);
        let mut idle = false;
        if sent.is_pending() {
            idle = run_callbacks(gpu, after, &mut waited);
            sent = receiver.as_mut().poll(context);
        }
        if let Poll::Ready(Ok(value)) = sent {
            return Poll::Ready(Ok(value));
        }
        if let Err(lost) = gpu.check() {
            return Poll::Ready(Err(lost));
        }
        // A callback that is gone is never run; natively the device soon tells why, or is idle.
        if idle || cfg!(target_arch = "wasm32") && sent.is_ready() {
            let name = &gpu.facts().name;
            let error = format!("the GPU {name} failed: it is idle, but gave no answer");
            return Poll::Ready(Err(Error::device(error)));
        }
        // Natively callbacks run only when somebody asks for them: come back at once.
        if cfg!(not(target_arch = "wasm32")) {
            context.waker().wake_by_ref();
        }
        Poll::Pending
    })
    .await
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
