//! BPE, byte-level or over characters, from a GGUF file's vocabulary. The merging is the `tokenizers`
//! crate's; the splitting into words is [`crate::split`], so that it is linear in
//! the text and takes bytes that are not UTF-8.

use crate::bytes;
use crate::split::Splitter;
use crate::spm::{SPACE, byte_tokens};
use crate::tokenizer::{Kind, Token};
use std::borrow::Cow;
use std::collections::HashMap;
use tokenizers::models::bpe::{BPE, Merges, Vocab};
use tokenizers::normalizers::NFC;
use tokenizers::{Model, NormalizedString, Normalizer};
use wisp_base::{Error, Result};

pub(crate) struct ByteLevel {
    bpe: BPE,
    splitter: Splitter,
    /// The token of each byte. Some vocabularies lack those of bytes that their
    /// training text had not.
    bytes: Vec<Option<u32>>,
    /// The tokens that are nothing but line ends, where tokens are text as it is:
    /// such a word is its token, whatever the merges say.
    lines: HashMap<String, u32>,
}

impl ByteLevel {
    /// `tokens` fit u32 ids.
    pub(crate) fn new(tokens: &[Token], merges: &[String], splitter: Splitter) -> Result<Self> {
        let by_text = by_text(tokens)?;
        let merges = pairs(merges, tokens, &by_text)?;
        // BPE may not spell a control token out of plain text.
        let vocab: Vocab = by_text
            .iter()
            .filter(|(_, id)| !tokens[**id as usize].is_control())
            .map(|(text, id)| ((*text).to_string(), *id))
            .collect();
        let bytes = if splitter.raw {
            byte_tokens(tokens)
        } else {
            bytes_of(|text| vocab.get(text).copied())
        };
        let lines = if splitter.raw { lines(&vocab) } else { HashMap::new() };
        let bpe = BPE::builder()
            .vocab_and_merges(vocab, merges)
            .ignore_merges(splitter.ignore_merges)
            .byte_fallback(splitter.raw)
            // The crate keeps its cache of words per thread and never frees it.
            .cache_capacity(0)
            .build()
            .map_err(|cause| Error::input(format!("the file's tokenizer is damaged: {cause}")))?;
        Ok(Self { bpe, splitter, bytes, lines })
    }

    /// Appends the ids of `text`, in which no control token is looked for.
    ///
    /// A byte without a token is left out, as Hugging Face and llama.cpp do.
    pub(crate) fn encode(&self, text: &[u8], ids: &mut Vec<u32>) -> Result<()> {
        for chunk in text.utf8_chunks() {
            for word in self.splitter.split(&self.normal(chunk.valid())?) {
                if let Some(id) = self.lines.get(word) {
                    ids.push(*id);
                    continue;
                }
                let code =
                    if self.splitter.raw { word.replace(' ', SPACE) } else { bytes::encode(word) };
                let tokens = self.bpe.tokenize(&code).map_err(|cause| {
                    Error::input(format!("the tokenizer cannot encode {word:?}: {cause}"))
                })?;
                ids.extend(tokens.into_iter().map(|token| token.id));
            }
            ids.extend(chunk.invalid().iter().filter_map(|byte| self.bytes[usize::from(*byte)]));
        }
        Ok(())
    }

    /// As the model's normalizer leaves it.
    fn normal<'t>(&self, text: &'t str) -> Result<Cow<'t, str>> {
        if self.splitter.composes && !text.is_ascii() {
            return composed(text).map(Cow::Owned);
        }
        Ok(Cow::Borrowed(text))
    }
}

/// Composed characters: `e` and an acute accent become `é`. Line by line, because nothing is
/// composed with a line's end, and the crate takes many bytes for each of the text.
fn composed(text: &str) -> Result<String> {
    let mut all = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        if line.is_ascii() {
            all.push_str(line);
            continue;
        }
        let mut normal = NormalizedString::from(line);
        NFC.normalize(&mut normal)
            .map_err(|cause| Error::input(format!("the text cannot be normalised: {cause}")))?;
        all.push_str(normal.get());
    }
    Ok(all)
}

/// The token of each byte, by what `find` says of the byte's character.
pub(crate) fn bytes_of(find: impl Fn(&str) -> Option<u32>) -> Vec<Option<u32>> {
    (0..=255).map(|byte| find(bytes::to_char(byte).encode_utf8(&mut [0; 4]))).collect()
}

fn lines(vocab: &Vocab) -> HashMap<String, u32> {
    let is_lines = |text: &str| text.bytes().all(|byte| byte == b'\n');
    let found = vocab.iter().filter(|(text, _)| is_lines(text));
    found.map(|(text, id)| (text.clone(), *id)).collect()
}

fn by_text(tokens: &[Token]) -> Result<HashMap<&str, u32>> {
    let mut by_text = HashMap::with_capacity(tokens.len());
    for (id, token) in (0..).zip(tokens) {
        let text = token.text.as_str();
        if text.is_empty() {
            continue;
        }
        match by_text.get(text) {
            None => {
                by_text.insert(text, id);
            }
            // Readers of files write U+FFFD for bytes that are not UTF-8, which makes
            // different tokens alike. BPE never needs them: no byte has that character.
            Some(_) if text.contains(char::REPLACEMENT_CHARACTER) => {}
            Some(first) => {
                return Err(Error::input(format!(
                    "the vocabulary has the token {text:?} twice, as id {first} and as id {id}: \
                     the file is damaged"
                )));
            }
        }
    }
    Ok(by_text)
}

/// The merges as pairs of tokens that are in the vocabulary, joined too.
fn pairs(merges: &[String], tokens: &[Token], by_text: &HashMap<&str, u32>) -> Result<Merges> {
    let mut pairs = Merges::with_capacity(merges.len());
    let mut joined = String::new();
    for (rank, merge) in merges.iter().enumerate() {
        let bad = |what: String| {
            Error::input(format!(
                "merge {rank} of the tokenizer, {merge:?}, {what}: the file is damaged"
            ))
        };
        // A token may begin with a space, but is not empty.
        let first = merge.chars().next().map_or(0, char::len_utf8);
        let cut = merge[first..].find(' ').map(|cut| first + cut);
        let (left, right) = match cut.map(|cut| (&merge[..cut], &merge[cut + 1..])) {
            Some((left, right)) if !right.is_empty() => (left, right),
            _ => return Err(bad("is not two tokens with a space between".to_string())),
        };
        joined.clear();
        joined.push_str(left);
        joined.push_str(right);
        let mut control = false;
        for text in [left, right, &joined] {
            let id = by_text.get(text).ok_or_else(|| {
                bad(format!("needs the token {text:?}, which the vocabulary has not"))
            })?;
            control |= tokens[*id as usize].kind == Kind::Control;
        }
        // It could spell a control token out of plain text.
        if !control {
            pairs.push((left.to_string(), right.to_string()));
        }
    }
    Ok(pairs)
}
