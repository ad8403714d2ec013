//! Weights in other formats than a file has them, made while they are read.

use std::num::NonZero;
use std::rc::Rc;
use std::thread;
use wisp_base::quant::encode_at;
use wisp_base::{Error, Format, Result};
use wisp_formats::{Checkpoint, TensorInfo};

use crate::{Importance, Type, mix};

/// From now on the checkpoint gives its tensors as a file of this type has them.
///
/// # Errors
/// Importance of other columns than a tensor has, or none where the type needs it.
pub fn recast(checkpoint: &mut Checkpoint, of: Type, importance: Option<Importance>) -> Result<()> {
    let model = mix::Model::of(checkpoint, importance.is_some());
    if let Some(importance) = &importance {
        importance.check(checkpoint)?;
    }
    let choose = |tensor: &TensorInfo| model.format(of, tensor);
    let known = |tensor: &TensorInfo| importance.as_ref().is_some_and(|all| all.has(&tensor.name));
    let lacks = |tensor: &&TensorInfo| {
        let format = choose(tensor);
        mix::needs_importance(format) && format != tensor.format && !known(tensor)
    };
    if let Some(tensor) = checkpoint.tensors.iter().find(lacks) {
        return Err(Error::input(format!(
            "{} would be of no use as {} without its columns' importance: make a matrix of it \
             with llama-imatrix and give that to wisp quantize with --imatrix, or take another \
             type than {}",
            tensor.name,
            choose(tensor),
            of.name
        )));
    }
    checkpoint.recast(
        choose,
        Rc::new(move |tensor, first, numbers| {
            let cols = tensor.cols() as usize;
            let columns = |row: u64| importance.as_ref().and_then(|all| all.columns(tensor, row));
            rows(tensor.format, numbers, (first, cols), &|row| columns(first + row as u64))
        }),
    )
}

/// Bytes of all tensors in a file of this type.
pub fn bytes_as(checkpoint: &Checkpoint, of: Type) -> u64 {
    let model = mix::Model::of(checkpoint, false);
    let bytes = |tensor: &TensorInfo| {
        let format = model.format(of, tensor);
        let blocks = tensor.weights() / format.block() as u64;
        blocks.saturating_mul(format.block_bytes() as u64)
    };
    checkpoint.tensors.iter().map(bytes).fold(0, u64::saturating_add)
}

/// Rows of `cols` numbers from row `first` on, in as many threads as there are processors.
fn rows<'a>(
    format: Format,
    numbers: &[f32],
    (first, cols): (u64, usize),
    importance: &(dyn Fn(usize) -> Option<&'a [f32]> + 'a),
) -> Result<Vec<u8>> {
    let rows = numbers.len() / cols.max(1);
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(rows.max(1));
    let each = rows.div_ceil(threads).max(1);
    // Experts lie one below the other: rows of one share their columns' importance.
    let jobs = numbers.chunks(each * cols.max(1)).enumerate();
    let number = |row: usize| (first + row as u64) * cols as u64;
    let jobs = jobs.map(|(at, part)| (part, importance(at * each), number(at * each)));
    let jobs: Vec<_> = jobs.collect();
    let parts: Vec<Result<Vec<u8>>> = thread::scope(|scope| {
        let start = |(part, importance, first)| {
            scope.spawn(move || encode_at(format, part, importance, first))
        };
        let running: Vec<_> = jobs.into_iter().map(start).collect();
        let end = |running: thread::ScopedJoinHandle<'_, _>| match running.join() {
            Ok(encoded) => encoded,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        running.into_iter().map(end).collect()
    });
    Ok(parts.into_iter().collect::<Result<Vec<_>>>()?.concat())
}
