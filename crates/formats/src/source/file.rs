//! A file on disk.

use super::{LocalFuture, Source, in_bounds};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use wisp_base::{Error, Result};

/// A file on disk, open for reading. Reads block: the future is ready at once.
#[derive(Debug)]
pub struct FileSource {
    name: String,
    len: u64,
    /// Locked because seeking and reading are two steps.
    file: Mutex<File>,
}

impl FileSource {
    /// Opens `path`.
    ///
    /// # Errors
    /// It is a folder, does not exist, or may not be read.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let name = path.as_ref().display().to_string();
        let cannot = |cause| Error::io(format!("cannot open {name}"), cause);
        let file = File::open(&path).map_err(cannot)?;
        let metadata = file.metadata().map_err(cannot)?;
        if metadata.is_dir() {
            return Err(Error::input(format!("{name} is a folder: give a file in it")));
        }
        Ok(Self { len: metadata.len(), file: Mutex::new(file), name })
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<()> {
        in_bounds(self, offset, into.len())?;
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(offset)).and_then(|_| file.read_exact(into)).map_err(|cause| {
            let bytes = into.len();
            Error::io(format!("cannot read {bytes} bytes at byte {offset} of {}", self.name), cause)
        })
    }
}

impl Source for FileSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> u64 {
        self.len
    }

    fn read<'a>(&'a self, offset: u64, into: &'a mut [u8]) -> LocalFuture<'a, Result<()>> {
        Box::pin(std::future::ready(self.read_at(offset, into)))
    }
}
