//! Q4_1: f16 `d`, f16 `m`, 32 × 4 bit; `w = d·q + m`.

use super::planes::Parts;
use super::{BLOCK, f16_bytes, inverse, nibbles};
use half::f16;

pub(super) fn decode([d0, d1, m0, m1, quants @ ..]: &[u8; 20], out: &mut [f32; BLOCK]) {
    let d = f16::from_le_bytes([*d0, *d1]).to_f32();
    let m = f16::from_le_bytes([*m0, *m1]).to_f32();
    for (out, q) in out.iter_mut().zip(nibbles::unpack(quants)) {
        *out = d * f32::from(q) + m;
    }
}

/// `m` is the smallest weight, `d = (largest − m) / 15`;
/// `q = trunc((x − m) / d + 0.5)`, at most 15.
pub(super) fn encode(weights: &[f32; BLOCK]) -> Option<[u8; 20]> {
    let min = weights.iter().copied().fold(f32::INFINITY, f32::min);
    let max = weights.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let d = (max - min) / 15.0;
    let inverse = inverse(d);
    let quants = weights.map(|weight| (((weight - min) * inverse + 0.5) as u8).min(15));
    let mut bytes = [0; 20];
    let [d0, d1, m0, m1, packed @ ..] = &mut bytes;
    [*d0, *d1] = f16_bytes(d)?;
    [*m0, *m1] = f16_bytes(min)?;
    *packed = nibbles::pack(&quants);
    Some(bytes)
}

pub(super) fn repack(block: &[u8; 20], parts: &mut Parts) {
    let [_, _, _, _, quants @ ..] = block;
    parts.quants.extend(nibbles::words(quants));
    parts.scales(&block[..4]);
}
