//! WordPiece with BERT's normalisation, as a GGUF file has it (`bert`): a token
//! that begins a word begins with `▁`, and others go on with one.

use crate::spm::SPACE;
use crate::tokenizer::{Kind, Token};
use std::collections::HashMap;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::{
    NormalizedString, Normalizer, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer,
};
use wisp_base::{Error, Result};

pub(crate) struct WordPiece {
    pieces: HashMap<String, u32>,
    longest: usize,
    unknown: Option<u32>,
    normalizer: BertNormalizer,
}

impl WordPiece {
    pub(crate) fn new(tokens: &[Token], unknown: Option<u32>) -> Self {
        let mut pieces = HashMap::with_capacity(tokens.len());
        let spelt = |(_, token): &(u32, &Token)| token.kind == Kind::Normal;
        for (id, token) in (0..).zip(tokens).filter(spelt) {
            if !token.text.is_empty() {
                pieces.entry(token.text.clone()).or_insert(id);
            }
        }
        let longest = pieces.keys().map(String::len).max().unwrap_or(0);
        let normalizer = BertNormalizer::new(true, true, Some(true), true);
        Self { pieces, longest, unknown, normalizer }
    }

    /// Appends the ids of `text`.
    pub(crate) fn encode(&self, text: &[u8], ids: &mut Vec<u32>) -> Result<()> {
        let bad = |cause| Error::input(format!("the tokenizer cannot encode the text: {cause}"));
        let text = String::from_utf8_lossy(text);
        let mut normal = NormalizedString::from(&*text);
        self.normalizer.normalize(&mut normal).map_err(bad)?;
        let mut words = PreTokenizedString::from(normal);
        BertPreTokenizer.pre_tokenize(&mut words).map_err(bad)?;
        for (word, _, _) in words.get_splits(OffsetReferential::Normalized, OffsetType::Byte) {
            self.word(&format!("{SPACE}{word}"), ids);
        }
        Ok(())
    }

    /// The longest token at each place; a word that is not all tokens is unknown.
    fn word(&self, word: &str, ids: &mut Vec<u32>) {
        let before = ids.len();
        let mut at = 0;
        while at < word.len() {
            let most = word.len().min(at.saturating_add(self.longest));
            // A `▁` of the text does not begin a word.
            let is_inner = at > 0 && word[at..].starts_with(SPACE);
            let found = (at + 1..=most)
                .rev()
                .filter(|end| !is_inner && word.is_char_boundary(*end))
                .find_map(|end| Some((end, *self.pieces.get(&word[at..end])?)));
            let Some((end, id)) = found else {
                ids.truncate(before);
                ids.extend(self.unknown);
                return;
            };
            ids.push(id);
            at = end;
        }
    }
}
