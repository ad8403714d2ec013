//! Ending work from outside: a future that is dropped gives back all that it holds.

use std::future::Future;

use futures_util::future::{AbortHandle, Abortable};
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::Closure;
use web_sys::AbortSignal;

/// What `work` gives; `None`, with `work` dropped, where `signal` aborts before it is done.
pub async fn unless_aborted<T>(
    signal: Option<&AbortSignal>,
    work: impl Future<Output = T>,
) -> Option<T> {
    let (handle, registration) = AbortHandle::new_pair();
    match signal {
        Some(signal) if signal.aborted() => handle.abort(),
        Some(signal) => {
            let listener = Closure::once_into_js(move || handle.abort());
            // There is always an event "abort" to listen to.
            let _ = signal.add_event_listener_with_callback("abort", listener.unchecked_ref());
        }
        None => {}
    }
    Abortable::new(work, registration).await.ok()
}
