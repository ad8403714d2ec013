//! Where a model's bytes come from. Reading is async and by ranges, so that a
//! file, an HTTP server and a browser's storage look alike and no model is ever
//! in memory whole.

#[cfg(not(target_arch = "wasm32"))]
mod file;

mod folder;

#[cfg(not(target_arch = "wasm32"))]
pub use file::{FileSource, split_files};
pub use folder::{FileEntry, FolderSource};

use std::future::Future;
use std::pin::Pin;
use wisp_base::{Error, Result};

/// A boxed future that need not be `Send`: browser objects are not.
pub type LocalFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Random access to the bytes of one file.
pub trait Source {
    /// What to call it in a message: a path or a URL.
    fn name(&self) -> &str;

    /// Its length in bytes.
    fn len(&self) -> u64;

    /// Whether it has no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The files that it is made of, if it is a folder or a split model; else none.
    fn files(&self) -> &[FileEntry] {
        &[]
    }

    /// Fills `into` with the bytes from `offset` on.
    ///
    /// # Errors
    /// The range passes the end, or the bytes cannot be had; names the source.
    fn read<'a>(&'a self, offset: u64, into: &'a mut [u8]) -> LocalFuture<'a, Result<()>>;
}

/// A file that is already in memory.
#[derive(Debug, Clone)]
pub struct BytesSource {
    name: String,
    bytes: Vec<u8>,
}

impl BytesSource {
    /// `name` is for messages.
    pub fn new(name: impl Into<String>, bytes: Vec<u8>) -> Self {
        Self { name: name.into(), bytes }
    }

    fn copy(&self, offset: u64, into: &mut [u8]) -> Result<()> {
        let end = in_bounds(self, offset, into.len())?;
        let range = usize::try_from(offset).ok().zip(usize::try_from(end).ok());
        let from = range.and_then(|(start, end)| self.bytes.get(start..end));
        // `in_bounds` has checked the range.
        into.copy_from_slice(from.ok_or_else(|| past_end(self, offset, into.len()))?);
        Ok(())
    }
}

impl Source for BytesSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read<'a>(&'a self, offset: u64, into: &'a mut [u8]) -> LocalFuture<'a, Result<()>> {
        Box::pin(std::future::ready(self.copy(offset, into)))
    }
}

/// The end of the range `offset..offset + bytes`, in bytes.
///
/// # Errors
/// The source ends before it: the file is truncated.
pub fn in_bounds(source: &dyn Source, offset: u64, bytes: usize) -> Result<u64> {
    offset
        .checked_add(bytes as u64)
        .filter(|end| *end <= source.len())
        .ok_or_else(|| past_end(source, offset, bytes))
}

fn past_end(source: &dyn Source, offset: u64, bytes: usize) -> Error {
    Error::input(format!(
        "{}: {bytes} bytes are wanted at byte {offset}, but the file ends at byte {}: it is \
         truncated; download it again",
        source.name(),
        source.len()
    ))
}

/// A Git LFS pointer has fewer bytes than this, says its specification.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) const LFS_POINTER_MOST: u64 = 1024;

/// Is this the beginning of a Git LFS pointer: the small text that stands for a large file
/// where a repository was cloned without it?
pub fn is_lfs_pointer(bytes: &[u8]) -> bool {
    bytes.starts_with(b"version https://git-lfs.")
}

pub(crate) fn lfs_pointer(name: &str) -> Error {
    Error::input(format!(
        "{name} is a Git LFS pointer, the small text that stands for a large file: run `git lfs \
         pull` in its repository, or download the file itself"
    ))
}
