//! A panic or a trap ends the module: wasm cannot unwind, so that what it was working on is
//! half done for good. Whoever waits for something is told, and so is whoever calls later.

use std::cell::RefCell;

use wasm_bindgen::JsValue;

use crate::error::with_kind;
use crate::trap::Trap;

/// Tells somebody who waits: the kind, the message.
type Tell = Box<dyn Fn(&'static str, &str)>;

#[derive(Default)]
struct State {
    /// Why the module has ended.
    ended: Option<(&'static str, String)>,
    /// A list: a map is a kilobyte more to download.
    waiting: Vec<(u64, Tell)>,
    next: u64,
    /// To tell of it where no memory is left.
    reserve: Vec<u8>,
}

const RESERVE: usize = 256 << 10;

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

/// As long as it lives, somebody waits.
pub struct Waiting(u64);

impl Drop for Waiting {
    fn drop(&mut self) {
        STATE.with(|state| state.borrow_mut().waiting.retain(|(id, _)| *id != self.0));
    }
}

/// Has `tell` called if the module ends.
pub fn waiting(tell: impl Fn(&'static str, &str) + 'static) -> Waiting {
    STATE.with(|state| {
        let mut state = state.borrow_mut();
        state.next += 1;
        let id = state.next;
        state.waiting.push((id, Box::new(tell)));
        Waiting(id)
    })
}

/// # Errors
/// The module has ended: nothing of it can be used.
pub fn check() -> Result<(), JsValue> {
    STATE.with(|state| match &state.borrow().ended {
        Some((kind, message)) => Err(with_kind(kind, message)),
        None => Ok(()),
    })
}

/// Ends the module after a trap, unless the trap is the end of a panic.
pub fn end(trap: &Trap) -> JsValue {
    if trap.out_of_memory {
        let _ =
            STATE.with(|state| state.try_borrow_mut().map(|mut state| state.reserve = Vec::new()));
    }
    match check() {
        Err(error) => error,
        Ok(()) if trap.out_of_memory => end_with("memory", OUT_OF_MEMORY.to_owned()),
        Ok(()) => end_with("internal", failed(&trap.why)),
    }
}

/// The module's, not the device's.
const OUT_OF_MEMORY: &str = "the engine needs more memory than WebAssembly has and cannot go on: \
                             load a smaller model in a new worker or page";

fn failed(why: &str) -> String {
    format!(
        "the engine failed and cannot go on: load the page (or restart the worker) anew; please \
         report this: {why}"
    )
}

fn end_with(kind: &'static str, message: String) -> JsValue {
    let error = with_kind(kind, &message);
    let waiting = STATE.with(|state| {
        // A panic may have come from within this very module.
        let mut state = state.try_borrow_mut().ok()?;
        state.ended = Some((kind, message.clone()));
        Some(std::mem::take(&mut state.waiting))
    });
    for (_, tell) in waiting.iter().flatten() {
        tell(kind, &message);
    }
    // What they hold may be half gone.
    std::mem::forget(waiting);
    error
}

/// To be called once, before anything else.
pub fn install() {
    STATE.with(|state| state.borrow_mut().reserve = Vec::with_capacity(RESERVE));
    std::panic::set_hook(Box::new(|info| {
        let error = end_with("internal", failed(&info.to_string()));
        // Leaves wasm at once: the caller, if there is one, gets the error, not a trap.
        wasm_bindgen::throw_val(error);
    }));
}
