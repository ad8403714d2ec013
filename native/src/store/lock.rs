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
    let file = open(&path).map_err(failed)?;
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

/// To read and write: Windows locks no file that may only be appended to.
fn open(path: &Path) -> std::io::Result<File> {
    File::options().read(true).write(true).create(true).truncate(false).open(path)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn one_holds_it_at_a_time() {
        let home = tempfile::tempdir().unwrap();
        let held = take(home.path(), "m").unwrap();
        let other = open(&home.path().join("locks").join("m")).unwrap();
        assert!(matches!(other.try_lock(), Err(TryLockError::WouldBlock)));
        drop(held);
        other.try_lock().unwrap();
        // Another key is another lock.
        take(home.path(), "n").unwrap();
    }

    /// What `LockFileEx` asks for: GENERIC_READ or GENERIC_WRITE, which appending alone is not.
    #[cfg(unix)]
    #[test]
    fn it_is_opened_as_windows_wants_it() {
        use rustix::fs::{OFlags, fcntl_getfl};
        let home = tempfile::tempdir().unwrap();
        let Lock(file) = take(home.path(), "m").unwrap();
        let flags = fcntl_getfl(&file).unwrap();
        assert_eq!(flags & OFlags::RWMODE, OFlags::RDWR);
        assert!(!flags.contains(OFlags::APPEND));
    }
}
