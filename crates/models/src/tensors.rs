//! A file's tensors by name, with their shapes checked, and which were used.

use std::cell::RefCell;
use std::collections::HashSet;
use std::ops::Range;

use wisp_base::{Error, Result};
use wisp_formats::{Checkpoint, TensorInfo};
use wisp_graph::{Part, Resource, ResourceId, Tape, Vector, Weight};

pub(crate) struct Tensors<'a> {
    checkpoint: &'a Checkpoint,
    used: RefCell<HashSet<&'a str>>,
    /// Blocks that predict tokens further ahead.
    ahead: Range<usize>,
}

/// Rows of a matrix, or numbers of a vector.
#[derive(Debug, Clone)]
pub(crate) struct Rows {
    tensor: String,
    first: usize,
    rows: usize,
    /// Rows of the whole tensor.
    of: usize,
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
    /// `ahead` are the blocks that are there and not computed.
    pub fn new(checkpoint: &'a Checkpoint, ahead: Range<usize>) -> Self {
        Self { checkpoint, used: RefCell::default(), ahead }
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

    /// Refuses a matrix of other sizes: before its rows are listed, by numbers of the metadata.
    ///
    /// # Errors
    /// It is missing or of another shape.
    pub fn expect(&self, name: &str, rows: usize, cols: usize) -> Result<()> {
        self.get(name, rows, cols).map(drop)
    }

    /// A vector of `len` numbers. A matrix counts as one too.
    pub fn vector(&self, tape: &mut Tape, name: String, len: usize) -> Result<ResourceId> {
        self.numbers(tape, Rows::all(name, len))
    }

    /// Some numbers of a vector.
    pub fn numbers(&self, tape: &mut Tape, part: Rows) -> Result<ResourceId> {
        let numbers = self.find(&part.tensor).map(|tensor| tensor.weights());
        if numbers != Some(part.of as u64) {
            self.get(&part.tensor, 1, part.of)?;
        }
        let (len, parts) = (part.rows, vec![part.part()]);
        Ok(tape.resource(Resource::Vector(Vector { parts, interleave: false, len })))
    }

    /// A matrix.
    pub fn matrix(
        &self,
        tape: &mut Tape,
        name: String,
        rows: usize,
        cols: usize,
    ) -> Result<ResourceId> {
        Ok(self.rows(tape, vec![Rows::all(name, rows)], cols)?.swap_remove(0))
    }

    /// Rows of matrices one below the other: neighbours of one format are one.
    pub fn rows(&self, tape: &mut Tape, parts: Vec<Rows>, cols: usize) -> Result<Vec<ResourceId>> {
        let mut weights: Vec<Weight> = Vec::new();
        for part in parts {
            let format = self.get(&part.tensor, part.of, cols)?.format;
            let (rows, part) = (part.rows, part.part());
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
                    weights.push(Weight { parts, interleave: false, format, rows, cols });
                }
            }
        }
        Ok(weights.into_iter().map(|w| tape.resource(Resource::Weight(w))).collect())
    }

    /// Whether a tensor is of a block that predicts tokens further ahead.
    fn is_ahead(&self, name: &str) -> bool {
        let number = name.strip_prefix("blk.").and_then(|rest| rest.split_once('.'));
        number
            .and_then(|(number, _)| number.parse().ok())
            .is_some_and(|at: usize| self.ahead.contains(&at))
    }

    /// # Errors
    /// A tensor that nothing asked for: the model would be computed without it.
    pub fn all_used(&self) -> Result<()> {
        let used = self.used.borrow();
        let unused = |t: &&TensorInfo| !used.contains(t.name.as_str()) && !self.is_ahead(&t.name);
        match self.checkpoint.tensors.iter().find(unused) {
            None => Ok(()),
            Some(tensor) => Err(Error::unsupported(format!(
                "the file has a tensor {}, which this version's model of its family does not use: \
                 its answers would be wrong without it",
                tensor.name
            ))),
        }
    }
}
