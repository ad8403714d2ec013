//! Ctrl-C: the first one stops the answer in progress, the next one leaves. SIGTERM leaves. A
//! server is asked to end by the first of either.

use crate::files;
use crate::out::INTERRUPTED;
use std::sync::{Mutex, PoisonError};
use wisp_runtime::Cancel;

/// The request that Ctrl-C stops.
static CURRENT: Mutex<Option<Cancel>> = Mutex::new(None);

/// How the server is asked to end.
static SERVER: Mutex<Option<Box<dyn FnOnce() + Send>>> = Mutex::new(None);

/// From now on Ctrl-C comes here.
pub fn install() {
    // Where it cannot be had, Ctrl-C ends the process, as ever.
    let _ = ctrlc::set_handler(|| {
        if end_server() {
            return;
        }
        let current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
        match current.as_ref() {
            Some(cancel) if !cancel.is_cancelled() => cancel.cancel(),
            _ => leave(INTERRUPTED.into()),
        }
    });
    #[cfg(unix)]
    {
        use signal_hook::consts::SIGTERM;
        // Where it cannot be had, it ends the process at once.
        if let Ok(mut signals) = signal_hook::iterator::Signals::new([SIGTERM]) {
            std::thread::spawn(move || {
                let signal = signals.forever().find(|_| !end_server());
                if let Some(signal) = signal {
                    leave(128 + signal);
                }
            });
        }
    }
}

/// Ends the process, without what it has not finished. At once: what is run at an ordinary exit
/// takes a driver's compiler away from the threads that are using it.
pub fn leave(status: i32) -> ! {
    files::delete_unfinished();
    #[cfg(unix)]
    signal_hook::low_level::exit(status);
    #[cfg(not(unix))]
    std::process::exit(status)
}

/// The first Ctrl-C or SIGTERM from now on does this instead of leaving.
pub fn at_end(server: impl FnOnce() + Send + 'static) {
    *SERVER.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(server));
}

/// Asks the server to end, if there is one that was not asked yet.
fn end_server() -> bool {
    let server = SERVER.lock().unwrap_or_else(PoisonError::into_inner).take();
    server.map(|server| server()).is_some()
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
