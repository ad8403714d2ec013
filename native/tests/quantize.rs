//! `wisp quantize`, `wisp compare` and `--quantize`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Temp, has_keys, object, run_model, tiny, tiny_file};
use serde_json::Value;

fn logits(model: &str, more: &[&str]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("logits.npy");
    let args = ["logits", model, "--tokens", "1,2,3,77", "--all", "--caps", "f16=off", "--out"];
    let run = run_model(&[&args[..], &[out.to_str().unwrap()], more].concat());
    run.ok();
    std::fs::read(out).unwrap()
}

#[test]
fn a_written_file_computes_what_the_type_does_at_load() {
    let file = tiny_file();
    let folder = tempfile::tempdir().unwrap();
    let types = ["f32", "q4_0", "Q4_K_M", "tq2_0", "iq3_m", "iq2_s"];
    for (of, stored) in types.into_iter().zip(["F32", "Q4_0", "Q5_0", "Q4_0", "IQ4_NL", "IQ4_NL"]) {
        let out = folder.path().join(of);
        let out = out.to_str().unwrap();
        let run = run_model(&["quantize", file.path(), out, "--type", of, "--json"]);
        let keys = ["out", "type", "bytes_before", "bytes", "formats", "seconds"];
        let said = object(&run, &keys);
        assert_eq!(said["type"], of.to_lowercase().as_str());
        assert!(said["formats"][stored]["tensors"].as_u64().unwrap() > 0, "{said}");
        assert!(logits(out, &[]) == logits(file.path(), &["--quantize", of]), "{of}");
        // With the tokenizer and all.
        run_model(&["generate", out, "--prompt", "ab", "--max-tokens", "2"]).ok();
        let inspect = run_model(&["inspect", out, "--json"]);
        let inspect: Value = serde_json::from_str(inspect.ok()).unwrap();
        assert_eq!(inspect["metadata"]["general.quantization_version"], 2);
        assert_eq!(inspect["metadata"]["llama.block_count"], 2);
    }
}

/// What other engines are measured with: the same weights as `bench --shape` has.
#[test]
fn a_shape_becomes_a_file_that_computes() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("shape.gguf");
    let out = out.to_str().unwrap();
    let run = run_model(&["quantize", "shape:smollm2-135m", out, "--type", "q4_0", "--json"]);
    let said: Value = serde_json::from_str(run.ok()).unwrap();
    assert_eq!(said["formats"]["Q4_0"]["tensors"], 210, "{said}");
    let random = wisp_runtime::random_weights::random_rows(wisp_base::Format::Q8_0, 576).unwrap();
    let file = std::fs::read(out).unwrap();
    let found = file.windows(random.len()).any(|window| window == random);
    assert!(found, "the embeddings are not the rows that a bench draws");
    let inspect: Value = serde_json::from_str(run_model(&["inspect", out, "--json"]).ok()).unwrap();
    assert_eq!(inspect["metadata"]["tokenizer.ggml.model"], "gpt2");
    let run = run_model(&["generate", out, "--prompt", "a\n", "--max-tokens", "2", "--json"]);
    let said: Value = serde_json::from_str(run.ok()).unwrap();
    assert_eq!(said["prompt_tokens"], serde_json::json!([97, 10]), "{said}");
    let run = run_model(&["quantize", "shape:no", out, "--type", "q8_0"]);
    assert!(run.sentence().contains("there is no shape no"), "{}", run.sentence());
}

#[test]
fn what_cannot_be_quantized_is_one_sentence_and_leaves_no_file() {
    let file = tiny_file();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.gguf");
    let (out, folder) = (out.to_str().unwrap(), folder.path().to_str().unwrap());
    let (text, cut) = (Temp::new("i.dat", "no matrix"), Temp::new("c.gguf", "GGUF\x03"));
    for (args, said) in [
        (vec![file.path(), out, "--type", "f8_e4m3"], "this version cannot make it"),
        (vec![file.path(), out, "--type", "q9"], "there is no type q9; there are f32"),
        (vec![file.path(), folder, "--type", "q8_0"], "it is a folder"),
        (vec![file.path(), "/dev/stdout", "--type", "q8_0"], "give a file's name"),
        (vec!["no.gguf", out, "--type", "q8_0"], "no.gguf"),
        (
            vec![file.path(), out, "--type", "q8_0", "--imatrix", text.path()],
            "is no importance matrix",
        ),
        (vec![file.path(), out, "--type", "q8_0", "--imatrix", cut.path()], "truncated"),
    ] {
        let run = run_model(&[&["quantize"], &args[..]].concat());
        assert!(run.sentence().contains(said), "{args:?}: {}", run.sentence());
    }
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 0);
}

/// Of very few bits there is no telling which to keep, without a matrix.
#[test]
fn types_of_few_bits_need_an_importance_matrix() {
    let name = "blk.0.more.weight";
    let model = tiny::Tiny::new().with_tensor(name, &[256, 2]).bytes();
    let file = Temp::new("tiny.gguf", model);
    let matrix = |name: &str| {
        let words = |words: &[i32]| words.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<_>>();
        let front = [words(&[1, name.len() as i32]), name.into(), words(&[1, 256])].concat();
        let columns = (1..=256u16).flat_map(|n| f32::from(n).to_le_bytes());
        Temp::new("i.dat", front.into_iter().chain(columns).collect::<Vec<u8>>())
    };
    let (own, other) = (matrix(name), matrix("blk.1.more.weight"));
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.gguf");
    let out = out.to_str().unwrap();
    for (of, stored, needed) in [
        ("iq1_s", "IQ1_S", true),
        ("iq1_m", "IQ1_M", false),
        ("iq2_xxs", "IQ2_XXS", true),
        ("iq2_xs", "IQ2_XS", true),
        ("iq2_s", "IQ2_XS", true),
        ("iq2_m", "IQ2_S", false),
        ("iq3_xxs", "IQ3_XXS", false),
        ("iq3_xs", "IQ3_S", false),
        ("iq3_s", "IQ3_S", false),
    ] {
        let run = |more: &[&str]| {
            run_model(&[&["quantize", file.path(), out, "--type", of, "--json"], more].concat())
        };
        for more in [&[][..], &["--imatrix", other.path()]] {
            if needed {
                let said = format!("{name} would be of no use as {stored} without");
                assert!(run(more).sentence().starts_with(&said), "{of}");
            } else {
                run(more).ok();
            }
        }
        let said: Value = serde_json::from_str(run(&["--imatrix", own.path()]).ok()).unwrap();
        assert_eq!(said["formats"][stored]["tensors"], 1, "{said}");
    }
}

#[test]
fn compare_tells_what_types_and_caches_cost() {
    let file = tiny_file();
    let args = ["compare", file.path(), "--types", "f32,q4_0", "--kvs", "f16", "--json"];
    let said = object(&run_model(&args), &["text_tokens", "models"]);
    let models = said["models"].as_array().unwrap();
    assert_eq!(models.len(), 4);
    let number = |at: usize, key: &str| models[at][key].as_f64().unwrap();
    for model in models {
        let keys = [
            "model",
            "bytes",
            "perplexity",
            "kl_mean",
            "kl_p99",
            "top1_agreement",
            "decode_tokens_per_s",
        ];
        has_keys(model, &keys);
    }
    assert_eq!((number(0, "kl_mean"), number(0, "top1_agreement")), (0.0, 1.0));
    // The file is Q8_0: F32 holds the same numbers, in four times the bytes.
    assert!(number(2, "kl_mean") < 1e-4 && number(2, "bytes") > 3.0 * number(0, "bytes"));
    assert!(number(3, "kl_mean") > 1e-4 && number(3, "kl_p99") >= number(3, "kl_mean"));
    assert!(number(3, "bytes") < number(0, "bytes"));
    let alone = run_model(&["compare", file.path()]);
    assert!(alone.sentence().contains("nothing to compare with"), "{}", alone.sentence());
}

/// The tiny model in three files, and the path of one.
fn split_files(number: usize) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let name = |number: usize| format!("m-{number:05}-of-00003.gguf");
    for (at, bytes) in tiny::Tiny::new().split(&[1, 12, 8]).iter().enumerate() {
        std::fs::write(folder.path().join(name(at + 1)), bytes).unwrap();
    }
    let path = folder.path().join(name(number)).to_str().unwrap().to_owned();
    (folder, path)
}

#[test]
fn a_split_model_is_what_it_is_in_one_file() {
    let whole = tiny_file();
    for number in [1, 3] {
        let (folder, split) = split_files(number);
        assert!(logits(&split, &[]) == logits(whole.path(), &[]));
        let text = Temp::new("t.txt", "ab abc and more\n".repeat(8));
        for args in [
            vec!["perplexity", "M", "--text-file", text.path(), "--json"],
            vec!["detokenize", "M", "--tokens", "1,2,256"],
            vec!["generate", "M", "--prompt", "ab", "--max-tokens", "3", "--caps", "f16=off"],
            vec!["compare", "M", "--types", "q4_0", "--text", text.path(), "--json"],
        ] {
            let of = |model: &str| {
                let args: Vec<&str> =
                    args.iter().map(|arg| if *arg == "M" { model } else { arg }).collect();
                let out = run_model(&args).ok().to_owned();
                // Speeds and names are not the same each time.
                match serde_json::from_str::<Value>(&out) {
                    Ok(value) if value["models"].is_array() => {
                        value["models"][1]["perplexity"].to_string()
                    }
                    _ => out,
                }
            };
            assert_eq!(of(&split), of(whole.path()), "{args:?}");
        }
        let out = folder.path().join("out.gguf");
        let out = out.to_str().unwrap();
        let one = Temp::new("one.gguf", "");
        run_model(&["quantize", &split, out, "--type", "q4_0"]).ok();
        run_model(&["quantize", whole.path(), one.path(), "--type", "q4_0"]).ok();
        assert!(std::fs::read(out).unwrap() == std::fs::read(one.path()).unwrap());
    }
}

#[test]
fn what_is_read_is_not_written_over() {
    let (folder, split) = split_files(1);
    let second = split.replace("-00001-", "-00002-");
    let before = std::fs::read(&second).unwrap();
    let run = run_model(&["quantize", &split, &second, "--type", "q8_0"]);
    assert!(run.sentence().contains("is the name of one of 3 files"), "{}", run.sentence());
    let file = tiny_file();
    let run = run_model(&["quantize", file.path(), file.path(), "--type", "f32"]);
    assert!(run.sentence().contains("which is read; give another name"), "{}", run.sentence());
    let out = folder.path().join("out.gguf");
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(&second, &out).unwrap();
        let out = out.to_str().unwrap();
        let run = run_model(&["quantize", &split, out, "--type", "q8_0"]);
        assert!(run.sentence().contains("which is read; give another name"), "{}", run.sentence());
    }
    let run = run_model(&["logits", file.path(), "--tokens", "1", "--out", file.path()]);
    assert!(run.sentence().contains("which is read"), "{}", run.sentence());
    assert!(std::fs::read(&second).unwrap() == before);
}

#[test]
fn numbers_that_no_type_holds_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.gguf");
    let out = out.to_str().unwrap();
    let put = |at: usize, number: f32| {
        move |bytes: &mut Vec<u8>| bytes[4 * at..4 * at + 4].copy_from_slice(&number.to_le_bytes())
    };
    let more = || tiny::Tiny::new().with_tensor("blk.0.more.weight", &[64, 300]);
    // Far behind the first part of the work, which several threads share.
    let at = 64 * 299 + 3;
    let large = Temp::new("l.gguf", more().edited("blk.0.more.weight", put(at, 1e6)).bytes());
    let nan = Temp::new("n.gguf", more().edited("blk.0.more.weight", put(at, f32::NAN)).bytes());
    let named = format!("tensor blk.0.more.weight: weight {at} is ");
    for (file, of, said) in [
        (&large, "f16", "1000000, which is too large for F16: use F32 or BF16"),
        (&nan, "f32", "NaN: the weights are damaged"),
        (&nan, "f16", "NaN: the weights are damaged"),
        (&nan, "bf16", "NaN: the weights are damaged"),
        (&nan, "q4_k_m", "NaN: the weights are damaged"),
    ] {
        let run = run_model(&["quantize", file.path(), out, "--type", of, "-q"]);
        assert!(run.sentence().ends_with(&format!("{named}{said}")), "{}", run.sentence());
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    for of in ["bf16", "f32"] {
        run_model(&["quantize", large.path(), out, "--type", of]).ok();
    }
    let tokens = Temp::new("t.json", "[1,2,3]");
    let nan = tiny::Tiny::new().edited("output_norm.weight", put(7, f32::NAN)).bytes();
    let nan = Temp::new("n.gguf", nan);
    let out = folder.path().join("l.npy");
    let out = out.to_str().unwrap();
    for args in [
        vec!["perplexity", nan.path(), "--tokens-file", tokens.path()],
        vec!["compare", nan.path(), "--types", "q8_0"],
        vec!["generate", nan.path(), "--tokens", "1,2"],
        vec!["logits", nan.path(), "--tokens", "1,2", "--out", out],
    ] {
        let run = run_model(&args);
        let said = "tensor output_norm.weight: weight 7 is NaN: the weights are damaged";
        assert!(run.sentence().ends_with(said), "{}", run.sentence());
    }
    assert!(!std::path::Path::new(out).exists());
}

/// Whatever ends it, its half file goes; that of a killed one goes with the next run.
#[cfg(unix)]
#[test]
fn an_interrupted_run_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.gguf");
    let names = || {
        let entries = std::fs::read_dir(folder.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
    };
    let interrupted = |signal| {
        let mut command = common::wisp(&common::home());
        // Some seconds of work.
        command.args(["quantize", "shape:smollm2-135m"]).arg(&out).args(["--type", "q4_k"]);
        let mut child = command.stderr(std::process::Stdio::null()).spawn().unwrap();
        while names().iter().all(|name| !name.starts_with(".wisp-out.gguf-")) {
            assert!(child.try_wait().unwrap().is_none(), "it ended too early");
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, signal).unwrap();
        child.wait().unwrap()
    };
    use rustix::process::Signal;
    for (signal, status) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        assert_eq!(interrupted(signal).code(), Some(status));
        assert!(names().is_empty(), "{:?}", names());
    }
    assert_eq!(interrupted(Signal::KILL).code(), None);
    assert_eq!(names().len(), 1);
    let file = tiny_file();
    run_model(&["quantize", file.path(), out.to_str().unwrap(), "--type", "q8_0"]).ok();
    assert_eq!(names(), ["out.gguf"]);
}
