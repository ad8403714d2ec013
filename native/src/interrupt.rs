//! Ctrl-C: the first one stops the answer in progress, the next one leaves.

use crate::out::INTERRUPTED;
use std::sync::{Mutex, PoisonError};
use wisp_runtime::Cancel;

/// The request that Ctrl-C stops.
static CURRENT: Mutex<Option<Cancel>> = Mutex::new(None);

/// From now on Ctrl-C comes here.
pub fn install() {
    // Where it cannot be had, Ctrl-C ends the process, as ever.
    let _ = ctrlc::set_handler(|| {
        let current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
        match current.as_ref() {
            Some(cancel) if !cancel.is_cancelled() => cancel.cancel(),
            _ => std::process::exit(INTERRUPTED.into()),
        }
    });
}

/// As long as this lives, the first Ctrl-C sets its flag.
pub struct Guard;

/// The flag for a request that starts now.
pub fn guard() -> (Cancel, Guard) {
    let cancel = Cancel::default();
    set(Some(cancel.clone()));
    (cancel, Guard)
}

impl Drop for Guard {
    fn drop(&mut self) {
        set(None);
    }
}

fn set(cancel: Option<Cancel>) {
    *CURRENT.lock().unwrap_or_else(PoisonError::into_inner) = cancel;
}
