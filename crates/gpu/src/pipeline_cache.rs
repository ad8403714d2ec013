//! Compiled pipelines kept on disk between runs, where a driver gives them out: Vulkan's
//! pipeline cache. Elsewhere nothing is kept, and nobody notices but the clock.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::device::Gpu;
use crate::link::shaders_hash;

/// Bytes of a file at most. A driver's cache only grows (with every model and its contexts);
/// past this it starts anew.
const MOST: u64 = 64 << 20;

/// The driver's cache, and the file that it came from and goes to: a checksum, then the
/// data. wgpu checks whose data it is, but not whether it is whole, and drivers trust it.
#[derive(Debug)]
pub(crate) struct PipelineCache {
    pub(crate) cache: wgpu::PipelineCache,
    path: PathBuf,
    /// Adapter, driver and a hash of the shaders, so that stale pipelines do not pile up.
    of: String,
    /// Something was compiled since the last look at the data.
    compiled: AtomicBool,
    /// The checksum of what was last read or written.
    known: Mutex<Option<u64>>,
}

impl Gpu {
    /// From now on compiled pipelines are taken from a file in `folder` and kept there, if
    /// this adapter can: a file for each adapter and driver. A file that cannot be read or
    /// is damaged is as good as none, a folder that cannot be written too.
    pub async fn open_pipeline_cache(&self, folder: &Path) {
        if cfg!(target_arch = "wasm32") {
            return; // No files, and no code for them.
        }
        let device = self.device();
        let info = device.adapter_info();
        if !device.features().contains(wgpu::Features::PIPELINE_CACHE) {
            return;
        }
        let Some(adapter) = wgpu::util::pipeline_cache_key(&info) else { return };
        let mut hasher = DefaultHasher::new();
        (&info.name, &info.driver, &info.driver_info).hash(&mut hasher);
        let name = format!("{adapter}_{:016x}", hasher.finish());
        let path = folder.join(&name);
        let of = format!("{name} {:016x}", shaders_hash());
        let data = read(&path, &of);
        let known = data.as_deref().map(|data| checksum(&of, data));
        if let Ok(cache) = self.catch(|| create(device, data.as_deref())).await {
            let compiled = AtomicBool::new(false);
            self.keep(PipelineCache { cache, path, of, compiled, known: Mutex::new(known) });
        }
    }

    /// Writes what was compiled since the last time, if pipelines are kept. Dropping the
    /// device does it too; this is for those who may be killed before.
    pub fn save_pipeline_cache(&self) {
        if let Some(kept) = self.kept() {
            kept.save();
        }
    }
}

#[allow(unsafe_code)]
fn create(device: &wgpu::Device, data: Option<&[u8]>) -> wgpu::PipelineCache {
    let descriptor =
        wgpu::PipelineCacheDescriptor { label: Some("kept pipelines"), data, fallback: true };
    // SAFETY: the data is what `PipelineCache::get_data` gave for this adapter and driver:
    // only such a file has the right checksum.
    unsafe { device.create_pipeline_cache(&descriptor) }
}

impl PipelineCache {
    /// A pipeline was made with the cache.
    pub(crate) fn note_compiled(&self) {
        self.compiled.store(true, Ordering::Relaxed);
    }

    /// Failures are silent: what is not kept is compiled again. Of two processes that save
    /// at once, the later one's file stays; what it lacks is added by the next run.
    pub(crate) fn save(&self) {
        if !self.compiled.swap(false, Ordering::Relaxed) {
            return;
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(data) = self.cache.get_data() else { return };
        let sum = checksum(&self.of, &data);
        if *known == Some(sum) {
            return; // All of it came from the file.
        }
        *known = Some(sum);
        let _ = if data.len() as u64 > MOST {
            std::fs::remove_file(&self.path)
        } else {
            write(&self.path, sum, &data)
        };
    }
}

fn checksum(of: &str, data: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    (of, data).hash(&mut hasher);
    hasher.finish()
}

fn read(path: &Path, of: &str) -> Option<Vec<u8>> {
    if !path.metadata().ok()?.is_file() {
        return None; // A pipe would be waited for.
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path).ok()?.take(MOST + 9).read_to_end(&mut bytes).ok()?;
    let (sum, data) = bytes.split_first_chunk()?;
    let whole = data.len() as u64 <= MOST && checksum(of, data) == u64::from_le_bytes(*sum);
    whole.then(|| data.to_vec())
}

/// All at once or not at all: a reader sees the old file or the new one.
fn write(path: &Path, sum: u64, data: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let part = path.with_extension(format!("{}.part", std::process::id()));
    let mut file = std::fs::File::create(&part)?;
    let written = file
        .write_all(&sum.to_le_bytes())
        .and_then(|()| file.write_all(data))
        .and_then(|()| std::fs::rename(&part, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&part);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_file_of_the_same_name_is_read() {
        let folder = std::env::temp_dir().join(format!("wisp-kept-{}", std::process::id()));
        let path = folder.join("new/file");
        let data = [7; 1000];
        assert_eq!(read(&path, "it"), None);
        write(&path, checksum("it", &data), &data).unwrap();
        assert_eq!(read(&path, "it").as_deref(), Some(&data[..]));
        assert_eq!(read(&path, "another"), None);
        let whole = std::fs::read(&path).unwrap();
        for length in [0, 3, 8, 500, 1007] {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert_eq!(read(&path, "it"), None, "{length} bytes");
        }
        let mut flipped = whole.clone();
        flipped[600] ^= 1;
        std::fs::write(&path, flipped).unwrap();
        assert_eq!(read(&path, "it"), None, "a flipped bit");
        std::fs::File::create(&path).unwrap().set_len(MOST * 2).unwrap();
        assert_eq!(read(&path, "it"), None, "a huge file");
        assert_eq!(read(&folder, "it"), None, "a folder");
        // Nothing but the file itself is left behind.
        assert_eq!(std::fs::read_dir(folder.join("new")).unwrap().count(), 1);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
