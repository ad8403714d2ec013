//! The built binary with SmolLM2: each row of the command line's contract that needs a real
//! model, beside golden data from PyTorch.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Temp, has_keys, home, list, object, run, run_model, run_with, smollm2, wisp};
use serde_json::{Value, json};
use std::path::PathBuf;

/// `prompts` of the golden file, by name.
fn golden(name: &str) -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/smollm2");
    let text = std::fs::read_to_string(path.join("golden.json")).unwrap();
    let all: Value = serde_json::from_str(&text).unwrap();
    let prompts = all["prompts"].as_array().unwrap();
    prompts.iter().find(|prompt| prompt["name"] == name).unwrap().clone()
}

fn ids(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

const GENERATED: [&str; 5] = ["prompt_tokens", "tokens", "text", "finish_reason", "timings"];
const TIMINGS: [&str; 4] = ["load_ms", "prefill_ms", "prefill_tokens_per_s", "decode_tokens_per_s"];

/// 48 greedy tokens are PyTorch's, up to a step that was nearly tied.
fn greedy_is_pytorchs(name: &str, input: &[&str], caps: &str, by_environment: bool) {
    let Some(model) = smollm2() else { return };
    let golden = golden(name);
    let mut command = wisp(&home());
    command.args(["generate", &model, "--max-tokens", "48", "--ignore-eos", "--json"]);
    command.args(["--verbose", "--ctx", "512"]).args(input);
    match by_environment {
        true => command.env("WISP_CAPS", caps),
        false => command.args(["--caps", caps]),
    };
    let run = run(&mut command);
    let answer = object(&run, &GENERATED);
    has_keys(&answer["timings"], &TIMINGS);
    assert!(answer["timings"]["decode_tokens_per_s"].as_f64().unwrap() > 0.0);
    assert_eq!(answer["prompt_tokens"], golden["tokens"]);
    assert_eq!(answer["finish_reason"], "length");
    let (got, want) = (ids(&answer["tokens"]), ids(&golden["greedy_tokens"]));
    assert_eq!(got.len(), 48);
    let f32_only = caps.contains("f16=off");
    // As `tests/golden.rs` has it: f16 may turn steps that are closer than its own error.
    let tie = if f32_only { 0.01 } else { 0.2 };
    let parts = (0..48).find(|at| got[*at] != want[*at]);
    match parts {
        None => assert_eq!(answer["text"], golden["greedy_text"]),
        Some(at) => {
            let margin = floats(&golden["greedy_margins"])[at];
            assert!(margin <= tie, "{name} {caps:?}: token {at}, margin {margin}");
        }
    }
    // The kernels that were asked for.
    if f32_only {
        assert!(run.stderr.contains(" f32)"), "{}", run.stderr);
    }
    if caps.contains("subgroups=off") {
        assert!(run.stderr.contains("(workgroup "), "{}", run.stderr);
    }
}

#[test]
fn generate_agrees_with_the_goldens_on_all_that_the_adapter_has() {
    greedy_is_pytorchs("json", &["--tokens", &list(&ids(&golden("json")["tokens"]))], "", false);
}

#[test]
fn generate_agrees_with_the_goldens_without_f16() {
    let text = golden("story")["text"].as_str().unwrap().to_owned();
    greedy_is_pytorchs("story", &["--prompt", &text], "f16=off", false);
}

#[test]
fn generate_agrees_with_the_goldens_without_subgroups() {
    let text = Temp::new("french.txt", golden("french")["text"].as_str().unwrap());
    greedy_is_pytorchs("french", &["--prompt-file", text.path()], "subgroups=off", true);
}

#[test]
fn generate_agrees_with_the_goldens_with_neither() {
    let messages = Temp::new("chat.json", golden("chat")["messages"].to_string());
    let input = ["--chat-file", messages.path()];
    greedy_is_pytorchs("chat", &input, "subgroups=off,f16=off,dot=off,coop=off", true);
}

#[test]
fn generate_ends_for_each_reason() {
    let Some(model) = smollm2() else { return };
    let text = golden("story")["text"].as_str().unwrap().to_owned();
    let base = ["generate", &model, "--prompt", &text, "--ctx", "256", "--json"];
    let generate = |more: &[&str]| {
        let run = run_model(&[&base[..], more].concat());
        let answer = object(&run, &GENERATED);
        has_keys(&answer["timings"], &TIMINGS);
        assert_eq!(run.stderr, "");
        answer
    };
    let none = generate(&["--max-tokens", "0"]);
    assert_eq!((&none["tokens"], &none["text"]), (&json!([]), &json!("")));
    assert_eq!(none["finish_reason"], "length");
    assert!(none["timings"]["decode_tokens_per_s"].is_null());
    let one = generate(&["--max-tokens", "1"]);
    assert_eq!(one["tokens"], json!([253]));
    assert!(one["timings"]["decode_tokens_per_s"].is_null());
    assert!(one["timings"]["prefill_ms"].as_f64().unwrap() > 0.0);
    let stopped = generate(&["--max-tokens", "20", "--stop", "named Ela", "--stop", "zebra"]);
    assert_eq!(stopped["finish_reason"], "stop");
    assert_eq!(stopped["text"], " a wise and kind woman ");
    let ended = generate(&["--max-tokens", "20", "--logit-bias", "2=1000"]);
    assert_eq!(ended["finish_reason"], "stop");
    assert_eq!((&ended["tokens"], &ended["text"]), (&json!([]), &json!("")));
}

#[test]
fn generate_without_json_prints_the_text_alone() {
    let Some(model) = smollm2() else { return };
    let args = ["generate", &model, "--prompt", "Hello", "--max-tokens", "6", "--ctx", "64"];
    let quiet = run_model(&[&args[..], &["--quiet"]].concat());
    assert_eq!((quiet.ok(), quiet.stderr.as_str()), ("-by-date-but", ""));
    let verbose = run_model(&[&args[..], &["--verbose", "--temp", "0"]].concat());
    assert_eq!(verbose.ok(), "-by-date-but");
    for part in [&model, " loaded in ", "KV cache for 64 tokens", "[6 tokens, ", "; length]"] {
        assert!(verbose.stderr.contains(part), "{part}: {}", verbose.stderr);
    }
    // Drawn, but the same for the same seed.
    let seeded = |seed: &str| {
        let more = ["--temp", "1.5", "--top-k", "500", "--seed", seed, "--quiet"];
        run_model(&[&args[..], &more].concat()).ok().to_owned()
    };
    let one = seeded("1");
    assert_eq!(seeded("1"), one);
    assert_ne!(seeded("2"), one);
}

/// Shape and numbers of a float32 NumPy file, in row order.
fn npy(path: &std::path::Path) -> ((usize, usize), Vec<f32>) {
    let bytes = std::fs::read(path).unwrap();
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\0");
    let start = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = std::str::from_utf8(&bytes[10..start]).unwrap();
    let shape = header
        .strip_prefix("{'descr': '<f4', 'fortran_order': False, 'shape': (")
        .and_then(|rest| rest.split_once("), }"))
        .and_then(|(shape, _)| shape.split_once(", "))
        .unwrap_or_else(|| panic!("{header}"));
    let shape = (shape.0.parse().unwrap(), shape.1.parse().unwrap());
    let numbers = bytes[start..].as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    (shape, numbers)
}

fn relative_l2(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let square = |x: f32| f64::from(x) * f64::from(x);
    let size = b.iter().map(|b| square(*b)).sum::<f64>();
    (a.iter().zip(b).map(|(a, b)| square(a - b)).sum::<f64>() / size).sqrt()
}

#[test]
fn logits_are_a_numpy_file_whatever_the_chunks() {
    let Some(model) = smollm2() else { return };
    let folder = tempfile::tempdir().unwrap();
    let golden = golden("code");
    let tokens = ids(&golden["tokens"]);
    let want = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/golden/smollm2/code.last_logits.npy");
    // One-dimensional, as PyTorch wrote it.
    let want = std::fs::read(want).unwrap();
    let start = 10 + usize::from(u16::from_le_bytes([want[8], want[9]]));
    let want: Vec<f32> =
        want[start..].as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    let vocab = want.len();
    let rows = tokens.len();
    for (name, more, shape) in [
        ("last", &[][..], (1, vocab)),
        ("all", &["--all"], (rows, vocab)),
        ("chunk", &["--chunk", "5"], (1, vocab)),
        ("both", &["--all", "--chunk", "9"], (rows, vocab)),
    ] {
        let path = folder.path().join(name);
        let list = list(&tokens);
        let args = ["logits", &model, "--tokens", &list, "--caps", "f16=off", "--ctx", "64"];
        let out = ["--out", path.to_str().unwrap()];
        let run = run_model(&[&args[..], &out, more].concat());
        assert_eq!((run.ok(), run.stderr.as_str()), ("", ""));
        let (found, numbers) = npy(&path);
        assert_eq!((found, numbers.len()), (shape, shape.0 * shape.1), "{name}");
        let error = relative_l2(&numbers[(shape.0 - 1) * vocab..], &want);
        assert!(error <= 1e-4, "{name}: {error:.1e}");
        if shape.0 > 1 {
            // Not the same row many times.
            assert!(relative_l2(&numbers[..vocab], &want) > 0.1);
        }
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 4);
}

#[test]
fn perplexity_is_pytorchs() {
    let Some(model) = smollm2() else { return };
    for (name, by_text) in [("short", false), ("code", true)] {
        let golden = golden(name);
        let mut tokens = ids(&golden["tokens"]);
        let mut want = floats(&golden["nll"]);
        let file = if by_text {
            want.truncate(tokens.len() - 1);
            Temp::new("text.txt", golden["text"].as_str().unwrap())
        } else {
            tokens.extend(ids(&golden["greedy_tokens"]));
            Temp::new("ids.json", json!(tokens).to_string())
        };
        let flag = if by_text { "--text-file" } else { "--tokens-file" };
        let args = ["perplexity", &model, flag, file.path(), "--caps", "f16=off", "--ctx", "64"];
        let run = run_model(&[&args[..], &["--json"]].concat());
        let answer = object(&run, &["nll", "mean_nll", "perplexity"]);
        let nll = floats(&answer["nll"]);
        assert_eq!(nll.len(), tokens.len() - 1);
        for (at, (nll, want)) in nll.iter().zip(&want).enumerate() {
            assert!((nll - want).abs() <= 1e-4, "{name}, {at}: {nll}, not {want}");
        }
        let mean = nll.iter().sum::<f64>() / nll.len() as f64;
        assert!((answer["mean_nll"].as_f64().unwrap() - mean).abs() < 1e-9);
        assert!((answer["perplexity"].as_f64().unwrap() - mean.exp()).abs() < 1e-9);
    }
}

#[test]
fn tokenize_and_detokenize_are_each_others_inverse() {
    let Some(model) = smollm2() else { return };
    let tokenize = |more: &[&str], text: &str| {
        let run = run_with(wisp(&home()).args(["tokenize", &model, "--json"]).args(more), text);
        ids(&object(&run, &["tokens"])["tokens"])
    };
    for name in ["code", "french", "json", "long"] {
        let golden = golden(name);
        let text = golden["text"].as_str().unwrap();
        let tokens = ids(&golden["tokens"]);
        assert_eq!(tokenize(&[], text), tokens, "{name}");
        let back = run_model(&["detokenize", &model, "--tokens", &list(&tokens)]);
        assert_eq!(back.ok(), text, "{name}");
    }
    // Control tokens: plain text, unless asked for.
    let chat = golden("chat");
    let text = chat["text"].as_str().unwrap();
    assert_eq!(tokenize(&["--parse-special"], text), ids(&chat["tokens"]));
    let plain = tokenize(&[], text);
    assert!(plain.len() > chat["tokens"].as_array().unwrap().len() && !plain.contains(&1));
    let back = run_model(&["detokenize", &model, "--tokens", &list(&plain)]);
    assert_eq!(back.ok(), text);
    // A JSON string a line in, an object a line out.
    let lines = "\"Hello\"\n\"a\\nb\"\n\"\"\n";
    let run = run_with(wisp(&home()).args(["tokenize", &model, "--json", "--lines"]), lines);
    let out: Vec<Value> =
        run.ok().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let want: Vec<Value> =
        ["Hello", "a\nb", ""].iter().map(|text| json!({"tokens": tokenize(&[], text)})).collect();
    assert_eq!(out, want);
}

#[test]
fn inspect_tells_all_of_a_file() {
    let Some(model) = smollm2() else { return };
    let run = run_model(&["inspect", &model, "--ctx", "2048", "--json", "--caps", "f16=off"]);
    let keys = ["path", "version", "metadata", "tensors", "memory", "precisions"];
    let value = object(&run, &keys);
    assert_eq!(run.stderr, "");
    assert_eq!(value["metadata"]["llama.block_count"], 30);
    has_keys(&value["tensors"], &["count", "weights", "bytes", "types"]);
    assert_eq!(value["tensors"]["count"], 272);
    assert_eq!(value["tensors"]["weights"], 134_515_008);
    let types = value["tensors"]["types"].as_array().unwrap();
    let sum = |key: &str| types.iter().map(|kind| kind[key].as_u64().unwrap()).sum::<u64>();
    assert_eq!(sum("count"), 272);
    assert_eq!(value["tensors"]["bytes"], sum("bytes"));
    has_keys(&value["memory"], &["ctx", "weights", "kv", "scratch", "total", "caches"]);
    // 30 layers, keys and values, 3 heads of 64 numbers, f32.
    assert_eq!(value["memory"]["kv"], 2048 * 30 * 2 * 3 * 64 * 4);
    assert_eq!(value["precisions"]["F32"], 4 * 134_515_008);
    let text = run_model(&["inspect", &model, "--kv", "q8_0", "--ctx", "2048"]);
    for part in ["llama.context_length = 8192", "Q4_1", "memory for a context of 2048 tokens"] {
        assert!(text.ok().contains(part), "{part}: {}", text.stdout);
    }
}

#[test]
fn bench_measures_what_the_contract_names() {
    let Some(model) = smollm2() else { return };
    let args = ["bench", &model, "--prompt-tokens", "20", "--generate", "3", "--repeat", "1"];
    let args = [&args[..], &["--json", "--ctx", "2048"]].concat();
    let keys = [
        "device",
        "model",
        "prefill",
        "decode",
        "load_ms",
        "first_token_ms",
        "peak_rss_bytes",
        "ops",
    ];
    // The first load on an adapter checks kernels, which takes memory of its own.
    run_model(&["generate", &model, "--prompt", "a", "--max-tokens", "1", "--ctx", "2048"]).ok();
    let value = object(&run_model(&args), &keys[..7]);
    let decode = [
        "tokens_per_s",
        "dispatches_per_token",
        "bytes_per_token",
        "bandwidth_share",
        "host_us_per_token",
    ];
    has_keys(&value["decode"], &decode);
    has_keys(&value["prefill"], &["tokens_per_s"]);
    for part in ["prefill", "decode"] {
        let rate = &value[part]["tokens_per_s"];
        has_keys(rate, &["median", "min", "max"]);
        assert!(rate["median"].as_f64().unwrap() > 0.0);
        assert!(rate["min"].as_f64() <= rate["max"].as_f64());
    }
    // At most 5 dispatches per layer + 4 per token; every weight is read once.
    assert!(value["decode"]["dispatches_per_token"].as_u64().unwrap() <= 5 * 30 + 4);
    assert!(value["decode"]["bytes_per_token"].as_u64().unwrap() > 90_000_000);
    if cfg!(target_os = "linux") {
        // On a software adapter the device's buffers are in it.
        let peak = value["peak_rss_bytes"].as_u64().unwrap();
        assert!(peak < 450_000_000, "{peak} bytes at a context of 2048");
    }
    let value = object(&run_model(&[&args[..], &["--ops"]].concat()), &keys);
    let ops = value["ops"].as_array().unwrap();
    let calls: u64 = ops.iter().map(|op| op["calls"].as_u64().unwrap()).sum();
    assert_eq!(value["decode"]["dispatches_per_token"], calls);
    let bytes: u64 = ops.iter().map(|op| op["bytes"].as_u64().unwrap()).sum();
    assert_eq!(value["decode"]["bytes_per_token"], bytes);
    for op in ops {
        has_keys(op, &["op", "calls", "gpu_us", "bytes", "flops"]);
        assert!(op["op"].is_string());
    }
    assert!(ops.iter().map(|op| op["gpu_us"].as_f64().unwrap()).sum::<f64>() > 0.0);
}

/// A software adapter's memory is the process's: the system's limit is one for it.
#[test]
#[cfg(target_os = "linux")]
fn memory_that_runs_out_is_one_sentence() {
    let Some(model) = smollm2() else { return };
    let mut command = std::process::Command::new("/bin/sh");
    command.args(["-c", "ulimit -v 1000000 && exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_wisp")]);
    command.args(["generate", &model, "--tokens", "1", "--ctx", "8192", "--kv", "f32"]);
    command.args(["--device", "llvmpipe", "--quiet"]).env("WISP_HOME", home());
    let run = run(&mut command);
    if run.stderr.contains("no such adapter") {
        eprintln!("no lavapipe here: nothing was tested");
        return;
    }
    assert!(
        run.sentence().contains("has no memory left: give a smaller --ctx or close"),
        "{}",
        run.sentence()
    );
    assert_eq!(run.stdout, "");
}

#[test]
fn chat_answers_a_prompt() {
    let Some(model) = smollm2() else { return };
    let prompt = "What is 2+2? Answer with one word.";
    let args = ["chat", &model, prompt, "--temp", "0", "--repeat-penalty", "1", "--ctx", "256"];
    let run = run_model(&[&args[..], &["--max-tokens", "30"]].concat());
    assert!(run.ok().len() > 4 && run.stdout.ends_with('\n') && !run.stdout.contains("<|"));
    assert!(run.stderr.contains(" tokens/s; "), "{}", run.stderr);
    // What `generate --chat-file` says to the same messages.
    let messages = json!([{"role": "user", "content": prompt}]).to_string();
    let file = Temp::new("chat.json", messages);
    let same = ["generate", &model, "--chat-file", file.path(), "--max-tokens", "30"];
    let same = run_model(&[&same[..], &["--quiet", "--ctx", "256"]].concat());
    assert_eq!(run.stdout.trim_end(), same.ok());
}
