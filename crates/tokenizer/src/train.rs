//! Training of a byte-level BPE: begin with the 256 bytes, make the most frequent pair of
//! neighbours within a word a token of its own, and repeat.

use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use wisp_base::{Error, Result};

/// How many tokens a vocabulary has before anything is learnt.
pub const BYTES: usize = 256;

/// Text is handed out in pieces of about so many bytes, for all threads to share.
const PIECE: usize = 1 << 16;

/// The longest word, in bytes: what a word takes grows with the square of its length.
const WORD: usize = 1 << 12;

/// Learns `vocab` tokens from `text`, the bytes included, and gives Hugging Face's
/// `tokenizer.json`. Words are GPT-2's; of pairs that
/// are equally frequent the one of lower ids goes first.
///
/// # Errors
/// `vocab` is less than 256, or more than the text has pairs for.
pub fn train(text: &str, vocab: usize) -> Result<String> {
    if vocab < BYTES {
        return Err(Error::input(format!(
            "a vocabulary of {vocab} tokens is too small: the bytes alone are {BYTES}"
        )));
    }
    let too_few = |found: usize| {
        Error::input(format!(
            "the text has too few pairs for {vocab} tokens, at most {found}: ask for fewer, or give more text"
        ))
    };
    // Each pair makes a token of two; memory for all of them is taken at once.
    if vocab - BYTES > text.len() {
        return Err(too_few(BYTES + text.len()));
    }
    let failed = |cause| Error::input(format!("cannot train on the text: {cause}"));
    let byte_level = ByteLevel::new(false, true, true);
    let mut tokenizer = tokenizers::Tokenizer::new(BPE::default());
    tokenizer.with_pre_tokenizer(Some(byte_level));
    tokenizer.with_decoder(Some(byte_level));
    let trainer = BpeTrainer::builder()
        .vocab_size(vocab)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .show_progress(false)
        .build();
    let mut trainer = TrainerWrapper::from(trainer);
    tokenizer.train(&mut trainer, Pieces(text)).map_err(failed)?;
    let found = tokenizer.get_vocab_size(false);
    if found != vocab {
        return Err(too_few(found));
    }
    tokenizer.to_string(true).map_err(failed)
}

/// Cuts a text where no word is cut (before a line break that stands behind a letter), and
/// words that are too long.
struct Pieces<'a>(&'a str);

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        if self.0.is_empty() {
            return None;
        }
        let (mut before, mut word) = (Kind::Space, 0);
        let is_cut = |(at, c): &(usize, char)| {
            let kind = kind(*c);
            if kind != before {
                word = *at;
            }
            let is_end = *at >= PIECE && *c == '\n' && before != Kind::Space;
            before = kind;
            is_end || at - word >= WORD
        };
        let cut = self.0.char_indices().find(is_cut).map_or(self.0.len(), |(at, _)| at);
        let (piece, rest) = self.0.split_at(cut);
        self.0 = rest;
        Some(piece)
    }
}

/// Characters of different kinds are never in one word, but for a space before it.
#[derive(PartialEq)]
enum Kind {
    Letter,
    Number,
    Space,
    Other,
}

fn kind(c: char) -> Kind {
    match c {
        c if c.is_alphabetic() => Kind::Letter,
        c if c.is_numeric() => Kind::Number,
        c if c.is_whitespace() => Kind::Space,
        _ => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::Pieces;

    #[test]
    fn pieces_are_cut_before_line_breaks_and_lose_nothing() {
        let line = format!("{}.\n", "wörd ".repeat(9000));
        let text = format!("{line}  \n\n{line}{line}é");
        let pieces: Vec<_> = Pieces(&text).collect();
        assert_eq!(pieces.concat(), text);
        assert!(pieces.len() > 1, "{}", pieces.len());
        assert!(pieces[1..].iter().all(|piece| piece.starts_with('\n')));
        let text = format!("{}{}1", "é".repeat(5000), " ".repeat(9000));
        let pieces: Vec<_> = Pieces(&text).map(str::len).collect();
        assert_eq!(pieces, [4096, 4096, 1808 + 4096, 4096, 808 + 1]);
    }
}
