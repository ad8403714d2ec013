//! Importance matrices, as llama.cpp's `llama-imatrix` writes them: how large the numbers
//! are, in the mean, that each column of a matrix meets.

use pollster::block_on;
use std::collections::HashMap;
use std::path::Path;
use wisp_base::{Error, Result};
use wisp_formats::{BytesSource, Checkpoint, Gguf, TensorInfo};

/// For each tensor by name: a number per column, of each of its experts.
#[derive(Debug)]
pub struct Importance(HashMap<String, Vec<f32>>);

const SUMS: &str = ".in_sum2";
const COUNTS: &str = ".counts";

impl Importance {
    /// Reads a GGUF file, or one of the older kind.
    ///
    /// # Errors
    /// It cannot be read, or is neither.
    pub fn read(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let bytes =
            std::fs::read(path).map_err(|cause| Error::io(format!("cannot read {name}"), cause))?;
        let wrong = |what: &str| {
            Error::input(format!(
                "{name} is no importance matrix ({what}): make one with llama-imatrix"
            ))
        };
        let all = if bytes.starts_with(b"GGUF") {
            gguf(&name, bytes, &wrong)?
        } else {
            older(&bytes).ok_or_else(|| wrong("it ends too early"))?
        };
        let sound = |numbers: &Vec<f32>| numbers.iter().all(|n| n.is_finite() && *n >= 0.0);
        if all.is_empty() || !all.values().all(sound) {
            return Err(wrong("its numbers are none, or not sums of squares"));
        }
        Ok(Self(all))
    }

    /// Whether it tells of a tensor.
    pub(crate) fn has(&self, tensor: &str) -> bool {
        self.0.contains_key(tensor)
    }

    /// # Errors
    /// A tensor has other columns.
    pub(crate) fn check(&self, checkpoint: &Checkpoint) -> Result<()> {
        for tensor in &checkpoint.tensors {
            let (cols, experts) = (tensor.cols(), experts(tensor));
            if let Some(numbers) = self.0.get(&tensor.name)
                && numbers.len() as u64 != cols * experts
                && numbers.len() as u64 != cols
            {
                return Err(Error::input(format!(
                    "the importance matrix has {} numbers for {}, which has {cols} columns and \
                     {experts} experts: make it anew with this model",
                    numbers.len(),
                    tensor.name
                )));
            }
        }
        Ok(())
    }

    /// The columns' importance in a row of a tensor.
    pub(crate) fn columns(&self, tensor: &TensorInfo, row: u64) -> Option<&[f32]> {
        let (all, cols) = (self.0.get(&tensor.name)?, tensor.cols() as usize);
        let rows = (tensor.rows() / experts(tensor)).max(1);
        let expert = if all.len() == cols { 0 } else { (row / rows) as usize };
        let own = all.get(expert * cols..(expert + 1) * cols)?;
        // All zeros say nothing: no text came this way.
        own.iter().any(|n| *n > 0.0).then_some(own)
    }
}

fn experts(tensor: &TensorInfo) -> u64 {
    tensor.shape.get(2).copied().unwrap_or(1).max(1)
}

type All = HashMap<String, Vec<f32>>;

fn gguf(name: &str, bytes: Vec<u8>, wrong: &dyn Fn(&str) -> Error) -> Result<All> {
    let source = BytesSource::new(name, bytes);
    let file = Checkpoint::from(block_on(Gguf::read(&source))?);
    let mut all = All::new();
    for tensor in &file.tensors {
        let Some(of) = tensor.name.strip_suffix(SUMS) else { continue };
        let counts =
            file.tensor(&format!("{of}{COUNTS}")).ok_or_else(|| wrong("counts are missing"))?;
        let counts = block_on(file.vector(&source, counts))?;
        let sums = block_on(file.vector(&source, tensor))?;
        let cols = sums.len() / counts.len().max(1);
        let mean = |(sums, count): (&[f32], &f32)| {
            let count = count.max(1.0);
            sums.iter().map(move |sum| sum / count).collect::<Vec<_>>()
        };
        let each = sums.chunks(cols.max(1)).zip(&counts);
        all.insert(of.to_owned(), each.flat_map(mean).collect());
    }
    Ok(all)
}

/// Entries of: name, calls, sums times calls.
fn older(bytes: &[u8]) -> Option<All> {
    let mut rest = bytes;
    let mut take = |count: usize| {
        let (taken, left) = rest.split_at_checked(count)?;
        rest = left;
        Some(taken)
    };
    let number = |bytes: &[u8]| Some(i32::from_le_bytes(bytes.try_into().ok()?));
    let entries = number(take(4)?)?;
    let mut all = All::new();
    for _ in 0..entries {
        let length = usize::try_from(number(take(4)?)?).ok()?;
        let name = String::from_utf8(take(length)?.to_vec()).ok()?;
        let calls = number(take(4)?)?.max(1) as f32;
        let count = usize::try_from(number(take(4)?)?).ok()?;
        let numbers = take(count.checked_mul(4)?)?;
        let numbers = numbers.as_chunks().0.iter().map(|n| f32::from_le_bytes(*n) / calls);
        all.insert(name, numbers.collect());
    }
    Some(all)
}
