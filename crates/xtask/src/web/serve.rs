//! A server of static files for this machine alone, to look at the chat page with.

use crate::step::Result;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

/// The first port to try.
const PORT: u16 = 8000;

/// Bytes of a request's head at most.
const HEAD: u64 = 16 << 10;

/// What browsers insist on, and what they would otherwise download.
const TYPES: [(&str, &str); 12] = [
    ("html", "text/html; charset=utf-8"),
    ("js", "text/javascript; charset=utf-8"),
    ("css", "text/css; charset=utf-8"),
    ("json", "application/json"),
    ("map", "application/json"),
    ("webmanifest", "application/manifest+json"),
    ("wasm", "application/wasm"),
    ("svg", "image/svg+xml"),
    ("png", "image/png"),
    ("ico", "image/x-icon"),
    ("woff2", "font/woff2"),
    ("txt", "text/plain; charset=utf-8"),
];

/// Serves `folder` until it is interrupted.
pub fn serve(folder: &Path) -> Result {
    let root = folder
        .canonicalize()
        .map_err(|cause| format!("cannot serve {}: {cause}", folder.display()))?;
    // Only this machine is served.
    let listener =
        (PORT..PORT + 100).find_map(|p| TcpListener::bind((Ipv4Addr::LOCALHOST, p)).ok());
    let listener = listener.ok_or_else(|| format!("no port from {PORT} on is free"))?;
    let port = listener.local_addr().map_or(PORT, |address| address.port());
    println!("http://localhost:{port}/ (Ctrl-C ends it)");
    for stream in listener.incoming().flatten() {
        let root = root.clone();
        std::thread::spawn(move || {
            // A browser that went away is no matter.
            let _ = answer(stream, &root);
        });
    }
    Ok(())
}

/// One request, one answer, and the connection is closed.
fn answer(mut stream: TcpStream, root: &Path) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut line = String::new();
    let mut head = BufReader::new(stream.try_clone()?.take(HEAD));
    head.read_line(&mut line)?;
    // The rest is read, for a connection that closes with unread bytes is cut off.
    while head.by_ref().lines().next().is_some_and(|rest| rest.is_ok_and(|rest| !rest.is_empty())) {
    }
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let found = match method {
        "GET" | "HEAD" => file(root, target),
        _ => return respond(&mut stream, "405 Method Not Allowed", "text/plain", 0),
    };
    let opened = found.and_then(|path| {
        let file = std::fs::File::open(&path).ok()?;
        Some((kind(&path), file.metadata().ok()?.len(), file))
    });
    let Some((kind, length, mut file)) = opened else {
        return respond(&mut stream, "404 Not Found", "text/plain", 0);
    };
    respond(&mut stream, "200 OK", kind, length)?;
    if method == "GET" {
        std::io::copy(&mut file, &mut stream)?;
    }
    Ok(())
}

fn respond(stream: &mut TcpStream, status: &str, kind: &str, length: u64) -> std::io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
         Cache-Control: no-cache\r\nConnection: close\r\n\r\n"
    )
}

/// The file under `root` that a request names; `None` for what is not there, or not
/// under `root`.
fn file(root: &Path, target: &str) -> Option<PathBuf> {
    let path = decoded(target.split(['?', '#']).next()?)?;
    let relative = Path::new(path.strip_prefix('/')?);
    if !relative.components().all(|part| matches!(part, Component::Normal(_))) {
        return None;
    }
    let mut path = root.join(relative);
    if path.is_dir() {
        path.push("index.html");
    }
    // Links may lead elsewhere.
    let path = path.canonicalize().ok()?;
    (path.starts_with(root) && path.is_file()).then_some(path)
}

/// `%41` is `A`.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

fn kind(path: &Path) -> &'static str {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let known = TYPES.iter().find(|(known, _)| *known == ending);
    known.map_or("application/octet-stream", |(_, kind)| kind)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_in_the_folder_is_served() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).canonicalize().unwrap();
        assert_eq!(file(&root, "/src/main.rs?x=1").unwrap(), root.join("src").join("main.rs"));
        assert_eq!(file(&root, "/src/m%61in.rs").unwrap(), root.join("src").join("main.rs"));
        for outside in
            ["/../base/Cargo.toml", "/%2e%2e/base/Cargo.toml", "//etc/passwd", "/src", "x"]
        {
            assert_eq!(file(&root, outside), None, "{outside}");
        }
    }

    #[test]
    fn a_browser_is_told_the_type_and_the_length() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).canonicalize().unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.write_all(b"GET /Cargo.toml HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        answer(listener.accept().unwrap().0, &root).unwrap();
        let mut said = String::new();
        client.read_to_string(&mut said).unwrap();
        let (head, body) = said.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{head}");
        assert!(body.contains("name = \"wisp-xtask\""), "{body}");
        assert_eq!(kind(Path::new("a/b.wasm")), "application/wasm");
    }
}
