//! Reading rows: a range of bytes where they lie as they are, else made from what is read.

use super::{Checkpoint, Packing, Part, Recipe, RowMap};
use crate::{RawTensor, Source, TensorInfo};
use wisp_base::quant::{damaged as damaged_weight, decode, encode_float, not_finite};
use wisp_base::{Error, Result};

/// Rows that lie apart are read together if that is at most so many times their bytes.
const WASTE: u64 = 4;

/// Matrices that are held for the rows to come.
const HELD: usize = 2;

impl Checkpoint {
    /// Rows `start..start + count` of a tensor in its format.
    ///
    /// # Errors
    /// The source cannot be read; a weight that is NaN or infinite; one that the format cannot
    /// hold, where rows are given in another than they lie in.
    pub async fn rows(
        &self,
        source: &dyn Source,
        tensor: &TensorInfo,
        start: u64,
        count: usize,
    ) -> Result<Vec<u8>> {
        let stored = self.stored(tensor);
        let named = |error| named(source, tensor, error);
        let lies = stored.unwrap_or(tensor);
        let bytes = self.stored_rows(source, lies, start, count).await?;
        // A number out of place would make all of the answers wrong.
        if let Some((at, weight)) = not_finite(lies.format, &bytes) {
            return Err(named(damaged_weight(start * tensor.cols() + at as u64, weight)));
        }
        match stored {
            Some(stored) => self.encoded(stored, tensor, start, &bytes).map_err(named),
            None => Ok(bytes),
        }
    }

    async fn stored_rows(
        &self,
        source: &dyn Source,
        tensor: &TensorInfo,
        start: u64,
        count: usize,
    ) -> Result<Vec<u8>> {
        let cols = tensor.cols() as usize;
        let row_bytes = tensor.format.bytes(cols);
        let Some(recipe) = self.recipe(tensor) else {
            let mut bytes = vec![0; count * row_bytes];
            source.read(tensor.offset + start * row_bytes as u64, &mut bytes).await?;
            return Ok(bytes);
        };
        let mut bytes = Vec::with_capacity(count * row_bytes);
        let unit = tensor.cols() / recipe.width().max(1);
        let (mut first, start, end) = (0, start * unit, (start + count as u64) * unit);
        for part in &recipe.parts {
            let rows = part.rows();
            let (from, to) = (start.max(first), end.min(first + rows));
            if from < to {
                let range = from - first..to - first;
                let number = start * recipe.width();
                self.part(source, (tensor, recipe), part, range, number, &mut bytes).await?;
            }
            first += rows;
        }
        Ok(bytes)
    }

    /// Adds rows of a part to `into`, which begins with number `number` of the tensor.
    async fn part(
        &self,
        source: &dyn Source,
        (tensor, recipe): (&TensorInfo, &Recipe),
        part: &Part,
        rows: std::ops::Range<u64>,
        number: u64,
        into: &mut Vec<u8>,
    ) -> Result<()> {
        let format = recipe.format;
        let encoded = |into: &Vec<u8>, numbers: &[f32]| {
            let before = into.len() / format.block_bytes() * format.block();
            encode_float(format, numbers, number + before as u64)
                .map_err(|error| named(source, tensor, error))
        };
        let (from, packing, map) = match part {
            Part::Rows { from, packing, map } => (from, packing, map),
            Part::Given(numbers) => {
                into.extend(encoded(into, numbers)?);
                return Ok(());
            }
        };
        let span = map.span(rows.start, rows.end);
        let unpacker = self.unpacker(source, from, packing, map, span).await?;
        // Rows that are read together.
        let mut at = rows.start;
        while at < rows.end {
            let mut end = rows.end;
            if map.step != 1 {
                // A matrix that lies across is needed whole, but one of several is enough.
                let each = (map.dims[1] * map.dims[2]).max(1);
                end = end.min((at / each + 1) * each);
            }
            let mut span = map.span(at, end);
            while map.step == 1 && end - at > 1 && span.1 - span.0 > WASTE * (end - at) * map.cols {
                end = at + (end - at).div_ceil(2);
                span = map.span(at, end);
            }
            let bytes = match **packing {
                Packing::FourBit { .. } => Vec::new(),
                _ => self.numbers(source, from, packing, span, map.step != 1).await?,
            };
            for row in at..end {
                let place = map.at(row);
                let given = packing.bytes(from, place - span.0) as usize;
                let row = bytes.get(given..).unwrap_or_default();
                unpacker.row(row, place, recipe, &encoded, into)?;
            }
            if map.step != 1 && !bytes.is_empty() {
                let key = from.offset + packing.bytes(from, span.0);
                self.hold(key, bytes);
            }
            at = end;
        }
        self.keep(unpacker);
        Ok(())
    }

    /// Keeps a matrix for the rows that are read next.
    pub(super) fn hold(&self, key: u64, bytes: Vec<u8>) {
        let mut held = self.held.borrow_mut();
        held.truncate(HELD - 1);
        held.push((key, bytes));
    }

    /// The bytes of the numbers `span` of a tensor; perhaps those that were held.
    pub(super) async fn numbers(
        &self,
        source: &dyn Source,
        from: &RawTensor,
        packing: &Packing,
        span: (u64, u64),
        whole: bool,
    ) -> Result<Vec<u8>> {
        let offset = from.offset + packing.bytes(from, span.0);
        let len = packing.bytes(from, span.1 - span.0) as usize;
        if whole {
            let mut held = self.held.borrow_mut();
            let is_it = |(key, bytes): &(u64, Vec<u8>)| *key == offset && bytes.len() == len;
            if let Some(at) = held.iter().position(is_it) {
                return Ok(held.swap_remove(at).1);
            }
            // Room for what is read now.
            if held.len() == HELD {
                held.remove(0);
            }
        }
        let mut bytes = vec![0; len];
        source.read(offset, &mut bytes).await?;
        Ok(bytes)
    }

    /// A small tensor as f32.
    ///
    /// # Errors
    /// The source cannot be read.
    pub async fn vector(&self, source: &dyn Source, tensor: &TensorInfo) -> Result<Vec<f32>> {
        let bytes = self.rows(source, tensor, 0, tensor.rows() as usize).await?;
        let mut numbers = vec![0.0; tensor.weights() as usize];
        decode(tensor.format, &bytes, &mut numbers)?;
        Ok(numbers)
    }
}

/// Says which tensor a weight is of.
fn named(source: &dyn Source, tensor: &TensorInfo, error: Error) -> Error {
    match error {
        Error::Input(_) => error.within(&format!("{}: tensor {}", source.name(), tensor.name)),
        other => other,
    }
}

pub(super) fn damaged() -> Error {
    Error::input("a row lies beyond its tensor: the model is damaged")
}

impl Part {
    fn rows(&self) -> u64 {
        match self {
            Self::Given(_) => 1,
            Self::Rows { map, .. } => map.rows(),
        }
    }
}

impl RowMap {
    /// First and last number (exclusive) that rows `from..to` have.
    fn span(&self, from: u64, to: u64) -> (u64, u64) {
        if self.step != 1 {
            // Rows of one matrix that lies across: all of it.
            let each = (self.dims[1] * self.dims[2]).max(1);
            let one = Self { dims: [1, self.dims[1], self.dims[2]], ..*self };
            let start = self.at(from / each * each);
            let end = Self { start, ..one }.last().unwrap_or(start) + 1;
            return (start, end);
        }
        let (mut low, mut high) = (u64::MAX, 0);
        for row in from..to {
            let at = self.at(row);
            low = low.min(at);
            high = high.max(at + self.cols);
        }
        (low, high)
    }
}
