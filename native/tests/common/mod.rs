//! Driving the built `wisp`.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[path = "../../../tests/src/tiny.rs"]
pub mod tiny;

pub mod checkpoint;
#[cfg(unix)]
pub mod serve;
mod server;
#[allow(unused_imports, reason = "each test file uses its own part")]
pub use server::{Asked, Reply, Server};

/// What a run of `wisp` gave.
pub struct Run {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    /// The one sentence of a failed run.
    pub fn sentence(&self) -> &str {
        assert_ne!(self.status, 0, "{}", self.stdout);
        assert_ne!(self.status, 101, "a panic: {}", self.stderr);
        let lines: Vec<&str> = self.stderr.lines().collect();
        assert_eq!(lines.len(), 1, "not one sentence: {}", self.stderr);
        lines[0].strip_prefix("wisp: ").unwrap()
    }

    /// stdout of a run that did not fail.
    pub fn ok(&self) -> &str {
        assert_eq!(self.status, 0, "{}", self.stderr);
        &self.stdout
    }
}

/// `wisp` with a store of its own and nothing of the outer world: no hub, no index, no Python.
pub fn wisp(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wisp"));
    command.env("WISP_HOME", home).env("PATH", "").env_remove("WISP_CAPS");
    command.env("WISP_HUB", "http://127.0.0.1:9").env("WISP_PYPI", "http://127.0.0.1:9");
    // Neither a person's token nor the proxies of this machine.
    command.env("HF_HOME", home);
    // A Python that is found without a path must not go out either.
    command.env("PIP_NO_INDEX", "1");
    for name in ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH"] {
        command.env_remove(name);
    }
    for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    command.stdin(Stdio::null());
    command
}

/// Runs it to its end.
pub fn run(command: &mut Command) -> Run {
    let output = command.output().unwrap();
    Run {
        status: output.status.code().expect("ended by a signal"),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs it with a store that is empty.
pub fn run_args(args: &[&str]) -> Run {
    let home = tempfile::tempdir().unwrap();
    run(wisp(home.path()).args(args))
}

/// A home that all tests with models share, those of `wisp-tests` too: the kernels are
/// checked once. It holds no model.
pub fn home() -> PathBuf {
    std::env::current_exe().unwrap().with_file_name("wisp-test-home")
}

/// Runs it with that home, and a model that has been checked before.
pub fn run_model(args: &[&str]) -> Run {
    run(wisp(&home()).args(args))
}

/// SmolLM2, which `cargo xtask test` fetches; `None` (the test says so) without it.
pub fn smollm2() -> Option<String> {
    let path = std::env::var("WISP_TEST_MODEL").ok();
    if path.is_none() {
        eprintln!("WISP_TEST_MODEL is not set: nothing was tested; run `cargo xtask test`");
    }
    path
}

/// A file of its own in a folder that goes with it.
pub struct Temp(tempfile::TempDir, PathBuf);

impl Temp {
    pub fn new(name: &str, bytes: impl AsRef<[u8]>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        Self(folder, path)
    }

    pub fn path(&self) -> &str {
        self.1.to_str().unwrap()
    }
}

/// The tiny model as a file.
pub fn tiny_file() -> Temp {
    Temp::new("tiny.gguf", tiny::Tiny::new().bytes())
}

/// stdout as the one JSON object that it must be, with these keys and no others.
pub fn object(run: &Run, keys: &[&str]) -> serde_json::Value {
    let value: serde_json::Value = serde_json::from_str(run.ok()).unwrap();
    has_keys(&value, keys);
    value
}

/// An object with these keys and no others; all numbers in it are finite and ≥ 0.
pub fn has_keys(value: &serde_json::Value, keys: &[&str]) {
    let object = value.as_object().unwrap_or_else(|| panic!("no object: {value}"));
    let mut found: Vec<&str> = object.keys().map(String::as_str).collect();
    let mut wanted = keys.to_vec();
    found.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(found, wanted);
    not_negative(value);
}

/// JSON has no infinity and no NaN: what is left to check is the sign.
fn not_negative(value: &serde_json::Value) {
    match value {
        serde_json::Value::Number(number) => assert!(number.as_f64().unwrap() >= 0.0, "{number}"),
        serde_json::Value::Array(values) => values.iter().for_each(not_negative),
        serde_json::Value::Object(values) => values.values().for_each(not_negative),
        _ => {}
    }
}

/// Token ids as `--tokens` takes them.
pub fn list(ids: &[u32]) -> String {
    ids.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}

/// Runs it with `input` on stdin.
pub fn run_with(command: &mut Command, input: impl AsRef<[u8]>) -> Run {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.as_ref().to_vec();
    // It may answer before it has read all.
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    let _ = writer.join().unwrap();
    Run {
        status: output.status.code().expect("ended by a signal"),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}
