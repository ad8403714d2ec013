//! The built binary with a tiny model: wrong files, wrong requests, devices, small flags.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::tiny::{Tiny, VOCAB};
use common::{Temp, has_keys, home, object, run, run_model, run_with, tiny_file, wisp};
use serde_json::{Value, json};

#[test]
fn embedding_wants_an_encoder() {
    let file = tiny_file();
    let run = run_model(&["embed", file.path(), "--json"]);
    assert!(run.sentence().contains("the model is a decoder (llama)"), "{}", run.sentence());
}

#[test]
fn a_wrong_model_is_one_sentence_that_names_file_and_fault() {
    let good = Tiny::new();
    let bytes = good.bytes();
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (bytes[..bytes.len() - 100].to_vec(), "truncated"),
        (bytes[..1000].to_vec(), "truncated"),
        (
            good.clone().with("general.architecture", "mamba").bytes(),
            "unsupported architecture \"mamba\"; this version runs llama",
        ),
        (
            good.clone().without("general.architecture").bytes(),
            "metadata key general.architecture is missing",
        ),
        (
            good.clone().without("llama.block_count").bytes(),
            "metadata key llama.block_count is missing",
        ),
        (
            good.clone().with("llama.block_count", "two").bytes(),
            "metadata key llama.block_count is \"two\" (string), but must be",
        ),
        (
            good.clone().without_tensor("blk.1.ffn_up.weight").bytes(),
            "no tensor blk.1.ffn_up.weight, which its family needs",
        ),
        (
            good.clone().without_tensor("token_embd.weight").bytes(),
            "no tensor token_embd.weight, which its family needs",
        ),
        (
            good.clone().with_tensor("blk.0.attn_q.bias", &[64]).bytes(),
            "no tensor blk.0.attn_k.bias, which its family needs",
        ),
        (
            good.clone().with_tensor("blk.0.attn_q.weight", &[64, 32]).bytes(),
            "tensor blk.0.attn_q.weight has 32 rows of 64, but by the metadata it has 64 of 64",
        ),
        (
            good.clone().without("llama.attention.layer_norm_rms_epsilon").bytes(),
            "metadata key llama.attention.layer_norm_rms_epsilon is missing",
        ),
        (
            good.clone()
                .with("llama.attention.head_count_kv", wisp_formats::Array::U32(vec![2, 4]))
                .bytes(),
            "tensor blk.1.attn_k.weight has 32 rows of 64, but by the metadata it has 64 of 64",
        ),
        (
            good.clone()
                .with("llama.attention.head_count", wisp_formats::Array::U32(vec![4, 2]))
                .bytes(),
            "llama.attention.head_count differs from layer to layer",
        ),
        (
            good.clone().with("llama.attention.head_count_kv", 3u32).bytes(),
            "4 query heads cannot share 3 kv heads",
        ),
        (good.clone().with("llama.attention.head_count", 0u32).bytes(), "must be above 0"),
        (good.clone().with("llama.feed_forward_length", 0u32).bytes(), "in the metadata is 0"),
        (good.clone().with("llama.block_count", 4_000_000_000u32).bytes(), "4000000000 blocks"),
        (
            good.clone().with("llama.expert_count", 8u32).bytes(),
            "llama.expert_used_count is missing",
        ),
        (
            good.clone().with("llama.rope.scaling.type", "yarn").bytes(),
            "llama.rope.scaling.original_context_length is missing",
        ),
        (
            good.clone().with("llama.rope.dimension_count", 18u32).bytes(),
            "18 of 16 numbers of a head are said to turn",
        ),
        (
            good.clone().with("llama.attention.layer_norm_rms_epsilon", f32::NAN).bytes(),
            "is NaN (f32), but must be a finite floating-point number",
        ),
        (
            good.clone().with("llama.rope.freq_base", -1.0).bytes(),
            "a RoPE setting is out of its range",
        ),
        (
            good.clone().with_tensor("rope_freqs.weight", &[5]).bytes(),
            "rope_freqs.weight has 5 numbers, but 8 pairs turn",
        ),
    ];
    for (bytes, part) in cases {
        let file = Temp::new("wrong.gguf", bytes);
        let run = run_model(&["generate", file.path(), "--tokens", "1,2", "--json"]);
        let sentence = run.sentence();
        assert!(sentence.contains(part), "{part}: {sentence}");
        assert!(sentence.contains("wrong.gguf"), "{sentence}");
        assert_eq!((run.status, run.stdout.as_str()), (1, ""), "{part}");
    }
}

#[test]
fn a_wrong_tokenizer_spoils_only_what_needs_it() {
    for (model, part) in [
        (Tiny::new().with("tokenizer.ggml.model", "rwkv"), "of the kind 'rwkv'"),
        (Tiny::new().with("tokenizer.ggml.pre", "new-one"), "pre-tokenizer 'new-one'"),
        (Tiny::new().without("tokenizer."), "tokenizer.ggml.model is missing"),
        (Tiny::new().with("tokenizer.ggml.eos_token_id", "</s>"), "eos_token_id is \"</s>\""),
    ] {
        let file = Temp::new("odd.gguf", model.bytes());
        let ids = run_model(&[
            "generate",
            file.path(),
            "--tokens",
            "1,2",
            "--max-tokens",
            "3",
            "--json",
            "--ctx",
            "64",
        ]);
        assert_eq!(object(&ids, &KEYS)["text"], "", "{part}");
        for args in [
            &["generate", file.path(), "--prompt", "a", "--json", "--ctx", "64"][..],
            &["generate", file.path(), "--tokens", "1", "--stop", "a", "--ctx", "64"],
            &["tokenize", file.path(), "--json"],
            &["detokenize", file.path(), "--tokens", "1"],
            &["chat", file.path(), "hi", "--ctx", "64"],
        ] {
            let run = run_model(args);
            assert!(run.sentence().contains(part), "{args:?}: {}", run.sentence());
            assert_eq!(run.stdout, "");
        }
    }
}

const KEYS: [&str; 5] = ["prompt_tokens", "tokens", "text", "finish_reason", "timings"];

#[test]
fn a_model_without_a_template_continues_a_dialogue() {
    let file = Temp::new("base.gguf", Tiny::new().without("tokenizer.chat_template").bytes());
    let messages = Temp::new("chat.json", "[{\"role\":\"user\",\"content\":\"hi\"}]");
    for args in [
        &["chat", file.path(), "hi", "--ctx", "256", "--max-tokens", "1"][..],
        &["generate", file.path(), "--chat-file", messages.path(), "--ctx", "256"],
    ] {
        let run = run_model(args);
        run.ok();
        assert!(run.stderr.contains("the model has no chat template"), "{}", run.stderr);
    }
}

#[test]
fn a_template_that_is_no_use_is_one_sentence() {
    for (model, part) in [
        (Tiny::new().with("tokenizer.chat_template", "{% if %}"), "chat template"),
        (
            Tiny::new().with("tokenizer.chat_template", "{{ raise_exception('no system') }}"),
            "refuses these messages: no system",
        ),
    ] {
        let file = Temp::new("plain.gguf", model.bytes());
        let messages = Temp::new("chat.json", "[{\"role\":\"user\",\"content\":\"hi\"}]");
        for args in [
            &["chat", file.path(), "hi", "--ctx", "64"][..],
            &["generate", file.path(), "--chat-file", messages.path(), "--ctx", "64"],
        ] {
            let run = run_model(args);
            assert!(run.sentence().contains(part), "{args:?}: {}", run.sentence());
            assert_eq!((run.status, run.stdout.as_str()), (1, ""));
        }
    }
}

#[test]
fn wrong_requests_are_one_sentence() {
    let file = tiny_file();
    let path = file.path();
    let (short, long) = (Temp::new("t.json", "[1,2,999]"), vec!["7"; 65].join(","));
    let (wide, empty) = (Temp::new("w.json", format!("[{long},1]")), Temp::new("e.txt", ""));
    let folder = tempfile::tempdir().unwrap();
    let (folder, out) = (folder.path().to_str().unwrap(), folder.path().join("no/o.npy"));
    let out = out.to_str().unwrap();
    for (args, part) in [
        (
            &["generate", path, "--tokens", "1,265"][..],
            "token 265 is not in the model's vocabulary, which has 265",
        ),
        (&["generate", path, "--tokens", &long], "the prompt has 65 tokens, but the context is 64"),
        (&["generate", path, "--prompt", ""], "the prompt has no tokens"),
        (&["generate", path, "--prompt-file", empty.path()], "the prompt has no tokens"),
        (&["generate", path, "--prompt-file", folder], "cannot read "),
        (
            &["generate", path, "--tokens", "1", "--logit-bias", "265=1"],
            "logit_bias names token 265",
        ),
        (
            &["generate", path, "--tokens", "1", "--top-p", "2"],
            "top_p is 2; it must be from 0 to 1",
        ),
        (&["generate", path, "--tokens", "1", "--min-p=-1"], "min_p is -1; it must be from 0 to 1"),
        (
            &["generate", path, "--tokens", "1", "--repeat-penalty", "0"],
            "must be above 0 (1 is off)",
        ),
        (
            &["generate", path, "--tokens", "1", "--presence-penalty", "1e9"],
            "presence_penalty is 1000000000",
        ),
        (&["generate", path, "--tokens", "1", "--kv", "q4_0"], "but heads have 16: give --kv f16"),
        (
            &["chat", path, "hello", "--kv", "q8_0"],
            "a KV cache of q8_0 stores 32 numbers together, but heads have 16",
        ),
        (&["logits", path, "--tokens", "265", "--out", "o.npy"], "token 265 is not in"),
        (&["logits", path, "--tokens", &long, "--out", "o.npy"], "the context is 64"),
        (&["logits", path, "--tokens", "1", "--out", folder], "is a folder: give a file's name"),
        (&["logits", path, "--tokens", "1", "--out", out], "cannot write "),
        (&["detokenize", path, "--tokens", "265"], "token 265 is not in"),
        (&["perplexity", path, "--tokens-file", short.path()], "token 999 is not in"),
        (
            &["perplexity", path, "--tokens-file", wide.path(), "--stride", "64"],
            "--stride is 64, but the context has 64 tokens: give a smaller one",
        ),
        (
            &["perplexity", path, "--text-file", empty.path()],
            "needs at least 2 tokens, but there are 0",
        ),
        (
            &["bench", path, "--prompt-tokens", "60", "--generate", "5"],
            "exceed the context of 64: give a larger --ctx",
        ),
        (&["bench", path, "--generate", "1"], "2 tokens to generate"),
        (&["chat", path, " "], "the prompt is empty"),
    ] {
        let run = run_model(&[args, &["--ctx", "64"]].concat());
        assert!(run.sentence().contains(part), "{args:?}: {}", run.sentence());
        assert!(!run.sentence().contains("rope_append"), "{args:?}: {}", run.sentence());
        assert_eq!((run.status, run.stdout.as_str()), (1, ""), "{args:?}");
    }
}

/// The tokens' NLL as `wisp perplexity` gives it.
fn nll(path: &str, tokens: &[u32], more: &[&str]) -> Vec<f64> {
    let file = Temp::new("t.json", json!(tokens).to_string());
    let args = ["perplexity", path, "--tokens-file", file.path(), "--json", "--caps", "f16=off"];
    let run = run_model(&[&args[..], &["--ctx", "64"], more].concat());
    let value = object(&run, &["nll", "mean_nll", "perplexity"]);
    value["nll"].as_array().unwrap().iter().map(|one| one.as_f64().unwrap()).collect()
}

#[test]
fn a_text_longer_than_the_context_is_read_in_windows() {
    let file = tiny_file();
    let path = file.path();
    let tokens: Vec<u32> = (0..150u32).map(|i| (i * i + 7 * i) % 251).collect();
    // The last token is not read.
    assert_eq!(nll(path, &tokens[..65], &[]).len(), 64);
    for (more, starts) in [(&[][..], &[0, 32, 64, 96][..]), (&["--stride", "50"], &[0, 50, 100])] {
        let all = nll(path, &tokens, more);
        // Each window by itself: of what it predicts the end counts, which is new.
        let mut want = Vec::new();
        for start in starts {
            let own = nll(path, &tokens[*start..150.min(start + 64)], &[]);
            let new = start + own.len() - want.len();
            want.extend_from_slice(&own[own.len() - new..]);
        }
        assert_eq!((all.len(), want.len()), (149, 149));
        for (index, (one, want)) in all.iter().zip(&want).enumerate() {
            assert!((one - want).abs() < 1e-5, "{index}: {one}, not {want}");
        }
    }
}

#[test]
fn json_may_begin_with_a_byte_order_mark() {
    let file = tiny_file();
    let path = file.path();
    let chat = Temp::new("c.json", "\u{feff}[{\"role\":\"user\",\"content\":\"a\"}]");
    let run =
        run_model(&["generate", path, "--chat-file", chat.path(), "--max-tokens", "0", "--json"]);
    let value: Value = serde_json::from_str(run.ok()).unwrap();
    assert!(value["prompt_tokens"].as_array().unwrap().len() > 10);
    let ids = Temp::new("t.json", "\u{feff}[1,2,3]");
    run_model(&["perplexity", path, "--tokens-file", ids.path()]).ok();
    let mut lines = wisp(&home());
    let run = run_with(lines.args(["tokenize", path, "--lines"]), "\u{feff}\"a\"\n\"b\"\n");
    assert_eq!(run.ok(), "{\"tokens\":[97]}\n{\"tokens\":[98]}\n");
    let wide = Temp::new("w.json", b"\xff\xfe[\0");
    let run = run_model(&["generate", path, "--chat-file", wide.path()]);
    assert!(run.sentence().contains("it is UTF-16: save it as UTF-8"), "{}", run.sentence());
}

#[test]
fn minus_one_is_what_llama_cpp_means_by_it() {
    let file = tiny_file();
    let args =
        ["generate", file.path(), "--tokens", "1,2", "--json", "--ctx", "64", "--ignore-eos"];
    let tokens = |more: &[&str]| {
        let run = run_model(&[&args[..], more].concat());
        let value: Value = serde_json::from_str(run.ok()).unwrap();
        assert_eq!(value["finish_reason"], "length");
        value["tokens"].as_array().unwrap().clone()
    };
    assert!(tokens(&["--max-tokens", "-1"]).len() >= 62);
    assert_eq!(tokens(&["--max-tokens", "0"]).len(), 0);
    let drawn = || tokens(&["--max-tokens", "20", "--temp", "1", "--seed", "-1"]);
    assert_ne!(drawn(), drawn());
}

#[test]
fn a_bench_of_a_shape_needs_no_file() {
    let drawing = Temp::new("roofline.svg", "");
    let args = ["bench", "--shape", "smollm2-135m", "--type", "q8_0", "--prompt-tokens", "5"];
    let more = ["--generate", "2", "--repeat", "1", "--prefill", "9", "--depth", "40", "--batch"];
    let end = ["1,3", "--ops", "--roofline", drawing.path(), "--json"];
    let run = run_model(&[&args[..], &more, &end].concat());
    let value = serde_json::from_str::<serde_json::Value>(run.ok()).unwrap();
    assert_eq!(value["model"], "smollm2-135m q8_0 (random weights)");
    // Matrices in Q8_0, a byte and a sixteenth a weight, are read once a token.
    let bytes = value["decode"]["bytes_per_token"].as_u64().unwrap();
    assert!((142_000_000..152_000_000).contains(&bytes), "{bytes}");
    let sweep = value["sweep"].as_array().unwrap();
    assert_eq!(sweep[0]["prefill"], 9);
    assert_eq!(sweep[2]["decode"], serde_json::json!({"depth": 40, "batch": 3}));
    assert!(sweep.iter().all(|point| point["tokens_per_s"]["median"].as_f64().unwrap() > 0.0));
    has_keys(&value["limits"], &["copy_bytes_per_s", "flops_per_s"]);
    let svg = std::fs::read_to_string(drawing.path()).unwrap();
    assert!(svg.starts_with("<svg") && svg.contains("linear_gated"), "{svg}");
}

#[test]
fn a_context_that_does_not_fit_is_refused_with_numbers() {
    let file = tiny_file();
    let run = run_model(&["generate", file.path(), "--tokens", "1", "--ctx", "900000000"]);
    let sentence = run.sentence();
    for part in
        [" MB of weights, ", " MB of KV cache for 900000000 tokens", " MB in all", "give --ctx "]
    {
        assert!(sentence.contains(part), "{part}: {sentence}");
    }
    let noted = run_model(&[
        "generate",
        file.path(),
        "--tokens",
        "1",
        "--max-tokens",
        "1",
        "--ctx",
        "3000",
    ]);
    noted.ok();
    assert!(noted.stderr.contains("trained for 2048 tokens of context"), "{}", noted.stderr);
}

#[test]
fn devices_are_listed_checked_and_chosen() {
    let listed = run_model(&["devices", "--json"]);
    let value = object(&listed, &["devices"]);
    assert_eq!(listed.stderr, "");
    let devices = value["devices"].as_array().unwrap();
    assert!(!devices.is_empty());
    let keys = [
        "index",
        "name",
        "backend",
        "driver",
        "kind",
        "features",
        "limits",
        "copy_gb_per_s",
        "shader_compiler",
        "checks",
    ];
    for (index, device) in devices.iter().enumerate() {
        has_keys(device, &keys);
        assert_eq!(device["index"], index);
        assert!(device["copy_gb_per_s"].as_f64().unwrap() > 0.0);
        assert!(device["features"]["f16"].is_boolean());
        assert!(device["limits"]["max_binding"].as_u64().unwrap() >= 128 << 20);
        assert_eq!(device["checks"], json!([]));
    }
    let name = devices[0]["name"].as_str().unwrap();
    assert!(run_model(&["devices"]).ok().contains(name));

    // The variant that every adapter has; `ops/tests` compares all of them.
    let caps = ["--caps", "subgroups=off,f16=off,dot=off", "--device", "0"];
    let checked = run_model(&[&["devices", "--check", "--json"], &caps[..]].concat());
    let value = object(&checked, &["devices"]);
    let checks = value["devices"][0]["checks"].as_array().unwrap();
    assert!(checks.len() > 20);
    for check in checks {
        has_keys(check, &["case", "variant", "error", "bound", "passed"]);
        assert_eq!((&check["passed"], &check["variant"]), (&json!(true), &json!("workgroup f32")));
        assert!(check["error"].as_f64() <= check["bound"].as_f64());
    }
    for op in ["embed", "linear", "rms_norm", "rope_append", "attention", "sample"] {
        let is_there = |check: &Value| check["case"].as_str().unwrap().starts_with(op);
        assert!(checks.iter().any(is_there), "no case of {op}");
    }

    let args = ["devices", "--bench", "--filter", "rms", "--samples", "3"];
    let measured = run_model(&[&args[..], &["--json"]].concat());
    let keys = ["device", "copy_bytes_per_s", "flops_per_s", "timestamps", "kernels"];
    let value = object(&measured, &keys);
    let kernels = value["kernels"].as_array().unwrap();
    assert_eq!(kernels.len(), 2);
    for kernel in kernels {
        assert_eq!(kernel["kernel"], "rms_norm");
        for number in ["bytes_per_s", "bandwidth_share", "flops_per_s", "flops_share"] {
            assert!(kernel[number].as_f64().unwrap() > 0.0, "{number}: {kernel}");
        }
        let us = |which: &str| kernel["us"][which].as_f64().unwrap();
        assert!(0.0 < us("min") && us("min") <= us("median") && us("median") <= us("max"));
    }
    let printed = run_model(&args);
    let printed = printed.ok();
    assert_eq!(printed.lines().filter(|line| line.starts_with("rms_norm")).count(), 2);
    assert!(!printed.contains("NaN") && !printed.contains("inf"), "{printed}");
    let none = run_model(&["devices", "--bench", "--filter", "nothing like it"]);
    assert!(none.sentence().contains("\"nothing like it\""));

    let file = tiny_file();
    let generate = |device: &str| {
        run_model(&[
            "generate",
            file.path(),
            "--tokens",
            "1",
            "--max-tokens",
            "2",
            "--json",
            "--ctx",
            "64",
            "--device",
            device,
        ])
    };
    let part: String = name.chars().take(5).collect();
    assert_eq!(object(&generate(&part.to_uppercase()), &KEYS)["finish_reason"], "length");
    for wrong in ["99", "no such GPU"] {
        let run = generate(wrong);
        let want = format!("--device {wrong}: no such adapter; there is 0 ({name})");
        assert!(run.sentence().starts_with(&want), "{}", run.sentence());
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_machine_without_a_driver_is_told_what_to_install() {
    let file = tiny_file();
    for args in [
        &["devices", "--json"][..],
        &["generate", file.path(), "--tokens", "1", "--json"],
        &["bench", file.path(), "--json"],
    ] {
        let mut command = wisp(&home());
        let none = "no-such-driver.json";
        command.args(args).env("VK_DRIVER_FILES", none).env("VK_ICD_FILENAMES", none);
        let run = run(&mut command);
        assert!(run.sentence().starts_with("no GPU driver was found: install one"), "{args:?}");
        assert_eq!(run.stdout, "");
    }
    // What needs no device works.
    let mut command = wisp(&home());
    command.args(["tokenize", file.path(), "--json"]).env("VK_DRIVER_FILES", "no-such-driver.json");
    assert_eq!(run_with(&mut command, "ab").ok(), "{\"tokens\":[256]}\n");
}

#[test]
fn tokenizing_follows_metadata_and_flags() {
    let (bos, eos) = ("tokenizer.ggml.add_bos_token", "tokenizer.ggml.add_eos_token");
    let file = Temp::new("both.gguf", Tiny::new().with(bos, true).with(eos, true).bytes());
    let path = file.path();
    let tokenize = |more: &[&str], text: &[u8]| {
        let run = run_with(wisp(&home()).args(["tokenize", path]).args(more), text);
        assert_eq!(run.stderr, "");
        run.ok().to_owned()
    };
    let json = |more: &[&str], text: &[u8]| {
        let out = tokenize(&[&["--json"], more].concat(), text);
        serde_json::from_str::<Value>(&out).unwrap()["tokens"].clone()
    };
    let x = u32::from(b'x');
    assert_eq!(json(&[], b"abc a"), json!([260, 257, 258, 261]));
    assert_eq!(json(&["--no-special"], b"abc a"), json!([257, 258]));
    assert_eq!(json(&[], b""), json!([260, 261]));
    assert_eq!(json(&["--no-special"], b""), json!([]));
    // User-defined tokens always, control tokens when asked for.
    let control = json(&["--no-special"], b"x<|pad|>");
    assert_eq!(control.as_array().unwrap().len(), 8);
    assert_eq!(json(&["--no-special", "--parse-special"], b"x<|pad|><tool>"), json!([x, 263, 262]));
    assert_eq!(json(&["--no-special"], b"x<tool>x"), json!([x, 262, x]));
    // Byte for byte: a line break at the end, bytes that are no text.
    assert_eq!(json(&["--no-special"], b"x\n"), json!([x, 10]));
    assert_eq!(json(&["--no-special"], b"x\xff\x00"), json!([x, 255, 0]));
    assert_eq!(tokenize(&["--no-special"], b"abx"), "256,120\n");
    let lines = tokenize(&["--lines", "--json", "--no-special"], b"\"ab\"\n\"<tool>\\u0000\"");
    assert_eq!(lines, "{\"tokens\":[256]}\n{\"tokens\":[262,0]}\n");
    let run = run_with(wisp(&home()).args(["tokenize", path, "--lines"]), "\"a\"\nb\n");
    assert_eq!(run.status, 1);
    assert!(run.stderr.contains("line 2 of stdin is not a JSON string"), "{}", run.stderr);

    // A prompt has the same tokens, with special text recognised.
    let args = ["generate", path, "--max-tokens", "0", "--json", "--ctx", "64", "--prompt"];
    let prompt = object(&run_model(&[&args[..], &["abc<|pad|>"]].concat()), &KEYS);
    assert_eq!(prompt["prompt_tokens"], json!([260, 257, 263, 261]));
    let ids = ["generate", path, "--max-tokens", "0", "--json", "--tokens", "1,2"];
    assert_eq!(object(&run_model(&ids), &KEYS)["prompt_tokens"], json!([1, 2]));

    let back = run_model(&["detokenize", path, "--tokens", "260,257,262,263,258"]);
    assert_eq!(back.ok(), "<s>abc<tool><|pad|> a");
    let back = run_model(&["detokenize", path, "--no-special", "--tokens", "260,257,262,263,258"]);
    assert_eq!(back.ok(), "abc<tool> a");
}

#[test]
fn results_can_go_to_a_pipe_that_closes_or_a_disk_that_is_full() {
    let file = tiny_file();
    let args = ["generate", file.path(), "--tokens", "1", "--ctx", "64", "--json"];
    if cfg!(target_os = "linux") {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = wisp(&home()).args(args).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.starts_with("wisp: cannot write to stdout: "), "{said}");
        assert_eq!(said.lines().count(), 1);
    }
    let mut command = wisp(&home());
    command.args(["generate", file.path(), "--tokens", "1", "--ctx", "2000", "--ignore-eos"]);
    command.args(["--max-tokens", "2000"]);
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
}

#[test]
fn paths_may_be_relative_and_the_cache_of_any_type() {
    let file = tiny_file();
    let folder = std::path::Path::new(file.path()).parent().unwrap();
    for kv in ["f32", "f16"] {
        let mut command = wisp(&home());
        command.current_dir(folder);
        command.args(["logits", "tiny.gguf", "--tokens", "1,2,3", "--out", "o.npy", "--kv", kv]);
        assert_eq!(run(command.args(["--ctx", "64"])).ok(), "");
        let length = std::fs::metadata(folder.join("o.npy")).unwrap().len();
        assert_eq!(length, 128 + 4 * u64::from(VOCAB), "{kv}");
        let inspect = ["inspect", "tiny.gguf", "--json", "--kv", kv, "--ctx", "64"];
        let value: Value = {
            let mut command = wisp(&home());
            serde_json::from_str(run(command.current_dir(folder).args(inspect)).ok()).unwrap()
        };
        let bytes = if kv == "f32" { 4 } else { 2 };
        assert_eq!(value["memory"]["kv"], 64 * 2 * 2 * 2 * 16 * bytes);
    }
}
