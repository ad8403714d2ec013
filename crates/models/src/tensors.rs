//! A file's tensors by name, with their shapes checked, and which were used.

use std::cell::RefCell;
use std::collections::HashSet;

use wisp_base::{Error, Result};
use wisp_formats::{Checkpoint, TensorInfo};
use wisp_graph::{Part, Resource, ResourceId, Tape, Weight};

pub(crate) struct Tensors<'a> {
    checkpoint: &'a Checkpoint,
    used: RefCell<HashSet<&'a str>>,
}

/// Rows of a tensor.
pub(crate) struct Rows {
    tensor: String,
    first: usize,
    rows: usize,
    /// Rows of the whole tensor.
    of: usize,
}

/// Gate and up projection on the device.
pub(crate) enum Pair {
    /// One weight, whose rows alternate: one product makes the gated unit.
    Alternating(ResourceId),
    /// A weight each, since their formats differ.
    Apart([ResourceId; 2]),
}

impl Rows {
    /// All rows of a tensor that has so many.
    pub fn all(tensor: String, rows: usize) -> Self {
        Self { tensor, first: 0, rows, of: rows }
    }

    /// `rows` rows from row `first` of a tensor that has `of`.
    pub fn some(tensor: String, first: usize, rows: usize, of: usize) -> Self {
        Self { tensor, first, rows, of }
    }

    fn part(self) -> Part {
        Part { tensor: self.tensor, rows: self.first..self.first + self.rows }
    }
}

impl<'a> Tensors<'a> {
    pub fn new(checkpoint: &'a Checkpoint) -> Self {
        Self { checkpoint, used: RefCell::default() }
    }

    /// The tensor, if the file has it.
    pub fn find(&self, name: &str) -> Option<&'a TensorInfo> {
        let tensor = self.checkpoint.tensor(name)?;
        self.used.borrow_mut().insert(&tensor.name);
        Some(tensor)
    }

    fn get(&self, name: &str, rows: usize, cols: usize) -> Result<&'a TensorInfo> {
        let tensor = self.find(name).ok_or_else(|| {
            Error::input(format!("the file has no tensor {name}, which its family needs"))
        })?;
        if (tensor.rows(), tensor.cols()) != (rows as u64, cols as u64) {
            return Err(Error::input(format!(
                "tensor {name} has {} rows of {}, but by the metadata it has {rows} of {cols}: the \
                 file is damaged",
                tensor.rows(),
                tensor.cols()
            )));
        }
        Ok(tensor)
    }

    /// A vector of `len` numbers.
    pub fn vector(&self, tape: &mut Tape, name: String, len: usize) -> Result<ResourceId> {
        self.vectors(tape, &[(name, len)])
    }

    /// Vectors (name, numbers) as one, one behind the other. A matrix counts as one too.
    pub fn vectors(&self, tape: &mut Tape, parts: &[(String, usize)]) -> Result<ResourceId> {
        for (name, len) in parts {
            let numbers = self.find(name).map(|tensor| tensor.weights());
            if numbers != Some(*len as u64) {
                self.get(name, 1, *len)?;
            }
        }
        let len = parts.iter().map(|(_, len)| len).sum();
        let tensors = parts.iter().map(|(name, _)| name.clone()).collect();
        Ok(tape.resource(Resource::Vector { tensors, interleave: false, len }))
    }

    /// Two vectors of `len` numbers each that alternate.
    pub fn interleaved_vectors(
        &self,
        tape: &mut Tape,
        names: [String; 2],
        len: usize,
    ) -> Result<ResourceId> {
        for name in &names {
            self.vector(&mut Tape::new(), name.clone(), len)?;
        }
        let tensors = names.to_vec();
        Ok(tape.resource(Resource::Vector { tensors, interleave: true, len: 2 * len }))
    }

    /// A matrix.
    pub fn matrix(
        &self,
        tape: &mut Tape,
        name: String,
        rows: usize,
        cols: usize,
    ) -> Result<ResourceId> {
        Ok(self.stacked(tape, &[(name, rows)], cols)?.swap_remove(0))
    }

    /// Matrices (name, rows) one below the other: neighbours of one format are one.
    pub fn stacked(
        &self,
        tape: &mut Tape,
        parts: &[(String, usize)],
        cols: usize,
    ) -> Result<Vec<ResourceId>> {
        let mut weights: Vec<Weight> = Vec::new();
        for (name, rows) in parts {
            let format = self.get(name, *rows, cols)?.format;
            let part = Part { tensor: name.clone(), rows: 0..*rows };
            match weights.last_mut() {
                // Rows are written in whole words.
                Some(last)
                    if last.format == format
                        && last.rows.is_multiple_of(format.rows_together()) =>
                {
                    last.parts.push(part);
                    last.rows += rows;
                }
                _ => {
                    let parts = vec![part];
                    weights.push(Weight { parts, interleave: false, format, rows: *rows, cols });
                }
            }
        }
        Ok(weights.into_iter().map(|w| tape.resource(Resource::Weight(w))).collect())
    }

    /// As many rows of two matrices, gate and up projection.
    pub fn pair(&self, tape: &mut Tape, parts: [Rows; 2], cols: usize) -> Result<Pair> {
        let [first, second] = &parts;
        let rows = first.rows + second.rows;
        let first = self.get(&first.tensor, first.of, cols)?;
        let second = self.get(&second.tensor, second.of, cols)?;
        let formats = [first.format, second.format];
        let mut weight = |parts, interleave, format, rows| {
            tape.resource(Resource::Weight(Weight { parts, interleave, format, rows, cols }))
        };
        let parts = parts.map(Rows::part);
        if formats[0] == formats[1] {
            return Ok(Pair::Alternating(weight(parts.to_vec(), true, formats[0], rows)));
        }
        let [first, second] = parts.map(|part| (part.rows.len(), vec![part]));
        let first = weight(first.1, false, formats[0], first.0);
        Ok(Pair::Apart([first, weight(second.1, false, formats[1], second.0)]))
    }

    /// # Errors
    /// A tensor that nothing asked for: the model would be computed without it.
    pub fn all_used(&self) -> Result<()> {
        let used = self.used.borrow();
        match self.checkpoint.tensors.iter().find(|t| !used.contains(t.name.as_str())) {
            None => Ok(()),
            Some(tensor) => Err(Error::unsupported(format!(
                "the file has a tensor {}, which this version's model of its family does not use: \
                 its answers would be wrong without it",
                tensor.name
            ))),
        }
    }
}
