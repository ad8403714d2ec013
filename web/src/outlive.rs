//! Outliving exceptions. A template that recurses without end makes the browser throw;
//! the exception passes through wasm and leaves nothing of what waits there.

use js_sys::Promise;
use wasm_bindgen_futures::{JsFuture, spawn_local};

/// What to say where an exception ended work: deep recursion of a chat template is all
/// that could have asked for it.
pub const TEMPLATE_FAILED: &str = "the model's chat template made the template engine fail: it is \
                                   damaged or hostile";

/// What `work` gives; `None` if an exception ended it: no stack left, or a panic.
pub fn exceptions<T>(work: impl FnOnce() -> T) -> Option<T> {
    let (result, called) = call(work);
    if result.is_none() {
        // Somebody must look at a rejection, or the browser reports it.
        spawn_local(async move {
            let _ = JsFuture::from(called).await;
        });
    }
    result
}

/// A function of its own: wasm's stack pointer stays where the exception left it, until
/// whoever called JavaScript returns.
#[inline(never)]
fn call<T>(work: impl FnOnce() -> T) -> (Option<T>, Promise) {
    let (mut work, mut result) = (Some(work), None);
    // JavaScript calls this function at once, and turns what it throws into a rejection.
    let called = Promise::new(&mut |_, _| result = work.take().map(|work| work()));
    (result, called)
}
