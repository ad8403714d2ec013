//! 4-bit floats (E2M1: 0, ½, 1, 1½, 2, 3, 4, 6 and their negatives).
//! MXFP4: a power of two (E8M0), 32 × 4 bit (OCP Microscaling, 2023).
//! NVFP4: 4 × E4M3 scale of 16 weights, 64 × 4 bit.

use super::planes::Parts;
use super::{BLOCK, nibbles};

/// Twice what the codes stand for: scales are halved instead.
const DOUBLED: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

/// The upper half of the f32 2^(e − 128), half the scale of MXFP4.
fn power(e: u8) -> u16 {
    match e {
        0 | 1 => 0x20 << e,
        _ => u16::from(e - 1) << 7,
    }
}

fn value(code: u8, d: f32) -> f32 {
    d * f32::from(DOUBLED[usize::from(code)])
}

pub(super) fn decode_mx([e, quants @ ..]: &[u8; 17], out: &mut [f32; BLOCK]) {
    let d = f32::from_bits(u32::from(power(*e)) << 16);
    for (out, q) in out.iter_mut().zip(nibbles::unpack(quants)) {
        *out = value(q, d);
    }
}

pub(super) fn split_mx([e, quants @ ..]: &[u8; 17], parts: &mut Parts) {
    parts.quants.extend(nibbles::words(quants));
    parts.bytes.push(*e);
}

/// The first code of those that are nearest.
fn nearest(x: f32, d: f32) -> u8 {
    let mut best = (0, f32::INFINITY);
    for code in 0..16 {
        let error = (value(code, d) - x).abs();
        if error < best.1 {
            best = (code, error);
        }
    }
    best.0
}

/// `e` is two below the exponent of the largest magnitude, codes are the nearest.
pub(super) fn encode_mx(weights: &[f32; BLOCK]) -> Option<[u8; 17]> {
    let max = weights.iter().fold(0f32, |max, w| max.max(w.abs()));
    let e = if max > 0.0 { (max.log2().floor() - 2.0 + 127.0) as u8 } else { 0 };
    let d = f32::from_bits(u32::from(power(e)) << 16);
    let mut bytes = [e; 17];
    let [_, quants @ ..] = &mut bytes;
    *quants = nibbles::pack(&weights.map(|w| nearest(w, d)));
    Some(bytes)
}

/// Half of an unsigned E4M3; the NaN is 0.
fn half_e4m3(byte: u8) -> f32 {
    let (exponent, mantissa) = (byte >> 3 & 15, f32::from(byte & 7));
    match (exponent, byte) {
        (_, 0x7f) => 0.0,
        (0, _) => mantissa / 1024.0,
        _ => (8.0 + mantissa) * 2f32.powi(i32::from(exponent) - 11),
    }
}

/// To the nearest E4M3, halves up; at most 448.
fn to_e4m3(x: f32) -> u8 {
    let x = x.min(448.0);
    if x <= 0.0 {
        return 0;
    }
    let exponent = (x.to_bits() >> 23) as i32 - 127 + 7;
    if exponent <= 0 {
        return ((x * 512.0 + 0.5) as u8).min(7);
    }
    // Rounding up 7 eighths carries into the exponent.
    let eighths = (x.to_bits() >> 20 & 7) + (x.to_bits() >> 19 & 1);
    ((exponent as u32 * 8 + eighths) as u8).min(0x7e)
}

/// Codes of 64 weights: 8 bytes hold 16, the low nibbles first.
fn codes_nv(quants: &[u8]) -> [u8; 64] {
    std::array::from_fn(|at| (quants[at / 16 * 8 + at % 8] >> (at / 8 % 2 * 4)) & 15)
}

pub(super) fn decode_nv(block: &[u8; 36], out: &mut [f32; 64]) {
    for (at, (out, q)) in out.iter_mut().zip(codes_nv(&block[4..])).enumerate() {
        *out = value(q, half_e4m3(block[at / 16]));
    }
}

pub(super) fn split_nv(block: &[u8; 36], parts: &mut Parts) {
    parts.plane::<4>(&codes_nv(&block[4..]), 0);
    parts.scales(&block[..4]);
}

/// Scales are a sixth of the largest magnitude, codes the nearest; none where that is beyond
/// what rounds to the largest scale, 448.
pub(super) fn encode_nv(weights: &[f32; 64]) -> Option<[u8; 36]> {
    let mut bytes = [0; 36];
    for (sub, weights) in weights.as_chunks::<16>().0.iter().enumerate() {
        let max = weights.iter().fold(0f32, |max, w| max.max(w.abs()));
        if max / 6.0 > 464.0 {
            return None;
        }
        bytes[sub] = to_e4m3(max / 6.0);
        let d = half_e4m3(bytes[sub]);
        for (at, weight) in weights.iter().enumerate() {
            bytes[4 + sub * 8 + at % 8] |= nearest(*weight, d) << (at / 8 * 4);
        }
    }
    Some(bytes)
}
