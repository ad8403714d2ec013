//! Byte-level BPE: its pre-tokenizer is found by trying those that have a name.

use super::{Candidates, tokens};
use serde_json::Value as Json;
use wisp_tokenizer::{Vocabulary, pre_tokenizers};

/// One a pre-tokenizer.
pub(super) fn candidates(base: &Vocabulary, json: &Json) -> Candidates {
    // It has no use for an unknown token.
    let (merges, unk) = (tokens::merge_texts(json), None);
    let base = Vocabulary { model: "gpt2".into(), merges, unk, ..base.clone() };
    let named = move |pre: &str| Vocabulary { pre: Some(pre.into()), ..base.clone() };
    Candidates {
        vocabularies: Box::new(pre_tokenizers().map(named)),
        words: false,
        otherwise: "splits texts as none that GGUF has a name for",
    }
}
