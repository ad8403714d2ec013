//! The order of 4-bit numbers in a block of 32, in a file and on the GPU.

use super::BLOCK;

/// File order to weights: byte `j` holds weight `j` low and weight `j + 16` high.
pub(super) fn unpack(bytes: &[u8; 16]) -> [u8; BLOCK] {
    let mut weights = [0; BLOCK];
    let (low, high) = weights.split_at_mut(16);
    for ((byte, low), high) in bytes.iter().zip(low).zip(high) {
        *low = byte & 15;
        *high = byte >> 4;
    }
    weights
}

/// Weights (each below 16) to file order.
pub(super) fn pack(weights: &[u8; BLOCK]) -> [u8; 16] {
    let mut bytes = [0; 16];
    let (low, high) = weights.split_at(16);
    for ((byte, low), high) in bytes.iter_mut().zip(low).zip(high) {
        *byte = low | high << 4;
    }
    bytes
}

/// File order to GPU order: byte `j` of word `g` holds weight `8g + j` low and
/// weight `8g + 4 + j` high.
pub(super) fn words(bytes: &[u8; 16]) -> [u32; 4] {
    let weights = unpack(bytes);
    let mut words = [0; 4];
    for (word, [a, b, c, d, e, f, g, h]) in words.iter_mut().zip(weights.as_chunks().0) {
        *word = u32::from_le_bytes([a | e << 4, b | f << 4, c | g << 4, d | h << 4]);
    }
    words
}
