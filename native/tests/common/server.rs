//! A web server that does as it is told.
#![allow(dead_code, reason = "each test uses its own part")]

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

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
