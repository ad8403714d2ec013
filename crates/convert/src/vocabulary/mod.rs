//! A folder's tokenizer in GGUF's terms. The file of its kind gives the vocabularies that may
//! say the same; the first that makes the folder's own ids of some texts is taken, as
//! llama.cpp's converter finds the name of a pre-tokenizer.

mod byte_level;
mod filler;
mod keys;
mod pieces;
mod probe;
mod tokens;
mod unigram;
mod wordpiece;

pub use filler::filler;

use probe::Probe;
use serde_json::Value as Json;
use tokens::UNKNOWN;
use wisp_base::{Error, Result};
use wisp_formats::{Checkpoint, Value};
use wisp_tokenizer::{Tokenizer, Vocabulary};

/// What a kind gives.
struct Candidates {
    /// Vocabularies to try, the likeliest first.
    vocabularies: Box<dyn Iterator<Item = Vocabulary>>,
    /// The vocabulary's own words are compared, too: how words become tokens is not said in
    /// the same way.
    words: bool,
    /// What is said of the tokenizer if it is none of them.
    otherwise: &'static str,
}

/// `tokenizer.*` keys, or why there are none. What they cannot say is added to `notes`.
///
/// # Errors
/// The folder's files are damaged; its tokenizer is of a kind that GGUF has no name for, or
/// makes other tokens than one of that name.
pub fn keys(checkpoint: &Checkpoint, notes: &mut Vec<String>) -> Result<Vec<(String, Value)>> {
    let read = |name: &str| checkpoint.file(name);
    let file = read("tokenizer.json")
        .ok_or_else(|| Error::input("the folder has no tokenizer.json: add the model's own"))?;
    let theirs = Tokenizer::from_folder(read)?;
    let json: Json = serde_json::from_slice(file)
        .map_err(|cause| Error::input(format!("tokenizer.json cannot be read: {cause}")))?;
    let rows = checkpoint.tensor("token_embd.weight").map_or(0, |tensor| tensor.rows());
    let base = base(checkpoint, &theirs, &json, rows as usize)?;

    let probe = Probe::new(&theirs, &base.types)?;
    let candidates = match kind(&json) {
        "BPE" if json["decoder"]["type"] == "ByteLevel" => byte_level::candidates(&base, &json),
        "BPE" if json["model"]["byte_fallback"] == true => pieces::candidates(&base, &json),
        "BPE" => return Err(other("is a BPE without tokens for bytes")),
        "Unigram" => unigram::candidates(&base, &json)?,
        "WordPiece" => wordpiece::candidates(&base, &json),
        kind => return Err(other(&format!("is a {kind}, which GGUF has no name for"))),
    };
    let mut same = candidates.vocabularies.filter_map(|vocabulary| {
        let ours = Tokenizer::from_vocabulary(vocabulary.clone()).ok()?;
        let agrees = probe.agrees(&ours) && (!candidates.words || probe.agrees_on_words(&ours));
        agrees.then_some((vocabulary, ours))
    });
    let (made, ours) = same.next().ok_or_else(|| other(candidates.otherwise))?;
    const NOT_ALL: &str = "GGUF cannot say all of the tokenizer: some texts that begin or end with \
                           a space, or are beside a special token, become other tokens than the \
                           folder's";
    if !probe.agrees_on_edges(&ours) {
        notes.push(NOT_ALL.to_owned());
    }
    let mask = special(checkpoint, &made.tokens, "mask_token")?;
    Ok(keys::of(made, mask))
}

fn other(what: &str) -> Error {
    Error::unsupported(format!("its tokenizer {what}"))
}

/// What `model.type` says; old files do not say it.
fn kind(json: &Json) -> &str {
    let model = &json["model"];
    match model["type"].as_str() {
        Some(kind) => kind,
        None if model["merges"].is_array() => "BPE",
        None if model["vocab"].is_array() => "Unigram",
        None if model["continuing_subword_prefix"].is_string() => "WordPiece",
        None => "model without a type",
    }
}

/// What does not depend on the kind.
fn base(
    checkpoint: &Checkpoint,
    theirs: &Tokenizer,
    json: &Json,
    rows: usize,
) -> Result<Vocabulary> {
    let (tokens, types) = tokens::tokens(json, rows)?;
    let (before, after) = theirs.around();
    let one = |ids: &[u32]| match ids {
        [] => Ok(None),
        [id] => Ok(Some(*id)),
        _ => Err(other("puts more than one token before or after texts, which GGUF cannot say")),
    };
    let (before, after) = (one(before)?, one(after)?);
    // GGUF puts none but its begin and end tokens around texts.
    let eos = after.or(theirs.eos());
    let unk = match json["model"]["unk_token"].as_str() {
        Some(text) => id_of(&tokens, text),
        None => json["model"]["unk_id"].as_u64().and_then(|id| id.try_into().ok()),
    };
    Ok(Vocabulary {
        bos: before.or(theirs.bos()),
        eos,
        eot: theirs.eos().filter(|id| Some(*id) != eos),
        unk,
        pad: special(checkpoint, &tokens, "pad_token")?,
        add_bos: Some(before.is_some()),
        add_eos: Some(after.is_some()),
        chat_template: Tokenizer::template_of_folder(|name| checkpoint.file(name))?,
        tokens,
        types,
        ..Vocabulary::default()
    })
}

/// The token that the folder's files have under this name.
fn special(checkpoint: &Checkpoint, tokens: &[String], name: &str) -> Result<Option<u32>> {
    let text = Tokenizer::special_of_folder(|file| checkpoint.file(file), name)?;
    Ok(text.and_then(|text| id_of(tokens, &text)))
}

fn id_of(tokens: &[String], text: &str) -> Option<u32> {
    (0..).zip(tokens).find(|(_, token)| *token == text).map(|(id, _)| id)
}

/// The vocabulary of a kind that has scores or words, and no names of pre-tokenizers.
fn unsplit(model: &str, base: &Vocabulary) -> Vocabulary {
    Vocabulary { model: model.into(), pre: Some("default".into()), ..base.clone() }
}

/// The unknown token is of a type of its own.
fn mark_unknown(vocabulary: &mut Vocabulary) {
    if let Some(kind) = vocabulary.unk.and_then(|id| vocabulary.types.get_mut(id as usize)) {
        *kind = UNKNOWN;
    }
}
