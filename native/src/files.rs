//! Reading and writing whole files.

use serde::de::DeserializeOwned;
use std::io::{BufWriter, Write};
use std::path::Path;
use wisp_base::{Error, Result};

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

/// Writes a file so that at each moment the old one or the whole new one is there.
pub fn write(
    path: &Path,
    content: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<()> {
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
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let temporary = builder().tempfile_in(folder.unwrap_or(Path::new("."))).map_err(|cause| {
        // tempfile's own message names the temporary file, which nobody asked for.
        failed(std::io::Error::from(cause.kind()))
    })?;
    let mut file = BufWriter::new(temporary);
    content(&mut file).map_err(failed)?;
    let temporary = file.into_inner().map_err(|cause| failed(cause.into_error()))?;
    temporary.as_file().sync_all().map_err(failed)?;
    temporary.persist(path).map_err(|cause| failed(cause.error))?;
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

/// Temporary files that others may read once they have their name.
fn builder() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".wisp-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // The process's umask takes away from it.
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder
}

#[cfg(test)]
mod tests {
    use super::*;

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
