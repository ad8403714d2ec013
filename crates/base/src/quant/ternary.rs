//! Few values, one scale a block.
//! TQ1_0: 256 × (−1, 0, 1), five a byte; f16 `d`; `w = d·(q − 1)`.
//! TQ2_0: the same with 2 bits each.
//! Q1_0: f16 `d`, 128 × 1 bit; `w = ±d`.
//! Q2_0: f16 `d`, 64 × 2 bit; `w = d·(q − 1)`.

use super::k::{SUPER, crumbs};
use super::planes::{Parts, half_at};
use super::{f16_bytes, inverse};

/// Byte and digit of a weight of TQ1_0: 32 bytes with 5 digits of weights 32 apart,
/// 16 bytes with 5 digits 16 apart, 4 bytes with 4 digits 4 apart.
fn place(at: usize) -> (usize, u32) {
    match at {
        0..160 => (at % 32, at as u32 / 32),
        160..240 => (32 + at % 16, (at as u32 - 160) / 16),
        _ => (48 + at % 4, (at as u32 - 240) / 4),
    }
}

/// Digit `n` of a byte that holds digits of base 3 as a fraction of 256.
fn digit(byte: u8, n: u32) -> u8 {
    let rest = byte.wrapping_mul(3u8.wrapping_pow(n));
    ((u16::from(rest) * 3) >> 8) as u8
}

pub(super) fn decode_t1(block: &[u8; 54], out: &mut [f32; SUPER]) {
    let d = half_at(block, 52);
    for (at, out) in out.iter_mut().enumerate() {
        let (byte, n) = place(at);
        *out = (f32::from(digit(block[byte], n)) - 1.0) * d;
    }
}

/// As it is: 13 words per block.
pub(super) fn split_t1(block: &[u8; 54], parts: &mut Parts) {
    parts.words(&block[..52]);
    parts.scales(&block[52..]);
}

/// `d` is the largest magnitude, `q = x / d` rounded half away from zero.
fn round<const N: usize>(weights: &[f32; N]) -> (f32, [u8; N]) {
    let d = weights.iter().fold(0f32, |max, w| max.max(w.abs()));
    let inverse = inverse(d);
    (d, weights.map(|w| ((w * inverse).round() + 1.0) as u8))
}

pub(super) fn encode_t1(weights: &[f32; SUPER]) -> Option<[u8; 54]> {
    let (d, codes) = round(weights);
    let mut sums = [0u16; 52];
    for (at, code) in codes.iter().enumerate() {
        let (byte, n) = place(at);
        sums[byte] += u16::from(*code) * 3u16.pow(4 - n);
    }
    let mut bytes = [0; 54];
    for (byte, sum) in bytes.iter_mut().zip(sums) {
        *byte = (sum * 256).div_ceil(243) as u8;
    }
    [bytes[52], bytes[53]] = f16_bytes(d)?;
    Some(bytes)
}

pub(super) fn decode_t2(block: &[u8; 66], out: &mut [f32; SUPER]) {
    let d = half_at(block, 64);
    for (out, q) in out.iter_mut().zip(crumbs(&block[..64])) {
        *out = (f32::from(q) - 1.0) * d;
    }
}

pub(super) fn split_t2(block: &[u8; 66], parts: &mut Parts) {
    parts.plane::<2>(&crumbs(&block[..64]), 0);
    parts.scales(&block[64..]);
}

pub(super) fn encode_t2(weights: &[f32; SUPER]) -> Option<[u8; 66]> {
    let (d, codes) = round(weights);
    let mut bytes = [0; 66];
    for (at, code) in codes.iter().enumerate() {
        bytes[at / 128 * 32 + at % 32] |= code << (at / 32 % 4 * 2);
    }
    [bytes[64], bytes[65]] = f16_bytes(d)?;
    Some(bytes)
}

fn bits_1(block: &[u8; 18]) -> [u8; 128] {
    std::array::from_fn(|at| (block[2 + at / 8] >> (at % 8)) & 1)
}

pub(super) fn decode_1(block: &[u8; 18], out: &mut [f32; 128]) {
    let d = half_at(block, 0);
    for (out, bit) in out.iter_mut().zip(bits_1(block)) {
        *out = if bit == 1 { d } else { -d };
    }
}

pub(super) fn repack_1(block: &[u8; 18], parts: &mut Parts) {
    parts.plane::<1>(&bits_1(block), 0);
    parts.scales(&block[..2]);
}

/// `d` is the mean magnitude; bits are signs, that of 0 is positive.
pub(super) fn encode_1(weights: &[f32; 128]) -> Option<[u8; 18]> {
    let mut bytes = [0; 18];
    let d = weights.iter().fold(0f32, |sum, w| sum + w.abs()) / 128.0;
    [bytes[0], bytes[1]] = f16_bytes(d)?;
    for (at, weight) in weights.iter().enumerate() {
        bytes[2 + at / 8] |= u8::from(*weight >= 0.0) << (at % 8);
    }
    Some(bytes)
}

fn codes_2(block: &[u8; 18]) -> [u8; 64] {
    std::array::from_fn(|at| (block[2 + at / 4] >> (at % 4 * 2)) & 3)
}

pub(super) fn decode_2(block: &[u8; 18], out: &mut [f32; 64]) {
    let d = half_at(block, 0);
    for (out, q) in out.iter_mut().zip(codes_2(block)) {
        *out = (f32::from(q) - 1.0) * d;
    }
}

pub(super) fn split_2(block: &[u8; 18], parts: &mut Parts) {
    parts.plane::<2>(&codes_2(block), 0);
    parts.scales(&block[..2]);
}

pub(super) fn encode_2(weights: &[f32; 64]) -> Option<[u8; 18]> {
    let (d, codes) = round(weights);
    let mut bytes = [0; 18];
    [bytes[0], bytes[1]] = f16_bytes(d)?;
    for (at, code) in codes.iter().enumerate() {
        bytes[2 + at / 4] |= code << (at % 4 * 2);
    }
    Some(bytes)
}
