//! A file that comes in parts: each is put behind the others once, and a later
//! run goes on behind the last of them.

use super::catalog::Expected;
use super::download;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::path::{Path, PathBuf};
use wisp_base::{Error, Result};

/// The `.part` file of `path`, as far as it is made of whole parts.
pub struct Joined<'a> {
    path: &'a Path,
    part: PathBuf,
    /// Whose parts: those of another source may be cut elsewhere.
    source: String,
    /// How many of them are there.
    pub parts: u32,
    /// How long they are.
    pub bytes: u64,
}

impl<'a> Joined<'a> {
    /// With what an earlier run has left.
    pub fn open(path: &'a Path, source: String) -> Self {
        let part = download::part(path);
        let mut joined = Self { path, part, source, parts: 0, bytes: 0 };
        if let Some((parts, bytes)) = joined.recall() {
            (joined.parts, joined.bytes) = (parts, bytes);
        }
        joined
    }

    /// Puts one more part behind the others. `write` gets the file, and gives the bytes that
    /// it has written; after its error the part is to come again, from its start.
    pub fn append(&mut self, write: impl FnOnce(&mut File) -> Result<u64>) -> Result<()> {
        let failed = |cause| Error::io(format!("cannot write {}", self.part.display()), cause);
        if self.parts == 0 {
            // It may tell of bytes that are not of these parts.
            let _ = std::fs::remove_file(download::state(self.path));
        }
        let mut options = File::options();
        let mut file =
            options.create(true).write(true).truncate(false).open(&self.part).map_err(failed)?;
        // Without what was begun behind the last whole part.
        file.set_len(self.bytes).map_err(failed)?;
        file.seek(SeekFrom::End(0)).map_err(failed)?;
        let count = write(&mut file)?;
        // First the bytes, then the word that they are there.
        file.sync_data().map_err(failed)?;
        self.parts += 1;
        self.bytes += count;
        let state = json!({"source": self.source, "parts": self.parts, "bytes": self.bytes});
        let path = download::state(self.path);
        std::fs::write(&path, state.to_string())
            .map_err(|cause| Error::io(format!("cannot write {}", path.display()), cause))
    }

    /// Gives the file its name, if it is the right one; else nothing is left of it.
    pub fn finish(self, expected: Expected) -> Result<()> {
        let checked = download::check(&self.part, Some(expected.bytes), Some(expected.sha256));
        if checked.is_err() {
            download::forget(self.path);
        }
        checked?;
        download::publish(&self.part, self.path)
    }

    /// The whole parts that are there: how many, and how long they are.
    fn recall(&self) -> Option<(u32, u64)> {
        let text = std::fs::read(download::state(self.path)).ok()?;
        let state: Value = serde_json::from_slice(&text).ok()?;
        (state.get("source")?.as_str()? == self.source).then_some(())?;
        let parts = state.get("parts")?.as_u64()?.try_into().ok()?;
        let bytes = state.get("bytes")?.as_u64()?;
        (self.part.metadata().ok()?.len() >= bytes).then_some((parts, bytes))
    }
}
