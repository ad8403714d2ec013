//! A folder of files: filled beside its place, and moved there in one step.

use super::catalog::Expected;
use super::download;
use std::path::{Path, PathBuf};
use wisp_base::{Error, Result};

/// Files of a folder, by their paths in it.
pub type Files = [(&'static str, Expected)];

/// Are all files there, as long as they should be?
pub fn is_whole(folder: &Path, files: &Files) -> bool {
    files.iter().all(|(name, file)| {
        let found = folder.join(name).metadata();
        found.is_ok_and(|found| found.is_file() && found.len() == file.bytes)
    })
}

/// Where the files of `folder` are collected; those that an earlier run has left are there.
pub fn begin(folder: &Path, files: &Files) -> Result<PathBuf> {
    let building = download::part(folder);
    if folder.is_dir() {
        // Something is missing in it; what is there is not downloaded again.
        let moved = if building.is_dir() {
            std::fs::remove_dir_all(folder)
        } else {
            std::fs::rename(folder, &building)
        };
        moved.map_err(|cause| Error::io(format!("cannot move {}", folder.display()), cause))?;
    }
    for inner in files.iter().filter_map(|(name, _)| Path::new(name).parent()) {
        let inner = building.join(inner);
        std::fs::create_dir_all(&inner)
            .map_err(|cause| Error::io(format!("cannot make {}", inner.display()), cause))?;
    }
    Ok(building)
}

/// Moves the collected files to their place, if each is the right one.
pub fn finish(folder: &Path, files: &Files) -> Result<()> {
    let building = download::part(folder);
    for (name, file) in files {
        let path = building.join(name);
        download::forget(&path);
        download::check(&path, Some(file.bytes), Some(file.sha256))
            .and_then(|()| download::sync(&path))
            .map_err(|why| Error::input(format!("{name}: {why}")))?;
    }
    download::rename(&building, folder)
}

/// Deletes a folder with all that is in it, and gives the bytes that it had.
pub fn remove(folder: &Path) -> std::io::Result<u64> {
    let bytes = length(folder)?;
    std::fs::remove_dir_all(folder)?;
    Ok(bytes)
}

/// Of all files in it. Links are not followed.
fn length(folder: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { length(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}
