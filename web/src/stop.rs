//! Ending work from outside: a future that is dropped gives back all that it holds.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};

use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::Closure;
use web_sys::AbortSignal;

/// Says once that work is no longer wanted. Clones are the same.
#[derive(Clone, Default)]
pub struct Stop(Rc<State>);

#[derive(Default)]
struct State {
    stopped: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Stop {
    /// Stopped when `signal` aborts, if there is one.
    pub fn on(signal: Option<&AbortSignal>) -> Self {
        let stop = Self::default();
        let Some(signal) = signal else { return stop };
        if signal.aborted() {
            stop.stop();
            return stop;
        }
        let then = stop.clone();
        let listener = Closure::once_into_js(move || then.stop());
        // There is always an event "abort" to listen to.
        let _ = signal.add_event_listener_with_callback("abort", listener.unchecked_ref());
        stop
    }

    pub fn stop(&self) {
        self.0.stopped.set(true);
        if let Some(waker) = self.0.waker.take() {
            waker.wake();
        }
    }

    pub fn is_stopped(&self) -> bool {
        self.0.stopped.get()
    }

    /// What `work` gives; `None`, with `work` dropped, if stopped before it was done.
    pub async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        std::future::poll_fn(|context| {
            if self.is_stopped() {
                return Poll::Ready(None);
            }
            *self.0.waker.borrow_mut() = Some(context.waker().clone());
            work.as_mut().poll(context).map(Some)
        })
        .await
    }
}
