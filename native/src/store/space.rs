//! Is there room on the disk?

use std::path::Path;
use wisp_base::{Error, Result};

/// An error where `bytes` more do not fit beside `path`.
pub fn check(path: &Path, bytes: u64) -> Result<()> {
    match free(path) {
        Some(free) if free < bytes => Err(Error::input(format!(
            "{} more are needed at {}, but the disk has {} free: make room, or set WISP_HOME to a \
             folder on another disk",
            crate::bytes::shown(bytes),
            path.display(),
            crate::bytes::shown(free)
        ))),
        _ => Ok(()),
    }
}

/// Bytes that this user may still write there; `None` where the system does not say.
#[cfg(unix)]
fn free(path: &Path) -> Option<u64> {
    let folder = path.parent()?;
    let disk = rustix::fs::statvfs(folder).ok()?;
    disk.f_bavail.checked_mul(disk.f_frsize)
}

/// A full disk shows when writing fails.
#[cfg(not(unix))]
fn free(_path: &Path) -> Option<u64> {
    None
}
