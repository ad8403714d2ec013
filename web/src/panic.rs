//! A panic ends the module: wasm cannot unwind, so that what it was working on is half
//! done for good. Whoever waits for something is told, and so is whoever calls later.

use std::cell::RefCell;
use std::collections::BTreeMap;

use wasm_bindgen::JsValue;

use crate::error::with_kind;

/// Tells somebody who waits.
type Tell = Box<dyn Fn(&JsValue)>;

#[derive(Default)]
struct State {
    /// Why the module is dead.
    dead: Option<String>,
    waiting: BTreeMap<u64, Tell>,
    next: u64,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

/// As long as it lives, somebody waits.
pub struct Waiting(u64);

impl Drop for Waiting {
    fn drop(&mut self) {
        STATE.with(|state| state.borrow_mut().waiting.remove(&self.0));
    }
}

/// Has `tell` called with the error if the module panics.
pub fn waiting(tell: impl Fn(&JsValue) + 'static) -> Waiting {
    STATE.with(|state| {
        let mut state = state.borrow_mut();
        state.next += 1;
        let id = state.next;
        state.waiting.insert(id, Box::new(tell));
        Waiting(id)
    })
}

/// # Errors
/// The module has panicked: nothing of it can be used.
pub fn check() -> Result<(), JsValue> {
    STATE.with(|state| match &state.borrow().dead {
        Some(message) => Err(with_kind("internal", message)),
        None => Ok(()),
    })
}

/// To be called once, before anything else.
pub fn install() {
    std::panic::set_hook(Box::new(|info| {
        let message = format!(
            "the engine failed and cannot go on: load the page (or restart the worker) anew; \
             please report this: {info}"
        );
        let error = with_kind("internal", &message);
        let waiting = STATE.with(|state| {
            // The panic may have come from within this very module.
            let mut state = state.try_borrow_mut().ok()?;
            state.dead = Some(message);
            Some(std::mem::take(&mut state.waiting))
        });
        for tell in waiting.iter().flat_map(BTreeMap::values) {
            tell(&error);
        }
        // Leaves wasm at once: the caller, if there is one, gets the error, not a trap.
        wasm_bindgen::throw_val(error);
    }));
}
