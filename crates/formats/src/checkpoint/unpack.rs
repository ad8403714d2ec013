//! Stored numbers in GGUF's formats and those of this project, or else as f32.

use super::read::damaged;
use super::{Adjust, Checkpoint, Packing, Recipe, RowMap};
use crate::{RawTensor, Source};
use safetensors::Dtype;
use std::borrow::Cow;
use wisp_base::quant::decode;
use wisp_base::{Error, Format, Result};

/// The places of eight numbers in the i32 of AWQ.
const AWQ_ORDER: [usize; 8] = [0, 4, 1, 5, 2, 6, 3, 7];

/// Weights a block of MXFP4.
const MX_BLOCK: u64 = 32;

/// Numbers of 64 bits, which no GPU has and no format: they are cast to f32.
const DOUBLE: Dtype = Dtype::F64;

/// What is needed to read rows of one tensor.
pub(super) struct Unpacker<'a> {
    from: &'a RawTensor,
    map: &'a RowMap,
    kind: Kind,
}

enum Kind {
    Plain,
    Scaled(Scales),
    FourBit {
        words: Vec<u8>,
        scales: Vec<f32>,
        zeros: Vec<u8>,
        groups: Vec<u32>,
        bias: i32,
        awq: bool,
    },
    Mxfp4 {
        exponents: Vec<u8>,
        first: u64,
    },
}

/// The scales of a matrix of `wide` columns, one for each block of `rows` by `cols`.
struct Scales {
    numbers: Vec<f32>,
    wide: u64,
    rows: u64,
    cols: u64,
}

impl Scales {
    /// That of the number at `place` in the matrix.
    fn at(&self, place: u64) -> Result<f32> {
        let (row, col) = (place / self.wide, place % self.wide);
        let block = row / self.rows * self.wide.div_ceil(self.cols) + col / self.cols;
        self.numbers.get(block as usize).copied().ok_or_else(damaged)
    }
}

impl Packing {
    /// The format that rows can be given in with nothing rounded, and in about the bytes that
    /// they are stored in; if there is one.
    pub fn keeps(&self, from: &RawTensor, map: &RowMap) -> Option<Format> {
        match self {
            Self::Plain => from.format(),
            Self::Scaled { rows, cols, .. } => {
                let blocks = [Format::F8_E4M3_128, Format::F8_E4M3_32];
                let alike = |format: &Format| {
                    from.dtype == Dtype::F8_E4M3
                        && one_scale(from, map, format.block() as u64, (*rows, *cols))
                };
                blocks.into_iter().find(alike)
            }
            Self::FourBit { .. } => None,
            Self::Mxfp4 { .. } => Some(Format::MXFP4),
        }
    }

    /// The bytes that so many numbers take.
    pub(super) fn bytes(&self, from: &RawTensor, numbers: u64) -> u64 {
        match self {
            Self::Mxfp4 { .. } => numbers / 2,
            _ => numbers * from.number_bytes(),
        }
    }

    /// What is wrong, if not all numbers of `map` are there.
    pub(super) fn check(&self, from: &RawTensor, map: &RowMap) -> Result<(), String> {
        let is = |tensor: &RawTensor, types: &[Dtype], numbers: u64| {
            types.contains(&tensor.dtype) && tensor.numbers() == numbers
        };
        let wide = from.shape.last().copied().unwrap_or(1).max(1);
        let high = from.numbers() / wide;
        let floats = [DOUBLE, Dtype::F32, Dtype::F16, Dtype::BF16];
        let (numbers, good) = match self {
            Self::Plain => (from.numbers(), from.format().is_some() || from.dtype == DOUBLE),
            Self::Scaled { scale, rows, cols } => {
                let blocks = high.div_ceil((*rows).max(1)) * wide.div_ceil((*cols).max(1));
                let eight = from.number_bytes() == 1 && from.format().is_some();
                (from.numbers(), eight && is(scale, &SCALE_TYPES, blocks))
            }
            Self::FourBit { scales, zeros, groups, group, awq, .. } => {
                let (inputs, outputs) = if *awq { (high, wide * 8) } else { (high * 8, wide) };
                let blocks = inputs.div_ceil((*group).max(1));
                let fine = is(scales, &floats, blocks * outputs)
                    && is(zeros, &[Dtype::I32], blocks * outputs.div_ceil(8))
                    && groups.as_ref().is_none_or(|g| is(g, &[Dtype::I32, Dtype::I64], inputs))
                    && from.dtype == Dtype::I32
                    && outputs.is_multiple_of(8)
                    && map.cols == inputs
                    && map.step == 1;
                (inputs * outputs, fine)
            }
            Self::Mxfp4 { scales } => {
                let numbers = from.numbers() * 2;
                let whole =
                    [map.cols, map.start].iter().chain(&map.steps).all(|n| n % MX_BLOCK == 0);
                let fine = from.dtype == Dtype::U8 && is(scales, &[Dtype::U8], numbers / MX_BLOCK);
                (numbers, fine && whole && map.step == 1)
            }
        };
        match (good, map.last()) {
            (false, _) => Err(format!(
                "is stored as {} {:?} in a way that this version does not read",
                from.dtype, from.shape
            )),
            (true, Some(last)) if map.rows() == 0 || last < numbers => Ok(()),
            _ => Err(format!("has the shape {:?}, too small by config.json", from.shape)),
        }
    }
}

/// What scales of 8-bit floats may be: floats, or powers of two.
const SCALE_TYPES: [Dtype; 5] = [Dtype::F32, Dtype::F16, Dtype::BF16, Dtype::F8_E8M0, Dtype::U8];

/// Whether each `block` columns of all rows, from the first on, have one scale: of `rows` by
/// `cols` numbers of the tensor, as it is stored.
fn one_scale(from: &RawTensor, map: &RowMap, block: u64, (rows, cols): (u64, u64)) -> bool {
    let wide = from.shape.last().copied().unwrap_or(1).max(1);
    let high = from.numbers() / wide;
    let fits = |size: u64, of: u64| size >= of || size.is_multiple_of(block);
    let moves = || map.dims.iter().zip(map.steps).filter(|(dim, _)| **dim > 1);
    let whole =
        |unit| map.start.is_multiple_of(unit) && moves().all(|(_, step)| step.is_multiple_of(unit));
    if !map.cols.is_multiple_of(block) {
        return false;
    }
    if rows >= high && cols >= wide {
        return true;
    }
    if map.step == 1 {
        return wide.is_multiple_of(block) && whole(block) && fits(cols, wide);
    }
    // Columns are stored as rows: each row begins in a row that is the first of a block.
    let unit = wide.saturating_mul(block);
    let sideways = moves().filter(|(_, step)| !step.is_multiple_of(unit));
    let most = sideways.fold(map.start % unit, |sum, (dim, step)| {
        sum.saturating_add((dim - 1).saturating_mul(step))
    });
    map.step == wide && most < wide && fits(rows, high)
}

async fn bytes(source: &dyn Source, tensor: &RawTensor) -> Result<Vec<u8>> {
    let mut bytes = vec![0; tensor.bytes as usize];
    source.read(tensor.offset, &mut bytes).await?;
    Ok(bytes)
}

async fn floats(source: &dyn Source, tensor: &RawTensor) -> Result<Vec<f32>> {
    let bytes = bytes(source, tensor).await?;
    if tensor.number_bytes() == 1 {
        // E8M0: powers of two.
        return Ok(bytes.into_iter().map(power).collect());
    }
    let mut numbers = vec![0.0; tensor.numbers() as usize];
    decode_numbers(tensor, &bytes, &mut numbers)?;
    Ok(numbers)
}

/// 2^(e − 127).
fn power(e: u8) -> f32 {
    match e {
        0 => f32::MIN_POSITIVE / 2.0,
        255 => f32::NAN,
        _ => f32::from_bits(u32::from(e) << 23),
    }
}

impl Checkpoint {
    pub(super) async fn unpacker<'a>(
        &self,
        source: &dyn Source,
        from: &'a RawTensor,
        packing: &Packing,
        map: &'a RowMap,
        span: (u64, u64),
    ) -> Result<Unpacker<'a>> {
        let kind = match packing {
            Packing::Plain => Kind::Plain,
            Packing::Scaled { scale, rows, cols } => {
                let wide = from.shape.last().copied().unwrap_or(1).max(1);
                let numbers = floats(source, scale).await?;
                if let Some(at) = numbers.iter().position(|scale| !scale.is_finite()) {
                    return Err(not_finite(scale, at as u64));
                }
                Kind::Scaled(Scales { numbers, wide, rows: (*rows).max(1), cols: (*cols).max(1) })
            }
            Packing::FourBit { scales, zeros, groups, group, bias, awq } => {
                let groups = match groups {
                    None => (0..map.cols).map(|at| (at / group.max(&1)) as u32).collect(),
                    Some(tensor) => {
                        let bytes = bytes(source, tensor).await?;
                        let each = bytes.chunks_exact(tensor.number_bytes() as usize);
                        each.map(|n| n.first_chunk().map_or(0, |n| u32::from_le_bytes(*n)))
                            .collect()
                    }
                };
                // The matrix lies across: it is needed whole, for all its rows.
                let words = self.numbers(source, from, packing, (0, from.numbers()), true).await?;
                let (scales, zeros) = (floats(source, scales).await?, bytes(source, zeros).await?);
                Kind::FourBit { words, scales, zeros, groups, bias: *bias, awq: *awq }
            }
            Packing::Mxfp4 { scales } => {
                let (first, end) = (span.0 / MX_BLOCK, span.1 / MX_BLOCK);
                let mut exponents = vec![0; (end - first) as usize];
                source.read(scales.offset + first, &mut exponents).await?;
                Kind::Mxfp4 { exponents, first }
            }
        };
        Ok(Unpacker { from, map, kind })
    }

    /// Keeps the words of a matrix for the rows that are read next.
    pub(super) fn keep(&self, unpacker: Unpacker<'_>) {
        if let Kind::FourBit { words, .. } = unpacker.kind {
            self.hold(unpacker.from.offset, words);
        }
    }
}

/// Gives numbers in the format of a tensor's rows, of which some were given already.
pub(super) type Encoded<'a> = &'a dyn Fn(&Vec<u8>, &[f32]) -> Result<Vec<u8>>;

impl Unpacker<'_> {
    /// Adds the row that begins with number `place`, in the recipe's format; `bytes` begin
    /// with it. `encoded` gives numbers in that format, for where `into` ends.
    pub fn row(
        &self,
        bytes: &[u8],
        place: u64,
        recipe: &Recipe,
        encoded: Encoded<'_>,
        into: &mut Vec<u8>,
    ) -> Result<()> {
        let same = self.from.format() == Some(recipe.format) && recipe.adjust == Adjust::None;
        match &self.kind {
            Kind::Plain if same => into.extend_from_slice(&self.stored(bytes, place)?),
            Kind::Scaled(scales) if recipe.format.block() > 1 && recipe.adjust == Adjust::None => {
                let codes = self.stored(bytes, place)?;
                self.scaled(&codes, scales, place, recipe.format.block(), into)?;
            }
            Kind::Mxfp4 { exponents, first }
                if recipe.format == Format::MXFP4 && recipe.adjust == Adjust::None =>
            {
                let exponents = exponents.get((place / MX_BLOCK - first) as usize..);
                self.mxfp4(bytes, exponents.unwrap_or_default(), place, into)?;
            }
            _ => {
                let mut numbers = self.numbers(bytes, place)?;
                match recipe.adjust {
                    Adjust::None => {}
                    Adjust::Add(more) => numbers.iter_mut().for_each(|number| *number += more),
                    Adjust::NegExp => numbers.iter_mut().for_each(|number| {
                        *number = -f64::from(*number).exp() as f32;
                    }),
                }
                into.extend(encoded(into, &numbers)?);
            }
        }
        Ok(())
    }

    /// Where each number of the row that begins at `place` is.
    fn places(&self, place: u64) -> impl Iterator<Item = u64> {
        let step = self.map.step;
        (0..self.map.cols).map(move |col| place + col * step)
    }

    /// The row's numbers as they are stored, one after the other. Those of 8 bits are finite.
    fn stored<'b>(&self, bytes: &'b [u8], place: u64) -> Result<Cow<'b, [u8]>> {
        let each = self.from.number_bytes() as usize;
        let row: Cow<'_, [u8]> = if self.map.step == 1 {
            bytes.get(..self.map.cols as usize * each).ok_or_else(damaged)?.into()
        } else {
            let one = |at: usize| bytes.get(at * each..(at + 1) * each).ok_or_else(damaged);
            let all: Result<Vec<_>> = self.places(0).map(|at| one(at as usize)).collect();
            all?.concat().into()
        };
        let least = match self.from.format() {
            Some(Format::F8_E4M3) => 0x7f,
            Some(Format::F8_E5M2) => 0x7c,
            _ => return Ok(row),
        };
        match self.places(place).zip(&*row).find(|(_, code)| **code & 0x7f >= least) {
            Some((at, _)) => Err(not_finite(self.from, at)),
            None => Ok(row),
        }
    }

    /// The row as f32.
    fn numbers(&self, bytes: &[u8], place: u64) -> Result<Vec<f32>> {
        let cols = self.map.cols;
        if let Kind::FourBit { words, scales, zeros, groups, bias, awq } = &self.kind {
            let wide = self.from.shape.last().copied().unwrap_or(1).max(1);
            let one = |col: u64| {
                let (input, output) = (col as usize, (place / cols) as usize);
                let group = *groups.get(input).ok_or_else(damaged)? as usize;
                let outputs = if *awq { wide as usize * 8 } else { wide as usize };
                let lane = if *awq { AWQ_ORDER[output % 8] } else { output % 8 };
                let zero = nibble(zeros, group * (outputs / 8) + output / 8, lane)?;
                let weight = if *awq {
                    nibble(words, input * (outputs / 8) + output / 8, lane)?
                } else {
                    nibble(words, input / 8 * outputs + output, input % 8)?
                };
                let scale = scales.get(group * outputs + output).ok_or_else(damaged)?;
                Ok((weight - zero - bias) as f32 * scale)
            };
            return (0..cols).map(one).collect();
        }
        let mut numbers = vec![0.0; cols as usize];
        decode_numbers(self.from, &self.stored(bytes, place)?, &mut numbers)?;
        if let Kind::Scaled(scales) = &self.kind {
            for (number, at) in numbers.iter_mut().zip(self.places(place)) {
                *number *= scales.at(at)?;
                if !number.is_finite() {
                    return Err(not_finite(self.from, at));
                }
            }
        }
        Ok(numbers)
    }

    /// A row of E4M3 numbers in blocks of so many, each with its scale before it.
    fn scaled(
        &self,
        codes: &[u8],
        scales: &Scales,
        place: u64,
        block: usize,
        into: &mut Vec<u8>,
    ) -> Result<()> {
        for (codes, at) in codes.chunks_exact(block).zip(self.places(place).step_by(block)) {
            let scale = scales.at(at)?;
            // 448 is the largest code.
            if !(scale * 448.0).is_finite() {
                let mut numbers = vec![0.0; block];
                decode(Format::F8_E4M3, codes, &mut numbers)?;
                let bad = numbers.iter().position(|number| !(number * scale).is_finite());
                if let Some(bad) = bad {
                    return Err(not_finite(self.from, at + bad as u64 * self.map.step));
                }
            }
            into.extend(scale.to_le_bytes());
            into.extend_from_slice(codes);
        }
        Ok(())
    }

    /// A row of MXFP4, block by block in GGUF's order: there byte j has the numbers j and
    /// j + 16, here 2j and 2j + 1.
    fn mxfp4(&self, bytes: &[u8], exponents: &[u8], place: u64, into: &mut Vec<u8>) -> Result<()> {
        let blocks = (self.map.cols / MX_BLOCK) as usize;
        let exponents = exponents.get(..blocks).ok_or_else(damaged)?;
        let quants = bytes.as_chunks::<16>().0.get(..blocks).ok_or_else(damaged)?;
        for (at, (exponent, pairs)) in exponents.iter().zip(quants).enumerate() {
            // 6 · 2^125 is the largest product that f32 holds.
            if *exponent > 252 {
                return Err(not_finite(self.from, place + at as u64 * MX_BLOCK));
            }
            into.push(*exponent);
            let code = |at: usize| pairs[at / 2] >> (at % 2 * 4) & 15;
            into.extend((0..16).map(|at| code(at) | code(at + 16) << 4));
        }
        Ok(())
    }
}

fn not_finite(tensor: &RawTensor, at: u64) -> Error {
    Error::input(format!(
        "tensor {}: number {at} is NaN or too large: the model is damaged, download it again",
        tensor.name
    ))
}

/// Four bits of the i32 number `word`.
fn nibble(words: &[u8], word: usize, lane: usize) -> Result<i32> {
    let byte = words.get(word * 4 + lane / 2).ok_or_else(damaged)?;
    Ok(i32::from(byte >> (lane % 2 * 4) & 15))
}

/// Numbers of a tensor as f32.
fn decode_numbers(tensor: &RawTensor, bytes: &[u8], numbers: &mut [f32]) -> Result<()> {
    if let Some(format) = tensor.format() {
        return decode(format, bytes, numbers);
    }
    if tensor.dtype != DOUBLE {
        let what = format!("numbers of the type {} are not read", tensor.dtype);
        return Err(Error::unsupported(what));
    }
    let doubles = bytes.as_chunks().0;
    if doubles.len() != numbers.len() {
        return Err(damaged());
    }
    for (number, bytes) in numbers.iter_mut().zip(doubles) {
        *number = f64::from_le_bytes(*bytes) as f32;
    }
    Ok(())
}
