//! Q5_0: f16 `d`, 32 high bits, 32 × 4 bit; `w = d·(q − 16)`.
//! Q5_1: f16 `d`, f16 `m`, then as Q5_0; `w = d·q + m`.

use super::planes::{Parts, half_at, u16_at, u32_at};
use super::{BLOCK, f16_bytes, inverse, nibbles};

fn codes(high: u32, low: &[u8; 16]) -> [u8; BLOCK] {
    let mut codes = nibbles::unpack(low);
    for (at, code) in codes.iter_mut().enumerate() {
        *code |= ((high >> at) as u8 & 1) << 4;
    }
    codes
}

fn pack(codes: &[u8; BLOCK]) -> ([u8; 4], [u8; 16]) {
    let high = codes.iter().rev().fold(0, |bits, code| bits << 1 | u32::from(code >> 4));
    (high.to_le_bytes(), nibbles::pack(&codes.map(|code| code & 15)))
}

/// The high bits in the GPU's order.
fn plane(high: u32) -> u32 {
    let mut parts = Parts::default();
    let codes: [u8; BLOCK] = std::array::from_fn(|at| (high >> at) as u8);
    parts.plane::<1>(&codes, 0);
    parts.quants[0]
}

pub(super) fn decode_0(block: &[u8; 22], out: &mut [f32; BLOCK]) {
    let [_, _, _, _, _, _, low @ ..] = block;
    let d = half_at(block, 0);
    for (out, q) in out.iter_mut().zip(codes(u32_at(block, 2), low)) {
        *out = d * (f32::from(q) - 16.0);
    }
}

pub(super) fn decode_1(block: &[u8; 24], out: &mut [f32; BLOCK]) {
    let [_, _, _, _, _, _, _, _, low @ ..] = block;
    let (d, m) = (half_at(block, 0), half_at(block, 2));
    for (out, q) in out.iter_mut().zip(codes(u32_at(block, 4), low)) {
        *out = d * f32::from(q) + m;
    }
}

/// `d = max / −16`, with `max` the first weight of the largest magnitude;
/// `q = trunc(x / d + 16.5)`, at most 31.
pub(super) fn encode_0(weights: &[f32; BLOCK]) -> Option<[u8; 22]> {
    let max = weights.iter().fold(0f32, |max, w| if w.abs() > max.abs() { *w } else { max });
    let d = max / -16.0;
    let inverse = inverse(d);
    let mut bytes = [0; 22];
    let [d0, d1, h0, h1, h2, h3, low @ ..] = &mut bytes;
    [*d0, *d1] = f16_bytes(d)?;
    ([*h0, *h1, *h2, *h3], *low) = pack(&weights.map(|w| ((w * inverse + 16.5) as u8).min(31)));
    Some(bytes)
}

/// `m` is the smallest weight, `d = (largest − m) / 31`;
/// `q = trunc((x − m) / d + 0.5)`, at most 31.
pub(super) fn encode_1(weights: &[f32; BLOCK]) -> Option<[u8; 24]> {
    let min = weights.iter().copied().fold(f32::INFINITY, f32::min);
    let max = weights.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let d = (max - min) / 31.0;
    let inverse = inverse(d);
    let mut bytes = [0; 24];
    let [d0, d1, m0, m1, h0, h1, h2, h3, low @ ..] = &mut bytes;
    [*d0, *d1] = f16_bytes(d)?;
    [*m0, *m1] = f16_bytes(min)?;
    let codes = weights.map(|w| (((w - min) * inverse + 0.5) as u8).min(31));
    ([*h0, *h1, *h2, *h3], *low) = pack(&codes);
    Some(bytes)
}

/// Two blocks take three words of scales: the high bits of the even one, both `d`,
/// the high bits of the odd one.
pub(super) fn repack_0(block: &[u8; 22], parts: &mut Parts) {
    let [_, _, _, _, _, _, low @ ..] = block;
    parts.quants.extend(nibbles::words(low));
    let d = u16_at(block, 0);
    let high = plane(u32_at(block, 2));
    let high = [high as u16, (high >> 16) as u16];
    if (parts.halves.len() / 3).is_multiple_of(2) {
        parts.halves.extend(high);
        parts.halves.push(d);
    } else {
        parts.halves.push(d);
        parts.halves.extend(high);
    }
}

/// Two words of scales: `d` and `m`, the high bits.
pub(super) fn repack_1(block: &[u8; 24], parts: &mut Parts) {
    let [_, _, _, _, _, _, _, _, low @ ..] = block;
    parts.quants.extend(nibbles::words(low));
    parts.scales(&block[..4]);
    parts.scales(&plane(u32_at(block, 4)).to_le_bytes());
}
