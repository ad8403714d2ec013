//! Futures as promises.

use std::future::Future;

use js_sys::Promise;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::spawn_local;

use crate::error::with_kind;
use crate::{panic, trap};

/// A promise for what `work` gives; rejected as well if the module ends meanwhile.
pub fn of<T: Into<JsValue>>(work: impl Future<Output = Result<T, JsValue>> + 'static) -> Promise {
    let mut work = Some(work);
    Promise::new(&mut |resolve, reject| {
        let Some(work) = work.take() else { return };
        let on_end = reject.clone();
        let waiting = panic::waiting(move |kind, message| {
            let _ = on_end.call1(&JsValue::UNDEFINED, &with_kind(kind, message));
        });
        spawn_local(trap::guarded_future(Box::pin(async move {
            let (settle, value) = match work.await {
                Ok(value) => (resolve, value.into()),
                Err(error) => (reject, error),
            };
            drop(waiting);
            // A promise's own functions do not throw.
            let _ = settle.call1(&JsValue::UNDEFINED, &value);
        })));
    })
}
