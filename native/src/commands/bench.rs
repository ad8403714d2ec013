//! `wisp bench`: how fast a model runs on an adapter.

use super::predict;
use crate::args::{Bench, Global};
use crate::engine::{self, Loaded};
use crate::files;
use crate::out::{self, Outcome, finite};
use crate::store::Store;
use pollster::block_on;
use serde_json::{Value, json};
use wisp_base::Result;
use wisp_bench::{BenchOptions, BenchReport, Load, Point, Prediction, Spread};
use wisp_runtime::Engine;

/// Runs the command.
pub fn run(global: &Global, args: &Bench) -> Outcome {
    if let Some(gpu) = &args.on {
        return predict::run(global, args, gpu);
    }
    let loads = args.loads();
    if let (Some(file), None) = (&args.roofline, &args.shape) {
        files::expect_other(file, &engine::files(&Store::find(&args.model)?))?;
    }
    let Loaded { mut engine, load_ms } = load(global, args, &loads)?;
    let options = BenchOptions {
        prompt_tokens: args.prompt_tokens,
        generate: args.generate,
        repeat: args.repeat,
        ops: args.ops || (args.predict && engine.has_timestamps()),
    };
    let report = block_on(wisp_bench::bench(&mut engine, &options))?;
    let points = block_on(wisp_bench::sweep(&mut engine, &loads, args.generate, args.repeat))?;
    let predictions = predictions(&engine, args)?;
    let device = engine.device_name();
    if let (Some(file), Some(limits)) = (&args.roofline, report.limits) {
        let title = format!("{} on {device}", name(args));
        let drawn = wisp_bench::roofline(&title, limits, &report.ops)?;
        files::write(file, |out| out.write_all(drawn.as_bytes()))?;
    }
    if args.json {
        let mut value = object(args, &device, load_ms, &report);
        if !points.is_empty() {
            value["sweep"] = points.iter().map(point).collect();
        }
        if args.predict {
            value["predictions"] = predictions.iter().map(predict::object).collect();
        }
        out::json(&value)
    } else {
        let rows: String = points.iter().map(row).collect();
        let mut text = table(args, &device, load_ms, &report) + &rows;
        for (at, made) in predictions.iter().enumerate() {
            // Operations were measured at the first one's depth only.
            text += &predict::table(made, if at == 0 { &report.ops } else { &[] });
        }
        out::text(&text)
    }
}

/// With `--predict`: of what was measured, as the model of cost has it, in the middle of the steps.
fn predictions(engine: &Engine, args: &Bench) -> Result<Vec<Prediction>> {
    if !args.predict {
        return Ok(Vec::new());
    }
    let device = block_on(wisp_bench::describe(engine))?;
    let depths = [args.prompt_tokens].into_iter().chain(args.depth.iter().copied());
    depths.map(|depth| wisp_bench::predict_on(&device, engine, depth + args.generate / 2)).collect()
}

/// The model, or random weights; with room for all that is measured, if no context is given.
fn load(global: &Global, args: &Bench, loads: &[Load]) -> Result<Loaded> {
    let mut options = engine::options(global);
    options.max_sequences = loads.iter().map(|load| load.sequences()).max().unwrap_or(1);
    options.share_cache = true;
    let least = loads.iter().map(|load| load.positions(args.generate));
    let least = least.max().unwrap_or(0).max(args.prompt_tokens + args.generate);
    if args.shape.is_some() || !loads.is_empty() {
        options.ctx.get_or_insert(least.next_multiple_of(32));
    }
    let Some(shape) = &args.shape else { return engine::load_with(&options, &args.model) };
    options.prepare.get_or_insert_with(|| engine::prepare(args.of));
    engine::random(&options, shape)
}

/// What is measured: the model, or the shape and its type.
pub fn name(args: &Bench) -> String {
    match &args.shape {
        Some(shape) => format!("{} {} (random weights)", shape.name, args.of.name),
        None => args.model.clone(),
    }
}

fn point(point: &Point) -> Value {
    let mut value = json!({
        "tokens_per_s": spread(point.tokens_per_s),
        "bytes": point.bytes,
        "flops": point.flops,
        "bandwidth_share": finite(point.bandwidth_share),
    });
    match point.load {
        Load::Prefill(tokens) => value["prefill"] = tokens.into(),
        Load::Decode { depth, batch } => {
            value["decode"] = json!({"depth": depth, "batch": batch});
        }
    }
    value
}

fn row(point: &Point) -> String {
    let what = match point.load {
        Load::Prefill(tokens) => format!("prefill of {tokens}"),
        Load::Decode { depth, batch: 1 } => format!("decode at {depth}"),
        Load::Decode { depth, batch } => format!("decode at {depth} × {batch}"),
    };
    let Spread { median, min, max } = point.tokens_per_s;
    let share = point.bandwidth_share * 100.0;
    format!(
        "{what:<22}{median:>9.2} tokens/s ({min:.2} to {max:.2}), {share:.0} % of the copy \
         bandwidth\n"
    )
}

fn object(args: &Bench, device: &str, load_ms: f64, report: &BenchReport) -> Value {
    let mut value = json!({
        "device": device,
        "model": name(args),
        "prefill": {"tokens_per_s": spread(report.prefill_tokens_per_s)},
        "decode": {
            "tokens_per_s": spread(report.decode_tokens_per_s),
            "dispatches_per_token": report.dispatches_per_token,
            "bytes_per_token": report.bytes_per_token,
            "bandwidth_share": finite(report.bandwidth_share),
            "host_us_per_token": finite(report.host_us_per_token),
        },
        "load_ms": finite(load_ms),
        "first_token_ms": finite(report.first_token_ms),
        "peak_rss_bytes": peak_rss_bytes(),
    });
    if args.ops || !report.ops.is_empty() {
        let ops = report.ops.iter().map(|op| {
            json!({
                "op": op.op, "calls": op.calls, "gpu_us": finite(op.gpu_us),
                "bytes": op.bytes, "flops": op.flops,
            })
        });
        value["ops"] = ops.collect();
    }
    if let (Some((bandwidth, flops)), true) = (report.limits, args.roofline.is_some()) {
        value["limits"] = json!({
            "copy_bytes_per_s": finite(bandwidth), "flops_per_s": finite(flops),
        });
    }
    value
}

fn spread(spread: Spread) -> Value {
    json!({"median": finite(spread.median), "min": finite(spread.min), "max": finite(spread.max)})
}

fn table(args: &Bench, device: &str, load_ms: f64, report: &BenchReport) -> String {
    let row = |name: &str, spread: Spread| {
        let Spread { median, min, max } = spread;
        format!("{name:<12}{median:>9.2} tokens/s ({min:.2} to {max:.2})\n")
    };
    let mut text = format!("{} on {device}\n", name(args));
    text += &row("prefill", report.prefill_tokens_per_s);
    text += &row("decode", report.decode_tokens_per_s);
    text += &format!(
        "a token     {:>9} dispatches, {} read ({:.0} % of the copy bandwidth), {:.0} µs on the \
         host\nload        {load_ms:>9.0} ms\nfirst token {:>9.0} ms\n",
        report.dispatches_per_token,
        crate::bytes::shown(report.bytes_per_token),
        report.bandwidth_share * 100.0,
        report.host_us_per_token,
        report.first_token_ms
    );
    if let Some(bytes) = peak_rss_bytes() {
        text += &format!("peak memory {:>9}\n", crate::bytes::shown(bytes));
    }
    if let Some((bandwidth, flops)) = report.limits {
        text += &format!(
            "limits      {:>9.1} GB/s of copies, {:.1} GFLOP/s in f32\n",
            bandwidth / 1e9,
            flops / 1e9
        );
    }
    for op in &report.ops {
        // Bytes and flops a microsecond, a thousandth of those a nanosecond: 10⁹ a second.
        let rate = |amount: u64| finite(amount as f64 / op.gpu_us / 1000.0);
        text += &format!(
            "  {:<24} × {:<4} {:>10.1} µs {:>8.2} GB/s {:>8.2} GFLOP/s\n",
            op.op,
            op.calls,
            op.gpu_us,
            rate(op.bytes),
            rate(op.flops)
        );
    }
    text
}

/// The most memory that this process ever held in RAM, where the system says (Linux).
fn peak_rss_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use clap::Parser;

    #[test]
    fn json_has_the_fields_of_the_contract() {
        let cli = crate::args::Cli::try_parse_from(["wisp", "bench", "--ops"]).unwrap();
        let crate::args::Command::Bench(args) = cli.command else { unreachable!() };
        let value = object(&args, "d", 1.0, &BenchReport::default());
        assert_eq!(value["model"], "smollm2-135m");
        assert_eq!(value["decode"]["tokens_per_s"]["median"], 0.0);
        assert!(value["ops"].as_array().unwrap().is_empty());
        for key in
            ["dispatches_per_token", "bytes_per_token", "bandwidth_share", "host_us_per_token"]
        {
            assert!(value["decode"][key].is_number(), "{key}");
        }
        assert_eq!(value["peak_rss_bytes"].is_u64(), cfg!(target_os = "linux"));
    }
}
