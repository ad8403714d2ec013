//! A driver in a thread of its own.

use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use pollster::block_on;
use wisp_base::{Error, Result};

use super::{Loading, driver};
use crate::engine::Engine;
use crate::load::progress::Progress;

/// As much as a main thread has: templates and shaders are read recursively.
const STACK: usize = 8 << 20;

/// Loads an engine in a thread, where it stays. When the last [`Handle`](crate::Handle) is
/// dropped, the thread's end is waited for, so that no device is at work while a process ends.
///
/// # Errors
/// The operating system gives no thread.
pub fn in_thread(
    load: impl AsyncFnOnce(&mut dyn FnMut(Progress)) -> Result<Engine> + Send + 'static,
) -> Result<Loading> {
    let (driver, mut loading) = driver();
    let work = move || block_on(driver.run(load, async |time| thread::sleep(time)));
    let thread = thread::Builder::new().name("engine".into()).stack_size(STACK).spawn(work);
    let thread = thread.map_err(|cause| Error::io("cannot start a thread", cause))?;
    loading.thread = Some(Arc::new(Joined(Mutex::new(Some(thread)))));
    Ok(loading)
}

/// Is waited for at its end.
struct Joined(Mutex<Option<JoinHandle<()>>>);

impl Drop for Joined {
    fn drop(&mut self) {
        let thread = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        // Work may have taken the last handle with it, into this very thread.
        let Some(thread) = thread.filter(|thread| thread.thread().id() != thread::current().id())
        else {
            return;
        };
        if let Err(panic) = thread.join()
            && !thread::panicking()
        {
            // A mistake there is a mistake here.
            resume_unwind(panic);
        }
    }
}
