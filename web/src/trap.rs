//! Traps: out of memory, out of stack, or a mistake of ours. The browser throws then; the
//! exception passes through wasm, and nothing of what waits there is run.

use std::alloc::{GlobalAlloc, Layout, System};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use js_sys::Array;
use wasm_bindgen::JsValue;

use crate::error::message;
use crate::panic;

/// What ended work.
#[derive(Default)]
pub struct Trap {
    pub out_of_memory: bool,
    /// The browser's words.
    pub why: String,
}

/// What `work` gives. An error, too, for a trap: that ends the module, as a panic does.
pub fn guarded<T>(work: impl FnOnce() -> Result<T, JsValue>) -> Result<T, JsValue> {
    panic::check()?;
    caught(work).unwrap_or_else(|trap| Err(panic::end(&trap)))
}

/// Does `work`, of which a trap ends the module.
pub async fn guarded_future(work: Pin<Box<dyn Future<Output = ()>>>) {
    let mut work = Some(work);
    poll_fn(|context| {
        let Some(future) = &mut work else { return Poll::Ready(()) };
        caught(|| future.as_mut().poll(context)).unwrap_or_else(|trap| {
            // Half of a step is done: what it holds may be gone already.
            std::mem::forget(work.take());
            panic::end(&trap);
            Poll::Ready(())
        })
    })
    .await;
}

/// What `work` gives, or the trap that ended it.
pub fn caught<T>(work: impl FnOnce() -> T) -> Result<T, Trap> {
    let (mut work, mut result) = (Some(work), None);
    let trap = call(&mut || result = work.take().map(|work| work()));
    result.ok_or_else(|| trap.unwrap_or_default())
}

/// A function of its own: wasm's stack pointer stays where the exception left it, until
/// whoever called JavaScript returns.
#[inline(never)]
fn call(work: &mut dyn FnMut()) -> Option<Trap> {
    allocation_failed();
    let once = Array::of1(&JsValue::UNDEFINED);
    // JavaScript calls this function at once, and catches what it throws.
    let called = once.try_for_each(&mut |_: JsValue, _| {
        work();
        Ok(())
    });
    let thrown = called.err()?;
    let out_of_memory = allocation_failed();
    // The text of a failed allocation says nothing, and there may be no room for it.
    let why = if out_of_memory { String::new() } else { message(&thrown) };
    Some(Trap { out_of_memory, why })
}

/// Whether an allocation failed since this was last asked.
pub fn allocation_failed() -> bool {
    FAILED.swap(false, Ordering::Relaxed)
}

static FAILED: AtomicBool = AtomicBool::new(false);

/// The trap that follows a failed allocation looks like any other, so it is noted.
struct Noting;

#[global_allocator]
static ALLOCATOR: Noting = Noting;

fn noted(allocated: *mut u8) -> *mut u8 {
    if allocated.is_null() {
        FAILED.store(true, Ordering::Relaxed);
    }
    allocated
}

// SAFETY: every call is passed on as it is.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Noting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        noted(unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        noted(unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        noted(unsafe { System.realloc(old, layout, size) })
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        unsafe { System.dealloc(old, layout) }
    }
}
