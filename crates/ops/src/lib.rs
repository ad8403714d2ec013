//! One file per operation: its formula, its CPU definition, its dispatches, its
//! cost and its test cases.

mod activation;
mod add;
mod add_norm;
mod append_kv;
mod attention;
pub mod bench;
mod cast;
pub mod check;
mod coop;
mod embed;
mod experts;
mod fuse;
mod gated_delta;
mod glu;
mod groups;
mod head_linear;
mod layer_norm;
mod linear;
mod noise;
mod output_gate;
mod pointwise;
mod product;
mod qk_norm;
mod registry;
mod rms_norm;
mod rope;
mod rope_append;
mod route;
mod sample;
mod settings;
mod short_conv;

pub use activation::Activation;
pub use add::Add;
pub use add_norm::AddNorm;
pub use append_kv::AppendKv;
pub use attention::{Attention, splits};
pub use cast::Cast;
pub use embed::{AddRow, Embed};
pub use experts::Experts;
pub use fuse::{RULES, fuse};
pub use gated_delta::GatedDelta;
pub use glu::Glu;
pub use head_linear::HeadLinear;
pub use layer_norm::LayerNorm;
pub use linear::Linear;
pub use output_gate::OutputGate;
pub use pointwise::Pointwise;
pub use qk_norm::QkNorm;
pub use registry::{cases, plain_cases};
pub use rms_norm::RmsNorm;
pub use rope::{AttentionTemperature, Pairing, Rope, Rotate, rope_rows, rope_table};
pub use rope_append::RopeAppend;
pub use route::{Gating, Route};
pub use sample::{NO_TOKEN, Sample, case as sample_case};
pub use settings::{IN_PROMPT, SETTING_WORDS, Settings};
pub use short_conv::ShortConv;

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

/// Resource `at` is a vector or a table of `len` numbers.
fn expect_len(resources: &[&Resource], at: usize, len: usize) -> Result<()> {
    match resources.get(at) {
        Some(Resource::Vector(vector)) if vector.len == len => Ok(()),
        Some(Resource::Table { data, .. }) if data.len() == len => Ok(()),
        other => Err(Error::input(format!("{other:?} is no vector of {len} numbers"))),
    }
}

/// Resource `at` is slots of `len` numbers each.
fn expect_slots(resources: &[&Resource], at: usize, len: usize) -> Result<()> {
    match resources.get(at) {
        Some(Resource::Slots { len: own, .. }) if *own == len => Ok(()),
        other => Err(Error::input(format!("{other:?} is no state of {len} numbers per sequence"))),
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
