//! What all kinds have: the texts and types of tokens, and what joins them.

use serde_json::{Map, Value as Json};
use wisp_base::{Error, Result};

/// ggml's types of tokens.
pub(super) const NORMAL: i32 = 1;
pub(super) const UNKNOWN: i32 = 2;
pub(super) const CONTROL: i32 = 3;
pub(super) const USER_DEFINED: i32 = 4;
pub(super) const UNUSED: i32 = 5;
pub(super) const BYTE: i32 = 6;

/// Texts and ggml's types of all tokens, as many as the matrix has rows.
pub(super) fn tokens(json: &Json, rows: usize) -> Result<(Vec<String>, Vec<i32>)> {
    let mut tokens: Vec<String> = (0..rows).map(|id| format!("[PAD{id}]")).collect();
    let mut types = vec![UNUSED; rows];
    let mut set = |id: Option<u64>, text: &str, kind: i32| {
        let place = id.and_then(|id| usize::try_from(id).ok()).filter(|id| *id < rows);
        let place = place.ok_or_else(|| {
            Error::input(format!(
                "token {text:?} of tokenizer.json is beyond the embeddings' {rows} rows"
            ))
        })?;
        tokens[place] = text.to_owned();
        types[place] = kind;
        Ok::<_, Error>(())
    };
    match &json["model"]["vocab"] {
        Json::Object(vocab) => {
            for (text, id) in vocab {
                set(id.as_u64(), text, NORMAL)?;
            }
        }
        // Texts and scores.
        vocab => {
            for (id, pair) in (0..).zip(vocab.as_array().into_iter().flatten()) {
                set(Some(id), pair[0].as_str().unwrap_or_default(), NORMAL)?;
            }
        }
    }
    for added in json["added_tokens"].as_array().into_iter().flatten().filter_map(Json::as_object) {
        let flag = |added: &Map<String, Json>| added.get("special") == Some(&Json::Bool(true));
        let text = added.get("content").and_then(Json::as_str).unwrap_or_default();
        let kind = if flag(added) { CONTROL } else { USER_DEFINED };
        set(added.get("id").and_then(Json::as_u64), text, kind)?;
    }
    Ok((tokens, types))
}

/// The pairs of tokens that are joined, the first ones first.
pub(super) fn merges(json: &Json) -> impl Iterator<Item = (&str, &str)> {
    json["model"]["merges"].as_array().into_iter().flatten().filter_map(|merge| match merge {
        Json::String(text) => text.split_once(' '),
        Json::Array(pair) => Some((pair.first()?.as_str()?, pair.get(1)?.as_str()?)),
        _ => None,
    })
}

/// The same as GGUF has them.
pub(super) fn merge_texts(json: &Json) -> Vec<String> {
    merges(json).map(|(left, right)| format!("{left} {right}")).collect()
}
