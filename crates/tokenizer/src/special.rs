//! Finds the tokens that are recognised by their text before BPE sees it.

use aho_corasick::{AhoCorasick, MatchKind};
use wisp_base::{Error, Result};

/// A set of literal tokens. Of those that begin at one place the longest is taken.
pub(crate) struct Literals {
    finder: Option<AhoCorasick>,
    ids: Vec<u32>,
}

/// A stretch of text: ordinary bytes, or one literal token.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part<'t> {
    Text(&'t [u8]),
    Token(u32),
}

impl Literals {
    pub(crate) fn new<'a>(tokens: impl Iterator<Item = (u32, &'a str)>) -> Result<Self> {
        let (ids, texts): (Vec<_>, Vec<_>) = tokens.filter(|(_, text)| !text.is_empty()).unzip();
        let finder = if texts.is_empty() {
            None
        } else {
            let finder = AhoCorasick::builder()
                .match_kind(MatchKind::LeftmostLongest)
                .build(&texts)
                .map_err(|cause| {
                    Error::unsupported(format!(
                        "the vocabulary has more control tokens than can be searched for: {cause}"
                    ))
                })?;
            Some(finder)
        };
        Ok(Self { finder, ids })
    }

    /// Cuts `text` at the literal tokens; no [`Part::Text`] is empty.
    pub(crate) fn cut<'t>(&self, text: &'t [u8]) -> Vec<Part<'t>> {
        let mut parts = Vec::new();
        let mut at = 0;
        if let Some(finder) = &self.finder {
            for found in finder.find_iter(text) {
                if at < found.start() {
                    parts.push(Part::Text(&text[at..found.start()]));
                }
                parts.push(Part::Token(self.ids[found.pattern().as_usize()]));
                at = found.end();
            }
        }
        if at < text.len() {
            parts.push(Part::Text(&text[at..]));
        }
        parts
    }
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_of_those_that_begin_first() {
        let literals =
            Literals::new([(7, "<a>"), (8, "<a><b>"), (9, "")].into_iter()).expect("literals");
        let parts = literals.cut(b"x<a><b><a>\xFFy");
        let want = [Part::Text(b"x"), Part::Token(8), Part::Token(7), Part::Text(b"\xFFy")];
        assert_eq!(parts, want);
        assert!(literals.cut(b"").is_empty());
    }
}
