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

use regex_automata::{Input, meta};
use wisp_base::{Error, Result};

/// GPT-2's pattern, without its white space.
const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+";

const LLAMA3: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}",
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
);

const QWEN2: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}",
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
);

/// Whether a stage's pattern goes on with `|\s+(?!\S)|\s+`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Spaces {
    Split,
    Leave,
}

struct Rule {
    /// The names in files; the first is the one that messages list.
    names: &'static [&'static str],
    stages: &'static [(&'static str, Spaces)],
    /// A word that is in the vocabulary is its token, whatever the merges say.
    ignore_merges: bool,
}

const RULES: [Rule; 5] = [
    Rule {
        names: &["default"],
        stages: &[
            (r"[\p{P}\$\+<=>\^~\|]+", Spaces::Leave),
            (GPT2, Spaces::Split),
            (r"\p{N}+", Spaces::Leave),
            (r"[0-9][0-9][0-9]", Spaces::Leave),
        ],
        ignore_merges: false,
    },
    Rule { names: &["gpt-2"], stages: &[(GPT2, Spaces::Split)], ignore_merges: false },
    Rule {
        names: &["smollm"],
        stages: &[(r"\p{N}", Spaces::Leave), (GPT2, Spaces::Split)],
        ignore_merges: false,
    },
    Rule {
        names: &["llama-bpe", "llama3", "llama-v3"],
        stages: &[(LLAMA3, Spaces::Split)],
        ignore_merges: true,
    },
    Rule {
        names: &["qwen2", "deepseek-r1-qwen"],
        stages: &[(QWEN2, Spaces::Split)],
        ignore_merges: false,
    },
];

/// The pre-tokenizer of one name.
pub(crate) struct Splitter {
    stages: Vec<Stage>,
    pub(crate) ignore_merges: bool,
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
        let stages = rule.stages.iter().map(|(pattern, spaces)| Stage::new(pattern, *spaces));
        Ok(Self { stages: stages.collect::<Result<_>>()?, ignore_merges: rule.ignore_merges })
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

struct Stage {
    regex: meta::Regex,
}

impl Stage {
    /// The number, among the patterns of a stage, of the run of white space that
    /// something follows: it is matched with its last character, which is then given back.
    const GIVES_BACK: usize = 2;

    fn new(pattern: &str, spaces: Spaces) -> Result<Self> {
        // Of patterns that match at one place the first is taken, as of alternatives.
        let patterns = [pattern, r"\s+\z", r"\s+\s", r"\s+"];
        let count = if spaces == Spaces::Split { patterns.len() } else { 1 };
        let regex = meta::Regex::new_many(&patterns[..count]).map_err(|cause| {
            Error::unsupported(format!("the pre-tokenizer's pattern '{pattern}' is bad: {cause}"))
        })?;
        Ok(Self { regex })
    }

    fn split<'t>(&self, text: &'t str, words: &mut Vec<&'t str>) {
        let mut at = 0;
        while let Some(found) = self.regex.find(Input::new(text).range(at..)) {
            let mut end = found.end();
            if found.pattern().as_usize() == Self::GIVES_BACK {
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
            words.push(&text[found.start()..end]);
            at = end;
        }
        if at < text.len() {
            words.push(&text[at..]);
        }
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
        assert_eq!(words("default", "a==12345!"), ["a", "==", "123", "45", "!"]);
    }

    #[test]
    fn a_long_run_takes_linear_time_and_no_stack() {
        let text = " ".repeat(3_000_000) + "x";
        for rule in &RULES {
            assert_eq!(words(rule.names[0], &text).concat(), text);
        }
    }
}
