//! 4-bit numbers that stand for 16 unevenly spaced values.
//! IQ4_NL: f16 `d`, 32 × 4 bit; `w = d·value`.
//! IQ4_XS: f16 `d`, 8 6-bit scales, 256 × 4 bit; `w = d·(scale − 32)·value`.

use super::k::SUPER;
use super::planes::{Parts, half_at, u16_at};
use super::{BLOCK, nibbles};

/// What the codes stand for.
pub(super) const VALUES: [i8; 16] =
    [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

pub(super) fn decode_nl(block: &[u8; 18], out: &mut [f32; BLOCK]) {
    let [_, _, quants @ ..] = block;
    let d = half_at(block, 0);
    for (out, q) in out.iter_mut().zip(nibbles::unpack(quants)) {
        *out = d * f32::from(VALUES[usize::from(q)]);
    }
}

pub(super) fn split_nl(block: &[u8; 18], parts: &mut Parts) {
    let [_, _, quants @ ..] = block;
    parts.quants.extend(nibbles::words(quants));
    parts.scales(&block[..2]);
}

/// High 2 bits of 8 scales in one 16-bit number, then their low nibbles.
fn scales(block: &[u8; 136]) -> [i8; 8] {
    std::array::from_fn(|at| {
        let low = (block[4 + at / 2] >> (at % 2 * 4)) & 15;
        let high = (u16_at(block, 2) >> (2 * at)) as u8 & 3;
        (low | high << 4).cast_signed() - 32
    })
}

pub(super) fn decode_xs(block: &[u8; 136], out: &mut [f32; SUPER]) {
    let d = half_at(block, 0);
    let quants = block[8..].as_chunks().0.iter();
    for ((scale, quants), out) in scales(block).iter().zip(quants).zip(out.as_chunks_mut().0) {
        let out: &mut [f32; BLOCK] = out;
        for (out, q) in out.iter_mut().zip(nibbles::unpack(quants)) {
            *out = d * f32::from(*scale) * f32::from(VALUES[usize::from(q)]);
        }
    }
}

/// The scales become bytes.
pub(super) fn split_xs(block: &[u8; 136], parts: &mut Parts) {
    for quants in block[8..].as_chunks().0 {
        parts.quants.extend(nibbles::words(quants));
    }
    parts.scales(&scales(block).map(i8::cast_unsigned));
    parts.scales(&block[..2]);
}
