//! Reading and writing whole files.

use serde::de::DeserializeOwned;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tempfile::{NamedTempFile, TempDir};
use wisp_base::{Error, Result};

/// Links that may lead to each other; more are a circle.
const LINKS: usize = 40;

/// All bytes of a file.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|cause| Error::io(format!("cannot read {}", path.display()), cause))
}

/// A value out of JSON, which may begin with a byte-order mark, as some editors write it.
pub fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err("it is UTF-16: save it as UTF-8".into());
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    serde_json::from_slice(bytes).map_err(|cause| cause.to_string())
}

/// The text of a line of stdin that is a JSON string.
pub fn json_text(number: usize, line: &[u8]) -> Result<String> {
    from_json(line).map_err(|cause| {
        Error::input(format!("line {number} of stdin is not a JSON string: {cause}"))
    })
}

/// Writes a file so that at each moment the old one or the whole new one is there. Where
/// `path` is a symbolic link, it stays one, and leads to the new file.
pub fn write(path: &Path, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let failed = |cause| Error::io(format!("cannot write {}", path.display()), cause);
    if path.is_dir() {
        return Err(Error::input(format!(
            "cannot write {}: it is a folder; give a file's name",
            path.display()
        )));
    }
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if path.exists() && !path.is_file() || cfg!(windows) && is_windows_device(name) {
        // A device or a pipe: nothing to rename over.
        let file = std::fs::OpenOptions::new().write(true).open(path).map_err(failed)?;
        let mut file = BufWriter::new(file);
        return content(&mut file).and_then(|()| file.flush()).map_err(failed);
    }
    let target = linked(path).map_err(failed)?;
    // tempfile's own message names the temporary file, which nobody asked for.
    let (temporary, _unfinished) = begin(&target).map_err(|cause| match cause.kind() {
        io::ErrorKind::NotFound => Error::input(format!(
            "cannot write {}: its folder does not exist; make it first",
            path.display()
        )),
        kind => failed(io::Error::from(kind)),
    })?;
    let mut file = BufWriter::new(temporary);
    content(&mut file).map_err(failed)?;
    let temporary = file.into_inner().map_err(|cause| failed(cause.into_error()))?;
    temporary.as_file().sync_all().map_err(failed)?;
    temporary.persist(&target).map_err(|cause| failed(cause.error))?;
    Ok(())
}

/// Windows has devices of these names (`NUL`, `COM1`), in any folder and case, whatever stands
/// behind a dot.
pub fn is_windows_device(name: &str) -> bool {
    let base = name.split('.').next().unwrap_or(name).trim_end().to_ascii_lowercase();
    let number = base.strip_prefix("com").or_else(|| base.strip_prefix("lpt"));
    ["con", "prn", "aux", "nul"].contains(&base.as_str())
        || number.is_some_and(|number| matches!(number.as_bytes(), [b'0'..=b'9']))
}

/// Refuses to write over a file that is read.
pub fn expect_other(out: &Path, read: &[PathBuf]) -> Result<()> {
    let Ok(own) = out.canonicalize() else { return Ok(()) };
    match read.iter().find(|path| path.canonicalize().is_ok_and(|path| path == own)) {
        None => Ok(()),
        Some(path) => Err(Error::input(format!(
            "cannot write {}: it is {}, which is read; give another name",
            out.display(),
            path.display()
        ))),
    }
}

/// What a chain of symbolic links leads to, be it there or not; any other path itself.
fn linked(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_path_buf();
    for _ in 0..LINKS {
        let Ok(to) = path.read_link() else { return Ok(path) };
        path = path.parent().map(|folder| folder.join(&to)).unwrap_or(to);
    }
    Err(io::Error::other("its symbolic links lead in a circle"))
}

/// Files and folders that are not finished: who leaves early deletes them.
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn unfinished() -> MutexGuard<'static, Vec<PathBuf>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// While this lives, its file or folder is among the unfinished ones.
#[derive(Debug)]
pub struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        unfinished().retain(|path| *path != self.0);
    }
}

/// Deletes what is not finished. From now on nothing new is begun: the process ends.
pub fn delete_unfinished() {
    let mut paths = unfinished();
    for path in paths.drain(..) {
        // It may have its name already.
        let _ = std::fs::remove_file(&path).or_else(|_| std::fs::remove_dir_all(&path));
    }
    std::mem::forget(paths);
}

/// A folder in `folder` for as long as this process needs it.
pub fn temporary_folder(folder: &Path) -> io::Result<(TempDir, Unfinished)> {
    let mut paths = unfinished();
    let made = tempfile::tempdir_in(folder)?;
    paths.push(made.path().to_path_buf());
    let unfinished = Unfinished(made.path().to_path_buf());
    Ok((made, unfinished))
}

/// A hidden file beside `target`. Those that dead processes have left there are deleted.
fn begin(target: &Path) -> io::Result<(NamedTempFile, Unfinished)> {
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let prefix = prefix(target);
    delete_orphans(folder, &prefix);
    loop {
        let mut paths = unfinished();
        let file = builder(&prefix).tempfile_in(folder)?;
        paths.push(file.path().to_path_buf());
        let unfinished = Unfinished(file.path().to_path_buf());
        drop(paths);
        // The lock tells others that its process lives. Where there are no locks, they find
        // none either.
        let _ = file.as_file().try_lock();
        // One that came between creating and locking it has taken it for an orphan.
        if file.path().exists() {
            return Ok((file, unfinished));
        }
    }
}

/// What the hidden files of an output begin with.
fn prefix(target: &Path) -> String {
    const MOST: usize = 100;
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let end = name.floor_char_boundary(MOST);
    format!(".wisp-{}-", &name[..end])
}

/// Deletes the hidden files that no process has locked: theirs was killed.
fn delete_orphans(folder: &Path, prefix: &str) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if !is_file || !entry.file_name().to_string_lossy().starts_with(prefix) {
            continue;
        }
        let file = File::options().write(true).open(entry.path());
        if file.is_ok_and(|file| file.try_lock().is_ok()) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Temporary files that others may read once they have their name.
fn builder(prefix: &str) -> tempfile::Builder<'_, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(prefix);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // The process's umask takes away from it.
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_a_killed_process_left_is_deleted_and_a_living_ones_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.gguf");
        let orphan = folder.path().join(".wisp-a.gguf-dead00");
        let other = folder.path().join(".wisp-b.gguf-dead00");
        std::fs::write(&orphan, "half").unwrap();
        std::fs::write(&other, "half").unwrap();
        let (living, _unfinished) = begin(&path).unwrap();
        assert!(!orphan.exists() && other.exists());
        write(&path, |file| file.write_all(b"whole")).unwrap();
        assert!(living.path().exists());
        drop(living);
        assert_eq!(names(folder.path()), [".wisp-b.gguf-dead00", "a.gguf"]);
        // A name as long as any may be.
        let long = folder.path().join("ü".repeat(127));
        write(&long, |file| file.write_all(b"whole")).unwrap();
        assert_eq!(names(folder.path()).len(), 3);
    }

    #[test]
    fn a_file_that_is_read_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        std::fs::write(&a, "").unwrap();
        assert!(expect_other(&b, std::slice::from_ref(&a)).is_ok());
        let other = folder.path().join(".").join("a");
        let said = expect_other(&other, &[b, a]).unwrap_err().to_string();
        assert!(said.contains("which is read; give another name"), "{said}");
    }

    #[cfg(unix)]
    #[test]
    fn a_symbolic_link_stays_one() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("inner")).unwrap();
        // To a file, to one that is yet to be, and in a circle.
        symlink("inner/file", at("link")).unwrap();
        symlink(at("link"), at("inner/second")).unwrap();
        symlink("circle", at("circle")).unwrap();
        for content in ["one", "two"] {
            write(&at("inner/second"), |file| file.write_all(content.as_bytes())).unwrap();
            assert_eq!(std::fs::read_to_string(at("inner/file")).unwrap(), content);
        }
        assert!(at("link").is_symlink() && at("inner/second").is_symlink());
        assert_eq!(names(&at("inner")), ["file", "second"]);
        let said = write(&at("circle"), |_| Ok(())).unwrap_err().to_string();
        assert!(said.contains("in a circle"), "{said}");
    }

    #[test]
    fn windows_devices_are_known_by_their_names() {
        for device in ["NUL", "nul", "con.txt", "COM1", "lpt9.gguf", "Aux.a.b"] {
            assert!(is_windows_device(device), "{device}");
        }
        for file in ["null", "com", "com10", "a.con", "console", "", "con--b"] {
            assert!(!is_windows_device(file), "{file}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_skipped() {
        assert_eq!(from_json("\u{feff}[1]".as_bytes()), Ok(vec![1]));
        assert_eq!(from_json("[1]".as_bytes()), Ok(vec![1]));
        let wide = from_json::<Vec<u32>>(b"\xff\xfe[\0").unwrap_err();
        assert_eq!(wide, "it is UTF-16: save it as UTF-8");
        assert!(json_text(1, "\u{feff}\"a\"\n".as_bytes()).is_ok_and(|text| text == "a"));
    }
}
