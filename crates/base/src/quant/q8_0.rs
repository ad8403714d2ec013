//! Q8_0: f16 `d`, 32 × i8; `w = d·q`.

use super::planes::Parts;
use super::{BLOCK, f16_bytes, inverse};
use half::f16;

pub(super) fn decode([d0, d1, quants @ ..]: &[u8; 34], out: &mut [f32; BLOCK]) {
    let d = f16::from_le_bytes([*d0, *d1]).to_f32();
    for (out, q) in out.iter_mut().zip(quants) {
        *out = d * f32::from(q.cast_signed());
    }
}

/// `d = largest magnitude / 127`; `q = x / d` rounded half away from zero.
pub(super) fn encode(weights: &[f32; BLOCK]) -> Option<[u8; 34]> {
    let d = weights.iter().fold(0f32, |max, w| max.max(w.abs())) / 127.0;
    let inverse = inverse(d);
    let mut bytes = [0; 34];
    let [d0, d1, quants @ ..] = &mut bytes;
    [*d0, *d1] = f16_bytes(d)?;
    for (q, weight) in quants.iter_mut().zip(weights) {
        *q = ((weight * inverse).round() as i8).cast_unsigned();
    }
    Some(bytes)
}

pub(super) fn repack(block: &[u8; 34], parts: &mut Parts) {
    parts.words(&block[2..]);
    parts.scales(&block[..2]);
}
