//! SentencePiece's unigram model, as a GGUF file has it (`t5`): of all ways to
//! cut the text into tokens, the one whose scores add up to most.

use crate::spm::SPACE;
use crate::tokenizer::{Kind, Token};
use wisp_base::{Error, Result};

/// How much worse than the worst token an unknown character is.
const PENALTY: f32 = 10.0;

pub(crate) struct Unigram {
    /// Tokens and their ids, by their bytes.
    sorted: Vec<(Vec<u8>, u32, f32)>,
    unknown: u32,
    unknown_score: f32,
    charsmap: Option<Charsmap>,
    add_space_prefix: bool,
    merge_spaces: bool,
}

/// What a step of the best way is: where its token begins, and which it is.
#[derive(Clone, Copy)]
struct Best {
    /// In single precision: of two ways that are as good, rounding decides, as in SentencePiece.
    score: f32,
    from: usize,
    id: u32,
}

impl Unigram {
    /// `scores` are as many as `tokens`.
    pub(crate) fn new(
        tokens: &[Token],
        scores: &[f32],
        unknown: Option<u32>,
        charsmap: &[u8],
        add_space_prefix: bool,
        merge_spaces: bool,
    ) -> Result<Self> {
        let unknown = unknown.ok_or_else(|| {
            Error::input(
                "the file's unigram tokenizer has no unknown token \
                 (tokenizer.ggml.unknown_token_id): the file is damaged",
            )
        })?;
        let mut worst = 0.0f32;
        let mut sorted = Vec::with_capacity(tokens.len());
        for ((id, token), score) in (0..).zip(tokens).zip(scores) {
            let score = match token.kind {
                Kind::Normal => *score,
                Kind::UserDefined => 0.0,
                Kind::Control | Kind::Unused | Kind::Missing => continue,
            };
            if !score.is_finite() {
                return Err(Error::input(format!(
                    "the score of token {id} (tokenizer.ggml.scores) is not a number: the file is \
                     damaged"
                )));
            }
            worst = worst.min(score);
            if !token.text.is_empty() {
                sorted.push((token.text.clone().into_bytes(), id, score));
            }
        }
        sorted.sort_by(|a, b| a.0.cmp(&b.0));
        sorted.dedup_by(|a, b| a.0 == b.0);
        let charsmap = if charsmap.is_empty() { None } else { Some(Charsmap::new(charsmap)?) };
        let unknown_score = worst - PENALTY;
        Ok(Self { sorted, unknown, unknown_score, charsmap, add_space_prefix, merge_spaces })
    }

    /// Appends the ids of `text`.
    pub(crate) fn encode(&self, text: &[u8], ids: &mut Vec<u32>) -> Result<()> {
        let text = self.normal(&String::from_utf8_lossy(text))?;
        let bytes = text.as_bytes();
        let nothing = Best { score: f32::NEG_INFINITY, from: 0, id: self.unknown };
        let mut best = vec![nothing; bytes.len() + 1];
        best[0].score = 0.0;
        for (at, c) in text.char_indices() {
            let here = best[at].score;
            let mut improve = |end: usize, id: u32, score: f32| {
                if here + score > best[end].score {
                    best[end] = Best { score: here + score, from: at, id };
                }
            };
            let mut known = false;
            // The tokens that begin with what has been read from `at` on.
            let mut range = &self.sorted[..];
            for (depth, byte) in bytes[at..].iter().enumerate() {
                let low = range.partition_point(|token| token.0.get(depth) < Some(byte));
                let high = range.partition_point(|token| token.0.get(depth) <= Some(byte));
                range = &range[low..high];
                let Some((first, id, score)) = range.first() else { break };
                if first.len() == depth + 1 {
                    known |= depth + 1 == c.len_utf8();
                    improve(at + depth + 1, *id, *score);
                }
            }
            if !known {
                improve(at + c.len_utf8(), self.unknown, self.unknown_score);
            }
        }
        let begin = ids.len();
        let mut at = bytes.len();
        while at > 0 {
            let Best { from, id, .. } = best[at];
            // Neighbours that are unknown are one.
            if !(id == self.unknown && ids.len() > begin && ids.last() == Some(&id)) {
                ids.push(id);
            }
            at = from;
        }
        ids[begin..].reverse();
        Ok(())
    }

    fn normal(&self, text: &str) -> Result<String> {
        let mut mapped = String::new();
        let text = match &self.charsmap {
            Some(charsmap) => {
                charsmap.map(text, &mut mapped)?;
                &mapped
            }
            None => text,
        };
        let mut normal = String::with_capacity(text.len() + SPACE.len());
        let (mut within, mut prepended) = (false, false);
        for c in text.chars() {
            if c == ' ' {
                within = false;
                if !self.merge_spaces {
                    normal.push_str(SPACE);
                }
                continue;
            }
            if !within {
                within = true;
                if self.merge_spaces || self.add_space_prefix && !prepended {
                    let bare = !self.add_space_prefix && normal.is_empty();
                    normal.push_str(if bare { "" } else { SPACE });
                    prepended = true;
                }
            }
            normal.push(c);
        }
        Ok(normal)
    }
}

/// SentencePiece's table of characters and what they become: a double array over
/// the bytes of the text, and the texts that it points to, each ended by a zero.
struct Charsmap {
    array: Vec<u32>,
    texts: Vec<u8>,
}

impl Charsmap {
    fn new(bytes: &[u8]) -> Result<Self> {
        let (size, rest) = bytes.split_first_chunk::<4>().ok_or_else(bad_charsmap)?;
        let size = u32::from_le_bytes(*size) as usize;
        let (array, texts) = rest.split_at_checked(size).ok_or_else(bad_charsmap)?;
        let word = |bytes: &[u8]| bytes.iter().rev().fold(0, |word, b| word << 8 | u32::from(*b));
        Ok(Self { array: array.chunks_exact(4).map(word).collect(), texts: texts.to_vec() })
    }

    fn map(&self, text: &str, mapped: &mut String) -> Result<()> {
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let (taken, value) = match self.longest(rest.as_bytes())? {
                Some((taken, at)) => (taken, Some(self.text(at)?)),
                None => (c.len_utf8(), None),
            };
            mapped.push_str(value.unwrap_or(&rest[..c.len_utf8()]));
            // A damaged table may end within a character.
            rest = rest.get(taken..).ok_or_else(bad_charsmap)?;
        }
        Ok(())
    }

    /// How long the longest entry is that `text` begins with, and where its text is.
    fn longest(&self, text: &[u8]) -> Result<Option<(usize, usize)>> {
        let node = |at: usize| self.array.get(at).copied().ok_or_else(bad_charsmap);
        let base = |node: u32| ((node >> 10) << ((node & 1 << 9) >> 6)) as usize;
        let mut longest = None;
        let mut at = base(node(0)?);
        for (index, byte) in text.iter().enumerate().take_while(|(_, byte)| **byte != 0) {
            at ^= usize::from(*byte);
            let here = node(at)?;
            if here & (1 << 31 | 0xFF) != u32::from(*byte) {
                break;
            }
            at ^= base(here);
            if here & 1 << 8 != 0 {
                longest = Some((index + 1, (node(at)? & !(1 << 31)) as usize));
            }
        }
        Ok(longest)
    }

    fn text(&self, at: usize) -> Result<&str> {
        let text = self.texts.get(at..).ok_or_else(bad_charsmap)?;
        let end = text.iter().position(|byte| *byte == 0).ok_or_else(bad_charsmap)?;
        std::str::from_utf8(&text[..end]).map_err(|_| bad_charsmap())
    }
}

fn bad_charsmap() -> Error {
    Error::input("the file's table of characters (tokenizer.ggml.precompiled_charsmap) is damaged")
}
