//! The K formats: 256 weights with an f16 scale (and minimum), and small scales of
//! 16 or 32 of them. Encoders: `k_encode.rs`.

use super::planes::{Parts, half_at};

/// Weights per block.
pub(super) const SUPER: usize = 256;

/// Two-bit numbers: 32 bytes hold 128 weights, those 32 apart in one byte.
pub(super) fn crumbs(bytes: &[u8]) -> [u8; SUPER] {
    std::array::from_fn(|at| (bytes[at / 128 * 32 + at % 32] >> (at / 32 % 4 * 2)) & 3)
}

/// Nibbles: 32 bytes hold 64 weights, those 32 apart in one byte.
pub(super) fn nibbles(bytes: &[u8]) -> [u8; SUPER] {
    std::array::from_fn(|at| (bytes[at / 64 * 32 + at % 32] >> (at / 32 % 2 * 4)) & 15)
}

/// One bit each: 32 bytes, bit `n` of byte `l` is that of weight `32n + l`.
fn bits(bytes: &[u8]) -> [u8; SUPER] {
    std::array::from_fn(|at| (bytes[at % 32] >> (at / 32)) & 1)
}

/// Q2_K: 16 × (4-bit scale, 4-bit minimum), 2-bit quants, f16 `d`, f16 `e`;
/// `w = d·scale·q − e·minimum`.
pub(super) fn decode_2(block: &[u8; 84], out: &mut [f32; SUPER]) {
    let (d, e) = (half_at(block, 80), half_at(block, 82));
    for (at, (out, q)) in out.iter_mut().zip(crumbs(&block[16..80])).enumerate() {
        let scale = block[at / 16];
        *out = d * f32::from(scale & 15) * f32::from(q) - e * f32::from(scale >> 4);
    }
}

pub(super) fn split_2(block: &[u8; 84], parts: &mut Parts) {
    parts.plane::<2>(&crumbs(&block[16..80]), 0);
    parts.scales(&block[..16]);
    parts.scales(&block[80..]);
}

/// Scales of Q3_K: the low 4 bits of 16 in 8 bytes, then the high 2 bits in 4 bytes.
fn scales_3(bytes: &[u8]) -> [i8; 16] {
    std::array::from_fn(|at| {
        let low = (bytes[at % 8] >> (at / 8 * 4)) & 15;
        let high = (bytes[8 + at % 4] >> (at / 4 * 2)) & 3;
        (low | high << 4).cast_signed() - 32
    })
}

/// Codes 0 … 7 of Q3_K, 4 above the quants.
fn codes_3(block: &[u8; 110]) -> [u8; SUPER] {
    let (low, high) = (crumbs(&block[32..96]), bits(&block[..32]));
    std::array::from_fn(|at| low[at] | high[at] << 2)
}

/// Q3_K: high bits, low 2 bits, 16 6-bit scales, f16 `d`; `w = d·(scale − 32)·(q − 4)`.
pub(super) fn decode_3(block: &[u8; 110], out: &mut [f32; SUPER]) {
    let (d, scales) = (half_at(block, 108), scales_3(&block[96..108]));
    for (at, (out, code)) in out.iter_mut().zip(codes_3(block)).enumerate() {
        *out = d * f32::from(scales[at / 16]) * (f32::from(code) - 4.0);
    }
}

/// The scales become bytes, as those of Q6_K are.
pub(super) fn split_3(block: &[u8; 110], parts: &mut Parts) {
    let codes = codes_3(block);
    parts.plane::<2>(&codes, 0);
    parts.plane::<1>(&codes, 2);
    parts.scales(&scales_3(&block[96..108]).map(i8::cast_unsigned));
    parts.scales(&block[108..]);
}

/// Scale and minimum of 32 weights in Q4_K and Q5_K: 6 bits each, 12 bytes in all.
/// The first four are the low bits of bytes 0 … 3 and 4 … 7; the last four have their
/// low nibbles in bytes 8 … 11 and their high bits on top of the first.
fn scales_45(bytes: &[u8]) -> [(u8, u8); 8] {
    std::array::from_fn(|at| match at {
        0..4 => (bytes[at] & 63, bytes[at + 4] & 63),
        _ => {
            (bytes[at + 4] & 15 | bytes[at - 4] >> 6 << 4, bytes[at + 4] >> 4 | bytes[at] >> 6 << 4)
        }
    })
}

/// The way back of [`scales_45`].
pub(super) fn pack_scales_45(scales: &[(u8, u8); 8]) -> [u8; 12] {
    let mut bytes = [0; 12];
    for (at, &(scale, min)) in scales.iter().enumerate() {
        if at < 4 {
            bytes[at] |= scale;
            bytes[at + 4] |= min;
        } else {
            bytes[at + 4] = scale & 15 | min << 4;
            bytes[at - 4] |= scale >> 4 << 6;
            bytes[at] |= min >> 4 << 6;
        }
    }
    bytes
}

/// Four words: `d` and `e`; nibbles of the scales; nibbles of the minima; high 2 bits
/// of the scales, then of the minima.
fn split_scales_45(block: &[u8], parts: &mut Parts) {
    let mut words = [0u32; 3];
    for (at, (scale, min)) in scales_45(&block[4..16]).into_iter().enumerate() {
        let (scale, min) = (u32::from(scale), u32::from(min));
        words[0] |= (scale & 15) << (4 * at);
        words[1] |= (min & 15) << (4 * at);
        words[2] |= scale >> 4 << (2 * at) | min >> 4 << (2 * at + 16);
    }
    parts.scales(&block[..4]);
    parts.scales(words.map(u32::to_le_bytes).as_flattened());
}

fn decode_45(block: &[u8], codes: &[u8; SUPER], out: &mut [f32; SUPER]) {
    let (d, e) = (half_at(block, 0), half_at(block, 2));
    let scales = scales_45(&block[4..16]);
    for (at, (out, q)) in out.iter_mut().zip(codes).enumerate() {
        let (scale, min) = scales[at / 32];
        *out = d * f32::from(scale) * f32::from(*q) - e * f32::from(min);
    }
}

/// Q4_K: f16 `d`, f16 `e`, 8 × (6-bit scale, 6-bit minimum), 4-bit quants;
/// `w = d·scale·q − e·minimum`.
pub(super) fn decode_4(block: &[u8; 144], out: &mut [f32; SUPER]) {
    decode_45(block, &nibbles(&block[16..]), out);
}

pub(super) fn split_4(block: &[u8; 144], parts: &mut Parts) {
    parts.plane::<4>(&nibbles(&block[16..]), 0);
    split_scales_45(block, parts);
}

fn codes_5(block: &[u8; 176]) -> [u8; SUPER] {
    let (low, high) = (nibbles(&block[48..]), bits(&block[16..48]));
    std::array::from_fn(|at| low[at] | high[at] << 4)
}

/// Q5_K: as Q4_K, with high bits before the nibbles.
pub(super) fn decode_5(block: &[u8; 176], out: &mut [f32; SUPER]) {
    decode_45(block, &codes_5(block), out);
}

pub(super) fn split_5(block: &[u8; 176], parts: &mut Parts) {
    let codes = codes_5(block);
    parts.plane::<4>(&codes, 0);
    parts.plane::<1>(&codes, 4);
    split_scales_45(block, parts);
}

/// In Q6_K 64 bytes of nibbles and 32 of 2-bit numbers hold 128 weights.
fn codes_6(block: &[u8; 210]) -> [u8; SUPER] {
    let high = crumbs(&block[128..192]);
    std::array::from_fn(|at| {
        let low = block[at / 128 * 64 + at % 64] >> (at / 64 % 2 * 4);
        low & 15 | high[at] << 4
    })
}

/// Q6_K: low 4 bits, high 2 bits, 16 × i8 scale, f16 `d`; `w = d·scale·(q − 32)`.
pub(super) fn decode_6(block: &[u8; 210], out: &mut [f32; SUPER]) {
    let d = half_at(block, 208);
    for (at, (out, code)) in out.iter_mut().zip(codes_6(block)).enumerate() {
        let scale = block[192 + at / 16].cast_signed();
        *out = d * f32::from(scale) * (f32::from(code) - 32.0);
    }
}

pub(super) fn split_6(block: &[u8; 210], parts: &mut Parts) {
    let codes = codes_6(block);
    parts.plane::<4>(&codes, 0);
    parts.plane::<2>(&codes, 4);
    parts.scales(&block[192..]);
}
