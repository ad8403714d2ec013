//! How large the `wisp` binary is where it runs: what the system loads of it. Debug
//! information, which is for people and can be stripped, does not count.

use crate::step::{Result, limit, wisp};

/// Bytes at most.
const LOADED: u64 = 21_000_000;

/// Checks the release build; on Linux, whose format of programs is read here.
pub fn check() -> Result {
    if !cfg!(target_os = "linux") {
        println!("wisp: its size is checked on Linux only");
        return Ok(());
    }
    let path = wisp();
    let bytes =
        std::fs::read(&path).map_err(|cause| format!("cannot read {}: {cause}", path.display()))?;
    let loaded =
        loaded(&bytes).ok_or_else(|| format!("{} is no 64-bit ELF file", path.display()))?;
    limit("wisp, as loaded", loaded, LOADED)
}

/// Bytes of the file that are loaded: the `PT_LOAD` segments of its program header
/// (System V ABI, "Program Header").
fn loaded(elf: &[u8]) -> Option<u64> {
    // Magic number, 64 bits, little-endian.
    if !elf.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let number = |at: usize, bytes: usize| -> Option<u64> {
        let bytes = elf.get(at..at.checked_add(bytes)?)?;
        Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    };
    let table = usize::try_from(number(32, 8)?).ok()?;
    let (entry, count) = (number(54, 2)? as usize, number(56, 2)? as usize);
    let mut sum = 0u64;
    for at in 0..count {
        let at = table.checked_add(at * entry)?;
        const LOAD: u64 = 1;
        if number(at, 4)? == LOAD {
            sum = sum.checked_add(number(at.checked_add(32)?, 8)?)?;
        }
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::loaded;

    #[test]
    fn segments_that_are_loaded_are_added_up() {
        let mut elf = vec![0; 64 + 3 * 56];
        elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
        elf[32] = 64; // where the table is
        elf[54] = 56; // bytes of an entry
        elf[56] = 3; // entries
        for (at, (kind, size)) in [(1, 700u16), (4, 9000), (1, 50)].into_iter().enumerate() {
            elf[64 + at * 56] = kind;
            elf[64 + at * 56 + 32..][..2].copy_from_slice(&size.to_le_bytes());
        }
        assert_eq!(loaded(&elf), Some(750));
        assert_eq!(loaded(&elf[..200]), None);
        assert_eq!(loaded(b"MZ"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_program_is_smaller_as_loaded_than_in_its_file() {
        let file = std::env::current_exe().and_then(std::fs::read);
        let file = file.unwrap_or_default();
        let loaded = loaded(&file).unwrap_or_default();
        assert!(loaded > 100_000 && loaded < file.len() as u64, "{loaded} of {}", file.len());
    }
}
