//! What the model of cost expects of an 8B model on each GPU that it has published figures of,
//! beside the table in `tests/predictions.md`. `WISP_UPDATE=1` writes it anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use wisp_base::{Error, Format};
use wisp_bench::{GPUS, GpuSpec, OpPrediction, predict};
use wisp_formats::TensorInfo;
use wisp_runtime::{EngineOptions, Prepare, Shape};
use wisp_tests::readme::{self, Row};

/// Positions behind the token.
const DEPTH: usize = 1024;

const HEADER: &str =
    "| GPU | ms per token | tokens/s | share of the bandwidth | dispatches | where the time goes |";

fn row(gpu: &GpuSpec) -> Row {
    let prepare = Prepare(Arc::new(|checkpoint| {
        let choose = |tensor: &TensorInfo| match tensor.name.ends_with(".weight") {
            true if tensor.shape.len() > 1 => Format::Q4_0,
            _ => tensor.format,
        };
        let encode = Rc::new(|_: &TensorInfo, _, _: &[f32]| Err(Error::input("nothing is read")));
        checkpoint.recast(choose, encode)
    }));
    let options = EngineOptions { prepare: Some(prepare), ..EngineOptions::default() };
    let checkpoint = Shape::find("llama-3.1-8b").unwrap().checkpoint().unwrap();
    let made = predict(gpu, checkpoint, &options, DEPTH).unwrap();
    assert!(made.bandwidth_share < 0.9, "{}: faster than its memory", gpu.name);
    let share = |op: &OpPrediction| op.us / 10.0 / made.ms();
    let where_to = made.ops.iter().filter(|op| share(op) >= 0.5);
    let where_to: Vec<String> =
        where_to.map(|op| format!("{} {:.0} % ({})", op.op, share(op), op.bound.name())).collect();
    let facts = format!(
        "| {} | {:.2} | {:.0} | {:.0} % | {} | {} |",
        gpu.name,
        made.ms(),
        1000.0 / made.ms(),
        made.bandwidth_share * 100.0,
        made.dispatches(),
        where_to.join(", ")
    );
    Row { facts, errors: Vec::new() }
}

#[test]
fn a_token_takes_what_the_table_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("predictions.md");
    readme::check(&path, "predictions", HEADER, &GPUS.iter().map(row).collect::<Vec<_>>());
}
