//! SentencePiece's unigram model: the list's scores, and its table of characters.

use super::{Candidates, mark_unknown, unsplit};
use serde_json::Value as Json;
use wisp_base::{Error, Result};
use wisp_tokenizer::Vocabulary;

/// What is done with spaces is said by two switches.
///
/// # Errors
/// The table is no base64.
pub(super) fn candidates(base: &Vocabulary, json: &Json) -> Result<Candidates> {
    let listed = json["model"]["vocab"].as_array();
    let mut scores: Vec<f32> =
        listed.into_iter().flatten().map(|pair| pair[1].as_f64().unwrap_or(0.0) as f32).collect();
    scores.resize(base.tokens.len(), 0.0);
    let charsmap = match charsmap(&json["normalizer"]) {
        Some(text) => base64(text).ok_or_else(|| {
            Error::input("tokenizer.json has a precompiled_charsmap that is no base64")
        })?,
        None => Vec::new(),
    };
    let mut base = Vocabulary { scores, charsmap, ..unsplit("t5", base) };
    mark_unknown(&mut base);
    let switches = [(true, true), (true, false), (false, false), (false, true)];
    let vocabularies = switches.into_iter().map(move |(prefix, merged)| Vocabulary {
        add_space_prefix: Some(prefix),
        remove_extra_whitespaces: Some(merged),
        ..base.clone()
    });
    Ok(Candidates {
        vocabularies: Box::new(vocabularies),
        words: true,
        otherwise: "makes other tokens than the kind t5 of GGUF",
    })
}

/// The table of a normalizer or of one of its parts.
fn charsmap(normalizer: &Json) -> Option<&str> {
    normalizer["precompiled_charsmap"].as_str().or_else(|| {
        let parts = normalizer["normalizers"].as_array()?;
        parts.iter().find_map(charsmap)
    })
}

fn base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0_u32, 0);
    for digit in text.trim_end_matches('=').bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    #[test]
    fn base64_has_three_bytes_in_four_digits() {
        for (text, bytes) in
            [("", &b""[..]), ("TQ==", b"M"), ("TWE=", b"Ma"), ("TWF+/w", b"Ma~\xFF")]
        {
            assert_eq!(super::base64(text).as_deref(), Some(bytes), "{text}");
        }
        assert_eq!(super::base64("TW F"), None);
    }
}
