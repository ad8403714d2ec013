//! A server of static files for this machine alone, to look at the chat page with.

use crate::step::Result;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
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

/// A folder of static files, and models of this machine beside them.
pub struct Site {
    root: PathBuf,
    /// Names and files of models: `/models/NAME.gguf`.
    models: Vec<(String, PathBuf)>,
}

impl Site {
    /// The files of `folder`, and `models` in the page's list.
    pub fn new(folder: &Path, models: Vec<(String, PathBuf)>) -> Result<Self> {
        let root = folder
            .canonicalize()
            .map_err(|cause| format!("cannot serve {}: {cause}", folder.display()))?;
        Ok(Self { root, models })
    }

    /// Serves it until it is interrupted.
    pub fn serve(self) -> Result {
        // Only this machine is served.
        let listener =
            (PORT..PORT + 100).find_map(|p| TcpListener::bind((Ipv4Addr::LOCALHOST, p)).ok());
        let listener = listener.ok_or_else(|| format!("no port from {PORT} on is free"))?;
        let port = listener.local_addr().map_or(PORT, |address| address.port());
        println!("http://localhost:{port}/ (Ctrl-C ends it)");
        let site = std::sync::Arc::new(self);
        for stream in listener.incoming().flatten() {
            let site = site.clone();
            std::thread::spawn(move || {
                // A browser that went away is no matter.
                let _ = site.answer(stream);
            });
        }
        Ok(())
    }

    /// One request, one answer, and the connection is closed.
    fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut line = String::new();
        let mut head = BufReader::new(stream.try_clone()?.take(HEAD));
        head.read_line(&mut line)?;
        // All of it is read, for a connection that closes with unread bytes is cut off.
        let rest =
            head.by_ref().lines().map_while(|rest| rest.ok().filter(|rest| !rest.is_empty()));
        let ranges: Vec<String> = rest.filter_map(|rest| range_header(&rest)).collect();
        let mut words = line.split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if !matches!(method, "GET" | "HEAD") {
            return respond(&mut stream, "405 Method Not Allowed", "text/plain", 0, "");
        }
        if let Some(list) = self.list(target) {
            respond(&mut stream, "200 OK", "application/json", list.len() as u64, "")?;
            return if method == "GET" { stream.write_all(list.as_bytes()) } else { Ok(()) };
        }
        let opened = self.find(target).and_then(|path| {
            let file = std::fs::File::open(&path).ok()?;
            Some((kind(&path), file.metadata().ok()?.len(), file))
        });
        let Some((kind, length, mut file)) = opened else {
            return respond(&mut stream, "404 Not Found", "text/plain", 0, "");
        };
        let mut part = 0..length;
        if let Some(text) = ranges.first() {
            let Some(wanted) = range(text, length) else {
                let size = format!("Content-Range: bytes */{length}\r\n");
                return respond(&mut stream, "416 Range Not Satisfiable", kind, 0, &size);
            };
            part = wanted;
            let place =
                format!("Content-Range: bytes {}-{}/{length}\r\n", part.start, part.end - 1);
            respond(&mut stream, "206 Partial Content", kind, part.end - part.start, &place)?;
        } else {
            respond(&mut stream, "200 OK", kind, length, "")?;
        }
        if method == "GET" {
            file.seek(SeekFrom::Start(part.start))?;
            std::io::copy(&mut file.take(part.end - part.start), &mut stream)?;
        }
        Ok(())
    }

    /// What a request names: a model, or a file of the folder.
    fn find(&self, target: &str) -> Option<PathBuf> {
        let name = target.strip_prefix("/models/").and_then(|name| name.strip_suffix(".gguf"));
        let model = name.and_then(|name| self.models.iter().find(|(known, _)| known == name));
        model.map(|(_, path)| path.clone()).or_else(|| file(&self.root, target))
    }

    /// The page's list of models with those of this machine, if that is what is asked for.
    fn list(&self, target: &str) -> Option<String> {
        if target.split('?').next() != Some("/models.json") || self.models.is_empty() {
            return None;
        }
        let page = std::fs::read_to_string(self.root.join("models.json")).ok()?;
        let entries: Vec<String> = self
            .models
            .iter()
            .filter_map(|(name, path)| {
                let bytes = path.metadata().ok()?.len();
                Some(format!(
                    "{{\"id\":\"local-{name}\",\"name\":\"{name}\",\
                     \"url\":\"models/{name}.gguf\",\"bytes\":{bytes}}}"
                ))
            })
            .collect();
        Some(page.replacen('{', &format!("{{\"local\":[{}],", entries.join(",")), 1))
    }
}

/// The models that `wisp models` prints as being here: names that need no quoting, and files.
pub fn models_of(listing: &str) -> Vec<(String, PathBuf)> {
    let model = |line: &str| {
        let columns: Vec<&str> = line.split("  ").filter(|column| !column.is_empty()).collect();
        let [name, .., path] = columns.as_slice() else { return None };
        let (name, path) = (name.trim(), path.trim());
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let path = PathBuf::from(path);
        let fits = name.chars().all(plain) && path.extension().is_some_and(|end| end == "gguf");
        // The page takes the files of a split model by its picker.
        (fits && !is_split(name) && path.is_file()).then(|| (name.to_owned(), path))
    };
    listing.lines().filter_map(model).collect()
}

/// Whether a model is in several files: `STEM-00001-of-00003`.
fn is_split(name: &str) -> bool {
    let digits = |text: &str| text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    let parts =
        name.rsplit_once("-of-").and_then(|(rest, count)| Some((rest.rsplit_once('-')?.1, count)));
    parts.is_some_and(|(number, count)| digits(number) && digits(count))
}

/// The value of the header `Range`.
fn range_header(line: &str) -> Option<String> {
    let (name, value) = line.split_once(':')?;
    name.eq_ignore_ascii_case("range").then(|| value.trim().to_owned())
}

/// Bytes of a file that `bytes=first-last` or `bytes=first-` asks for; `None` for what is not
/// there, and for other forms.
fn range(text: &str, length: u64) -> Option<std::ops::Range<u64>> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let first: u64 = first.parse().ok()?;
    let end = if last.is_empty() { length } else { last.parse::<u64>().ok()?.checked_add(1)? };
    let end = end.min(length);
    (first < end).then_some(first..end)
}

fn respond(
    stream: &mut TcpStream,
    status: &str,
    kind: &str,
    length: u64,
    more: &str,
) -> std::io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n{more}\
         Accept-Ranges: bytes\r\nCache-Control: no-cache\r\nConnection: close\r\n\r\n"
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

    /// What a site answers to a request.
    fn said(site: &Site, request: &str) -> (String, String) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.write_all(format!("{request}\r\nHost: localhost\r\n\r\n").as_bytes()).unwrap();
        site.answer(listener.accept().unwrap().0).unwrap();
        let mut said = String::new();
        client.read_to_string(&mut said).unwrap();
        let (head, body) = said.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    }

    fn here() -> Site {
        Site::new(Path::new(env!("CARGO_MANIFEST_DIR")), Vec::new()).unwrap()
    }

    #[test]
    fn a_browser_is_told_the_type_and_the_length() {
        let (head, body) = said(&here(), "GET /Cargo.toml HTTP/1.1");
        assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{head}");
        assert!(body.contains("name = \"wisp-xtask\""), "{body}");
        assert_eq!(kind(Path::new("a/b.wasm")), "application/wasm");
    }

    #[test]
    fn parts_of_a_file_are_served_and_others_refused() {
        let whole = std::fs::read_to_string(here().root.join("Cargo.toml")).unwrap();
        for (range, want) in [("bytes=3-12", &whole[3..13]), ("bytes=7-", &whole[7..])] {
            let (head, body) =
                said(&here(), &format!("GET /Cargo.toml HTTP/1.1\r\nrange: {range}"));
            assert!(head.starts_with("HTTP/1.1 206 Partial Content"), "{head}");
            assert!(head.contains(&format!("/{}", whole.len())), "{head}");
            assert_eq!(body, want);
        }
        let (head, _) = said(&here(), "GET /Cargo.toml HTTP/1.1\r\nRange: bytes=99999999-");
        assert!(head.starts_with("HTTP/1.1 416"), "{head}");
    }

    #[test]
    fn split_models_are_known_by_their_names() {
        assert!(is_split("a--m-00001-of-00003"));
        for whole in ["m", "best-of-07", "m-1-of-3", "m-00001-of-0003", "-of-00003"] {
            assert!(!is_split(whole), "{whole}");
        }
    }

    #[test]
    fn models_of_the_local_store_are_listed_and_served() {
        let folder = std::env::temp_dir().join(format!("wisp-serve-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("a model.gguf"), "GGUF!").unwrap();
        std::fs::write(folder.join("models.json"), "{\"models\": []}").unwrap();
        let file = folder.join("a model.gguf");
        let listing = format!(
            "smollm2-135m        98 MB  Q4_1    Apache-2.0   {}\n\
             qwen               1.1 GB  Q4_K_M  Apache-2.0   not downloaded: wisp pull qwen\n\
             by-address        5 bytes                       {0}\n\
             a\"b               5 bytes                       {0}\n",
            file.display()
        );
        let models = models_of(&listing);
        let named = |name: &str| (name.to_owned(), file.clone());
        assert_eq!(models, [named("smollm2-135m"), named("by-address")]);
        let site = Site::new(&folder, models[..1].to_vec()).unwrap();
        let (_, list) = said(&site, "GET /models.json HTTP/1.1");
        let entry = "{\"id\":\"local-smollm2-135m\",\"name\":\"smollm2-135m\",\
                     \"url\":\"models/smollm2-135m.gguf\",\"bytes\":5}";
        assert_eq!(list, format!("{{\"local\":[{entry}],\"models\": []}}"));
        assert_eq!(said(&site, "GET /models/smollm2-135m.gguf HTTP/1.1").1, "GGUF!");
        assert!(said(&site, "GET /models/other.gguf HTTP/1.1").0.contains("404"));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
