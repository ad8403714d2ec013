//! NumPy's file format, version 1.0: a matrix of float32.

use crate::files;
use std::path::Path;
use wisp_base::{Error, Result};

/// The header's length, dictionary and all, is a multiple of it.
const ALIGN: usize = 64;

/// Writes `values`, row by row, as `[rows, columns]`.
pub fn write(path: &Path, columns: usize, values: &[f32]) -> Result<()> {
    if columns == 0 || !values.len().is_multiple_of(columns) {
        let len = values.len();
        return Err(Error::device(format!("{len} numbers are not rows of {columns}")));
    }
    let header = header(values.len() / columns, columns);
    files::write(path, |file| {
        file.write_all(&header)?;
        values.iter().try_for_each(|value| file.write_all(&value.to_le_bytes()))
    })
}

fn header(rows: usize, columns: usize) -> Vec<u8> {
    let mut text =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
    // Magic, version and length before it, a line break after it.
    let taken = 10 + text.len() + 1;
    text.extend(std::iter::repeat_n(' ', taken.next_multiple_of(ALIGN) - taken));
    text.push('\n');
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    // Two numbers of 20 digits at most: far below 65,536.
    header.extend((text.len() as u16).to_le_bytes());
    header.extend(text.into_bytes());
    header
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_what_numpy_writes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        write(&path, 2, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len(), 128 + 24);
        assert_eq!(&bytes[..10], b"\x93NUMPY\x01\x00\x76\x00");
        assert!(
            bytes[10..].starts_with(b"{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }")
        );
        assert_eq!(bytes[127], b'\n');
        assert_eq!(&bytes[128..132], 1f32.to_le_bytes());
        // One file, no temporary one left.
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let error = write(Path::new("no/such/folder/a.npy"), 1, &[1.0]).unwrap_err().to_string();
        assert!(error.starts_with("cannot write no/such/folder/a.npy: "), "{error}");
    }
}
