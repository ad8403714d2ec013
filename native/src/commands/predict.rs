//! `wisp bench --predict`: what the model of cost expects, by operation, beside what was measured.

use crate::args::{Bench, Global};
use crate::engine;
use crate::out::{self, Outcome, finite};
use serde_json::{Value, json};
use std::fmt::Write;
use wisp_base::{Error, Result};
use wisp_bench::{GpuSpec, OpTime, Prediction, predict};
use wisp_formats::Checkpoint;

/// Positions behind the token, where `--depth` gives none.
const DEPTH: usize = 1024;

/// More than this off, an operation is named below the table.
const CLOSE: f64 = 0.3;

/// Predicts for a GPU that need not be there: nothing is measured, and no device opened.
pub fn run(global: &Global, args: &Bench, gpu: &GpuSpec) -> Outcome {
    if global.device.is_some() {
        return Err(Error::input("--on predicts without an adapter: leave out --device").into());
    }
    let depths = if args.depth.is_empty() { vec![DEPTH] } else { args.depth.clone() };
    let mut options = engine::options(global);
    if args.shape.is_some() {
        options.prepare.get_or_insert_with(|| engine::prepare(args.of));
    }
    let too_deep = |ctx: usize| Some((ctx, *depths.iter().find(|depth| **depth >= ctx)?));
    if let Some((ctx, depth)) = global.ctx.and_then(too_deep) {
        let why = format!("{depth} positions and a token more exceed the context of {ctx}");
        return Err(Error::input(format!("{why}: give a larger --ctx")).into());
    }
    let checkpoint = || -> Result<Checkpoint> {
        match &args.shape {
            Some(shape) => shape.checkpoint(),
            None => Ok(engine::header(&args.model)?.1),
        }
    };
    let made = depths.iter().map(|depth| predict(gpu, checkpoint()?, &options, *depth));
    let made: Vec<Prediction> = made.collect::<Result<_>>()?;
    if args.json {
        let all: Vec<Value> = made.iter().map(object).collect();
        return out::json(&json!({"model": super::bench::name(args), "predictions": all}));
    }
    let mut text =
        format!("{} on {}: predicted, not measured\n", super::bench::name(args), gpu.name);
    made.iter().for_each(|made| text += &table(made, &[]));
    out::text(&text)
}

/// One prediction, as JSON has it.
pub fn object(made: &Prediction) -> Value {
    let ops = made.ops.iter().map(|op| {
        let mut value = json!({
            "op": op.op, "calls": op.calls, "us": finite(op.us), "bytes": op.bytes,
            "flops": op.flops, "bound": op.bound.name(),
        });
        if let Some(bytes) = op.in_flight {
            value["bytes_in_flight"] = finite(bytes).into();
        }
        value
    });
    json!({
        "on": made.on,
        "depth": made.depth,
        "ms_per_token": finite(made.ms()),
        "tokens_per_s": finite(1000.0 / made.ms()),
        "dispatches_per_token": made.dispatches(),
        "bytes_per_token": made.bytes(),
        "bandwidth_share": finite(made.bandwidth_share),
        "ops": ops.collect::<Vec<_>>(),
    })
}

/// One prediction for people, an operation a line, beside the times that were measured.
pub fn table(made: &Prediction, measured: &[OpTime]) -> String {
    let mut text = format!(
        "predicted   {:>9.2} ms per token at {} positions ({:.2} tokens/s), {:.0} % of the \
         bandwidth, {} dispatches\n",
        made.ms(),
        made.depth,
        1000.0 / made.ms(),
        made.bandwidth_share * 100.0,
        made.dispatches()
    );
    for op in &made.ops {
        let _ = write!(
            text,
            "  {:<24} × {:<4} {:>10.1} µs, mostly {:<10}",
            op.op,
            op.calls,
            op.us,
            op.bound.name()
        );
        if let Some(bytes) = op.in_flight {
            let _ = write!(text, " {:>8.3} MB in flight", bytes / 1e6);
        }
        if let Some(found) = measured.iter().find(|found| found.op == op.op) {
            let off = (op.us / found.gpu_us - 1.0) * 100.0;
            let _ = write!(text, " {:>10.1} µs measured ({off:+.0} %)", found.gpu_us);
        }
        text += "\n";
    }
    text + &misses(made, measured)
}

/// The operations that took a time of their own, by more than [`CLOSE`], with the reason.
fn misses(made: &Prediction, measured: &[OpTime]) -> String {
    let far = made.ops.iter().filter_map(|op| {
        let found = measured.iter().find(|found| found.op == op.op)?;
        let off = op.us / found.gpu_us - 1.0;
        (off.abs() > CLOSE).then(|| format!("  {}: {}\n", op.op, op.bound.why()))
    });
    let far: String = far.collect();
    let over = CLOSE * 100.0;
    if far.is_empty() { far } else { format!("more than {over:.0} % off\n{far}") }
}
