//! A folder's tokenizer in GGUF's terms: byte-level BPE. Which pre-tokenizer it has is found
//! by trying those that have a name on a text that tells them apart, as llama.cpp's
//! converter does.

use serde_json::{Map, Value as Json};
use wisp_base::{Error, Result};
use wisp_formats::{Array, Checkpoint, Value};
use wisp_tokenizer::{Tokenizer, Vocabulary, pre_tokenizers};

/// Words, numbers, signs and spaces of which named pre-tokenizers make different tokens.
const PROBE: &str = "Hello World's 1234567 x=3.14;\n\n\n \n  \t\tI'VE 'LL we'd don't  !!!  \
    ünïcödé Ünïcode 東京タワー 你好 привет مرحبا हिन्दी ๑๒๓ 🚀🔥 👩‍👩‍👧 <br/>//a/b\r\n\r\n \
    def f(a_b, cC=DeF): return[0]  # ok   \u{3000}e\u{301} ½² ABCdef 12 345 ';'S";

/// `tokenizer.*` keys, or why there are none.
///
/// # Errors
/// The folder's files are damaged; its tokenizer is of another kind.
pub fn keys(checkpoint: &Checkpoint) -> Result<Vec<(String, Value)>> {
    let file = checkpoint
        .file("tokenizer.json")
        .ok_or_else(|| Error::input("the folder has no tokenizer.json: add the model's own"))?;
    let theirs = Tokenizer::from_folder(|name| checkpoint.file(name))?;
    let json: Json = serde_json::from_slice(file)
        .map_err(|cause| Error::input(format!("tokenizer.json cannot be read: {cause}")))?;
    let rows = checkpoint.tensor("token_embd.weight").map_or(0, |tensor| tensor.rows());
    let (tokens, types) = tokens(&json, rows as usize)?;
    let merges: Vec<String> =
        json["model"]["merges"].as_array().into_iter().flatten().filter_map(merge).collect();
    let want = theirs.encode(PROBE.as_bytes(), false, false)?;
    let same = |pre: &&'static str| {
        let vocabulary = Vocabulary {
            model: "gpt2".into(),
            pre: Some((*pre).to_owned()),
            tokens: tokens.clone(),
            types: types.clone(),
            merges: merges.clone(),
            ..Vocabulary::default()
        };
        let ours = Tokenizer::from_vocabulary(vocabulary);
        ours.and_then(|ours| ours.encode(PROBE.as_bytes(), false, false))
            .is_ok_and(|ids| ids == want)
    };
    let pre = pre_tokenizers().find(same).ok_or_else(|| {
        Error::unsupported("its tokenizer splits texts as none that GGUF has a name for")
    })?;
    let mut keys: Vec<(String, Value)> = Vec::new();
    let mut put = |key: &str, value: Value| keys.push((format!("tokenizer.{key}"), value));
    put("ggml.model", "gpt2".into());
    put("ggml.pre", pre.into());
    put("ggml.tokens", Array::String(tokens).into());
    put("ggml.token_type", Array::I32(types).into());
    put("ggml.merges", Array::String(merges).into());
    for (key, id) in [("bos", theirs.bos()), ("eos", theirs.eos())] {
        if let Some(id) = id {
            put(&format!("ggml.{key}_token_id"), Value::U32(id));
        }
    }
    let around = theirs.encode(b"", true, false)?;
    put(
        "ggml.add_bos_token",
        Value::Bool(around.first().is_some_and(|id| theirs.bos() == Some(*id))),
    );
    if let Some(template) = Tokenizer::template_of_folder(|name| checkpoint.file(name))? {
        put("chat_template", template.into());
    }
    Ok(keys)
}

/// Texts and ggml's types of all tokens, as many as the matrix has rows.
fn tokens(json: &Json, rows: usize) -> Result<(Vec<String>, Vec<i32>)> {
    let other = |what: &str| Error::unsupported(format!("its tokenizer is {what}"));
    let model = &json["model"];
    let (Some("BPE"), Some(vocab)) = (model["type"].as_str(), model["vocab"].as_object()) else {
        return Err(other("no BPE"));
    };
    if json["decoder"]["type"] != "ByteLevel" {
        return Err(other("a BPE, but not over bytes"));
    }
    let mut tokens: Vec<String> = (0..rows).map(|id| format!("[PAD{id}]")).collect();
    let mut types = vec![5; rows];
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
    for (text, id) in vocab {
        set(id.as_u64(), text, 1)?;
    }
    for added in json["added_tokens"].as_array().into_iter().flatten().filter_map(Json::as_object) {
        let flag = |added: &Map<String, Json>| added.get("special") == Some(&Json::Bool(true));
        let text = added.get("content").and_then(Json::as_str).unwrap_or_default();
        let kind = if flag(added) { 3 } else { 4 };
        set(added.get("id").and_then(Json::as_u64), text, kind)?;
    }
    Ok((tokens, types))
}

/// "a b", or ["a", "b"].
fn merge(json: &Json) -> Option<String> {
    match json {
        Json::String(text) => Some(text.clone()),
        Json::Array(pair) => {
            Some(format!("{} {}", pair.first()?.as_str()?, pair.get(1)?.as_str()?))
        }
        _ => None,
    }
}
