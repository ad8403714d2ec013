//! The buffer through which rustyline reads a terminal, in place of the crate `buffer-redux`
//! (the interface is that crate's, as far as rustyline uses it). It differs in one thing:
//! what is not UTF-8 comes out as U+FFFD. For rustyline such a byte is an error, with which
//! it drops the line and all that was read beyond it.

use std::io::{self, Read};

/// What was read and not yet asked for.
#[derive(Debug, Default)]
pub struct Buffer {
    /// UTF-8, of which `taken` bytes are gone.
    text: Vec<u8>,
    taken: usize,
    /// The beginning of a character.
    begun: Vec<u8>,
}

impl Buffer {
    fn rest(&self) -> &[u8] {
        self.text.get(self.taken..).unwrap_or_default()
    }

    /// Takes in bytes as they were typed; with none, at the end, what was begun is wrong.
    fn add(&mut self, bytes: &[u8]) {
        self.text.drain(..self.taken);
        self.taken = 0;
        let mut raw = std::mem::take(&mut self.begun);
        raw.extend_from_slice(bytes);
        let mut seen = 0;
        for chunk in raw.utf8_chunks() {
            self.text.extend_from_slice(chunk.valid().as_bytes());
            let invalid = chunk.invalid();
            seen += chunk.valid().len() + invalid.len();
            let is_begun = std::str::from_utf8(invalid).is_err_and(|e| e.error_len().is_none());
            if seen == raw.len() && is_begun && !bytes.is_empty() {
                self.begun = invalid.to_vec();
            } else if !invalid.is_empty() {
                self.text.extend_from_slice("\u{fffd}".as_bytes());
            }
        }
    }
}

/// Reads from `R` by way of a [`Buffer`].
#[derive(Debug)]
pub struct BufReader<R> {
    buffer: Buffer,
    /// Bytes a read at most.
    most: usize,
    inner: R,
}

impl<R> BufReader<R> {
    /// Nothing read so far; `most` bytes at a time.
    pub fn with_capacity(most: usize, inner: R) -> Self {
        Self { buffer: Buffer::default(), most: most.max(1), inner }
    }

    /// Goes on with what another reader left.
    pub fn with_buffer(buffer: Buffer, inner: R) -> Self {
        Self { buffer, most: 1024, inner }
    }

    /// What can be had without reading.
    pub fn buffer(&self) -> &[u8] {
        self.buffer.rest()
    }

    /// Where it reads from.
    pub fn get_ref(&self) -> &R {
        &self.inner
    }

    /// Both parts, for [`Self::with_buffer`].
    pub fn into_inner_with_buffer(self) -> (R, Buffer) {
        (self.inner, self.buffer)
    }
}

impl<R: Read> Read for BufReader<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while self.buffer.rest().is_empty() {
            let mut bytes = vec![0; self.most];
            let count = self.inner.read(&mut bytes)?;
            self.buffer.add(bytes.get(..count).unwrap_or_default());
            if count == 0 {
                break;
            }
        }
        let rest = self.buffer.rest();
        let count = rest.len().min(to.len());
        to[..count].copy_from_slice(&rest[..count]);
        self.buffer.taken += count;
        Ok(count)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    /// Gives a piece a read.
    struct Pieces(VecDeque<&'static [u8]>);

    impl Read for Pieces {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            let piece = self.0.pop_front().unwrap_or_default();
            to[..piece.len()].copy_from_slice(piece);
            Ok(piece.len())
        }
    }

    fn reader(pieces: &[&'static [u8]]) -> BufReader<Pieces> {
        BufReader::with_capacity(64, Pieces(pieces.iter().copied().collect()))
    }

    fn all(pieces: &[&'static [u8]]) -> String {
        let mut text = Vec::new();
        reader(pieces).read_to_end(&mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn what_is_no_utf_8_is_replaced_and_nothing_is_lost() {
        assert_eq!(all(&["größe 👩\r".as_bytes()]), "größe 👩\r");
        assert_eq!(all(&[b"caf\xe9\rcr\xe8me"]), "caf\u{fffd}\rcr\u{fffd}me");
        // A character in two reads; the beginning of one before something else, and at the end.
        assert_eq!(all(&[b"\xc3", b"\xa9"]), "é");
        assert_eq!(all(&[b"\xe9", b"x"]), "\u{fffd}x");
        assert_eq!(all(&[b"\xf0\x9f", b"\x91\xa9\xe9"]), "👩\u{fffd}");
        assert_eq!(all(&[b"\xff\xfe\xc0\x80"]), "\u{fffd}".repeat(4));
    }

    #[test]
    fn what_one_reader_leaves_the_next_one_has() {
        let mut first = reader(&[b"one\rtw\xc3", b"\xb6\r"]);
        let mut line = [0; 4];
        first.read_exact(&mut line).unwrap();
        assert_eq!((&line, first.buffer()), (b"one\r", &b"tw"[..]));
        let (inner, buffer) = first.into_inner_with_buffer();
        let mut next = BufReader::with_buffer(buffer, inner);
        let mut text = String::new();
        next.read_to_string(&mut text).unwrap();
        assert_eq!(text, "twö\r");
    }
}
