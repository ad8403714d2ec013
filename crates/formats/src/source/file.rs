//! A file on disk.

use super::{
    FolderSource, LFS_POINTER_MOST, LocalFuture, Source, in_bounds, is_lfs_pointer, lfs_pointer,
};
use crate::SplitName;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
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
    /// It is a folder, a Git LFS pointer, does not exist, or may not be read.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let name = path.as_ref().display().to_string();
        let cannot = |cause| Error::io(format!("cannot open {name}"), cause);
        let file = File::open(&path).map_err(cannot)?;
        let metadata = file.metadata().map_err(cannot)?;
        if metadata.is_dir() {
            return Err(Error::input(format!("{name} is a folder: give a file in it")));
        }
        let opened = Self { len: metadata.len(), file: Mutex::new(file), name };
        if (1..LFS_POINTER_MOST).contains(&opened.len) {
            let mut start = vec![0; opened.len as usize];
            opened.read_at(0, &mut start)?;
            if is_lfs_pointer(&start) {
                return Err(lfs_pointer(&opened.name));
            }
        }
        Ok(opened)
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

impl FolderSource {
    /// The files of a checkpoint that lie in the folder `path`.
    ///
    /// # Errors
    /// It is none, or a file may not be read.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let name = path.as_ref().display().to_string();
        let cannot = |cause| Error::io(format!("cannot read the folder {name}"), cause);
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(&path).map_err(cannot)? {
            let path = entry.map_err(cannot)?.path();
            let ends = [".json", ".safetensors", ".jinja", ".txt"];
            if let Some(name) = path.file_name().and_then(|name| name.to_str())
                && ends.iter().any(|end| name.ends_with(end))
                && path.is_file()
            {
                paths.push((name.to_owned(), path));
            }
        }
        // Where sentence-transformers keeps how tokens become one embedding.
        let pooling = "1_Pooling/config.json";
        let path = path.as_ref().join(pooling);
        if path.is_file() {
            paths.push((pooling.to_owned(), path));
        }
        paths.sort();
        Self::of_files(name, paths)
    }

    /// The files of the split model that the file `path` is one of, in their order; `None`
    /// where the name is not that of such a file.
    ///
    /// # Errors
    /// One of them is missing, or may not be read.
    pub fn split(path: impl AsRef<Path>) -> Result<Option<Self>> {
        let Some(paths) = split_files(path.as_ref()) else { return Ok(None) };
        if let Some(missing) = paths.iter().find(|path| !path.is_file()) {
            return Err(Error::input(format!(
                "there is no file {}: the model is in {} files, which must lie in one folder; \
                 download this one, too",
                missing.display(),
                paths.len()
            )));
        }
        let named = |path: PathBuf| (path.display().to_string(), path);
        let files: Vec<_> = paths.into_iter().map(named).collect();
        let name = files.first().map(|(name, _)| name.clone()).unwrap_or_default();
        Self::of_files(name, files).map(Some)
    }

    /// Files by their names and paths.
    fn of_files(name: String, paths: Vec<(String, PathBuf)>) -> Result<Self> {
        let open = |(name, path): (String, PathBuf)| {
            Ok((name, Box::new(FileSource::open(path)?) as Box<dyn Source>))
        };
        Self::new(name, paths.into_iter().map(open).collect::<Result<_>>()?)
    }
}

/// All files of the split model that `path` is a file of by its name, or by that of the file
/// that it links to. Not all of them need be there.
pub fn split_files(path: &Path) -> Option<Vec<PathBuf>> {
    let all = |path: &Path| {
        let name = SplitName::parse(path.file_name()?.to_str()?)?;
        Some(name.files().map(|file| path.with_file_name(file)).collect())
    };
    // The links of a cache have the files' names, what they lead to a checksum's.
    all(path).or_else(|| all(&path.canonicalize().ok()?))
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
