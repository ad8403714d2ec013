//! Stored numbers to f32, for those packings that GGUF's formats do not have.

use super::read::damaged;
use super::{Checkpoint, Packing, RowMap};
use crate::safetensors::Dtype;
use crate::{RawTensor, Source};
use wisp_base::quant::decode;
use wisp_base::{Error, Format, Result};

/// The places of eight numbers in the i32 of AWQ.
const AWQ_ORDER: [usize; 8] = [0, 4, 1, 5, 2, 6, 3, 7];

/// Weights a block of MXFP4.
const MX_BLOCK: u64 = 32;

/// Numbers of 64 bits, which no GPU has and no format: they are cast to f32.
const DOUBLE: &str = "F64";

fn is_float(dtype: Dtype) -> bool {
    dtype.format().is_some() || dtype.name() == DOUBLE
}

/// What is needed to read rows of one tensor.
pub(super) struct Unpacker<'a> {
    from: &'a RawTensor,
    map: &'a RowMap,
    kind: Kind,
}

enum Kind {
    Plain,
    Scaled {
        scales: Vec<f32>,
        across: u64,
        rows: u64,
        cols: u64,
    },
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

impl Packing {
    /// The bytes that so many numbers take.
    pub(super) fn bytes(&self, from: &RawTensor, numbers: u64) -> u64 {
        match self {
            Self::Mxfp4 { .. } => numbers / 2,
            _ => numbers * from.dtype.bytes(),
        }
    }

    /// What is wrong, if not all numbers of `map` are there.
    pub(super) fn check(&self, from: &RawTensor, map: &RowMap) -> Result<(), String> {
        let is = |tensor: &RawTensor, names: &[&str], numbers: u64| {
            names.contains(&tensor.dtype.name()) && tensor.numbers() == numbers
        };
        let wide = from.shape.last().copied().unwrap_or(1).max(1);
        let high = from.numbers() / wide;
        let floats = ["F64", "F32", "F16", "BF16"];
        let (numbers, good) = match self {
            Self::Plain => (from.numbers(), is_float(from.dtype)),
            Self::Scaled { scale, rows, cols } => {
                let blocks = high.div_ceil((*rows).max(1)) * wide.div_ceil((*cols).max(1));
                let eight = from.dtype.bytes() == 1 && from.dtype.format().is_some();
                (from.numbers(), eight && is(scale, &floats, blocks))
            }
            Self::FourBit { scales, zeros, groups, group, awq, .. } => {
                let (inputs, outputs) = if *awq { (high, wide * 8) } else { (high * 8, wide) };
                let blocks = inputs.div_ceil((*group).max(1));
                let fine = is(scales, &floats, blocks * outputs)
                    && is(zeros, &["I32"], blocks * outputs.div_ceil(8))
                    && groups.as_ref().is_none_or(|g| is(g, &["I32", "I64"], inputs))
                    && from.dtype.name() == "I32"
                    && outputs.is_multiple_of(8)
                    && map.cols == inputs
                    && map.step == 1;
                (inputs * outputs, fine)
            }
            Self::Mxfp4 { scales } => {
                let numbers = from.numbers() * 2;
                let whole =
                    [map.cols, map.start].iter().chain(&map.steps).all(|n| n % MX_BLOCK == 0);
                let fine = from.dtype.name() == "U8" && is(scales, &["U8"], numbers / MX_BLOCK);
                (numbers, fine && whole && map.step == 1)
            }
        };
        match (good, map.last()) {
            (false, _) => Err(format!(
                "is stored as {} {:?} in a way that this version does not read",
                from.dtype.name(),
                from.shape
            )),
            (true, Some(last)) if map.rows() == 0 || last < numbers => Ok(()),
            _ => Err(format!("has the shape {:?}, too small by config.json", from.shape)),
        }
    }
}

async fn bytes(source: &dyn Source, tensor: &RawTensor) -> Result<Vec<u8>> {
    let mut bytes = vec![0; tensor.bytes as usize];
    source.read(tensor.offset, &mut bytes).await?;
    Ok(bytes)
}

async fn floats(source: &dyn Source, tensor: &RawTensor) -> Result<Vec<f32>> {
    let bytes = bytes(source, tensor).await?;
    if tensor.dtype.name() == DOUBLE {
        return Ok(bytes
            .as_chunks()
            .0
            .iter()
            .map(|bytes| f64::from_le_bytes(*bytes) as f32)
            .collect());
    }
    let mut numbers = vec![0.0; tensor.numbers() as usize];
    decode(float_format(tensor.dtype)?, &bytes, &mut numbers)?;
    Ok(numbers)
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
                let wide = from.shape.last().copied().unwrap_or(1);
                let across = wide.div_ceil((*cols).max(1));
                let scales = floats(source, scale).await?;
                Kind::Scaled { scales, across, rows: (*rows).max(1), cols: (*cols).max(1) }
            }
            Packing::FourBit { scales, zeros, groups, group, bias, awq } => {
                let groups = match groups {
                    None => (0..map.cols).map(|at| (at / group.max(&1)) as u32).collect(),
                    Some(tensor) => {
                        let bytes = bytes(source, tensor).await?;
                        let each = bytes.chunks_exact(tensor.dtype.bytes() as usize);
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

impl Unpacker<'_> {
    /// The row that begins with number `place`; `bytes` begin with it.
    pub fn row(&self, bytes: &[u8], place: u64) -> Result<Vec<f32>> {
        let (cols, step) = (self.map.cols, self.map.step);
        if let Kind::Mxfp4 { exponents, first } = &self.kind {
            return self.mxfp4(bytes, exponents, (place / MX_BLOCK - first) as usize);
        }
        let plain = |col: u64| number(self.from.dtype, bytes, (col * step) as usize);
        let wide = self.from.shape.last().copied().unwrap_or(1).max(1);
        let one = |col: u64| match &self.kind {
            Kind::Plain => plain(col),
            Kind::Scaled { scales, across, rows, cols } => {
                let at = place + col * step;
                let block = (at / wide / rows) * across + at % wide / cols;
                Ok(plain(col)? * scales.get(block as usize).ok_or_else(damaged)?)
            }
            Kind::FourBit { words, scales, zeros, groups, bias, awq } => {
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
            }
            Kind::Mxfp4 { .. } => Err(damaged()),
        };
        (0..cols).map(one).collect()
    }

    /// A row of MXFP4, block by block in GGUF's order: there byte j has the numbers j and
    /// j + 16, here 2j and 2j + 1.
    fn mxfp4(&self, bytes: &[u8], exponents: &[u8], first: usize) -> Result<Vec<f32>> {
        let blocks = (self.map.cols / MX_BLOCK) as usize;
        let exponents = exponents.get(first..first + blocks).ok_or_else(damaged)?;
        let quants = bytes.as_chunks::<16>().0.get(..blocks).ok_or_else(damaged)?;
        let mut row = Vec::with_capacity(blocks * 17);
        for (exponent, pairs) in exponents.iter().zip(quants) {
            row.push(*exponent);
            let code = |at: usize| pairs[at / 2] >> (at % 2 * 4) & 15;
            row.extend((0..16).map(|at| code(at) | code(at + 16) << 4));
        }
        let mut numbers = vec![0.0; self.map.cols as usize];
        decode(Format::MXFP4, &row, &mut numbers)?;
        Ok(numbers)
    }
}

/// Four bits of the i32 number `word`.
fn nibble(words: &[u8], word: usize, lane: usize) -> Result<i32> {
    let byte = words.get(word * 4 + lane / 2).ok_or_else(damaged)?;
    Ok(i32::from(byte >> (lane % 2 * 4) & 15))
}

/// Which of the project's formats a type of numbers is.
fn float_format(dtype: Dtype) -> Result<Format> {
    dtype.format().ok_or_else(|| {
        Error::unsupported(format!("numbers of the type {} are not read", dtype.name()))
    })
}

/// The number at `at` of many of one type.
fn number(dtype: Dtype, bytes: &[u8], at: usize) -> Result<f32> {
    if dtype.name() == DOUBLE {
        let bytes = bytes.as_chunks().0.get(at).ok_or_else(damaged)?;
        return Ok(f64::from_le_bytes(*bytes) as f32);
    }
    let format = float_format(dtype)?;
    let start = format.bytes(at);
    let bytes = bytes.get(start..start + format.bytes(1)).ok_or_else(damaged)?;
    let mut number = [0.0];
    decode(format, bytes, &mut number)?;
    Ok(number[0])
}
