//! Random blocks that hold sane numbers, for tests: no encoder is needed.

use crate::{Format, Result, splitmix64};

/// Where a block of `format` holds 16-bit floats.
pub(super) fn halves(format: Format) -> &'static [usize] {
    match format {
        Format::F16
        | Format::Q8_0
        | Format::Q4_0
        | Format::Q5_0
        | Format::IQ4_NL
        | Format::IQ4_XS
        | Format::IQ3_S
        | Format::IQ3_XXS
        | Format::IQ2_S
        | Format::IQ2_XS
        | Format::IQ2_XXS
        | Format::IQ1_S
        | Format::Q1_0
        | Format::Q2_0 => &[0],
        Format::Q4_1 | Format::Q5_1 | Format::Q4_K | Format::Q5_K => &[0, 2],
        Format::Q2_K => &[80, 82],
        Format::Q3_K => &[108],
        Format::Q6_K => &[208],
        Format::TQ1_0 => &[52],
        Format::TQ2_0 => &[64],
        _ => &[],
    }
}

/// File bytes of `weights` weights: every bit random but the exponents of scales (and
/// of float formats), so that all are finite, and of a size not far from 1.
///
/// # Errors
/// `weights` is not whole blocks.
pub fn example(format: Format, seed: u64, weights: usize) -> Result<Vec<u8>> {
    super::whole_blocks(format, weights)?;
    let mut next = splitmix64(seed);
    let mut bytes: Vec<u8> = (0..format.bytes(weights)).map(|_| (next() >> 40) as u8).collect();
    for block in bytes.chunks_exact_mut(format.block_bytes()) {
        // ±2⁻³ … 2
        for at in halves(format) {
            block[at + 1] = block[at + 1] & 0x83 | 0x30 | (block[at + 1] >> 2 & 3) << 2;
        }
        match format {
            Format::F32 => block[3] = block[3] & 0x80 | 0x3e,
            Format::BF16 => block[1] = block[1] & 0x80 | 0x3e,
            Format::F8_E4M3 => block[0] = block[0] & 0x8f | 0x20,
            Format::F8_E5M2 => block[0] = block[0] & 0x87 | 0x38,
            Format::F8_E4M3_128 | Format::F8_E4M3_32 => {
                // ±2⁻⁹ … 2⁻⁷, since codes reach 448; none of them is NaN.
                block[3] = block[3] & 0x80 | 0x3b;
                block[4..].iter_mut().for_each(|code| *code ^= u8::from(*code & 0x7f == 0x7f));
            }
            Format::MXFP4 => block[0] = 124 + block[0] % 4,
            Format::NVFP4 => block[..4].iter_mut().for_each(|scale| *scale = 0x28 + *scale % 32),
            // The nibbles of an f16 are on top of the scales.
            Format::IQ1_M => block[55] = block[55] & 0x0f | 0x30,
            _ => {}
        }
    }
    if format.block() == 1 {
        return Ok(bytes);
    }
    // Codes reach from 1 to thousands: scales are made smaller by as much, or products of
    // two such weights would pass the largest f16.
    let mut numbers = vec![0.0; weights];
    super::decode(format, &bytes, &mut numbers)?;
    let squares: f32 = numbers.iter().map(|w| w * w).sum();
    let size = (squares / weights.max(1) as f32).sqrt().log2().ceil().clamp(0.0, 11.0) as u8;
    for block in bytes.chunks_exact_mut(format.block_bytes()) {
        for at in halves(format) {
            block[at + 1] -= size << 2; // the exponent is 12 or more
        }
    }
    Ok(bytes)
}
