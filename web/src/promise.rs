//! Futures as promises.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use js_sys::Promise;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::spawn_local;

use crate::error::with_kind;
use crate::{outlive, panic};

/// A promise for what `work` gives; rejected as well if the module panics meanwhile.
pub fn of<T: Into<JsValue>>(work: impl Future<Output = Result<T, JsValue>> + 'static) -> Promise {
    let mut work = Some(work);
    Promise::new(&mut |resolve, reject| {
        let Some(work) = work.take() else { return };
        let on_panic = reject.clone();
        let waiting = panic::waiting(move |error| {
            let _ = on_panic.call1(&JsValue::UNDEFINED, error);
        });
        spawn_local(async move {
            let mut work = pin!(work);
            let work = poll_fn(|context| {
                let polled = outlive::exceptions(|| work.as_mut().poll(context));
                polled.unwrap_or_else(|| {
                    Poll::Ready(Err(with_kind("input", outlive::TEMPLATE_FAILED)))
                })
            });
            let (settle, value) = match work.await {
                Ok(value) => (resolve, value.into()),
                Err(error) => (reject, error),
            };
            drop(waiting);
            // A promise's own functions do not throw.
            let _ = settle.call1(&JsValue::UNDEFINED, &value);
        });
    })
}
