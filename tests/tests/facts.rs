//! What a token costs in facts that no clock is needed for: dispatches, bytes, operations,
//! for every shape, beside the table in `tests/facts.md`. `WISP_UPDATE=1` writes it anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::rc::Rc;

use wisp_base::{Error, Format, KvType};
use wisp_formats::TensorInfo;
use wisp_gpu::{Tuning, Variant};
use wisp_graph::{Cost, PAGE, PlanKey, Step, StepToken, Target, lower};
use wisp_ops::splits;
use wisp_runtime::{SHAPES, Shape};
use wisp_tests::readme::{self, Row};

/// Positions of the token's sequence, its own among them.
const DEPTH: usize = 1024;

const HEADER: &str = "| shape | tuning | dispatches a token | a layer | bytes a token | FLOPs a \
                      token | a layer's dispatches |";

/// A decode step of one token, lowered: no device is there, and no weights.
fn row(shape: &Shape, name: &str, tuning: Tuning) -> Row {
    let mut checkpoint = shape.checkpoint().unwrap();
    let choose = |tensor: &TensorInfo| match tensor.name.ends_with(".weight") {
        true if tensor.shape.len() > 1 => Format::Q4_0,
        _ => tensor.format,
    };
    let encode = Rc::new(|_: &TensorInfo, _, _: &[f32]| Err(Error::input("nothing is read")));
    checkpoint.recast(choose, encode).unwrap();
    let decoder = wisp_models::read(&checkpoint).unwrap();
    let tape = decoder.tape(&checkpoint, DEPTH, None).unwrap().tape;
    // Rules left nothing that they are for.
    let left = tape.nodes().iter().map(|node| node.op.name());
    let left: Vec<_> = left.filter(|name| ["rotate", "append_kv"].contains(name)).collect();
    assert!(left.is_empty(), "{}: {left:?}", shape.name);
    // The least that a browser's adapter has.
    let target = Target {
        kv: KvType::F16,
        max_bindings: 16,
        pages_per_sequence: DEPTH / PAGE,
        ..Target::least(Variant::ALL[0], tuning)
    };
    let key = PlanKey { tokens: 1, outputs: 1, decode: true, sample: true };
    let token = StepToken::causal(None, DEPTH as u32 - 1, 0);
    let splits = splits(&tuning, DEPTH);
    let counts = Step { tokens: vec![token], outputs: vec![0], splits }.counts();
    let mut cost = Cost::default();
    let mut labels = Vec::new();
    for dispatch in lower(&tape, &target, key).unwrap().dispatches {
        if !(dispatch.groups)(&counts).contains(&0) {
            cost += (dispatch.cost)(&counts);
            labels.push(dispatch.label);
        }
    }
    // From one attention to the next is a layer, if not from its start on.
    let attention: Vec<_> = (0..labels.len()).filter(|at| labels[*at] == "attention").collect();
    let layer = &labels[attention[0]..attention[1]];
    for pair in attention.windows(2) {
        assert_eq!(layer, &labels[pair[0]..pair[1]], "layers of {} differ", shape.name);
    }
    let Cost { bytes, flops } = cost;
    let facts = format!(
        "| {} | {name} | {} | {} | {bytes} | {flops} | {} |",
        shape.name,
        labels.len(),
        layer.len(),
        layer.join(", ")
    );
    Row { facts, errors: Vec::new() }
}

#[test]
fn a_token_costs_what_the_table_says() {
    let tunings = [("CPU", Tuning::CPU), ("GPU", Tuning::GPU)];
    let rows = SHAPES.iter().flat_map(|shape| tunings.map(|(name, t)| row(shape, name, t)));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("facts.md");
    readme::check(&path, "facts", HEADER, &rows.collect::<Vec<_>>());
}
