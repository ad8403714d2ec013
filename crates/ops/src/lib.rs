//! One file an operation: its formula, its CPU definition, its dispatches, its
//! cost and its test cases.

mod activation;
mod add_norm;
mod attention;
pub mod bench;
mod cast;
pub mod check;
mod embed;
mod experts;
mod groups;
mod head_linear;
mod head_norm;
mod layer_norm;
mod linear;
mod noise;
mod product;
mod rms_norm;
mod rope;
mod route;
mod sample;

pub use activation::Activation;
pub use add_norm::AddNorm;
pub use attention::{Attention, splits};
pub use cast::Cast;
pub use embed::{AddRow, Embed};
pub use experts::{Experts, ExpertsInto};
pub use head_linear::HeadLinear;
pub use head_norm::HeadNorm;
pub use layer_norm::LayerNorm;
pub use linear::{Epilogue, Linear};
pub use rms_norm::RmsNorm;
pub use rope::{Heat, Pairing, RopeAppend, rope_rows, rope_table};
pub use route::{Gating, Route};
pub use sample::{IN_PROMPT, NO_TOKEN, SETTING_WORDS, Sample, Settings, case as sample_case};

use wisp_base::{Error, Result};
use wisp_graph::{Operation, Resource, ResourceId, Tape, Value, ValueId, Weight};

/// Records an operation that makes a value.
///
/// # Errors
/// It does not fit its inputs, or makes none.
pub fn record(
    tape: &mut Tape,
    op: impl Operation + 'static,
    inputs: &[ValueId],
    resources: &[ResourceId],
) -> Result<ValueId> {
    let name = op.name();
    tape.push(op, inputs, resources)?
        .ok_or_else(|| Error::input(format!("{name} makes no value to go on with")))
}

/// Input or resource `at` of an operation that is being recorded.
fn nth<'a, T: ?Sized>(all: &[&'a T], at: usize) -> Result<&'a T> {
    all.get(at).copied().ok_or_else(|| Error::input(format!("input {at} is missing")))
}

fn weight<'a>(resources: &[&'a Resource], at: usize) -> Result<&'a Weight> {
    match resources.get(at) {
        Some(Resource::Weight(weight)) => Ok(weight),
        _ => Err(Error::input(format!("resource {at} must be a weight"))),
    }
}

/// Resource `at` is a vector of `len` numbers.
fn expect_len(resources: &[&Resource], at: usize, len: usize) -> Result<()> {
    match resources.get(at) {
        Some(Resource::Vector { len: own, .. }) if *own == len => Ok(()),
        other => Err(Error::input(format!("{other:?} is no vector of {len} numbers"))),
    }
}

/// cap·tanh(x / cap), where there is a cap.
fn capped(x: f32, cap: Option<f32>) -> f32 {
    cap.map_or(x, |cap| cap * (x / cap).tanh())
}

fn expect_cols(value: &Value, cols: usize) -> Result<()> {
    if value.cols == cols {
        return Ok(());
    }
    Err(Error::input(format!("{} has {} columns, but {cols} are needed", value.name, value.cols)))
}
