//! `wisp bench`: how fast a model runs on an adapter.

use crate::args::{Bench, Global};
use crate::engine::{self, Loaded};
use crate::out::{self, Outcome, finite};
use pollster::block_on;
use serde_json::{Value, json};
use wisp_runtime::{BenchOptions, BenchReport, Spread};

/// Runs the command.
pub fn run(global: &Global, args: &Bench) -> Outcome {
    let Loaded { mut engine, load_ms } = engine::load(global, &args.model)?;
    let options = BenchOptions {
        prompt_tokens: args.prompt_tokens,
        generate: args.generate,
        repeat: args.repeat,
        ops: args.ops,
    };
    let report = block_on(engine.bench(&options))?;
    let device = engine.device_name();
    if args.json {
        out::json(&object(args, &device, load_ms, &report))
    } else {
        out::text(&table(args, &device, load_ms, &report))
    }
}

fn object(args: &Bench, device: &str, load_ms: f64, report: &BenchReport) -> Value {
    let mut value = json!({
        "device": device,
        "model": args.model,
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
    if args.ops {
        let ops = report.ops.iter().map(|op| {
            json!({
                "op": op.op, "calls": op.calls, "gpu_us": finite(op.gpu_us),
                "bytes": op.bytes, "flops": op.flops,
            })
        });
        value["ops"] = ops.collect();
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
    let mut text = format!("{} on {device}\n", args.model);
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
