//! One process at a time brings a model: the others wait for it.

use crate::out;
use std::fs::{File, TryLockError};
use std::path::Path;
use wisp_base::{Error, Result};

/// Held until dropped; the system lets go of it when a process dies.
#[derive(Debug)]
pub struct Lock(#[allow(dead_code, reason = "dropping it is what it is for")] File);

/// Waits until nobody else works on `key`.
pub fn take(home: &Path, key: &str) -> Result<Lock> {
    let folder = home.join("locks");
    let path = folder.join(key);
    let failed = |cause| Error::io(format!("cannot lock {}", path.display()), cause);
    std::fs::create_dir_all(&folder).map_err(failed)?;
    let file = File::options().create(true).append(true).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            out::note(format!("another wisp is busy with {key}; waiting for it"));
            file.lock().map_err(failed)?;
        }
        Err(TryLockError::Error(cause)) => return Err(failed(cause)),
    }
    Ok(Lock(file))
}
