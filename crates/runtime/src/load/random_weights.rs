//! Weights that nobody trained, for a bench: a few rows are drawn and encoded here, and the
//! device copies them until a matrix is full. No file, and no more of them on the host.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use wisp_base::quant::{Repacked, encode, example, repack};
use wisp_base::uniform;
use wisp_base::{Format, Result};
use wisp_gpu::Gpu;
use wisp_graph::{DeviceResources, Resource, Tape};

/// Weights that are drawn for each format and width.
const DRAWN: usize = 1 << 20;

/// Rows are drawn in multiples of this, so that they fill whole words in any format.
const ROWS: usize = 16;

/// Rows that were drawn already, by format and width.
pub type Drawn = HashMap<(Format, usize), Repacked>;

/// Makes whole rows of a format, of so many columns, a million weights or more.
pub type Draw = fn(Format, usize) -> Result<Repacked>;

/// Fills every weight and vector of `tape` with rows that `draw` makes.
///
/// # Errors
/// Columns that are not whole blocks; the device fails.
pub async fn fill(
    gpu: &Gpu,
    tape: &Tape,
    resources: &DeviceResources,
    drawn: &mut Drawn,
    draw: Draw,
) -> Result<()> {
    for (index, resource) in tape.resources().iter().enumerate() {
        let id = tape.id(index);
        match resource {
            Resource::Weight(weight) => {
                let rows = match drawn.entry((weight.format, weight.cols)) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(new) => new.insert(draw(weight.format, weight.cols)?),
                };
                resources.repeat_rows(gpu, id, rows).await?;
            }
            // Gains of one; biases do not matter.
            Resource::Vector(vector) => {
                resources.write_numbers(gpu, id, &vec![1.0; vector.len])?;
            }
            Resource::Table { .. } | Resource::Paged { .. } | Resource::Slots { .. } => {}
        }
    }
    gpu.flush().await
}

/// How many rows of so many columns are drawn.
fn rows(cols: usize) -> usize {
    (DRAWN / cols.max(1)).next_multiple_of(ROWS).max(ROWS)
}

/// Whatever random bits say in a format: for times alone. Needs no encoder, which a browser
/// would have to download.
pub fn bits(format: Format, cols: usize) -> Result<Repacked> {
    repack(format, &example(format, 0, rows(cols) * cols)?, cols)
}

/// Uniform numbers, small enough that nothing overflows in f16.
pub fn numbers(format: Format, cols: usize) -> Result<Repacked> {
    repack(format, &random_rows(format, cols)?, cols)
}

/// The same rows as a file has them: of `cols` columns, about a million weights together, to be
/// repeated until a matrix is full.
///
/// # Errors
/// Columns that are not whole blocks.
pub fn random_rows(format: Format, cols: usize) -> Result<Vec<u8>> {
    let mut random = uniform(cols as u64);
    let rows = rows(cols);
    let scale = 1.0 / (cols as f32).sqrt();
    let numbers: Vec<f32> = (0..rows * cols).map(|_| random() * scale).collect();
    // Formats that nothing here writes have random bits instead.
    encode(format, &numbers, None).or_else(|_| example(format, 0, rows * cols))
}
