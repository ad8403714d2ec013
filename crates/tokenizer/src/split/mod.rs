//! Pre-tokenizers: text is split into words, and BPE joins within a word only.
//!
//! The patterns are llama.cpp's for each name of `tokenizer.ggml.pre` (they are
//! the models' own, of their `tokenizer.json`). Each stage splits the words of
//! the stage before: what matches is a word, and so is what lies between matches.
//!
//! Most patterns end in `\s+(?!\S)|\s+`: a run of white space leaves its last
//! character to the word that follows. Automata cannot look ahead, so [`Stage`]
//! does that part itself; in exchange a match takes time linear in its length and
//! cannot run out of stack, whatever the text.

mod rules;

use regex_automata::{Input, meta};
use rules::{COMPOSING, Part, RULES};
use wisp_base::{Error, Result};

/// What becomes of white space that a stage's pattern does not match.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tail {
    /// The pattern goes on with `|\s+(?!\S)|\s+`.
    Split,
    /// The same, but a run is cut into pieces of the sizes of [`CASCADE`].
    Cascade,
    /// It is part of what lies between matches.
    Leave,
}

/// What Jais 2 cuts runs of white space into.
const CASCADE: [usize; 9] = [512, 256, 128, 64, 32, 16, 8, 4, 2];

/// The pre-tokenizer of one name.
pub(crate) struct Splitter {
    stages: Vec<Stage>,
    pub(crate) ignore_merges: bool,
    pub(crate) add_bos: bool,
    pub(crate) raw: bool,
    /// Text is to be composed (NFC) before it is split.
    pub(crate) composes: bool,
}

/// Names that `tokenizer.ggml.pre` may have, one a pre-tokenizer.
pub fn pre_tokenizers() -> impl Iterator<Item = &'static str> {
    RULES.iter().filter(|rule| !rule.raw).map(|rule| rule.names[0])
}

impl Splitter {
    /// # Errors
    /// [`Error::Unsupported`] that names the known ones.
    pub(crate) fn named(name: &str) -> Result<Self> {
        let rule = RULES.iter().find(|rule| rule.names.contains(&name)).ok_or_else(|| {
            let known: Vec<_> = RULES.iter().map(|rule| rule.names[0]).collect();
            Error::unsupported(format!(
                "the pre-tokenizer '{name}' (tokenizer.ggml.pre) is not known; these are: {}",
                known.join(", ")
            ))
        })?;
        let stages = rule.parts.iter().map(|part| match part {
            Part::Pattern(pattern, tail) => Stage::new(pattern, *tail),
            Part::Thousands(alone) => Ok(Stage::Thousands { alone: *alone }),
        });
        Ok(Self {
            stages: stages.collect::<Result<_>>()?,
            ignore_merges: rule.ignore_merges,
            add_bos: rule.add_bos,
            raw: rule.raw,
            composes: COMPOSING.contains(&name),
        })
    }

    /// The words of `text`, in order; together they are all of it.
    pub(crate) fn split<'t>(&self, text: &'t str) -> Vec<&'t str> {
        let mut words = vec![text];
        for stage in &self.stages {
            let mut next = Vec::with_capacity(words.len());
            for word in words {
                stage.split(word, &mut next);
            }
            words = next;
        }
        words
    }
}

enum Stage {
    Pattern { regex: meta::Regex, tail: Tail },
    Thousands { alone: bool },
}

/// The number, among the patterns of a stage, of the run of white space that
/// something follows: it is matched with its last character, which is then given back.
const GIVES_BACK: usize = 2;

impl Stage {
    fn new(pattern: &str, tail: Tail) -> Result<Self> {
        // Of patterns that match at one place the first is taken, as of alternatives.
        let patterns: &[&str] = match tail {
            Tail::Split => &[pattern, r"\s+\z", r"\s+\s", r"\s+"],
            Tail::Cascade => &[pattern, r"\s"],
            Tail::Leave => &[pattern],
        };
        let regex = meta::Regex::new_many(patterns).map_err(|cause| {
            Error::unsupported(format!("the pre-tokenizer's pattern '{pattern}' is bad: {cause}"))
        })?;
        Ok(Self::Pattern { regex, tail })
    }

    fn split<'t>(&self, text: &'t str, words: &mut Vec<&'t str>) {
        match self {
            Self::Pattern { regex, tail } => matches(regex, *tail, text, words),
            Self::Thousands { alone } => thousands(*alone, text, words),
        }
    }
}

fn matches<'t>(regex: &meta::Regex, tail: Tail, text: &'t str, words: &mut Vec<&'t str>) {
    let mut at = 0;
    while let Some(found) = regex.find(Input::new(text).range(at..)) {
        let mut end = found.end();
        let pattern = found.pattern().as_usize();
        if pattern == GIVES_BACK {
            let last = text[..end].chars().next_back();
            end -= last.map_or(0, char::len_utf8);
        }
        if at < found.start() {
            words.push(&text[at..found.start()]);
        }
        // No pattern matches nothing; if one did, this would end the loop.
        if end <= found.start() {
            at = found.start();
            break;
        }
        if pattern > 0 && tail == Tail::Cascade {
            at = found.start() + cascade(&text[found.start()..], words);
            continue;
        }
        words.push(&text[found.start()..end]);
        at = end;
    }
    if at < text.len() {
        words.push(&text[at..]);
    }
}

/// Cuts the white space that `text` begins with, in which no line ends. Unless the
/// text ends with it, its last character is left to what follows.
fn cascade<'t>(text: &'t str, words: &mut Vec<&'t str>) -> usize {
    let run = text.find(|c: char| !c.is_whitespace()).unwrap_or(text.len());
    let mut left = text[..run].chars().count();
    let mut at = 0;
    loop {
        let free = if run == text.len() { left } else { left.saturating_sub(1) };
        let count = CASCADE.into_iter().find(|size| *size <= free).unwrap_or(1).min(left);
        let length: usize = text[at..].chars().take(count).map(char::len_utf8).sum();
        words.push(&text[at..at + length]);
        at += length;
        left -= count;
        if left == 0 || left == 1 && run < text.len() {
            return at;
        }
    }
}

fn thousands<'t>(alone: bool, text: &'t str, words: &mut Vec<&'t str>) {
    let mut rest = text;
    // Where the text begins that has not become a word.
    let mut before = 0;
    loop {
        let at = text.len() - rest.len();
        let Some(begin) = rest.find(char::is_numeric) else { break };
        let digits = &rest[begin..];
        let length = digits.find(|c: char| !c.is_numeric()).unwrap_or(digits.len());
        rest = &digits[length..];
        let joined = |c: char| c.is_alphanumeric() || c == '_';
        if alone && rest.starts_with(joined) {
            continue;
        }
        if before < at + begin {
            words.push(&text[before..at + begin]);
        }
        before = at + begin + length;
        let count = digits[..length].chars().count();
        let mut start = 0;
        for (index, (place, _)) in digits[..length].char_indices().enumerate() {
            if index > 0 && (count - index).is_multiple_of(3) {
                words.push(&digits[start..place]);
                start = place;
            }
        }
        words.push(&digits[start..length]);
    }
    if before < text.len() {
        words.push(&text[before..]);
    }
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::*;

    fn words<'t>(pre: &str, text: &'t str) -> Vec<&'t str> {
        Splitter::named(pre).expect("a known name").split(text)
    }

    #[test]
    fn a_run_of_spaces_leaves_one() {
        assert_eq!(words("gpt-2", "a   b  "), ["a", "  ", " b", "  "]);
        assert_eq!(words("gpt-2", "a\n\nb"), ["a", "\n", "\n", "b"]);
        assert_eq!(words("llama-bpe", "a\n\n b"), ["a", "\n\n", " b"]);
        assert_eq!(words("llama-bpe", "a \t\u{3000}1"), ["a", " \t", "\u{3000}", "1"]);
        assert!(words("qwen2", "").is_empty());
    }

    #[test]
    fn digits_and_contractions() {
        assert_eq!(
            words("smollm", "in 2024, it's"),
            ["in", " ", "2", "0", "2", "4", ",", " it", "'s"]
        );
        assert_eq!(words("llama-bpe", "12345 IT'S"), ["123", "45", " IT", "'S"]);
        assert_eq!(words("qwen2", "12"), ["1", "2"]);
        assert_eq!(words("superbpe", "a1234567"), ["a", "1", "234", "567"]);
        assert_eq!(words("tiny_aya", "1234 1234b"), ["1", "234", " ", "123", "4", "b"]);
        assert_eq!(words("jais-2", "a       b"), ["a", "    ", "  ", " b"]);
        assert_eq!(words("kimi-k2", "中文ab's"), ["中文", "ab's"]);
        assert_eq!(words("tekken", "helloWorld"), ["hello", "World"]);
        assert_eq!(words("default", "a==12345!"), ["a", "==", "123", "45", "!"]);
    }

    #[test]
    fn a_long_run_takes_linear_time_and_no_stack() {
        let text = " ".repeat(500_000) + "x";
        for rule in RULES {
            assert_eq!(words(rule.names[0], &text).concat(), text);
        }
    }
}
