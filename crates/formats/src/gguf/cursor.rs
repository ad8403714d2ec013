//! Reads a header front to back through a buffer, and knows how many bytes are
//! left, so that no number of the file is trusted with an allocation.

use super::show;
use crate::Source;
use wisp_base::{Error, Result};

/// The most bytes asked of the source at once.
const CHUNK: u64 = 1 << 20;

/// The largest header: bounds memory, whatever the file claims (at most
/// 16 times its bytes while tables grow: `tests/fuzz.rs` measures it). A vocabulary of
/// 262,144 tokens and its merges takes 16 MiB, a whole tokenizer.json 33 MiB.
const MAX_HEADER: u64 = 128 << 20;

pub(super) struct Cursor<'a> {
    source: &'a dyn Source,
    /// Read from the source; the first `at` bytes are consumed.
    buffer: Vec<u8>,
    at: usize,
    /// Where in the source `buffer` ends.
    read: u64,
    /// Where the header must have ended.
    end: u64,
    /// What is being read, for messages.
    pub context: String,
}

impl<'a> Cursor<'a> {
    pub fn new(source: &'a dyn Source) -> Self {
        let end = source.len().min(MAX_HEADER);
        Self { source, buffer: Vec::new(), at: 0, read: 0, end, context: "the header".into() }
    }

    /// Where in the source the next byte is.
    pub fn position(&self) -> u64 {
        self.read - self.ready().len() as u64
    }

    /// Bytes that the header may still have.
    pub fn remaining(&self) -> u64 {
        self.end - self.position()
    }

    /// An error that names the file and what was being read.
    pub fn error(&self, message: impl std::fmt::Display) -> Error {
        Error::input(self.sentence(message))
    }

    /// `message` after the file and what was being read.
    pub fn sentence(&self, message: impl std::fmt::Display) -> String {
        format!("{}: {} {message}", self.source.name(), self.context)
    }

    /// A number of things that take at least `least` bytes each, checked against
    /// the bytes that are left.
    pub async fn count(&mut self, what: &str, least: u64) -> Result<usize> {
        let count = self.u64().await?;
        self.checked(count, what, least)
    }

    /// `count`, if so many things of at least `least` bytes each may follow.
    pub fn checked(&self, count: u64, what: &str, least: u64) -> Result<usize> {
        let most = self.remaining() / least;
        usize::try_from(count).ok().filter(|_| count <= most).ok_or_else(|| {
            self.error(format!(
                "claims {count} {what}, but at most {most} fit in the {} bytes that may follow: \
                 the file is damaged or truncated; download it again",
                self.remaining()
            ))
        })
    }

    pub async fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array().await?))
    }

    pub async fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array().await?))
    }

    /// The next `N` bytes.
    pub async fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        if let Some(bytes) = self.ready().first_chunk() {
            let bytes = *bytes;
            self.at += N;
            return Ok(bytes);
        }
        let bytes = self.bytes(N).await?;
        bytes.first_chunk().copied().ok_or_else(|| self.short(N))
    }

    /// The next `count` bytes.
    pub async fn bytes(&mut self, count: usize) -> Result<Vec<u8>> {
        if count as u64 > self.remaining() {
            return Err(self.short(count));
        }
        let mut bytes = Vec::with_capacity(count);
        loop {
            let ready = self.ready();
            let take = ready.get(..count - bytes.len()).unwrap_or(ready);
            bytes.extend_from_slice(take);
            self.at += take.len();
            if bytes.len() == count {
                return Ok(bytes);
            }
            self.refill().await?;
        }
    }

    /// A string as the file has it: a length, then bytes.
    pub async fn raw_string(&mut self) -> Result<Vec<u8>> {
        let length = self.count("bytes of text", 1).await?;
        self.bytes(length).await
    }

    /// A key or a name: must be UTF-8.
    pub async fn name(&mut self, what: &str) -> Result<String> {
        String::from_utf8(self.raw_string().await?).map_err(|bad| {
            let text = show(&String::from_utf8_lossy(bad.as_bytes()));
            self.error(format!(
                "has {what} that is not UTF-8 ({text}): the file is damaged; download it again"
            ))
        })
    }

    /// A string value: bytes that are not UTF-8 become U+FFFD.
    pub async fn text(&mut self) -> Result<String> {
        let bytes = self.raw_string().await?;
        Ok(String::from_utf8(bytes)
            .unwrap_or_else(|bad| String::from_utf8_lossy(bad.as_bytes()).into_owned()))
    }

    /// Read, not consumed.
    fn ready(&self) -> &[u8] {
        self.buffer.get(self.at..).unwrap_or_default()
    }

    /// Drops the buffer for the next chunk, of at least one byte. Called when all
    /// of it is consumed and bytes remain.
    async fn refill(&mut self) -> Result<()> {
        let chunk = (self.end - self.read).min(CHUNK);
        if chunk == 0 {
            return Err(self.short(1));
        }
        self.buffer.clear();
        self.buffer.resize(chunk as usize, 0);
        self.at = 0;
        let read = self.source.read(self.read, &mut self.buffer).await;
        if read.is_err() {
            self.buffer.clear();
        } else {
            self.read += chunk;
        }
        read
    }

    fn short(&self, wanted: usize) -> Error {
        let left = self.remaining();
        if self.end < self.source.len() {
            return self.error(format!(
                "ends past {} MiB, the most that a header may take: the file is damaged; \
                 download it again",
                MAX_HEADER >> 20
            ));
        }
        self.error(format!(
            "is cut short: {wanted} bytes are wanted at byte {}, but {left} are left; the file \
             is truncated, download it again",
            self.position()
        ))
    }
}
