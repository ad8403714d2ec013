//! Texts of which a folder's tokenizer and the one of a GGUF file must make the same ids.

use super::tokens::{CONTROL, NORMAL};
use wisp_base::{Error, Result};
use wisp_tokenizer::Tokenizer;

/// Words, numbers, signs and spaces of which named pre-tokenizers make different tokens.
const PROBE: &str = "Hello World's 1234567 x=3.14;\n\n\n \n  \t\tI'VE 'LL we'd don't  !!!  \
    ünïcödé Ünïcode 東京タワー 你好 привет مرحبا हिन्दी ๑๒๓ 🚀🔥 👩‍👩‍👧 <br/>//a/b\r\n\r\n \
    def f(a_b, cC=DeF): return[0]  # ok   \u{3000}e\u{301} ½² ABCdef 12 345 ';'S";

/// No text, and a character that no vocabulary has.
const SHORT: [&str; 3] = ["", "a", "a \u{10FFFD}b"];

/// Words of the vocabulary that are tried, and how many are in one text.
const WORDS: usize = 4096;
const IN_ONE: usize = 64;

/// Texts and the folder's ids of them.
pub(super) struct Probe {
    fixed: Vec<Tried>,
    words: Vec<Tried>,
    edges: Vec<Tried>,
}

struct Tried {
    text: Vec<u8>,
    parse_special: bool,
    ids: Vec<u32>,
}

impl Probe {
    /// # Errors
    /// The folder's tokenizer refuses a text.
    pub(super) fn new(theirs: &Tokenizer, types: &[i32]) -> Result<Self> {
        let tried = |(text, parse_special): (Vec<u8>, bool)| {
            let ids = theirs.encode(&text, true, parse_special)?;
            Ok::<_, Error>(Tried { text, parse_special, ids })
        };
        let all = |texts: Vec<(Vec<u8>, bool)>| {
            texts.into_iter().map(tried).collect::<Result<Vec<Tried>>>()
        };
        let plain = |text: &str| (text.as_bytes().to_vec(), false);
        let fixed = std::iter::once(PROBE).chain(SHORT).map(plain).collect();
        let words = words(theirs, types).into_iter().map(|text| (text, false)).collect();
        // Where Hugging Face's tokenizers have rules that GGUF has no words for.
        let mut edges = vec![plain(" a b"), plain("a b ")];
        let control = (0..).zip(types).find(|(_, kind)| **kind == CONTROL);
        if let Some(text) = control.and_then(|(id, _)| theirs.token_text(id)) {
            edges.push((format!("{text}a b{text} a").into_bytes(), true));
        }
        Ok(Self { fixed: all(fixed)?, words: all(words)?, edges: all(edges)? })
    }

    /// Whether a tokenizer makes the folder's ids of the texts that are the same for all models.
    pub(super) fn agrees(&self, ours: &Tokenizer) -> bool {
        self.fixed.iter().all(|tried| tried.agrees(ours))
    }

    /// Whether it makes them of the vocabulary's own words, in nearly all texts: of ways to cut
    /// a word that are as good, the rounding of scores takes one.
    pub(super) fn agrees_on_words(&self, ours: &Tokenizer) -> bool {
        let other = self.words.iter().filter(|tried| !tried.agrees(ours)).count();
        other * 32 <= self.words.len()
    }

    /// Whether it makes them where a text begins or ends with a space, and beside control tokens.
    pub(super) fn agrees_on_edges(&self, ours: &Tokenizer) -> bool {
        self.edges.iter().all(|tried| tried.agrees(ours))
    }
}

impl Tried {
    fn agrees(&self, ours: &Tokenizer) -> bool {
        ours.encode(&self.text, true, self.parse_special).is_ok_and(|ids| ids == self.ids)
    }
}

/// Texts of words from all over the vocabulary, two and two without a space between.
fn words(theirs: &Tokenizer, types: &[i32]) -> Vec<Vec<u8>> {
    let ids: Vec<u32> =
        (0..).zip(types).filter(|(_, kind)| **kind == NORMAL).map(|(id, _)| id).collect();
    let step = ids.len().div_ceil(WORDS).max(1);
    let tried: Vec<u32> = ids.into_iter().step_by(step).collect();
    let text = |ids: &[u32]| {
        // No text begins with a space: that is an edge.
        let mut text = b"a".to_vec();
        for (at, id) in ids.iter().enumerate() {
            text.extend(if at % 2 == 0 { &b" "[..] } else { b"" });
            text.extend(theirs.token_bytes(*id).unwrap_or_default());
        }
        // A token may be a part of a character.
        String::from_utf8_lossy(&text).into_owned().into_bytes()
    };
    tried.chunks(IN_ONE).map(text).collect()
}
