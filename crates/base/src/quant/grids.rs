//! The grids of the IQ formats: from an index to 8 (or 4) numbers. Stored as sets
//! of numbers of base 3 (or 8), see `make_grids.py`.

use crate::Format;

const BYTES: &[u8] = include_bytes!("grids.bin");

/// The numbers of every entry, one after the other; empty for formats without a grid.
pub(super) fn numbers(format: Format) -> Vec<i8> {
    const TWO: &[i8] = &[8, 25, 43];
    let (at, values, digits): (usize, &[i8], u32) = match format {
        Format::IQ2_XXS => (0, TWO, 8),
        Format::IQ2_XS => (821, TWO, 8),
        Format::IQ2_S => (2 * 821, TWO, 8),
        Format::IQ1_S | Format::IQ1_M => (3 * 821, &[-1, 0, 1], 8),
        Format::IQ3_XXS => (4 * 821, &[4, 12, 20, 28, 36, 44, 52, 62], 4),
        Format::IQ3_S => (4 * 821 + 512, &[1, 3, 5, 7, 9, 11, 13, 15], 4),
        _ => return Vec::new(),
    };
    let base = values.len();
    let mut out = Vec::new();
    for entry in 0..base.pow(digits) {
        if (BYTES[at + entry / 8] >> (entry % 8)) & 1 == 1 {
            let mut rest = entry;
            for _ in 0..digits {
                out.push(values[rest % base]);
                rest /= base;
            }
        }
    }
    out
}
