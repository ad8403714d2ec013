//! CPU encoder and decoder of every weight format, and the lossless repacking
//! of file blocks into the words that the kernels read. One file per family; this
//! one dispatches and checks lengths.
//!
//! The layouts in files are ggml's (`ggml-common.h`, `ggml-quants.c`: the
//! `*_ref` rounding). The layouts on the GPU are ours: see [`repack`].

mod example;
mod finite;
mod float;
mod fp4;
mod grids;
mod iq;
mod iq4;
mod iq_encode;
mod iq_search;
mod k;
mod k_encode;
mod nibbles;
mod planes;
mod q4_0;
mod q4_1;
mod q5;
mod q8_0;
mod ternary;

pub use example::example;
pub use finite::not_finite;

use crate::{Error, Format, Result};
use planes::Parts;

/// Weights a block of the quantized formats of this module.
const BLOCK: usize = 32;

/// Weights that a row of a float format is padded to a multiple of on the GPU.
const FLOAT_PAD: usize = 8;

/// File bytes to weights: `out[i]` is weight `i` of `bytes`.
///
/// # Errors
/// `out` is not whole blocks, or `bytes` is not what `out.len()` weights take.
pub fn decode(format: Format, bytes: &[u8], out: &mut [f32]) -> Result<()> {
    whole_blocks(format, out.len())?;
    let want = format.bytes(out.len());
    if bytes.len() != want {
        return Err(Error::input(format!(
            "{} weights of {format} take {want} bytes, but there are {}: the tensor is damaged",
            out.len(),
            bytes.len()
        )));
    }
    match format {
        Format::F32 => float::decode_f32(bytes, out),
        Format::F16 => float::decode_f16(bytes, out),
        Format::BF16 => float::decode_bf16(bytes, out),
        Format::Q8_0 => decode_blocks(bytes, out, q8_0::decode),
        Format::Q4_0 => decode_blocks(bytes, out, q4_0::decode),
        Format::Q4_1 => decode_blocks(bytes, out, q4_1::decode),
        Format::Q5_0 => decode_blocks(bytes, out, q5::decode_0),
        Format::Q5_1 => decode_blocks(bytes, out, q5::decode_1),
        Format::Q2_K => decode_blocks(bytes, out, k::decode_2),
        Format::Q3_K => decode_blocks(bytes, out, k::decode_3),
        Format::Q4_K => decode_blocks(bytes, out, k::decode_4),
        Format::Q5_K => decode_blocks(bytes, out, k::decode_5),
        Format::Q6_K => decode_blocks(bytes, out, k::decode_6),
        Format::IQ4_NL => decode_blocks(bytes, out, iq4::decode_nl),
        Format::IQ4_XS => decode_blocks(bytes, out, iq4::decode_xs),
        Format::MXFP4 => decode_blocks(bytes, out, fp4::decode_mx),
        Format::NVFP4 => decode_blocks(bytes, out, fp4::decode_nv),
        Format::IQ3_S => decode_grid(format, bytes, out, iq::decode_3s),
        Format::IQ3_XXS => decode_grid(format, bytes, out, iq::decode_3xxs),
        Format::IQ2_S => decode_grid(format, bytes, out, iq::decode_2s),
        Format::IQ2_XS => decode_grid(format, bytes, out, iq::decode_2xs),
        Format::IQ2_XXS => decode_grid(format, bytes, out, iq::decode_2xxs),
        Format::IQ1_S => decode_grid(format, bytes, out, iq::decode_1s),
        Format::IQ1_M => decode_grid(format, bytes, out, iq::decode_1m),
        Format::TQ1_0 => decode_blocks(bytes, out, ternary::decode_t1),
        Format::TQ2_0 => decode_blocks(bytes, out, ternary::decode_t2),
        Format::Q1_0 => decode_blocks(bytes, out, ternary::decode_1),
        Format::Q2_0 => decode_blocks(bytes, out, ternary::decode_2),
        Format::F8_E4M3 => float::decode_e4m3(bytes, out),
        Format::F8_E5M2 => float::decode_e5m2(bytes, out),
        Format::F8_E4M3_128 => decode_blocks(bytes, out, float::decode_scaled::<132, 128>),
        Format::F8_E4M3_32 => decode_blocks(bytes, out, float::decode_scaled::<36, 32>),
    }
    Ok(())
}

/// Weights to file bytes, rounded as ggml's reference code does; for the K formats and
/// IQ with the smallest squared error found. There the error of column `c` counts
/// `importance[c]` times, if that is given; in the formats with grids large weights'
/// errors count more, too.
///
/// # Errors
/// `weights` is not whole blocks, or not whole rows of `importance`; a weight is not finite,
/// or too large for the format or its f16 scale; or the format has no encoder.
pub fn encode(format: Format, weights: &[f32], importance: Option<&[f32]>) -> Result<Vec<u8>> {
    encode_at(format, weights, importance, 0)
}

/// [`encode`] of weights from number `first` of a tensor on, which errors count from.
///
/// # Errors
/// As [`encode`].
pub fn encode_at(
    format: Format,
    weights: &[f32],
    importance: Option<&[f32]>,
    first: u64,
) -> Result<Vec<u8>> {
    whole_blocks(format, weights.len())?;
    if let Some(importance) = importance {
        whole_blocks(format, importance.len())?;
        if importance.is_empty() || !weights.len().is_multiple_of(importance.len()) {
            return Err(Error::input(format!(
                "{} weights are not rows of {} columns, for which importance is given",
                weights.len(),
                importance.len()
            )));
        }
    }
    let from = Encoder { format, weights, importance, first };
    match format {
        Format::F32 | Format::F16 | Format::BF16 => encode_float(format, weights, first),
        Format::Q8_0 => from.plain(q8_0::encode),
        Format::Q4_0 => from.plain(q4_0::encode),
        Format::Q4_1 => from.plain(q4_1::encode),
        Format::Q5_0 => from.plain(q5::encode_0),
        Format::Q5_1 => from.plain(q5::encode_1),
        Format::Q2_K => from.weighed(k_encode::encode_2),
        Format::Q3_K => from.weighed(k_encode::encode_3),
        Format::Q4_K => from.weighed(k_encode::encode_4),
        Format::Q5_K => from.weighed(k_encode::encode_5),
        Format::Q6_K => from.weighed(k_encode::encode_6),
        Format::IQ4_NL => from.weighed(k_encode::encode_iq4_nl),
        Format::IQ4_XS => from.weighed(k_encode::encode_iq4_xs),
        Format::MXFP4 => from.plain(fp4::encode_mx),
        Format::NVFP4 => from.plain(fp4::encode_nv),
        Format::TQ1_0 => from.plain(ternary::encode_t1),
        Format::TQ2_0 => from.plain(ternary::encode_t2),
        Format::Q1_0 => from.plain(ternary::encode_1),
        Format::Q2_0 => from.plain(ternary::encode_2),
        Format::IQ3_S => from.weighed(iq_encode::encode_3s),
        Format::IQ3_XXS => from.weighed(iq_encode::encode_3xxs),
        Format::IQ2_S => from.weighed(iq_encode::encode_2s),
        Format::IQ2_XS => from.weighed(iq_encode::encode_2xs),
        Format::IQ2_XXS => from.weighed(iq_encode::encode_2xxs),
        Format::IQ1_S => from.weighed(iq_encode::encode_1s),
        Format::IQ1_M => from.weighed(iq_encode::encode_1m),
        Format::F8_E4M3 | Format::F8_E5M2 | Format::F8_E4M3_128 | Format::F8_E4M3_32 => {
            Err(Error::unsupported(format!(
                "this version reads {format} but cannot make it: use another format"
            )))
        }
    }
}

/// Rows of weights as the GPU holds them: two arrays of little-endian words.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Repacked {
    /// The weights themselves.
    pub quants: Vec<u32>,
    /// Scales (and minima) of the blocks; empty for float formats.
    pub scales: Vec<u32>,
}

/// Repacks whole rows of `cols` weights from file bytes to the GPU's layout,
/// losslessly:
///
/// | format | `quants` | `scales` |
/// |---|---|---|
/// | F32 | a word a weight; each row zero-padded to a multiple of 8 weights | none |
/// | F16, BF16 | two weights a word, low half first; rows padded likewise | none |
/// | Q8_0 | 8 words per block, bytes in order | `d`, two blocks per word, low half first |
/// | Q4_0 | 4 words per block, see below | as Q8_0 |
/// | MXFP4 | as Q4_0 | the exponent, four blocks a word, lowest first |
/// | Q4_1 | as Q4_0 | a word a block: `d` in the low half, `m` in the high half |
/// | F8_E4M3, F8_E5M2 | four weights a word; rows padded as F32 | none |
/// | F8_E4M3_128, F8_E4M3_32 | four weights a word | `d`, a word a block |
/// | others | planes of bits, in 32 weights each (`planes.rs`) | `split_…` of the family |
///
/// Word `g` of a 4-bit block holds weights `8g..8g+8`: its byte `j` has weight
/// `8g+j` in the low nibble and weight `8g+4+j` in the high nibble (in a file,
/// byte `j` of 16 has weights `j` and `j+16`).
///
/// `scales` are 16-bit halves, an equal number for each block of the file. They are
/// indexed by the block's number in the tensor, `row · blocks per row + block`. Where
/// that number is odd, a tensor that is split piece by piece must be cut at an even
/// block, or the halves would move: cut at an even row. The last half word is 0
/// when the number of halves is odd. Scales of MXFP4 are bytes, four a word: its pieces
/// have whole fours of rows ([`Format::rows_together`]).
///
/// # Errors
/// `cols` is 0 or not whole blocks, or `bytes` is not whole rows.
pub fn repack(format: Format, bytes: &[u8], cols: usize) -> Result<Repacked> {
    whole_blocks(format, cols)?;
    // A row in memory has fewer bytes than the address space, so 0 means that the
    // product wrapped or that `cols` is 0: both wrong.
    let row = (cols / format.block()).checked_mul(format.block_bytes()).unwrap_or(0);
    let Some(rows) = bytes.len().checked_div(row).filter(|rows| rows * row == bytes.len()) else {
        return Err(Error::input(format!(
            "{} bytes are not whole rows of {cols} weights of {format} ({row} bytes a row)",
            bytes.len()
        )));
    };
    let (quants, scales) = repacked_words(format, rows, cols);
    let mut parts = Parts { quants: Vec::with_capacity(quants), ..Parts::default() };
    match format {
        Format::MXFP4 => parts.bytes.reserve(4 * scales),
        _ => parts.halves.reserve(2 * scales),
    }
    let to = &mut parts;
    match format {
        Format::F32 => float::split_f32(bytes, cols, &mut to.quants),
        Format::F16 | Format::BF16 => float::split_16(bytes, cols, &mut to.quants),
        Format::F8_E4M3 | Format::F8_E5M2 => float::split_8(bytes, cols, &mut to.quants),
        Format::Q8_0 => repack_blocks(bytes, to, q8_0::repack),
        Format::Q4_0 => repack_blocks(bytes, to, q4_0::repack),
        Format::Q4_1 => repack_blocks(bytes, to, q4_1::repack),
        Format::Q5_0 => repack_blocks(bytes, to, q5::repack_0),
        Format::Q5_1 => repack_blocks(bytes, to, q5::repack_1),
        Format::Q2_K => repack_blocks(bytes, to, k::split_2),
        Format::Q3_K => repack_blocks(bytes, to, k::split_3),
        Format::Q4_K => repack_blocks(bytes, to, k::split_4),
        Format::Q5_K => repack_blocks(bytes, to, k::split_5),
        Format::Q6_K => repack_blocks(bytes, to, k::split_6),
        Format::IQ4_NL => repack_blocks(bytes, to, iq4::split_nl),
        Format::IQ4_XS => repack_blocks(bytes, to, iq4::split_xs),
        Format::MXFP4 => repack_blocks(bytes, to, fp4::split_mx),
        Format::NVFP4 => repack_blocks(bytes, to, fp4::split_nv),
        Format::IQ3_S => repack_blocks(bytes, to, iq::split_3s),
        Format::IQ3_XXS => repack_blocks(bytes, to, iq::split_3xxs),
        Format::IQ2_S => repack_blocks(bytes, to, iq::split_2s),
        Format::IQ2_XS => repack_blocks(bytes, to, iq::split_2xs),
        Format::IQ2_XXS => repack_blocks(bytes, to, iq::split_2xxs),
        Format::IQ1_S => repack_blocks(bytes, to, iq::split_1s),
        Format::IQ1_M => repack_blocks(bytes, to, iq::split_1m),
        Format::TQ1_0 => repack_blocks(bytes, to, ternary::split_t1),
        Format::TQ2_0 => repack_blocks(bytes, to, ternary::split_t2),
        Format::Q1_0 => repack_blocks(bytes, to, ternary::repack_1),
        Format::Q2_0 => repack_blocks(bytes, to, ternary::split_2),
        Format::F8_E4M3_128 => repack_blocks(bytes, to, float::split_scaled::<132>),
        Format::F8_E4M3_32 => repack_blocks(bytes, to, float::split_scaled::<36>),
    }
    let (pairs, last) = parts.halves.as_chunks();
    let pairs = pairs.iter().map(|[low, high]| u32::from(*low) | u32::from(*high) << 16);
    let mut scales: Vec<u32> = pairs.chain(last.first().map(|half| u32::from(*half))).collect();
    scales.extend(
        parts
            .bytes
            .chunks(4)
            .map(|bytes| bytes.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte))),
    );
    Ok(Repacked { quants: parts.quants, scales })
}

/// The words of `weight_table` that kernels need to read a format; mostly none.
pub fn table(format: Format) -> Vec<u32> {
    iq::table(format)
}

/// Words of quants and halves of scales that a block of the file becomes; a float
/// format has none.
fn block_parts(format: Format) -> (usize, usize) {
    match format {
        Format::F32 | Format::F16 | Format::BF16 | Format::F8_E4M3 | Format::F8_E5M2 => (0, 0),
        Format::Q8_0 => (8, 1),
        Format::Q4_0 | Format::IQ4_NL => (4, 1),
        // And a byte.
        Format::MXFP4 => (4, 0),
        Format::Q4_1 => (4, 2),
        Format::Q5_0 => (4, 3),
        Format::Q5_1 => (4, 4),
        Format::Q2_K => (16, 10),
        Format::Q3_K => (24, 9),
        Format::Q4_K => (32, 8),
        Format::Q5_K => (40, 8),
        Format::Q6_K => (48, 9),
        Format::IQ4_XS => (32, 5),
        Format::NVFP4 => (8, 2),
        Format::IQ3_S => (24, 7),
        Format::IQ3_XXS => (24, 1),
        Format::IQ2_S => (16, 9),
        Format::IQ2_XS => (16, 5),
        Format::IQ2_XXS | Format::TQ2_0 => (16, 1),
        Format::IQ1_S => (8, 9),
        Format::IQ1_M => (8, 12),
        Format::TQ1_0 => (13, 1),
        Format::Q1_0 | Format::Q2_0 => (4, 1),
        Format::F8_E4M3_128 => (32, 2),
        Format::F8_E4M3_32 => (8, 2),
    }
}

/// Words of `quants` and of `scales` that `rows` rows of `cols` weights take on
/// the GPU. Saturates where `usize` does (wasm32), so that a comparison with a
/// limit still refuses.
pub fn repacked_words(format: Format, rows: usize, cols: usize) -> (usize, usize) {
    let blocks = rows.saturating_mul(cols.div_ceil(format.block()));
    let padded = rows.saturating_mul(cols.div_ceil(FLOAT_PAD)); // groups of 8 weights
    match format {
        Format::F32 => (padded.saturating_mul(FLOAT_PAD), 0),
        Format::F16 | Format::BF16 => (padded.saturating_mul(FLOAT_PAD / 2), 0),
        Format::F8_E4M3 | Format::F8_E5M2 => (padded.saturating_mul(FLOAT_PAD / 4), 0),
        Format::MXFP4 => (blocks.saturating_mul(4), blocks.div_ceil(4)),
        _ => {
            let (quants, halves) = block_parts(format);
            (blocks.saturating_mul(quants), blocks.saturating_mul(halves).div_ceil(2))
        }
    }
}

/// [`encode_at`] for F32, F16 and BF16 alone: whoever reads checkpoints needs no more, and a
/// browser does not download the others.
///
/// # Errors
/// Another format; a weight that is not finite, or too large for the format.
pub fn encode_float(format: Format, weights: &[f32], first: u64) -> Result<Vec<u8>> {
    let bytes = match format {
        Format::F32 => float::encode_f32(weights),
        Format::F16 => float::encode_f16(weights),
        Format::BF16 => float::encode_bf16(weights),
        other => {
            return Err(Error::unsupported(format!("{other} is not a plain float format")));
        }
    };
    let Some((at, _)) = not_finite(format, &bytes) else { return Ok(bytes) };
    let weight = weights.get(at).copied().unwrap_or_default();
    if !weight.is_finite() {
        return Err(damaged(first + at as u64, weight));
    }
    Err(Error::input(format!(
        "weight {} is {weight}, which is too large for {format}: use F32 or BF16",
        first + at as u64
    )))
}

/// Weight `number` of a tensor is NaN or infinite.
pub fn damaged(number: u64, weight: f32) -> Error {
    Error::input(format!("weight {number} is {weight}: the weights are damaged"))
}

fn whole_blocks(format: Format, weights: usize) -> Result<()> {
    if weights.is_multiple_of(format.block()) {
        return Ok(());
    }
    Err(Error::input(format!(
        "{weights} weights are not whole blocks of {format} ({} a block): use another format \
         for this tensor",
        format.block()
    )))
}

fn decode_blocks<const B: usize, const N: usize>(
    bytes: &[u8],
    out: &mut [f32],
    one: impl Fn(&[u8; B], &mut [f32; N]),
) {
    for (block, weights) in bytes.as_chunks().0.iter().zip(out.as_chunks_mut().0) {
        one(block, weights);
    }
}

fn decode_grid<const B: usize, const N: usize>(
    format: Format,
    bytes: &[u8],
    out: &mut [f32],
    one: fn(&[i8], &[u8; B], &mut [f32; N]),
) {
    let grid = grids::numbers(format);
    decode_blocks(bytes, out, |block, weights| one(&grid, block, weights));
}

fn repack_blocks<const B: usize>(bytes: &[u8], parts: &mut Parts, one: fn(&[u8; B], &mut Parts)) {
    for block in bytes.as_chunks().0 {
        one(block, parts);
    }
}

/// What is encoded.
struct Encoder<'a> {
    format: Format,
    weights: &'a [f32],
    importance: Option<&'a [f32]>,
    /// The number of the first weight, for messages.
    first: u64,
}

impl Encoder<'_> {
    /// By an encoder that knows no importance.
    fn plain<const B: usize, const N: usize>(
        &self,
        one: fn(&[f32; N]) -> Option<[u8; B]>,
    ) -> Result<Vec<u8>> {
        self.blocks(|weights, _| one(weights))
    }

    /// By an encoder that seeks the least squared error.
    fn weighed<const B: usize, const N: usize>(
        &self,
        one: fn(&[f32; N], &[f32; N]) -> Option<[u8; B]>,
    ) -> Result<Vec<u8>> {
        // Beyond what any f16 scale makes of a code; squares of larger ones overflow.
        const TOO_LARGE: f32 = 1e12;
        self.blocks(|weights, importance| {
            let small = weights.iter().all(|weight| weight.abs() < TOO_LARGE);
            small.then(|| one(weights, importance)).flatten()
        })
    }

    /// `one` gives a block's bytes, or `None` where a scale is not a finite f16.
    fn blocks<const B: usize, const N: usize>(
        &self,
        one: impl Fn(&[f32; N], &[f32; N]) -> Option<[u8; B]>,
    ) -> Result<Vec<u8>> {
        let format = self.format;
        let mut bytes = Vec::with_capacity(format.bytes(self.weights.len()));
        let mut columns = self.importance.map(|importance| importance.as_chunks().0.iter().cycle());
        for (index, block) in self.weights.as_chunks().0.iter().enumerate() {
            let at = self.first + (index * N) as u64;
            if let Some(bad) = block.iter().position(|weight| !weight.is_finite()) {
                return Err(damaged(at + bad as u64, block[bad]));
            }
            let importance = columns.as_mut().and_then(Iterator::next).unwrap_or(&[1.0; N]);
            let encoded = one(block, importance).ok_or_else(|| {
                Error::input(format!(
                    "the {N} weights from number {at} are too large for the scale of {format}: \
                     use F32 or BF16"
                ))
            })?;
            bytes.extend_from_slice(&encoded);
        }
        Ok(bytes)
    }
}

/// `value` as the bytes of an f16; `None` where it would not be finite.
fn f16_bytes(value: f32) -> Option<[u8; 2]> {
    let value = half::f16::from_f32(value);
    value.is_finite().then(|| value.to_le_bytes())
}

/// `1 / d`, or 0 for a block whose weights are all alike.
fn inverse(d: f32) -> f32 {
    if d == 0.0 { 0.0 } else { 1.0 / d }
}
