//! A device that is really lost: a preloaded library (`lost/lost.c`) has the Vulkan driver say
//! so at a given call. Every time the work ends as if nothing had happened, or in a sentence.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::cell::RefCell;
use std::io::{BufRead, BufReader};
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use pollster::block_on;
use wisp_base::{Error, Result};
use wisp_formats::BytesSource;
use wisp_runtime::{Engine, EngineOptions, Event, Queue, Request, Sampling};
use wisp_tests::tiny::Tiny;
use wisp_tests::{greedy, load_tiny};

/// Names the file by which `lost.c` is told when.
const CONTROL: &str = "WISP_LOST";

/// The calls at which a device can be lost.
#[derive(Debug, Clone, Copy, PartialEq)]
enum At {
    Wait = 1,
    Submit = 2,
    Counter = 3,
}

/// The library's file of numbers.
struct Control(std::fs::File);

impl Control {
    fn new() -> Option<Self> {
        let path = PathBuf::from(std::env::var_os(CONTROL)?);
        Some(Self(std::fs::File::options().read(true).write(true).open(path).unwrap()))
    }

    fn word(&self, at: u64) -> u32 {
        let mut bytes = [0; 4];
        self.0.read_exact_at(&mut bytes, at * 4).unwrap();
        u32::from_le_bytes(bytes)
    }

    /// After so many more calls the device is lost.
    fn lose(&self, at: At, after: u32) {
        let words = [at as u32, after, 0, 0, 0];
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.0.write_all_at(&bytes, 0).unwrap();
    }

    fn happened(&self) -> bool {
        self.word(2) > 0
    }

    /// Calls since `lose`.
    fn calls(&self) -> u32 {
        self.word(3)
    }
}

/// In the process that has the library preloaded: how to talk to it. In the test itself:
/// starts that process, for the same test, and waits for it.
fn preloaded(test: &str) -> Option<Control> {
    if let Some(control) = Control::new() {
        return Some(control);
    }
    let folder = tempfile::tempdir().unwrap();
    let library = compile(folder.path());
    let control = folder.path().join("control");
    std::fs::write(&control, [0; 20]).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]);
    let (status, stderr) = run(command.env("LD_PRELOAD", library).env(CONTROL, control));
    let end: Vec<&str> = stderr.lines().rev().take(30).collect();
    let end: String = end.into_iter().rev().map(|line| format!("{line}\n")).collect();
    assert_eq!(status, Some(0), "{end}");
    None
}

/// By the compiler that Rust links with.
fn compile(folder: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("lost/lost.c");
    let library = folder.join("lost.so");
    let mut cc = Command::new("cc");
    cc.args(["-O1", "-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(source)
        .args(["-ldl", "-lpthread"]);
    assert!(cc.status().expect("cc is needed").success());
    library
}

/// Status (`None`: a signal) and stderr. What says nothing for minutes hangs.
fn run(command: &mut Command) -> (Option<i32>, String) {
    let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let stderr = BufReader::new(child.stderr.take().unwrap());
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        stderr.lines().map_while(std::io::Result::ok).try_for_each(|line| sender.send(line))
    });
    let mut text = String::new();
    loop {
        match lines.recv_timeout(Duration::from_secs(180)) {
            Ok(line) => text += &(line + "\n"),
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                child.kill().unwrap();
                text += "it hangs\n";
                break;
            }
        }
    }
    (child.wait().unwrap().code(), text)
}

fn source() -> BytesSource {
    BytesSource::new("tiny.gguf", Tiny::new().bytes())
}

fn load(tuning: &str) -> Result<Engine> {
    let folder = std::env::current_exe().unwrap().with_file_name("wisp-test-home");
    let options = EngineOptions {
        ctx: Some(512),
        max_sequences: 2,
        tuning: tuning.to_owned(),
        pipelines: Some(folder.join("pipelines")),
        ..EngineOptions::default()
    };
    Ok(load_tiny(&Tiny::new(), options)?.0)
}

/// Three for two sequences: prompts of one step and of several, tokens that are drawn, logits
/// that are read. All together they take more than `2 * tokens` steps.
fn requests(tokens: usize) -> [Request; 3] {
    let prompt = |start: u32, count: u32| (start..start + count).collect::<Vec<_>>();
    let drawn = Sampling { temperature: 1.0, seed: 5, ..Sampling::default() };
    [
        greedy(&prompt(1, 150), tokens),
        Request { sampling: drawn, logprobs: Some(2), ..greedy(&prompt(3, 20), tokens + 3) },
        greedy(&prompt(40, 30), tokens),
    ]
}

fn is_a_sentence(error: &Error) {
    assert!(matches!(error, Error::Device(_)), "{error:?}");
    let text = error.to_string();
    assert!(text.starts_with("the GPU ") && !text.contains('\n'), "{text}");
}

/// Answers all requests; a device that is lost is replaced. The tokens, and how often it was.
fn serve(engine: &mut Engine, tokens: usize) -> (Vec<Vec<u32>>, usize) {
    serve_losing(engine, tokens, || ())
}

/// As [`serve`]; `at_first` runs after the first loss.
fn serve_losing(engine: &mut Engine, tokens: usize, at_first: impl Fn()) -> (Vec<Vec<u32>>, usize) {
    let done = RefCell::new(vec![None; 3]);
    let queue = Queue::new();
    for (index, request) in requests(tokens).into_iter().enumerate() {
        let done = &done;
        queue.push(request, move |event| {
            if let Event::Done(result) = event {
                let before = done.borrow_mut()[index].replace(result.unwrap().tokens);
                assert!(before.is_none(), "ended twice");
            }
            ControlFlow::Continue(())
        });
    }
    let mut lost = 0;
    while let Err(error) = block_on(engine.serve(&queue)) {
        is_a_sentence(&error);
        lost += 1;
        assert!(lost < 3, "{error}");
        if lost == 1 {
            at_first();
        }
        while let Err(error) = block_on(engine.restore(&source(), &mut |_| ())) {
            is_a_sentence(&error);
            lost += 1;
            assert!(lost < 3, "{error}");
        }
    }
    drop(queue);
    (done.take().into_iter().map(|done| done.expect("a request was lost")).collect(), lost)
}

/// Loses the device at each of 200 calls from the first step on.
fn lost_while_generating(control: &Control, at: At, tuning: &str) {
    let mut engine = load(tuning).unwrap();
    let (right, _) = serve(&mut engine, 120);
    for after in 0..200 {
        eprintln!("{at:?} {after}");
        // No longer than it takes: the steps are more than the calls before the loss.
        let tokens = after as usize / 2 + 6;
        control.lose(at, after);
        let (answers, lost) = serve(&mut engine, tokens);
        assert!(control.happened(), "only {} calls in {} tokens", control.calls(), tokens);
        assert_eq!(lost, 1, "{at:?} {after}");
        for (answer, right) in answers.iter().zip(&right) {
            assert!(answer.len() >= tokens, "{at:?} {after}: {} tokens", answer.len());
            assert_eq!(answer[..], right[..answer.len()], "{at:?} {after}");
        }
    }
}

#[test]
fn a_device_lost_at_any_wait_of_generation_is_replaced_and_no_token_changes() {
    let test = "a_device_lost_at_any_wait_of_generation_is_replaced_and_no_token_changes";
    let Some(control) = preloaded(test) else { return };
    // With one step in flight it is waited for; else it is asked how far the device is.
    lost_while_generating(&control, At::Wait, "steps_in_flight=1");
}

#[test]
fn a_device_lost_at_any_submission_of_generation_is_replaced_and_no_token_changes() {
    let test = "a_device_lost_at_any_submission_of_generation_is_replaced_and_no_token_changes";
    let Some(control) = preloaded(test) else { return };
    lost_while_generating(&control, At::Submit, "");
}

#[test]
fn a_device_lost_at_any_call_of_loading_is_an_error_and_the_next_try_works() {
    let test = "a_device_lost_at_any_call_of_loading_is_an_error_and_the_next_try_works";
    let Some(control) = preloaded(test) else { return };
    let mut engine = load("").unwrap();
    let (right, _) = serve(&mut engine, 10);
    for at in [At::Wait, At::Submit, At::Counter] {
        for after in 0.. {
            eprintln!("load, {at:?} {after}");
            control.lose(at, after);
            let result = load("");
            if !control.happened() {
                assert!(after > 0 && result.is_ok(), "{at:?}: {} calls", control.calls());
                break;
            }
            is_a_sentence(&result.err().expect("a device was lost"));
        }
        // The device that replaces a lost one may be lost too.
        for after in 0..12 {
            eprintln!("twice, {at:?} {after}");
            control.lose(At::Submit, 9);
            let (answers, lost) = serve_losing(&mut engine, 10, || control.lose(at, after));
            assert!(lost == 1 + usize::from(control.happened()), "{at:?} {after}: {lost}");
            assert_eq!(answers, right, "{at:?} {after}");
        }
    }
}
