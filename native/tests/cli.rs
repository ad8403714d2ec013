//! Wrong arguments and wrong files: one sentence, and a status that says so.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{run, run_args, wisp};

#[test]
fn usage_errors_are_one_sentence_with_status_2() {
    for (args, part) in [
        (&["frobnicate"][..], "unrecognized subcommand 'frobnicate'"),
        (&[], "no command is given; see `wisp --help`"),
        (&["generate"], "the following required arguments were not provided"),
        (&["generate", "m.gguf", "--tokens", "1", "--prompt", "a"], "cannot be used with"),
        (&["generate", "m.gguf", "--tokens", "1,x"], "`x` is not a token id"),
        (&["generate", "m.gguf", "--tokens", "1,-5"], "`-5` is not a token id"),
        (&["generate", "m.gguf", "--tokens", ""], "no token ids are given"),
        (&["generate", "m.gguf", "--tokens", "1", "--max-tokens", "-2"], "from 0 on, or -1"),
        (&["generate", "m.gguf", "--tokens", "1", "--seed", "-2"], "-1 for a random seed"),
        (&["perplexity", "m.gguf", "--tokens-file", "t", "--stride", "0"], "from 1 on"),
        (&["generate", "m.gguf", "--tokens", "1", "--logit-bias", "7"], "like 42=-1.5"),
        (&["generate", "m.gguf", "--tokens", "1", "--stop", ""], "it is empty"),
        (&["models", "--device", ""], "it is empty"),
        (&["logits", "m.gguf", "--tokens", "1", "--out", "o", "--chunk", "0"], "from 1 on"),
        (&["models", "--caps", "f16=maybe"], "`f16=maybe` is not one of subgroups=off"),
        (&["models", "--caps", "warp=off"], "`warp=off` is not one of subgroups=off"),
        (&["models", "--kv", "f64"], "give one of f32, f16, q8_0, q4_0"),
        (&["models", "--ctx", "many"], "a whole number from 1 on"),
        (&["models", "--quiet", "--verbose"], "cannot be used with"),
        (&["tokenizer"], "no command is given"),
        (&["tokenizer", "train", "t.txt"], "--vocab <N>"),
        (&["tokenizer", "train", "t.txt", "--vocab", "0"], "from 1 on"),
        (&["perplexity", "m.gguf"], "--tokens-file <FILE>|--text-file <FILE>"),
    ] {
        let run = run_args(args);
        assert!(run.sentence().contains(part), "{args:?}: {}", run.sentence());
        assert_eq!((run.status, run.stdout.as_str()), (2, ""), "{args:?}");
        assert!(run.sentence().contains("see `wisp "), "{args:?}");
    }
}

#[test]
fn capabilities_in_the_environment_are_checked_too() {
    let home = tempfile::tempdir().unwrap();
    let run = run(wisp(home.path()).arg("models").env("WISP_CAPS", "f16=no"));
    assert!(run.sentence().contains("`f16=no` is not one of"), "{}", run.sentence());
}

#[test]
fn a_file_that_is_not_there_is_named_by_every_command() {
    for args in [
        &["chat", "no/such.gguf", "hi"][..],
        &["generate", "no/such.gguf", "--tokens", "1", "--json"],
        &["logits", "no/such.gguf", "--tokens", "1", "--out", "o.npy"],
        &["tokenize", "no/such.gguf", "--json"],
        &["detokenize", "no/such.gguf", "--tokens", "1"],
        &["inspect", "no/such.gguf"],
        &["bench", "no/such.gguf"],
    ] {
        let run = run_args(args);
        assert!(run.sentence().starts_with("there is no file no/such.gguf: "), "{args:?}");
        assert_eq!((run.status, run.stdout.as_str()), (1, ""), "{args:?}");
    }
}

#[test]
fn garbage_is_no_model() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in [
        ("empty.gguf", &b""[..]),
        ("text.gguf", b"<!doctype html>"),
        ("short.gguf", b"GGUF\x03\x00"),
        ("huge.gguf", b"GGUF\x03\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\x7f\x01\0\0\0\0\0\0\0"),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let path = path.to_str().unwrap();
        for args in [
            &["inspect", path, "--json"][..],
            &["tokenize", path, "--json"],
            &["generate", path, "--tokens", "1,2,3", "--json"],
        ] {
            let run = run_args(args);
            assert!(run.sentence().contains(name), "{args:?}: {}", run.sentence());
            assert_eq!(run.stdout, "");
        }
    }
}

#[test]
fn folders_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let plain = run_args(&["inspect", path]);
    assert!(plain.sentence().contains("there is no config.json: give a .gguf file, or a folder"));
    let config = folder.path().join("config.json");
    std::fs::write(&config, r#"{"architectures": ["OtherForCausalLM"]}"#).unwrap();
    let other = run_args(&["inspect", path]);
    assert!(other.sentence().contains("of the kind OtherForCausalLM, which this version"));
    std::fs::write(&config, r#"{"model_type": "llama", "hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1,
            "intermediate_size": 8, "max_position_embeddings": 64, "rms_norm_eps": 1e-5,
            "vocab_size": 9}"#).unwrap();
    let empty = run_args(&["inspect", path]);
    assert!(empty.sentence().contains("there is no .safetensors file in it"));
}

#[test]
fn an_unknown_name_is_met_with_those_that_are_known() {
    let near = run_args(&["inspect", "smollm-135m"]);
    assert!(near.sentence().contains("(did you mean smollm2-135m"), "{}", near.sentence());
    let far = run_args(&["pull", "gpt-9"]);
    assert!(far.sentence().starts_with("there is no model gpt-9: "), "{}", far.sentence());
    assert!(
        far.sentence().contains("one of the names that `wisp models` lists"),
        "{}",
        far.sentence()
    );
    let rm = run_args(&["rm", "../../etc/passwd"]);
    assert!(rm.sentence().starts_with("there is no model ../../etc/passwd in the store"));
}

#[test]
fn input_files_are_read_before_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_string()
    };
    let model = file("m.gguf", "not a model");
    for (text, part) in [
        ("{}", "is not a JSON array of token ids"),
        ("[1, 2.5]", "item 1 is 2.5, not a token id"),
        ("[1, -2]", "item 1 is -2, not a token id"),
        ("[1]", "perplexity needs at least 2 tokens, but there is 1"),
        ("[]", "perplexity needs at least 2 tokens, but there are 0"),
    ] {
        let run = run_args(&["perplexity", &model, "--tokens-file", &file("t.json", text)]);
        assert!(run.sentence().contains(part), "{text}: {}", run.sentence());
    }
    for (text, part) in [
        ("[", "is not JSON"),
        ("[]", "holds no message"),
        ("[{\"content\":\"a\"}]", "has a message 0 without a role"),
    ] {
        let run = run_args(&["generate", &model, "--chat-file", &file("c.json", text)]);
        assert!(run.sentence().contains(part), "{text}: {}", run.sentence());
    }
    let run = run_args(&["generate", &model, "--prompt-file", "no/such.txt"]);
    assert!(run.sentence().starts_with("cannot read no/such.txt: "), "{}", run.sentence());
    let run = run_args(&["generate", &model, "--tokens", "1", "--temp", "-1"]);
    assert!(run.sentence().starts_with("temperature is -1; it must be from 0"));
}

#[test]
fn help_and_version_succeed_even_into_a_closed_pipe() {
    assert!(run_args(&["--help"]).ok().contains("generate"));
    assert!(run_args(&["--version"]).ok().starts_with("wisp "));
    let home = tempfile::tempdir().unwrap();
    for args in [&["--help"][..], &["models"]] {
        let mut command = wisp(home.path());
        command.args(args).stdout(std::process::Stdio::piped());
        command.stderr(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert!(output.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn architectures_are_listed() {
    let run = run_args(&["models", "--families"]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert!(run.stdout.lines().any(|line| line == "llama"), "{}", run.stdout);
    let json = run_args(&["models", "--families", "--json"]);
    assert!(json.stdout.starts_with(r#"{"families":["llama","#), "{}", json.stdout);
}
