//! `wisp devices --bench`: how fast every kernel is on an adapter.

use crate::args::{Devices, Global};
use crate::engine;
use crate::out::{self, Outcome, finite};
use crate::progress;
use pollster::block_on;
use serde_json::{Value, json};
use wisp_base::Error;
use wisp_bench::{KernelBench, KernelTime, Spread};

/// Runs the command on the adapter that other commands would use. Lines are printed as they
/// come: on a slow adapter all of them take minutes.
pub fn run(global: &Global, args: &Devices) -> Outcome {
    let waiting = progress::spinner("measuring");
    let bench = block_on(KernelBench::open(&engine::options(global)));
    waiting.finish_and_clear();
    let bench = bench?;
    if !args.json {
        out::text(&head(&bench))?;
    }
    let (mut all, mut printed) = (Vec::new(), Ok(()));
    block_on(bench.run(&args.filter, args.samples, &mut |time| {
        if !args.json && printed.is_ok() {
            printed = out::text(&line(&bench, &time));
        }
        all.push(object(&bench, &time));
    }))?;
    printed?;
    if all.is_empty() {
        let why = format!("no kernel, operation or size has {:?} in it", args.filter);
        return Err(Error::input(why).into());
    }
    if args.json {
        out::json(&json!({
            "device": bench.device,
            "copy_bytes_per_s": finite(bench.bandwidth),
            "flops_per_s": finite(bench.flops),
            "timestamps": bench.timestamps,
            "kernels": all,
        }))?;
    }
    Ok(())
}

fn head(bench: &KernelBench) -> String {
    let clock = match bench.timestamps {
        true => "single dispatches by the device's clock, caches cold",
        false => "many dispatches by the host's clock, caches warm",
    };
    format!(
        "{}: {:.1} GB/s of copies, {:.1} GFLOP/s in f32; {clock}\n",
        bench.device,
        bench.bandwidth / 1e9,
        bench.flops / 1e9
    )
}

/// Bytes and operations per second, and their shares of the most there can be.
fn rates(bench: &KernelBench, time: &KernelTime) -> [f64; 4] {
    let rate = |amount: u64| finite(amount as f64 / (time.us.median / 1e6));
    let (bytes, flops) = (rate(time.bytes), rate(time.flops));
    [bytes, finite(bytes / bench.bandwidth), flops, finite(flops / bench.flops)]
}

fn line(bench: &KernelBench, time: &KernelTime) -> String {
    let Spread { median, min, max } = time.us;
    let [bytes, bytes_share, flops, flops_share] = rates(bench, time);
    format!(
        "{:<17} {:<15} {:<44} {median:>10.1} µs {:<24} {:>8.2} GB/s {:>4.0} % \
         {:>8.2} GFLOP/s {:>4.0} %\n",
        time.kernel,
        time.operation,
        time.case,
        format!("({min:.1} to {max:.1})"),
        bytes / 1e9,
        bytes_share * 100.0,
        flops / 1e9,
        flops_share * 100.0
    )
}

fn object(bench: &KernelBench, time: &KernelTime) -> Value {
    let Spread { median, min, max } = time.us;
    let [bytes, bytes_share, flops, flops_share] = rates(bench, time);
    json!({
        "kernel": time.kernel,
        "operation": time.operation,
        "case": time.case,
        "us": {"median": finite(median), "min": finite(min), "max": finite(max)},
        "bytes": time.bytes,
        "bytes_per_s": bytes,
        "bandwidth_share": bytes_share,
        "flops": time.flops,
        "flops_per_s": flops,
        "flops_share": flops_share,
    })
}
