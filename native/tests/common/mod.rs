//! Driving the built `wisp`, and a web server that does as it is told.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

#[path = "../../../tests/src/tiny.rs"]
pub mod tiny;

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

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub headers: Vec<String>,
}

impl Asked {
    /// A header's value; names are in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let value = self.headers.iter().find_map(|line| line.strip_prefix(&format!("{name}:")));
        value.map(str::trim)
    }

    /// Where a `Range: bytes=N-` begins.
    pub fn from(&self) -> usize {
        let range = self.header("range").and_then(|range| range.strip_prefix("bytes="));
        range.and_then(|range| range.strip_suffix('-')).map_or(0, |from| from.parse().unwrap())
    }
}

/// What to send back.
pub struct Reply {
    pub status: &'static str,
    pub headers: Vec<String>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn status(status: &'static str) -> Self {
        Self { status, headers: vec!["Content-Length: 0".into()], body: Vec::new() }
    }

    /// The bytes of a file from where the request asks, `cut` bytes of them at most.
    pub fn file(asked: &Asked, file: &[u8], etag: &str, cut: usize) -> Self {
        let from = asked.from();
        let rest = &file[from..];
        let mut headers =
            vec![format!("Content-Length: {}", rest.len()), format!("ETag: \"{etag}\"")];
        if from > 0 {
            let (last, all) = (file.len() - 1, file.len());
            headers.push(format!("Content-Range: bytes {from}-{last}/{all}"));
        }
        let body = rest[..cut.min(rest.len())].to_vec();
        Self { status: if from > 0 { "206 Partial Content" } else { "200 OK" }, headers, body }
    }

    pub fn with(mut self, header: impl Into<String>) -> Self {
        self.headers.push(header.into());
        self
    }
}

/// A server on this machine, and what it was asked.
pub struct Server {
    pub address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    /// `answer` gets each request, and how many came before it.
    pub fn start(answer: impl Fn(&Asked, usize) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = asked.clone();
        // Ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Some(request) = read(stream.as_ref().unwrap()) else { continue };
                let count = seen.lock().unwrap().len();
                seen.lock().unwrap().push(request.clone());
                let reply = answer(&request, count);
                // The client may have hung up.
                let _ = send(&mut stream.unwrap(), &request, &reply);
            }
        });
        Self { address, asked }
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn read(stream: &TcpStream) -> Option<Asked> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next()?.ok()?;
    let mut words = first.split(' ').map(String::from);
    let (method, path) = (words.next()?, words.next()?);
    let headers = lines.map_while(Result::ok).take_while(|line| !line.is_empty());
    let lower = |line: String| match line.split_once(':') {
        Some((name, value)) => format!("{}:{value}", name.to_lowercase()),
        None => line,
    };
    Some(Asked { method, path, headers: headers.map(lower).collect() })
}

fn send(stream: &mut TcpStream, asked: &Asked, reply: &Reply) -> std::io::Result<()> {
    let headers = reply.headers.join("\r\n");
    write!(stream, "HTTP/1.1 {}\r\nConnection: close\r\n{headers}\r\n\r\n", reply.status)?;
    if asked.method != "HEAD" {
        stream.write_all(&reply.body)?;
    }
    stream.flush()
}
