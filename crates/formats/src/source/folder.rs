//! Several files as one source: they lie one behind the other.

use super::{LocalFuture, Source, in_bounds};
use wisp_base::{Error, Result};

/// A file of a [`FolderSource`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    /// Its path within the folder, with `/`: `1_Pooling/config.json`
    pub name: String,
    /// Where in the source it begins.
    pub start: u64,
    /// How many bytes it has.
    pub len: u64,
}

/// The files of a model: those of a folder of the Hugging Face hub, or of a split GGUF model.
pub struct FolderSource {
    name: String,
    len: u64,
    files: Vec<FileEntry>,
    sources: Vec<Box<dyn Source>>,
}

impl FolderSource {
    /// `name` is for messages; `files` are paths within the folder and their bytes.
    ///
    /// # Errors
    /// More bytes than can be counted.
    pub fn new(name: impl Into<String>, files: Vec<(String, Box<dyn Source>)>) -> Result<Self> {
        let mut folder = Self { name: name.into(), len: 0, files: Vec::new(), sources: Vec::new() };
        for (name, source) in files {
            let (start, len) = (folder.len, source.len());
            let end = start.checked_add(len);
            folder.len = end.ok_or_else(|| Error::input(format!("{name} is too large")))?;
            folder.files.push(FileEntry { name, start, len });
            folder.sources.push(source);
        }
        Ok(folder)
    }

    async fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<()> {
        in_bounds(self, offset, into.len())?;
        let (mut offset, mut into) = (offset, into);
        for (entry, source) in self.files.iter().zip(&self.sources) {
            let Some(at) = offset.checked_sub(entry.start).filter(|at| *at < entry.len) else {
                continue;
            };
            let here = usize::try_from(entry.len - at).unwrap_or(usize::MAX).min(into.len());
            let (head, rest) = into.split_at_mut(here);
            source.read(at, head).await?;
            offset += here as u64;
            into = rest;
        }
        Ok(())
    }
}

impl Source for FolderSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> u64 {
        self.len
    }

    fn files(&self) -> &[FileEntry] {
        &self.files
    }

    fn read<'a>(&'a self, offset: u64, into: &'a mut [u8]) -> LocalFuture<'a, Result<()>> {
        Box::pin(self.read_at(offset, into))
    }
}
