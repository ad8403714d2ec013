//! A running `wisp serve`, and what it tells a client.

use super::{Temp, home, tiny_file, wisp};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStderr, Stdio};
use std::time::{Duration, Instant};

/// A server with the tiny model, which goes with this.
pub struct Serve {
    pub child: Child,
    pub stderr: BufReader<ChildStderr>,
    pub port: u16,
    /// The model's file.
    pub model: Option<Temp>,
}

/// What a client is told.
pub struct Told {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Told {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.body))
    }

    /// `error.message` and `error.code`.
    pub fn error(&self) -> (String, String) {
        let error = &self.json()["error"];
        let text = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
        (text("message"), text("code"))
    }
}

impl Serve {
    pub fn start(args: &[&str]) -> Self {
        let model = tiny_file();
        let mut serve = Self::start_with(model.path(), &[&["--ctx", "512"], args].concat());
        serve.model = Some(model);
        serve
    }

    pub fn start_with(model: &str, args: &[&str]) -> Self {
        let mut command = wisp(&home());
        command.args(["serve", model, "--port", "0"]).args(args);
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.starts_with("listening on ") {
            line.clear();
            assert_ne!(stderr.read_line(&mut line).unwrap(), 0, "it ended");
        }
        let port = line.trim().rsplit(':').next().unwrap().parse().unwrap();
        Self { child, stderr, port, model: None }
    }

    /// Sends a request; the answer is to be read from what is given.
    pub fn send(&self, method: &str, path: &str, headers: &[&str], body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        let host = format!("Host: localhost:{}", self.port);
        let host = if headers.iter().any(|h| h.starts_with("Host:")) { "X: y" } else { &host };
        let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        // Of HTTP 1.0: a body ends where the connection does.
        let request = format!(
            "{method} {path} HTTP/1.0\r\n{host}\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        stream
    }

    pub fn ask(&self, method: &str, path: &str, headers: &[&str], body: &str) -> Told {
        told(&mut self.send(method, path, headers, body))
    }

    pub fn get(&self, path: &str) -> Told {
        self.ask("GET", path, &[], "")
    }

    pub fn post(&self, path: &str, body: &Value) -> Told {
        self.ask("POST", path, &[], &body.to_string())
    }

    /// A value of `/metrics`.
    pub fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").body;
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| {
            panic!("no {name} in {text}");
        });
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    /// Waits until nobody waits for an answer any more.
    pub fn wait_until_idle(&self) {
        let start = Instant::now();
        while self.metric("wisp_requests_in_progress{") > 0.0 {
            assert!(start.elapsed() < Duration::from_secs(60), "a request does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Its exit status and what it said last.
    pub fn ended(&mut self) -> (Option<i32>, String) {
        let status = self.child.wait().unwrap();
        let mut said = String::new();
        self.stderr.read_to_string(&mut said).unwrap();
        (status.code(), said)
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn told(stream: &mut TcpStream) -> Told {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {text:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Told { status, head: head.to_lowercase(), body: body.to_owned() }
}

/// A conversation with an answer of random tokens, which goes on for so many.
pub fn chat(text: &str, tokens: usize) -> Value {
    json!({"messages": [{"role": "user", "content": text}], "max_tokens": tokens,
        "temperature": 0, "logit_bias": {"261": -100}})
}
