//! `wisp tokenizer train`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Run, run, wisp};
use serde_json::Value;
use std::path::Path;

fn train(folder: &Path, args: &[&str]) -> Run {
    run(wisp(folder).current_dir(folder).args(["tokenizer", "train"]).args(args))
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_text_gives_a_tokenizer_of_the_size_asked_for() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path();
    std::fs::write(folder.join("t.txt"), "low lower lowest\n".repeat(9)).unwrap();
    let first = train(folder, &["t.txt", "--vocab", "260"]);
    assert_eq!(first.ok(), "tokenizer.json: 260 tokens\n");
    let other = train(folder, &["t.txt", "--vocab", "261", "--out", "o.json", "--json"]);
    let said: Value = serde_json::from_str(other.ok()).unwrap();
    assert_eq!(said, serde_json::json!({"out": "o.json", "vocab": 261, "text_bytes": 153}));
    for (file, size) in [("tokenizer.json", 260), ("o.json", 261)] {
        let text = std::fs::read(folder.join(file)).unwrap();
        let json: Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(json["model"]["vocab"].as_object().unwrap().len(), size);
        assert_eq!(json["model"]["merges"].as_array().unwrap().len(), size - 256);
    }
    // A file that was named is written over, one that was not stays.
    train(folder, &["t.txt", "--vocab", "258", "--out", "o.json"]).ok();
    let again = train(folder, &["t.txt", "--vocab", "258"]);
    assert!(again.sentence().contains("there is a tokenizer.json here already"));
    assert_eq!(names(folder), ["o.json", "t.txt", "tokenizer.json"]);
}

#[test]
fn what_cannot_be_trained_is_one_sentence_and_leaves_nothing() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path();
    std::fs::write(folder.join("t.txt"), "abab").unwrap();
    std::fs::write(folder.join("b.txt"), b"ab\xffab").unwrap();
    for (args, part) in [
        (&["t.txt", "--vocab", "255"][..], "the bytes alone are 256"),
        (&["t.txt", "--vocab", "300"], "too few pairs for 300 tokens, at most 260"),
        (&["b.txt", "--vocab", "256"], "b.txt is not UTF-8 text: byte 2 is wrong"),
        (&["no.txt", "--vocab", "256"], "cannot read no.txt"),
        (&[".", "--vocab", "256"], "cannot read ."),
        (&["t.txt", "--vocab", "257", "--out", "no/o.json"], "cannot write no/o.json"),
        (&["t.txt", "--vocab", "257", "--out", "."], "it is a folder"),
    ] {
        let run = train(folder, args);
        assert!(run.sentence().contains(part), "{args:?}: {}", run.sentence());
        assert_eq!((run.status, run.stdout.as_str()), (1, ""), "{args:?}");
    }
    assert_eq!(names(folder), ["b.txt", "t.txt"]);
}
