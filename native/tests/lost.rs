//! The built binary when its device is really lost (`tests/lost/lost.c`, preloaded): it goes on
//! with the same tokens, or ends with one sentence and a status.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Run, Temp, home, run, tiny_file, wisp};

/// By the compiler that Rust links with.
fn library() -> Temp {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/lost/lost.c");
    let library = Temp::new("lost.so", "");
    let mut cc = Command::new("cc");
    cc.args(["-O1", "-shared", "-fPIC", "-o", library.path()]).arg(source);
    assert!(cc.args(["-ldl", "-lpthread"]).status().expect("cc is needed").success());
    library
}

/// The words by which `lost.c` is told: the device is lost after so many calls of a kind.
fn control(kind: u32, after: u32) -> Temp {
    let words = [kind, after, 0, 0, 0];
    Temp::new("control", words.map(u32::to_le_bytes).concat())
}

fn happened(control: &Temp) -> bool {
    std::fs::read(PathBuf::from(control.path())).unwrap()[8] > 0
}

fn tokens(run: &Run) -> serde_json::Value {
    serde_json::from_str::<serde_json::Value>(run.ok()).unwrap()["tokens"].clone()
}

#[test]
fn a_lost_device_is_replaced_or_told_in_one_sentence() {
    let (file, library) = (tiny_file(), library());
    let generate = |control: Option<&Temp>| {
        let mut command = wisp(&home());
        command.args(["generate", file.path(), "--tokens", "1,2,3", "--max-tokens", "150"]);
        // In f16 a near tie may go either way when what was said is computed anew as a prompt.
        command.args(["--ctx", "256", "--ignore-eos", "--json", "--caps", "f16=off"]);
        // Mesa tells on stderr that it is missing.
        command.env("XDG_RUNTIME_DIR", std::env::temp_dir());
        if let Some(control) = control {
            command.env("LD_PRELOAD", library.path()).env("WISP_LOST", control.path());
        }
        run(&mut command)
    };
    let right = tokens(&generate(None));
    let (mut lost, mut recovered, mut told) = (0, 0, 0);
    // Waits, submissions, questions how far the device is.
    for kind in 1..=3 {
        for after in [0, 1, 2, 3, 4, 5, 7, 10, 20, 50, 100, 140] {
            let control = control(kind, after);
            let run = generate(Some(&control));
            lost += u32::from(happened(&control));
            if run.status == 0 {
                assert_eq!(tokens(&run), right, "{kind}, {after}");
                recovered += u32::from(happened(&control));
            } else {
                assert!(run.sentence().starts_with("the GPU "), "{kind}, {after}: {}", run.stderr);
                told += 1;
            }
        }
    }
    eprintln!("{lost} lost, {recovered} recovered, {told} told");
    assert!(lost == recovered + told && recovered > 10 && told > 3, "{lost} {recovered} {told}");
}
