//! Q4_0: f16 `d`, 32 × 4 bit; `w = d·(q − 8)`.

use super::planes::Parts;
use super::{BLOCK, f16_bytes, inverse, nibbles};
use half::f16;

pub(super) fn decode([d0, d1, quants @ ..]: &[u8; 18], out: &mut [f32; BLOCK]) {
    let d = f16::from_le_bytes([*d0, *d1]).to_f32();
    for (out, q) in out.iter_mut().zip(nibbles::unpack(quants)) {
        *out = d * (f32::from(q) - 8.0);
    }
}

/// `d = max / −8`, with `max` the first weight of the largest magnitude;
/// `q = trunc(x / d + 8.5)`, at most 15.
pub(super) fn encode(weights: &[f32; BLOCK]) -> Option<[u8; 18]> {
    let max = weights.iter().fold(0f32, |max, w| if w.abs() > max.abs() { *w } else { max });
    let d = max / -8.0;
    let inverse = inverse(d);
    let quants = weights.map(|weight| ((weight * inverse + 8.5) as u8).min(15));
    let mut bytes = [0; 18];
    let [d0, d1, packed @ ..] = &mut bytes;
    [*d0, *d1] = f16_bytes(d)?;
    *packed = nibbles::pack(&quants);
    Some(bytes)
}

pub(super) fn repack(block: &[u8; 18], parts: &mut Parts) {
    let [_, _, quants @ ..] = block;
    parts.quants.extend(nibbles::words(quants));
    parts.scales(&block[..2]);
}
