//! SentencePiece's BPE, with bytes for what has no token. tokenizer.json has ranks of merges
//! where SentencePiece has scores of tokens: the pair whose joined token has the best score
//! is joined first.

use super::tokens::{self, BYTE, NORMAL};
use super::{Candidates, mark_unknown, unsplit};
use serde_json::Value as Json;
use std::collections::HashMap;
use wisp_tokenizer::Vocabulary;

/// By scores, with a space before texts and without; by the merges themselves.
pub(super) fn candidates(base: &Vocabulary, json: &Json) -> Candidates {
    let mut base = unsplit("llama", base);
    mark_unknown(&mut base);
    for (text, kind) in base.tokens.iter().zip(&mut base.types) {
        if *kind == NORMAL && is_byte(text) {
            *kind = BYTE;
        }
    }
    let by_merges = Vocabulary {
        model: "gemma4".into(),
        pre: Some("gemma4".into()),
        add_space_prefix: Some(false),
        merges: tokens::merge_texts(json),
        ..base.clone()
    };
    base.scores = scores(&base.tokens, tokens::merges(json));
    let by_scores = [true, false]
        .into_iter()
        .map(move |space| Vocabulary { add_space_prefix: Some(space), ..base.clone() });
    Candidates {
        vocabularies: Box::new(by_scores.chain(std::iter::once(by_merges))),
        words: true,
        otherwise: "makes other tokens than the kinds llama and gemma4 of GGUF",
    }
}

/// The earlier a token is made, the better; what no merge makes is the worst.
fn scores<'a>(tokens: &[String], merges: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<f32> {
    let ids: HashMap<&str, usize> =
        tokens.iter().enumerate().map(|(id, text)| (text.as_str(), id)).collect();
    let mut ranks = vec![None; tokens.len()];
    let mut count = 0;
    for (rank, (left, right)) in merges.enumerate() {
        if let Some(id) = ids.get(&*format!("{left}{right}")) {
            ranks[*id].get_or_insert(rank);
        }
        count = rank + 1;
    }
    ranks.into_iter().map(|rank| -(rank.unwrap_or(count) as f32)).collect()
}

/// `<0x0A>`
fn is_byte(text: &str) -> bool {
    let hex = text.strip_prefix("<0x").and_then(|text| text.strip_suffix('>'));
    hex.is_some_and(|hex| hex.len() == 2 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}
