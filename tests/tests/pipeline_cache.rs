//! Pipelines kept on disk between runs: they change how long a start takes, and nothing
//! else. And kernels compiled in several threads: an error is the same as from one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};

use pollster::block_on;
use wisp_runtime::EngineOptions;
use wisp_tests::load_tiny;
use wisp_tests::tiny::Tiny;

/// The logits of a fresh engine that keeps its pipelines in `folder`.
fn logits(folder: Option<&Path>) -> Vec<f32> {
    let pipelines = folder.map(Path::to_path_buf);
    let options = EngineOptions { ctx: Some(64), pipelines, ..Default::default() };
    let (mut engine, _) = load_tiny(&Tiny::new(), options).unwrap();
    let logits = block_on(engine.logits(&[1, 2, 3, 4, 5], true, None)).unwrap();
    engine.gpu().check().unwrap();
    logits
}

/// The one file of `folder`; `None` if the adapter gives no pipelines out.
fn file(folder: &Path) -> Option<PathBuf> {
    let mut files = std::fs::read_dir(folder).ok()?.map(|entry| entry.unwrap().path());
    let file = files.next();
    assert_eq!(files.next(), None, "more than one file");
    file
}

#[test]
fn kept_pipelines_give_the_same_logits_and_damaged_ones_are_replaced() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("not/yet/there");
    let plain = logits(None);
    assert_eq!(logits(Some(&folder)), plain, "the first time");
    let Some(file) = file(&folder) else {
        eprintln!("this adapter gives no pipelines out: nothing more was tested");
        return;
    };
    let whole = std::fs::read(&file).unwrap();
    let written = || std::fs::metadata(&file).unwrap().modified().unwrap();
    let first = written();
    assert_eq!(logits(Some(&folder)), plain, "the second time");
    assert!(std::fs::read(&file).unwrap() != whole || written() == first, "written for nothing");

    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let damaged = [
        ("garbage", (0..5000).map(|at| (at * 31 % 251) as u8).collect()),
        ("nothing", Vec::new()),
        ("the first half", whole[..whole.len() / 2].to_vec()),
        ("a flipped bit", flipped),
    ];
    for (what, bytes) in damaged {
        std::fs::write(&file, &bytes).unwrap();
        assert_eq!(logits(Some(&folder)), plain, "{what}");
        assert_ne!(std::fs::read(&file).unwrap(), bytes, "{what} was not replaced");
        assert_eq!(self::file(&folder).as_ref(), Some(&file), "{what}");
    }
}

#[test]
fn a_folder_that_cannot_be_is_no_error() {
    let home = tempfile::tempdir().unwrap();
    let taken = home.path().join("taken");
    std::fs::write(&taken, "a file").unwrap();
    assert_eq!(logits(Some(&taken.join("pipelines"))), logits(None));
    assert_eq!(std::fs::read(&taken).unwrap(), b"a file");
}

#[test]
fn a_kernel_that_does_not_compile_is_one_sentence_from_any_thread() {
    let (mut engine, _) = load_tiny(&Tiny::new(), EngineOptions::default()).unwrap();
    let wrong = "fn reduce_lanes(value: f32, thread: u32) -> f32 { return thread; }";
    engine.gpu().replace_shader("reduce/subgroup", wrong);
    engine.gpu().replace_shader("reduce/workgroup", wrong);
    for _ in 0..2 {
        let error = block_on(engine.logits(&[1, 2, 3], false, None)).unwrap_err().to_string();
        assert!(error.starts_with("shader ") && error.contains("shaders/"), "{error}");
        // Every thread caught its own errors: the device does not count as failed.
        engine.gpu().check().unwrap();
    }
}
