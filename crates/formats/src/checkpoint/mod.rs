//! A model's weights under the names and shapes that GGUF gives them, whatever file
//! they lie in: as they are, or made from another file's tensors while they are read.

mod read;
mod recast;
mod unpack;

pub use recast::Encode;

use crate::gguf::index;
use crate::{Gguf, Metadata, RawTensor, TensorInfo};
use std::cell::RefCell;
use std::collections::HashMap;
use wisp_base::{Error, Format, Result};

/// Metadata and tensors of a model, in GGUF's terms.
#[derive(Debug)]
pub struct Checkpoint {
    /// The version of a GGUF file; none for another kind of file.
    pub gguf_version: Option<u32>,
    /// As a GGUF file has them.
    pub metadata: Metadata,
    /// As a GGUF file has them; `offset` is of use only to [`Self::rows`].
    pub tensors: Vec<TensorInfo>,
    /// Small files that came with the weights (`tokenizer.json`), by name.
    pub files: Vec<(String, Vec<u8>)>,
    /// What the person should know of the file.
    pub notes: Vec<String>,
    /// How each tensor is made; those beyond the end lie in the file as they are.
    recipes: Vec<Recipe>,
    index: HashMap<String, usize>,
    /// What was read last for tensors that need more than the rows asked for, by where it
    /// lies: of two, since gate and up are read in turns.
    held: RefCell<Vec<(u64, Vec<u8>)>>,
    recast: Option<recast::Recast>,
}

/// How a tensor is made from others: its parts one below the other.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// What the rows are given as.
    pub format: Format,
    /// Each gives the rows after those of the part before it.
    pub parts: Vec<Part>,
    /// What becomes of each number.
    pub adjust: Adjust,
}

/// What becomes of each number of a tensor that is made from others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Adjust {
    /// It stays.
    None,
    /// So much is added.
    Add(f32),
    /// x becomes −eˣ.
    NegExp,
}

impl Recipe {
    /// Numbers of a row of the parts.
    fn width(&self) -> u64 {
        match self.parts.first() {
            Some(Part::Rows { map, .. }) => map.cols,
            Some(Part::Given(numbers)) => numbers.len() as u64,
            None => 0,
        }
    }
}

/// Rows of one stored tensor, in another order; or given numbers.
#[derive(Debug, Clone)]
pub enum Part {
    /// Rows of a tensor.
    Rows {
        /// The tensor.
        from: RawTensor,
        /// How its numbers are stored.
        packing: Box<Packing>,
        /// Which of its rows.
        map: RowMap,
    },
    /// One row of numbers that no file has.
    Given(Vec<f32>),
}

/// How the numbers of a stored matrix are to be understood.
#[derive(Debug, Clone)]
pub enum Packing {
    /// As they are.
    Plain,
    /// Each times a scale of its block of `rows` by `cols`.
    Scaled {
        /// `[rows of blocks, columns of blocks]`
        scale: RawTensor,
        /// Rows per block.
        rows: u64,
        /// Columns per block.
        cols: u64,
    },
    /// Four bits each, eight in an i32, in columns: `[inputs / 8, outputs]` or, with `awq`,
    /// `[inputs, outputs / 8]` in the order 0 2 4 6 1 3 5 7.
    FourBit {
        /// `[groups, outputs]`
        scales: RawTensor,
        /// `[groups, outputs / 8]`
        zeros: RawTensor,
        /// The group of each input, where they are not in order.
        groups: Option<RawTensor>,
        /// Inputs a group.
        group: u64,
        /// Added to each zero point.
        bias: i32,
        /// AWQ's order.
        awq: bool,
    },
    /// E2M1, two in a byte, 32 with one exponent.
    Mxfp4 {
        /// An exponent a block.
        scales: RawTensor,
    },
}

/// Which rows of a matrix, and in which order. Counted in numbers: row
/// `(a · dims[1] + b) · dims[2] + c` begins at `start + a · steps[0] + b · steps[1] +
/// c · steps[2]`, and its columns are `step` apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowMap {
    /// Their product is the number of rows.
    pub dims: [u64; 3],
    /// Numbers from one to the next.
    pub steps: [u64; 3],
    /// The first number.
    pub start: u64,
    /// Numbers from column to column.
    pub step: u64,
    /// Columns.
    pub cols: u64,
}

impl RowMap {
    /// All of `rows` rows in their order.
    pub fn all(rows: u64, cols: u64) -> Self {
        Self { dims: [1, 1, rows], steps: [0, 0, cols], start: 0, step: 1, cols }
    }

    /// How many rows.
    pub fn rows(&self) -> u64 {
        self.dims.iter().fold(1, |rows, dim| rows.saturating_mul(*dim))
    }

    /// Where row `row` begins.
    fn at(&self, row: u64) -> u64 {
        let [_, b, c] = self.dims;
        let (outer, inner) = (row / c.max(1), row % c.max(1));
        let place = [outer / b.max(1), outer % b.max(1), inner];
        self.start + place.iter().zip(self.steps).map(|(at, step)| at * step).sum::<u64>()
    }

    /// The last number that any row has, or none if that cannot be counted.
    fn last(&self) -> Option<u64> {
        let ends = self.dims.iter().zip(self.steps).chain([(&self.cols, self.step)]);
        ends.map(|(dim, step)| dim.checked_sub(1)?.checked_mul(step))
            .try_fold(self.start, |sum, more| sum.checked_add(more?))
    }
}

impl From<Gguf> for Checkpoint {
    fn from(gguf: Gguf) -> Self {
        Self {
            gguf_version: Some(gguf.version),
            metadata: gguf.metadata,
            index: index(&gguf.tensors),
            tensors: gguf.tensors,
            files: Vec::new(),
            notes: Vec::new(),
            recipes: Vec::new(),
            held: RefCell::default(),
            recast: None,
        }
    }
}

impl Checkpoint {
    /// Tensors (name, shape with columns first, recipe) that are made while they are read.
    ///
    /// # Errors
    /// A recipe that does not fit its shape, or reads beyond a tensor.
    pub fn made(
        metadata: Metadata,
        made: Vec<(String, Vec<u64>, Recipe)>,
        files: Vec<(String, Vec<u8>)>,
    ) -> Result<Self> {
        let (mut tensors, mut recipes) = (Vec::new(), Vec::new());
        for (name, shape, recipe) in made {
            let wrong = |what: &str| Error::input(format!("tensor {name}: {what}"));
            let bytes = crate::gguf::tensor_bytes(&shape, recipe.format);
            let bytes = bytes.map_err(|what| wrong(&what))?;
            let mut weights = 0u64;
            let width = recipe.width();
            for part in &recipe.parts {
                let (more, same) = match part {
                    Part::Given(numbers) => (1, numbers.len() as u64 == width),
                    Part::Rows { from, packing, map } => {
                        packing.check(from, map).map_err(|what| {
                            wrong(&format!("it is made of {}, which {what}", from.name))
                        })?;
                        (map.rows(), map.cols == width)
                    }
                };
                if !same {
                    return Err(wrong("its rows are of different lengths: the model is damaged"));
                }
                weights = weights.saturating_add(more.saturating_mul(width));
            }
            // Rows of a vector's parts may have one column each.
            let whole = shape.first().is_some_and(|cols| width > 0 && cols.is_multiple_of(width));
            if !whole || weights != shape.iter().product::<u64>() {
                return Err(wrong("its parts do not add up to its shape: the model is damaged"));
            }
            let format = recipe.format;
            tensors.push(TensorInfo { name, shape, format, offset: 0, bytes });
            recipes.push(recipe);
        }
        let index = index(&tensors);
        let held = RefCell::default();
        let (recast, notes) = (None, Vec::new());
        let gguf_version = None;
        Ok(Self { gguf_version, metadata, tensors, files, notes, recipes, index, held, recast })
    }

    /// Tensors (name, shape with columns first, format) that lie nowhere: their sizes can be
    /// asked for, their weights cannot be read.
    ///
    /// # Errors
    /// A shape that is not whole blocks of its format.
    pub fn of_shapes(metadata: Metadata, shapes: Vec<(String, Vec<u64>, Format)>) -> Result<Self> {
        let mut checkpoint = Self::made(metadata, Vec::new(), Vec::new())?;
        for (name, shape, format) in shapes {
            let bytes = crate::gguf::tensor_bytes(&shape, format)
                .map_err(|what| Error::input(format!("tensor {name}: {what}")))?;
            checkpoint.tensors.push(TensorInfo { name, shape, format, offset: 0, bytes });
        }
        checkpoint.index = index(&checkpoint.tensors);
        Ok(checkpoint)
    }

    /// The tensor of that name.
    pub fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.index.get(name).and_then(|at| self.tensors.get(*at))
    }

    /// A file that came with the weights.
    pub fn file(&self, name: &str) -> Option<&[u8]> {
        self.files.iter().find(|(known, _)| known == name).map(|(_, bytes)| bytes.as_slice())
    }

    fn recipe(&self, tensor: &TensorInfo) -> Option<&Recipe> {
        self.index.get(&tensor.name).and_then(|at| self.recipes.get(*at))
    }
}
