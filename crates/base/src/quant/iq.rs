//! Formats whose indices select 8 or 4 values at once from a grid (`grids.rs`).
//! All have blocks of 256 with an f16 `d`, in eight parts of 32.

use super::grids::numbers;
use super::k::SUPER;
use super::planes::{Parts, half_at, u16_at, u32_at};
use crate::Format;

type Out = [f32; SUPER];

/// Seven stored signs; the eighth makes their number even.
fn signs(bits: u32) -> u32 {
    let bits = bits & 127;
    bits | (bits.count_ones() & 1) << 7
}

/// Writes the values of a grid's entry from weight `at` on, with signs.
fn write(grid: &[i8], entry: u32, digits: usize, d: f32, signs: u32, out: &mut Out, at: usize) {
    let entry = &grid[entry as usize * digits..][..digits];
    for (n, (out, value)) in out[at..].iter_mut().zip(entry).enumerate() {
        *out = d * f32::from(*value) * if signs >> n & 1 == 1 { -1.0 } else { 1.0 };
    }
}

/// IQ2_XXS: `d`; for each 32 weights 4 × 8-bit index, then a word of 4 × 7 signs and
/// a 4-bit scale; `w = d·(scale + ½)/4·value`.
pub(super) fn decode_2xxs(grid: &[i8], block: &[u8; 66], out: &mut Out) {
    let d = half_at(block, 0);
    for at in 0..32 {
        let word = u32_at(block, 2 + at / 4 * 8 + 4);
        let d = d * (0.5 + (word >> 28) as f32) * 0.25;
        let entry = u32::from(block[2 + at / 4 * 8 + at % 4]);
        write(grid, entry, 8, d, signs(word >> (7 * (at % 4))), out, 8 * at);
    }
}

pub(super) fn split_2xxs(block: &[u8; 66], parts: &mut Parts) {
    parts.words(&block[2..]);
    parts.scales(&block[..2]);
}

/// The scale of 16 weights, from nibbles at `scales`.
fn quarter(d: f32, scales: &[u8], at: usize) -> f32 {
    let scale = (scales[at / 4] >> (at % 4 / 2 * 4)) & 15;
    d * (0.5 + f32::from(scale)) * 0.25
}

/// IQ2_XS: `d`; for each 8 weights a 9-bit index and 7 signs; a 4-bit scale for each
/// 16; `w` as in IQ2_XXS.
pub(super) fn decode_2xs(grid: &[i8], block: &[u8; 74], out: &mut Out) {
    for at in 0..32 {
        let d = quarter(half_at(block, 0), &block[66..], at);
        let both = u32::from(u16_at(block, 2 + 2 * at));
        write(grid, both & 511, 8, d, signs(both >> 9), out, 8 * at);
    }
}

pub(super) fn split_2xs(block: &[u8; 74], parts: &mut Parts) {
    parts.words(&block[2..66]);
    parts.scales(&block[66..]);
    parts.scales(&block[..2]);
}

/// IQ2_S: `d`; the low 8 bits of the indices, 8 signs for each; their high 2 bits;
/// 4-bit scales as in IQ2_XS.
pub(super) fn decode_2s(grid: &[i8], block: &[u8; 82], out: &mut Out) {
    for at in 0..32 {
        let d = quarter(half_at(block, 0), &block[74..], at);
        let high = u32::from(block[66 + at / 4] >> (at % 4 * 2)) & 3;
        let entry = u32::from(block[2 + at]) | high << 8;
        write(grid, entry, 8, d, u32::from(block[34 + at]), out, 8 * at);
    }
}

/// For each 32 weights a word of indices, a word of signs; high bits, scales.
pub(super) fn split_2s(block: &[u8; 82], parts: &mut Parts) {
    for at in 0..8 {
        parts.words(&block[2 + 4 * at..][..4]);
        parts.words(&block[34 + 4 * at..][..4]);
        parts.scales(&[block[66 + at], block[74 + at]]);
    }
    parts.scales(&block[..2]);
}

/// IQ3_XXS: `d`; 64 × 8-bit index of 4 weights; for each 32 a word of 4 × 7 signs and
/// a 4-bit scale; `w = d·(scale + ½)/2·value`.
pub(super) fn decode_3xxs(grid: &[i8], block: &[u8; 98], out: &mut Out) {
    let d = half_at(block, 0);
    for at in 0..64 {
        let word = u32_at(block, 66 + at / 8 * 4);
        let d = d * (0.5 + (word >> 28) as f32) * 0.5;
        let signs = signs(word >> (7 * (at % 8 / 2))) >> (at % 2 * 4);
        write(grid, u32::from(block[2 + at]), 4, d, signs, out, 4 * at);
    }
}

/// For each 32 weights two words of indices, a word of signs and scale.
pub(super) fn split_3xxs(block: &[u8; 98], parts: &mut Parts) {
    for at in 0..8 {
        parts.words(&block[2 + 8 * at..][..8]);
        parts.words(&block[66 + 4 * at..][..4]);
    }
    parts.scales(&block[..2]);
}

/// IQ3_S: `d`; the low 8 bits of 64 indices of 4 weights; their high bits; signs; a
/// 4-bit scale for each 32; `w = d·(2·scale + 1)·value`.
pub(super) fn decode_3s(grid: &[i8], block: &[u8; 110], out: &mut Out) {
    let d = half_at(block, 0);
    for at in 0..64 {
        let scale = (block[106 + at / 16] >> (at % 16 / 8 * 4)) & 15;
        let d = d * f32::from(1 + 2 * scale);
        let high = u32::from(block[66 + at / 8] >> (at % 8)) & 1;
        let signs = u32::from(block[74 + at / 2]) >> (at % 2 * 4);
        write(grid, u32::from(block[2 + at]) | high << 8, 4, d, signs, out, 4 * at);
    }
}

/// For each 32 weights two words of indices, a word of signs; high bits, scales.
pub(super) fn split_3s(block: &[u8; 110], parts: &mut Parts) {
    for at in 0..8 {
        parts.words(&block[2 + 8 * at..][..8]);
        parts.words(&block[74 + 4 * at..][..4]);
    }
    parts.scales(&block[66..74]);
    parts.scales(&block[106..]);
    parts.scales(&block[..2]);
}

/// Eight values, all moved by an eighth: down where `down`.
fn write_1(grid: &[i8], entry: u32, d: f32, down: bool, out: &mut Out, at: usize) {
    let delta = if down { -0.125 } else { 0.125 };
    let entry = &grid[entry as usize * 8..][..8];
    for (out, value) in out[at..].iter_mut().zip(entry) {
        *out = d * (f32::from(*value) + delta);
    }
}

/// IQ1_S: `d`; the low 8 bits of 32 indices; for each 32 weights 16 bits: 4 × 3 high
/// bits, a 3-bit scale, where the values move; `w = d·(2·scale + 1)·(value ± ⅛)`.
pub(super) fn decode_1s(grid: &[i8], block: &[u8; 50], out: &mut Out) {
    let d = half_at(block, 0);
    for at in 0..32 {
        let bits = u16_at(block, 34 + at / 4 * 2);
        let d = d * f32::from(2 * (bits >> 12 & 7) + 1);
        let high = u32::from(bits >> (3 * (at % 4)) & 7);
        let entry = u32::from(block[2 + at]) | high << 8;
        write_1(grid, entry, d, bits >> 15 == 1, out, 8 * at);
    }
}

pub(super) fn split_1s(block: &[u8; 50], parts: &mut Parts) {
    parts.words(&block[2..34]);
    parts.scales(&block[34..]);
    parts.scales(&block[..2]);
}

/// IQ1_M: the low 8 bits of 32 indices; a nibble for each of 3 high bits and where the
/// values move; 4 × 16 bits: four 3-bit scales of 16 weights and a nibble of `d` each.
pub(super) fn decode_1m(grid: &[i8], block: &[u8; 56], out: &mut Out) {
    let scales: [u16; 4] = std::array::from_fn(|at| u16_at(block, 48 + 2 * at));
    let d = scales.iter().rev().fold(0, |d, scale| d << 4 | scale >> 12);
    let d = half::f16::from_bits(d).to_f32();
    for at in 0..32 {
        let scale = scales[at / 8] >> (at % 8 / 2 * 3) & 7;
        let d = d * f32::from(2 * scale + 1);
        let nibble = u32::from(block[32 + at / 2] >> (at % 2 * 4));
        let entry = u32::from(block[at]) | (nibble & 7) << 8;
        write_1(grid, entry, d, nibble >> 3 & 1 == 1, out, 8 * at);
    }
}

pub(super) fn split_1m(block: &[u8; 56], parts: &mut Parts) {
    parts.words(&block[..32]);
    parts.scales(&block[32..]);
}

/// Words of the table that kernels read: a byte a value.
pub(super) fn table(format: Format) -> Vec<u32> {
    let bytes: Vec<u8> = numbers(format).into_iter().map(i8::cast_unsigned).collect();
    bytes.as_chunks().0.iter().map(|b| u32::from_le_bytes(*b)).collect()
}
