//! Weights that are NaN or infinite, found without decoding those that are not: a float by its
//! exponent, a block by those of its scales.

use super::decode;
use super::example::halves;
use crate::Format;

/// The first weight of whole blocks that is NaN or infinite: its number, its value.
pub fn not_finite(format: Format, bytes: &[u8]) -> Option<(usize, f32)> {
    // So many at once, so that the compiler compares floats side by side.
    const TOGETHER: usize = 256;
    let (weights, size) = (format.block(), format.block_bytes());
    let mut numbers = vec![0.0; weights];
    for (group, many) in bytes.chunks(TOGETHER * size).enumerate() {
        if !may_be(format, many) {
            continue;
        }
        for (at, block) in many.chunks_exact(size).enumerate() {
            let decoded = decode(format, block, &mut numbers);
            let found = numbers.iter().position(|number| !number.is_finite());
            if let (Ok(()), Some(found)) = (decoded, found) {
                return Some(((group * TOGETHER + at) * weights + found, numbers[found]));
            }
        }
    }
    None
}

/// Whether one of the blocks may have such a weight: those of no other scales and floats do.
fn may_be(format: Format, blocks: &[u8]) -> bool {
    fn any<const N: usize>(blocks: &[u8], is: impl Fn(&[u8; N]) -> bool) -> bool {
        blocks.as_chunks().0.iter().fold(false, |any, block| any | is(block))
    }
    // The exponents of f32 and bf16, of f16, of E4M3 with its mantissa, of E5M2.
    let wide = |half: [u8; 2]| u16::from_le_bytes(half) & 0x7f80 == 0x7f80;
    let half = |half: &[u8; 2]| u16::from_le_bytes(*half) & 0x7c00 == 0x7c00;
    match format {
        Format::F32 => any(blocks, |[_, _, low, high]| wide([*low, *high])),
        Format::BF16 => any(blocks, |bytes| wide(*bytes)),
        Format::F16 => any(blocks, half),
        Format::F8_E4M3 => any(blocks, |[byte]| byte & 0x7f == 0x7f),
        Format::F8_E5M2 => any(blocks, |[byte]| byte & 0x7c == 0x7c),
        Format::F8_E4M3_128 | Format::F8_E4M3_32 => {
            blocks.chunks_exact(format.block_bytes()).any(|block| {
                let (scale, codes) = block.split_at(4);
                // 448 times 2^119 is infinite: the upper bits of that exponent.
                scale[3] & 0x7f >= 0x7b || any(codes, |[byte]| byte & 0x7f == 0x7f)
            })
        }
        // 6 times a power of two from here on may be infinite.
        Format::MXFP4 => any(blocks, |[power, ..]: &[u8; 17]| *power >= 253),
        // Its f16 lies in the upper four bits of four words, the last of them first.
        Format::IQ1_M => {
            any(blocks, |block: &[u8; 56]| block[53] & 0xc0 == 0xc0 && block[55] & 0x70 == 0x70)
        }
        _ => blocks.chunks_exact(format.block_bytes()).any(|block| {
            let scales = halves(format).iter().filter_map(|at| block.get(*at..*at + 2));
            scales.filter_map(|scale| scale.first_chunk()).any(half)
        }),
    }
}
