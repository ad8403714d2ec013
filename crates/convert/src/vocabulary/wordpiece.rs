//! WordPiece. GGUF marks the tokens that begin a word, tokenizer.json those that go on.

use super::tokens::NORMAL;
use super::{Candidates, unsplit};
use serde_json::Value as Json;
use wisp_tokenizer::Vocabulary;

/// The only one: GGUF has no switches for it.
pub(super) fn candidates(base: &Vocabulary, json: &Json) -> Candidates {
    let prefix = json["model"]["continuing_subword_prefix"].as_str().unwrap_or("##");
    let mut base = Vocabulary {
        cls: base.bos,
        sep: base.eos,
        add_sep: base.add_eos,
        add_eos: None,
        ..unsplit("bert", base)
    };
    for (text, kind) in base.tokens.iter_mut().zip(&base.types) {
        if *kind == NORMAL {
            *text = match text.strip_prefix(prefix) {
                Some(rest) if !rest.is_empty() => rest.to_owned(),
                _ => format!("▁{text}"),
            };
        }
    }
    Candidates {
        vocabularies: Box::new(std::iter::once(base)),
        words: true,
        otherwise: "makes other tokens than the kind bert of GGUF",
    }
}
