//! Encoders of the K formats and of IQ4: scales by weighted least squares.
//!
//! Given the codes, the best scale is a quotient of sums; given the scale, the best
//! codes are the nearest. So some scales near the obvious one are tried, each made best
//! for the codes that it gives, and that with the smallest error is kept.
//! `importance` weighs the squared error of each weight.

use super::iq4::VALUES;
use super::k::{SUPER, pack_scales_45};
use super::{BLOCK, f16_bytes, inverse, nibbles};
use half::f16;

/// To the nearest whole number of `low ..= high`, below 2²²: adding leaves no bits for a
/// fraction. `f32::round` is a call where the processor's baseline lacks an instruction.
fn round(x: f32, low: f32, high: f32) -> f32 {
    const NO_FRACTION: f32 = 12_582_912.0; // 1.5·2²³
    x.clamp(low, high) + NO_FRACTION - NO_FRACTION
}

/// The scale `d` for `x ≈ d·snap(x / d)`. `extreme` is what the largest weight may
/// become; scales around are tried, `step` apart in units of it.
fn fit(x: &[f32], importance: &[f32], extreme: f32, step: f32, snap: impl Fn(f32) -> f32) -> f32 {
    let max = x.iter().fold(0f32, |max, w| if w.abs() > max.abs() { *w } else { max });
    let (mut best, mut scale) = (0.0, 0.0);
    if max == 0.0 {
        return scale;
    }
    for turn in -9i8..=9 {
        let inverse = (extreme + step * f32::from(turn)) / max;
        let (mut xq, mut qq) = (0.0, 0.0);
        for (x, importance) in x.iter().zip(importance) {
            let q = snap(x * inverse);
            xq += importance * x * q;
            qq += importance * q * q;
        }
        if qq > 0.0 && xq * xq > best * qq {
            best = xq * xq / qq;
            scale = xq / qq;
        }
    }
    scale
}

/// Scale and minimum (at least 0) for `x ≈ scale·q − min`, q from 0 to `most`.
fn fit_both(x: &[f32], importance: &[f32], most: f32) -> (f32, f32) {
    let low = x.iter().copied().fold(0.0, f32::min);
    let high = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    if high <= low {
        return (0.0, -low);
    }
    let sums =
        x.iter().zip(importance).fold((0f32, 0f32), |sums, (x, w)| (sums.0 + w, sums.1 + w * x));
    let mut best = (f32::INFINITY, 0.0, 0.0);
    for turn in -10i8..=20 {
        let steps = (most + 0.1 * f32::from(turn)) / (high - low);
        let (mut q1, mut q2, mut xq) = (0.0, 0.0, 0.0);
        for (x, w) in x.iter().zip(importance) {
            let q = round((x - low) * steps, 0.0, most);
            q1 += w * q;
            q2 += w * q * q;
            xq += w * x * q;
        }
        let determinant = sums.0 * q2 - q1 * q1;
        if determinant <= 0.0 {
            continue;
        }
        let mut scale = (sums.0 * xq - sums.1 * q1) / determinant;
        let mut min = (q1 * xq - q2 * sums.1) / determinant;
        if min < 0.0 {
            (scale, min) = (xq / q2, 0.0);
        }
        let inverse = inverse(scale);
        let mut error = 0.0;
        for (x, w) in x.iter().zip(importance) {
            let q = round((x + min) * inverse, 0.0, most);
            let miss = scale * q - min - x;
            error += w * miss * miss;
        }
        if error < best.0 {
            best = (error, scale, min);
        }
    }
    (best.1, best.2)
}

/// A scale as it is stored: bytes and value.
fn stored(value: f32) -> Option<([u8; 2], f32)> {
    let bytes = f16_bytes(value)?;
    Some((bytes, f16::from_le_bytes(bytes).to_f32()))
}

/// Scales of parts as whole numbers of −`most` … `most − 1`: `d`, the numbers.
fn whole(scales: &[f32], most: f32) -> Option<([u8; 2], f32, [i8; 16])> {
    let max = scales.iter().fold(0f32, |max, s| if s.abs() > max.abs() { *s } else { max });
    let (bytes, d) = stored(max / -most)?;
    let inverse = inverse(d);
    let mut numbers = [0; 16];
    for (number, scale) in numbers.iter_mut().zip(scales) {
        *number = round(scale * inverse, -most, most - 1.0) as i8;
    }
    Some((bytes, d, numbers))
}

/// Scales of 16 weights each and codes 0 … 2·`most` − 1 for Q3_K and Q6_K.
fn symmetric(
    x: &[f32; SUPER],
    importance: &[f32; SUPER],
    most: f32,
    most_scale: f32,
) -> Option<([u8; 2], [i8; 16], [u8; SUPER])> {
    let snap = |x: f32| round(x, -most, most - 1.0);
    let mut scales = [0.0; 16];
    let parts = x.chunks_exact(16).zip(importance.chunks_exact(16));
    for (scale, (x, importance)) in scales.iter_mut().zip(parts) {
        *scale = fit(x, importance, -most, most / 40.0, snap);
    }
    let (bytes, d, numbers) = whole(&scales, most_scale)?;
    let codes = std::array::from_fn(|at| {
        let inverse = inverse(d * f32::from(numbers[at / 16]));
        (snap(x[at] * inverse) + most) as u8
    });
    Some((bytes, numbers, codes))
}

pub(super) fn encode_6(x: &[f32; SUPER], importance: &[f32; SUPER]) -> Option<[u8; 210]> {
    let (d, scales, codes) = symmetric(x, importance, 32.0, 128.0)?;
    let mut bytes = [0; 210];
    for (at, code) in codes.iter().enumerate() {
        bytes[at / 128 * 64 + at % 64] |= (code & 15) << (at / 64 % 2 * 4);
        bytes[128 + at / 128 * 32 + at % 32] |= (code >> 4) << (at / 32 % 4 * 2);
    }
    for (byte, scale) in bytes[192..].iter_mut().zip(scales) {
        *byte = scale.cast_unsigned();
    }
    [bytes[208], bytes[209]] = d;
    Some(bytes)
}

pub(super) fn encode_3(x: &[f32; SUPER], importance: &[f32; SUPER]) -> Option<[u8; 110]> {
    let (d, scales, codes) = symmetric(x, importance, 4.0, 32.0)?;
    let mut bytes = [0; 110];
    for (at, code) in codes.iter().enumerate() {
        bytes[at % 32] |= (code >> 2) << (at / 32);
        bytes[32 + at / 128 * 32 + at % 32] |= (code & 3) << (at / 32 % 4 * 2);
    }
    for (at, scale) in scales.iter().enumerate() {
        let scale = (scale + 32) as u8;
        bytes[96 + at % 8] |= (scale & 15) << (at / 8 * 4);
        bytes[104 + at % 4] |= (scale >> 4) << (at / 4 * 2);
    }
    [bytes[108], bytes[109]] = d;
    Some(bytes)
}

/// What Q2_K, Q4_K and Q5_K store, before it is packed.
struct Asymmetric<const P: usize> {
    d: [u8; 2],
    e: [u8; 2],
    scales: [(u8, u8); P],
    codes: [u8; SUPER],
}

/// `P` parts; codes up to `most`, scales and minima up to `most_scale`.
fn asymmetric<const P: usize>(
    x: &[f32; SUPER],
    importance: &[f32; SUPER],
    most: f32,
    most_scale: f32,
) -> Option<Asymmetric<P>> {
    let each = SUPER / P;
    let mut fits = [(0f32, 0f32); P];
    for (part, fit) in fits.iter_mut().enumerate() {
        let range = part * each..(part + 1) * each;
        *fit = fit_both(&x[range.clone()], &importance[range], most);
    }
    let largest = fits.iter().fold((0f32, 0f32), |m, fit| (m.0.max(fit.0), m.1.max(fit.1)));
    let (d_bytes, d) = stored(largest.0 / most_scale)?;
    let (e_bytes, e) = stored(largest.1 / most_scale)?;
    let number = |x: f32, unit: f32| round(x * inverse(unit), 0.0, most_scale) as u8;
    let mut scales = [(0, 0); P];
    let mut codes = [0; SUPER];
    for (part, (found, fit)) in scales.iter_mut().zip(fits).enumerate() {
        let range = part * each..(part + 1) * each;
        let (x, w) = (&x[range.clone()], &importance[range.clone()]);
        // The scale's neighbours may do better, now that the minimum is rounded.
        let mut best = f32::INFINITY;
        let (scale, min) = (number(fit.0, d), number(fit.1, e));
        for scale in scale.saturating_sub(1)..=(scale + 1).min(most_scale as u8) {
            for min in min.saturating_sub(1)..=(min + 1).min(most_scale as u8) {
                let (step, low) = (d * f32::from(scale), e * f32::from(min));
                let inverse = inverse(step);
                let mut error = 0.0;
                for (x, w) in x.iter().zip(w) {
                    let q = round((x + low) * inverse, 0.0, most);
                    let miss = step * q - low - x;
                    error += w * miss * miss;
                }
                if error < best {
                    (best, *found) = (error, (scale, min));
                }
            }
        }
        let (step, low) = (d * f32::from(found.0), e * f32::from(found.1));
        let inverse = inverse(step);
        for (code, x) in codes[range].iter_mut().zip(x) {
            *code = round((x + low) * inverse, 0.0, most) as u8;
        }
    }
    Some(Asymmetric { d: d_bytes, e: e_bytes, scales, codes })
}

pub(super) fn encode_2(x: &[f32; SUPER], importance: &[f32; SUPER]) -> Option<[u8; 84]> {
    let found = asymmetric::<16>(x, importance, 3.0, 15.0)?;
    let mut bytes = [0; 84];
    for (byte, (scale, min)) in bytes.iter_mut().zip(found.scales) {
        *byte = scale | min << 4;
    }
    for (at, code) in found.codes.iter().enumerate() {
        bytes[16 + at / 128 * 32 + at % 32] |= code << (at / 32 % 4 * 2);
    }
    [bytes[80], bytes[81]] = found.d;
    [bytes[82], bytes[83]] = found.e;
    Some(bytes)
}

/// The front of Q4_K and Q5_K: scales; nibbles from byte `nibbles` on.
fn front_45<const B: usize>(found: &Asymmetric<8>, nibbles: usize) -> [u8; B] {
    let mut bytes = [0; B];
    [bytes[0], bytes[1]] = found.d;
    [bytes[2], bytes[3]] = found.e;
    bytes[4..16].copy_from_slice(&pack_scales_45(&found.scales));
    for (at, code) in found.codes.iter().enumerate() {
        bytes[nibbles + at / 64 * 32 + at % 32] |= (code & 15) << (at / 32 % 2 * 4);
    }
    bytes
}

pub(super) fn encode_4(x: &[f32; SUPER], importance: &[f32; SUPER]) -> Option<[u8; 144]> {
    Some(front_45(&asymmetric(x, importance, 15.0, 63.0)?, 16))
}

pub(super) fn encode_5(x: &[f32; SUPER], importance: &[f32; SUPER]) -> Option<[u8; 176]> {
    let found = asymmetric(x, importance, 31.0, 63.0)?;
    let mut bytes: [u8; 176] = front_45(&found, 48);
    for (at, code) in found.codes.iter().enumerate() {
        bytes[16 + at % 32] |= (code >> 4) << (at / 32);
    }
    Some(bytes)
}

/// The code of IQ4 nearest to `x`.
fn nearest(x: f32) -> u8 {
    let above = VALUES.partition_point(|value| f32::from(*value) < x).clamp(1, 15);
    let middle = (f32::from(VALUES[above - 1]) + f32::from(VALUES[above])) / 2.0;
    if x < middle { above as u8 - 1 } else { above as u8 }
}

fn fit_iq4(x: &[f32; BLOCK], importance: &[f32]) -> f32 {
    fit(x, importance, -127.0, 1.0, |x| f32::from(VALUES[usize::from(nearest(x))]))
}

pub(super) fn encode_iq4_nl(x: &[f32; BLOCK], importance: &[f32; BLOCK]) -> Option<[u8; 18]> {
    let (bytes, d) = stored(fit_iq4(x, importance))?;
    let inverse = inverse(d);
    let mut out = [0; 18];
    let [d0, d1, quants @ ..] = &mut out;
    [*d0, *d1] = bytes;
    *quants = nibbles::pack(&x.map(|x| nearest(x * inverse)));
    Some(out)
}

pub(super) fn encode_iq4_xs(x: &[f32; SUPER], importance: &[f32; SUPER]) -> Option<[u8; 136]> {
    let parts = x.as_chunks::<BLOCK>().0;
    let mut scales = [0.0; 8];
    for ((scale, x), w) in scales.iter_mut().zip(parts).zip(importance.chunks_exact(BLOCK)) {
        *scale = fit_iq4(x, w);
    }
    let (bytes, d, numbers) = whole(&scales, 32.0)?;
    let mut out = [0; 136];
    [out[0], out[1]] = bytes;
    let mut high = 0u16;
    for (at, (x, number)) in parts.iter().zip(numbers).enumerate() {
        let inverse = inverse(d * f32::from(number));
        let number = (number + 32) as u8;
        out[4 + at / 2] |= (number & 15) << (at % 2 * 4);
        high |= u16::from(number >> 4) << (2 * at);
        let codes = nibbles::pack(&x.map(|x| nearest(x * inverse)));
        out[8 + 16 * at..][..16].copy_from_slice(&codes);
    }
    [out[2], out[3]] = high.to_le_bytes();
    Some(out)
}
