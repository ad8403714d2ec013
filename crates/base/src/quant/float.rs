//! F32, F16, BF16, F8_E4M3 and F8_E5M2: one number per weight, no blocks. F8_E4M3_128 and
//! F8_E4M3_32: blocks with an f32 scale before them.

use super::FLOAT_PAD;
use super::planes::Parts;
use half::{bf16, f16};

pub(super) fn decode_f32(bytes: &[u8], out: &mut [f32]) {
    for (bytes, out) in bytes.as_chunks().0.iter().zip(out) {
        *out = f32::from_le_bytes(*bytes);
    }
}

pub(super) fn decode_f16(bytes: &[u8], out: &mut [f32]) {
    for (bytes, out) in bytes.as_chunks().0.iter().zip(out) {
        *out = f16::from_le_bytes(*bytes).to_f32();
    }
}

pub(super) fn decode_bf16(bytes: &[u8], out: &mut [f32]) {
    for (bytes, out) in bytes.as_chunks().0.iter().zip(out) {
        *out = bf16::from_le_bytes(*bytes).to_f32();
    }
}

/// Sign, 4 bits of exponent (bias 7), 3 of mantissa; all ones are NaN.
pub(super) fn decode_e4m3(bytes: &[u8], out: &mut [f32]) {
    for (byte, out) in bytes.iter().zip(out) {
        let magnitude = match byte & 0x7f {
            0x7f => f32::NAN,
            // As the upper bits of an f16 it is 2⁻⁸ of itself.
            bits => f16::from_bits(u16::from(bits) << 7).to_f32() * 256.0,
        };
        *out = if byte >> 7 == 1 { -magnitude } else { magnitude };
    }
}

/// A block of `B` bytes: the scale, then `N` E4M3 numbers.
pub(super) fn decode_scaled<const B: usize, const N: usize>(block: &[u8; B], out: &mut [f32; N]) {
    let Some((d, codes)) = block.split_first_chunk() else { return };
    let d = f32::from_le_bytes(*d);
    decode_e4m3(codes, out);
    out.iter_mut().for_each(|weight| *weight *= d);
}

pub(super) fn split_scaled<const B: usize>(block: &[u8; B], parts: &mut Parts) {
    let Some((d, codes)) = block.split_first_chunk::<4>() else { return };
    parts.words(codes);
    parts.scales(d);
}

/// The upper half of an f16.
pub(super) fn decode_e5m2(bytes: &[u8], out: &mut [f32]) {
    for (byte, out) in bytes.iter().zip(out) {
        *out = f16::from_le_bytes([0, *byte]).to_f32();
    }
}

pub(super) fn encode_f32(weights: &[f32]) -> Vec<u8> {
    weights.iter().flat_map(|w| w.to_le_bytes()).collect()
}

/// Rounds to nearest, ties to even; past the largest f16 it is infinity.
pub(super) fn encode_f16(weights: &[f32]) -> Vec<u8> {
    weights.iter().flat_map(|w| f16::from_f32(*w).to_le_bytes()).collect()
}

/// Rounds to nearest, ties to even.
pub(super) fn encode_bf16(weights: &[f32]) -> Vec<u8> {
    weights.iter().flat_map(|w| bf16::from_f32(*w).to_le_bytes()).collect()
}

/// `cols` is not 0.
pub(super) fn split_f32(bytes: &[u8], cols: usize, quants: &mut Vec<u32>) {
    for row in bytes.as_chunks().0.chunks(cols) {
        quants.extend(row.iter().map(|weight| u32::from_le_bytes(*weight)));
        quants.resize(quants.len().next_multiple_of(FLOAT_PAD), 0);
    }
}

/// `cols` is not 0.
pub(super) fn split_16(bytes: &[u8], cols: usize, quants: &mut Vec<u32>) {
    for row in bytes.as_chunks().0.chunks(cols) {
        let (pairs, last) = row.as_chunks();
        quants.extend(pairs.iter().map(|[[a, b], [c, d]]| u32::from_le_bytes([*a, *b, *c, *d])));
        quants.extend(last.iter().map(|[a, b]| u32::from_le_bytes([*a, *b, 0, 0])));
        quants.resize(quants.len().next_multiple_of(FLOAT_PAD / 2), 0);
    }
}

/// `cols` is not 0.
pub(super) fn split_8(bytes: &[u8], cols: usize, quants: &mut Vec<u32>) {
    for row in bytes.chunks(cols) {
        let (fours, last) = row.as_chunks();
        quants.extend(fours.iter().map(|bytes| u32::from_le_bytes(*bytes)));
        if !last.is_empty() {
            let mut bytes = [0; 4];
            bytes[..last.len()].copy_from_slice(last);
            quants.push(u32::from_le_bytes(bytes));
        }
        quants.resize(quants.len().next_multiple_of(FLOAT_PAD / 4), 0);
    }
}
