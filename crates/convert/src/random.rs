//! The weights of a shape, that nobody trained: the rows that `wisp bench --shape` has on the
//! device, as a file has them. Other engines are measured with such a file.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::Write;
use wisp_base::quant::encode;
use wisp_base::{Error, Format, Result};
use wisp_formats::TensorInfo;
use wisp_runtime::random_weights::random_rows;

/// Rows that were drawn already, by format and columns.
#[derive(Debug, Default)]
pub struct Random(HashMap<(Format, u64), Vec<u8>>);

impl Random {
    /// Writes all of a tensor; `done` is told of bytes as they are written.
    ///
    /// # Errors
    /// Columns that are not whole blocks; writing fails.
    pub fn write(
        &mut self,
        tensor: &TensorInfo,
        out: &mut dyn Write,
        done: &mut dyn FnMut(u64),
    ) -> Result<()> {
        let (format, cols) = (tensor.format, tensor.cols());
        let name = tensor.name.as_str();
        let matrix = tensor.shape.len() > 1 && name.ends_with(".weight");
        if !matrix {
            // Gains of one; biases and sinks of zero.
            let number = if name.ends_with("norm.weight") { 1.0 } else { 0.0 };
            let bytes = encode(format, &vec![number; tensor.weights() as usize], None)?;
            out.write_all(&bytes).map_err(failed)?;
            done(tensor.bytes);
            return Ok(());
        }
        let rows = match self.0.entry((format, cols)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(random_rows(format, cols as usize)?),
        };
        let mut left = tensor.bytes;
        while left > 0 && !rows.is_empty() {
            let bytes = left.min(rows.len() as u64);
            out.write_all(&rows[..bytes as usize]).map_err(failed)?;
            done(bytes);
            left -= bytes;
        }
        Ok(())
    }
}

fn failed(cause: std::io::Error) -> Error {
    Error::io("cannot write the file", cause)
}
