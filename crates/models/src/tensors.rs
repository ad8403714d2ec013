//! A file's tensors by name, with their shapes checked, and which were used.

use std::cell::RefCell;
use std::collections::HashSet;

use wisp_base::{Error, Result};
use wisp_formats::{Checkpoint, TensorInfo};
use wisp_graph::{Resource, ResourceId, Tape, Weight};

pub(crate) struct Tensors<'a> {
    gguf: &'a Checkpoint,
    used: RefCell<HashSet<&'a str>>,
}

impl<'a> Tensors<'a> {
    pub fn new(gguf: &'a Checkpoint) -> Self {
        Self { gguf, used: RefCell::default() }
    }

    /// The tensor, if the file has it.
    pub fn find(&self, name: &str) -> Option<&'a TensorInfo> {
        let tensor = self.gguf.tensor(name)?;
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
        self.get(&name, 1, len)?;
        Ok(tape.resource(Resource::Vector { tensor: name, len }))
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
            match weights.last_mut() {
                // An even start: rows are written in pairs.
                Some(last) if last.format == format && last.rows % 2 == 0 => {
                    last.parts.push(name.clone());
                    last.rows += rows;
                }
                _ => {
                    let parts = vec![name.clone()];
                    weights.push(Weight { parts, interleave: false, format, rows: *rows, cols });
                }
            }
        }
        Ok(weights.into_iter().map(|w| tape.resource(Resource::Weight(w))).collect())
    }

    /// Two matrices of `rows` rows each whose rows alternate.
    pub fn interleaved(
        &self,
        tape: &mut Tape,
        names: [String; 2],
        rows: usize,
        cols: usize,
    ) -> Result<ResourceId> {
        let first = self.get(&names[0], rows, cols)?;
        let second = self.get(&names[1], rows, cols)?;
        if first.format != second.format {
            return Err(Error::unsupported(format!(
                "{} is {} but {} is {}: this version needs them in one format",
                first.name, first.format, second.name, second.format
            )));
        }
        let weight = Weight {
            parts: names.to_vec(),
            interleave: true,
            format: first.format,
            rows: 2 * rows,
            cols,
        };
        Ok(tape.resource(Resource::Weight(weight)))
    }

    /// # Errors
    /// A tensor that nothing asked for: the model would be computed without it.
    pub fn all_used(&self) -> Result<()> {
        let used = self.used.borrow();
        match self.gguf.tensors.iter().find(|t| !used.contains(t.name.as_str())) {
            None => Ok(()),
            Some(tensor) => Err(Error::unsupported(format!(
                "the file has a tensor {}, which this version's model of its family does not use: \
                 its answers would be wrong without it",
                tensor.name
            ))),
        }
    }
}
