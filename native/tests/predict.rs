//! `wisp bench --predict`: for a GPU that is not here, and beside what was measured.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Temp, run_args, run_model};
use serde_json::Value;

fn json(args: &[&str]) -> Value {
    serde_json::from_str(run_model(args).ok()).unwrap()
}

/// Microseconds of all operations, and what JSON says of the whole in milliseconds.
fn times(prediction: &Value) -> (f64, f64) {
    let ops = prediction["ops"].as_array().unwrap();
    let us = ops.iter().map(|op| op["us"].as_f64().unwrap()).sum();
    (us, prediction["ms_per_token"].as_f64().unwrap())
}

#[test]
fn a_gpu_that_is_not_here_is_predicted() {
    let args = ["bench", "--shape", "llama-3.1-8b", "--predict", "--on", "h100"];
    let value = json(&[&args[..], &["--depth", "128,4096", "--json"]].concat());
    assert_eq!(value["model"], "llama-3.1-8b q4_0 (random weights)");
    let predictions = value["predictions"].as_array().unwrap();
    assert_eq!(predictions.len(), 2);
    for (prediction, depth) in predictions.iter().zip([128, 4096]) {
        assert_eq!((&prediction["on"], &prediction["depth"]), (&"H100 SXM".into(), &depth.into()));
        let (us, ms) = times(prediction);
        assert!((us / 1000.0 - ms).abs() < 1e-6 * ms);
        // No faster than the memory, and no slower than a tenth of it.
        let share = prediction["bandwidth_share"].as_f64().unwrap();
        let bytes = prediction["bytes_per_token"].as_f64().unwrap();
        assert!((0.1..0.9).contains(&share), "{share}");
        assert!((bytes / (ms / 1000.0) / 3.35e12 - share).abs() < 1e-9);
        for op in prediction["ops"].as_array().unwrap() {
            for key in ["op", "calls", "us", "bytes", "flops", "bound", "bytes_in_flight"] {
                assert!(!op[key].is_null(), "{key} of {op}");
            }
        }
    }
    assert!(times(&predictions[0]).1 < times(&predictions[1]).1);
    // The flags that say how kernels are linked and what they read count.
    let other =
        |more: &[&str]| json(&[&args[..], more, &["--json"]].concat())["predictions"][0].take();
    let bytes = |more: &[&str]| other(more)["bytes_per_token"].as_u64().unwrap();
    assert!(times(&other(&[])).1 < times(&other(&["--type", "q8_0"])).1);
    assert!(bytes(&["--kv", "f32"]) > bytes(&["--kv", "q8_0"]));
    assert!(times(&other(&["--tune", "attention.splits=1"])).1 != times(&other(&[])).1);
    let text = run_model(&args);
    for part in ["on H100 SXM: predicted, not measured", "at 1024 positions", "MB in flight"] {
        assert!(text.ok().contains(part), "{part}: {}", text.stdout);
    }
}

#[test]
fn what_cannot_be_honoured_is_refused() {
    let on = ["--predict", "--on", "M4"];
    for (args, part) in [
        (&["--on", "M4"][..], "--predict"),
        (&["--predict", "--prefill", "5"], "cannot be used with"),
        (&["--predict", "--batch", "2"], "cannot be used with"),
        (&[&on[..], &["--ops"]].concat(), "cannot be used with"),
        (&[&on[..], &["--repeat", "2"]].concat(), "cannot be used with"),
        (&[&on[..], &["--prompt-tokens", "2"]].concat(), "cannot be used with"),
        (&[&on[..], &["--generate", "2"]].concat(), "cannot be used with"),
        (
            &["--predict", "--on", "RTX"],
            "no GPU \"RTX\" is described here; there are H100 SXM, A100 80GB, RTX 5090, RTX 4090, \
             RX 7900 XTX, RTX 3090, RX 9070 XT, Arc A770, M2 Max, M4",
        ),
    ] {
        let run = run_args(&[&["bench"], args].concat());
        assert!(run.sentence().contains(part), "{args:?}: {}", run.sentence());
        assert_eq!((run.status, run.stdout.as_str()), (2, ""), "{args:?}");
    }
    let shape = [&["bench", "--shape", "smollm2-135m"], &on[..]].concat();
    for (args, part) in [
        (&["--device", "0"][..], "leave out --device"),
        (&["--ctx", "64", "--depth", "64"], "give a larger --ctx"),
        (&["--tune", "rows=2"], "there is no parameter rows"),
    ] {
        let run = run_args(&[&shape, args].concat());
        assert!(run.sentence().contains(part), "{args:?}: {}", run.sentence());
        assert_eq!((run.status, run.stdout.as_str()), (1, ""), "{args:?}");
    }
    let file = Temp::new("no.gguf", "GGUF");
    let run = run_args(&[&["bench", file.path()], &on[..]].concat());
    assert!(run.sentence().contains("no.gguf"), "{}", run.sentence());
}

#[test]
fn a_prediction_stands_beside_what_was_measured() {
    let args = ["bench", "--shape", "smollm2-135m", "--type", "q8_0", "--predict", "--depth", "64"];
    let sizes = ["--prompt-tokens", "16", "--generate", "4", "--repeat", "1"];
    let value = json(&[&args[..], &sizes, &["--json"]].concat());
    let predictions = value["predictions"].as_array().unwrap();
    let depths: Vec<_> = predictions.iter().map(|made| made["depth"].as_u64().unwrap()).collect();
    // In the middle of the steps that were measured.
    assert_eq!(depths, [18, 66]);
    let measured = 1000.0 / value["decode"]["tokens_per_s"]["median"].as_f64().unwrap();
    let (_, ms) = times(&predictions[0]);
    // Other tests run beside this one: by hand it is within 30 %.
    assert!((0.1..10.0).contains(&(ms / measured)), "{ms} ms predicted, {measured} measured");
    let measured = value["ops"].as_array().unwrap();
    let predicted = predictions[0]["ops"].as_array().unwrap();
    let names = |ops: &[Value]| ops.iter().map(|op| op["op"].clone()).collect::<Vec<_>>();
    if !measured.is_empty() {
        assert_eq!(names(measured), names(predicted));
    }
    for (measured, predicted) in measured.iter().zip(predicted) {
        for key in ["calls", "bytes", "flops"] {
            assert_eq!(measured[key], predicted[key], "{key} of {measured}");
        }
    }
}
