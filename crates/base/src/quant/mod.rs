//! CPU encoder and decoder of every weight format, and the lossless repacking
//! of file blocks into the words that the kernels read. One file a family; this
//! one dispatches and checks lengths.
//!
//! The layouts in files are ggml's (`ggml-common.h`, `ggml-quants.c`: the
//! `*_ref` rounding). The layouts on the GPU are ours: see [`split`].

mod float;
mod nibbles;
mod q4_0;
mod q4_1;
mod q8_0;

use crate::{Error, Format, Result};

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
    }
    Ok(())
}

/// Weights to file bytes, rounded as ggml's reference code does.
///
/// # Errors
/// `weights` is not whole blocks; or, for a quantized format, a weight is not
/// finite or is too large for the format's f16 scale.
pub fn encode(format: Format, weights: &[f32]) -> Result<Vec<u8>> {
    whole_blocks(format, weights.len())?;
    match format {
        Format::F32 => Ok(float::encode_f32(weights)),
        Format::F16 => Ok(float::encode_f16(weights)),
        Format::BF16 => Ok(float::encode_bf16(weights)),
        Format::Q8_0 => encode_blocks(format, weights, q8_0::encode),
        Format::Q4_0 => encode_blocks(format, weights, q4_0::encode),
        Format::Q4_1 => encode_blocks(format, weights, q4_1::encode),
    }
}

/// Rows of weights as the GPU holds them: two arrays of little-endian words.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Split {
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
/// | Q8_0 | 8 words a block, bytes in order | `d`, two blocks a word, low half first |
/// | Q4_0 | 4 words a block, see below | as Q8_0 |
/// | Q4_1 | as Q4_0 | a word a block: `d` in the low half, `m` in the high half |
///
/// Word `g` of a 4-bit block holds weights `8g..8g+8`: its byte `j` has weight
/// `8g+j` in the low nibble and weight `8g+4+j` in the high nibble (in a file,
/// byte `j` of 16 has weights `j` and `j+16`).
///
/// Scales are indexed by the block's number in the tensor, `row · blocks a row +
/// block`. Where two share a word, a tensor that is split piece by piece must be
/// cut at an even block, or the halves would move: cut at an even row. The last
/// half word is 0 when the number of blocks is odd.
///
/// # Errors
/// `cols` is 0 or not whole blocks, or `bytes` is not whole rows.
pub fn split(format: Format, bytes: &[u8], cols: usize) -> Result<Split> {
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
    let (quants, scales) = split_words(format, rows, cols);
    let mut out = Split { quants: Vec::with_capacity(quants), scales: Vec::with_capacity(scales) };
    match format {
        Format::F32 => float::split_f32(bytes, cols, &mut out.quants),
        Format::F16 | Format::BF16 => float::split_16(bytes, cols, &mut out.quants),
        Format::Q8_0 => split_scaled(bytes, &mut out, q8_0::split),
        Format::Q4_0 => split_scaled(bytes, &mut out, q4_0::split),
        Format::Q4_1 => {
            for block in bytes.as_chunks().0 {
                let (quants, scales) = q4_1::split(block);
                out.quants.extend(quants);
                out.scales.push(scales);
            }
        }
    }
    Ok(out)
}

/// Words of `quants` and of `scales` that `rows` rows of `cols` weights take on
/// the GPU. Saturates where `usize` does (wasm32), so that a comparison with a
/// limit still refuses.
pub fn split_words(format: Format, rows: usize, cols: usize) -> (usize, usize) {
    let blocks = rows.saturating_mul(cols.div_ceil(format.block()));
    let padded = rows.saturating_mul(cols.div_ceil(FLOAT_PAD)); // groups of 8 weights
    match format {
        Format::F32 => (padded.saturating_mul(FLOAT_PAD), 0),
        Format::F16 | Format::BF16 => (padded.saturating_mul(FLOAT_PAD / 2), 0),
        Format::Q8_0 => (blocks.saturating_mul(8), blocks.div_ceil(2)),
        Format::Q4_0 => (blocks.saturating_mul(4), blocks.div_ceil(2)),
        Format::Q4_1 => (blocks.saturating_mul(4), blocks),
    }
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

fn decode_blocks<const B: usize>(
    bytes: &[u8],
    out: &mut [f32],
    one: fn(&[u8; B], &mut [f32; BLOCK]),
) {
    for (block, weights) in bytes.as_chunks().0.iter().zip(out.as_chunks_mut().0) {
        one(block, weights);
    }
}

/// `one` gives a block's bytes, or `None` where a scale is not a finite f16.
fn encode_blocks<const B: usize>(
    format: Format,
    weights: &[f32],
    one: fn(&[f32; BLOCK]) -> Option<[u8; B]>,
) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(format.bytes(weights.len()));
    for (index, block) in weights.as_chunks().0.iter().enumerate() {
        let at = index * BLOCK;
        if let Some(bad) = block.iter().find(|weight| !weight.is_finite()) {
            return Err(Error::input(format!(
                "{format} cannot hold {bad}, found in the {BLOCK} weights from number {at}: \
                 the weights are damaged"
            )));
        }
        let encoded = one(block).ok_or_else(|| {
            Error::input(format!(
                "the {BLOCK} weights from number {at} are too large for the scale of {format}: \
                 use F32 or BF16 for this tensor"
            ))
        })?;
        bytes.extend_from_slice(&encoded);
    }
    Ok(bytes)
}

/// Blocks with one f16 scale: two scales a word.
fn split_scaled<const B: usize, const W: usize>(
    bytes: &[u8],
    out: &mut Split,
    one: fn(&[u8; B]) -> ([u32; W], u16),
) {
    let mut low = None;
    for block in bytes.as_chunks().0 {
        let (quants, scale) = one(block);
        out.quants.extend(quants);
        match low.take() {
            None => low = Some(scale),
            Some(low) => out.scales.push(u32::from(low) | u32::from(scale) << 16),
        }
    }
    out.scales.extend(low.map(u32::from));
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
