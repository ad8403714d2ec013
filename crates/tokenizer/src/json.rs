//! Hugging Face's `tokenizer.json`, by the `tokenizers` crate as it is.

use crate::bpe::bytes_of;
use crate::tokenizer::{Kind, Token};
use serde::Deserialize;
use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;
use tokenizers::models::unigram::Unigram;
use tokenizers::{DecoderWrapper, ModelWrapper};
use wisp_base::{Error, Result};

pub(crate) struct Json {
    tokenizer: tokenizers::Tokenizer,
    /// The same, but the texts of control tokens are plain text. Made when needed.
    plain: OnceLock<Box<tokenizers::Tokenizer>>,
    byte_level: bool,
    /// The token of each byte, where `byte_level`.
    bytes: Vec<Option<u32>>,
}

impl Json {
    pub(crate) fn new(file: &[u8]) -> Result<Self> {
        check(file)?;
        let mut tokenizer = tokenizers::Tokenizer::from_bytes(file).map_err(damaged)?;
        // Cutting and padding are for batches of training; they are the caller's to ask for.
        tokenizer.with_truncation(None).map_err(damaged)?;
        tokenizer.with_padding(None);
        let byte_level = matches!(tokenizer.get_decoder(), Some(DecoderWrapper::ByteLevel(_)));
        let bytes = bytes_of(|text| tokenizer.token_to_id(text).filter(|_| byte_level));
        Ok(Self { tokenizer, plain: OnceLock::new(), byte_level, bytes })
    }

    /// Whether tokens are written in GPT-2's table.
    pub(crate) fn is_byte_level(&self) -> bool {
        self.byte_level
    }

    pub(crate) fn id(&self, text: &str) -> Option<u32> {
        self.tokenizer.token_to_id(text)
    }

    /// All tokens, by id.
    pub(crate) fn tokens(&self) -> Result<Vec<Token>> {
        let texts = self.tokenizer.get_vocab(true);
        let size = texts.values().max().map_or(0, |id| *id as usize + 1);
        // Ids have gaps, but an id far from the others is damage, and would take memory.
        if size > 2 * texts.len() + (1 << 16) {
            return Err(Error::input(format!(
                "tokenizer.json has {} tokens, but one has the id {}: the file is damaged",
                texts.len(),
                size - 1
            )));
        }
        let mut tokens = vec![Token { text: String::new(), kind: Kind::Missing }; size];
        for (text, id) in texts {
            tokens[id as usize] = Token { text, kind: Kind::Normal };
        }
        for (id, added) in self.tokenizer.get_added_tokens_decoder() {
            if let Some(token) = tokens.get_mut(id as usize) {
                let kind = if added.special { Kind::Control } else { Kind::UserDefined };
                *token = Token { text: added.content, kind };
            }
        }
        Ok(tokens)
    }

    /// What the file puts before and after a text: found by trying it.
    pub(crate) fn around(&self) -> Result<(Vec<u32>, Vec<u32>)> {
        let ids = |special| {
            let encoding = self.tokenizer.encode_fast("a", special).map_err(damaged)?;
            Ok::<_, Error>(encoding.get_ids().to_vec())
        };
        let (bare, full) = (ids(false)?, ids(true)?);
        let at = full.windows(bare.len().max(1)).position(|window| window == bare).unwrap_or(0);
        let end = (at + bare.len()).min(full.len());
        Ok((full[..at].to_vec(), full[end..].to_vec()))
    }

    /// Appends the ids of `text`.
    pub(crate) fn encode(&self, text: &[u8], special: bool, ids: &mut Vec<u32>) -> Result<()> {
        if !self.byte_level {
            return self.encode_text(&String::from_utf8_lossy(text), special, ids);
        }
        for chunk in text.utf8_chunks() {
            if !chunk.valid().is_empty() {
                self.encode_text(chunk.valid(), special, ids)?;
            }
            ids.extend(chunk.invalid().iter().filter_map(|byte| self.bytes[usize::from(*byte)]));
        }
        Ok(())
    }

    fn encode_text(&self, text: &str, special: bool, ids: &mut Vec<u32>) -> Result<()> {
        let tokenizer = if special { &self.tokenizer } else { self.plain() };
        let encoding = tokenizer.encode_fast(text, false).map_err(|cause| {
            Error::input(format!("tokenizer.json cannot encode the text: {cause}"))
        })?;
        ids.extend(encoding.get_ids());
        Ok(())
    }

    /// The text of `ids`, by the file's own decoder.
    pub(crate) fn decode(&self, ids: &[u32], special: bool) -> Result<String> {
        self.tokenizer.decode(ids, !special).map_err(|cause| {
            Error::input(format!("tokenizer.json cannot decode the tokens: {cause}"))
        })
    }

    fn plain(&self) -> &tokenizers::Tokenizer {
        self.plain.get_or_init(|| {
            let mut plain = Box::new(self.tokenizer.clone());
            plain.set_encode_special_tokens(true);
            if let Some(model) = without_control(&plain) {
                plain.with_model(model);
            }
            plain
        })
    }
}

/// Unigram spells with any of its tokens: its model with other texts for control tokens, which
/// begin with a character that no text has. None for other models, which do not spell them.
fn without_control(tokenizer: &tokenizers::Tokenizer) -> Option<ModelWrapper> {
    let ModelWrapper::Unigram(model) = tokenizer.get_model() else { return None };
    let mut model = serde_json::to_value(model).ok()?;
    for (id, added) in tokenizer.get_added_tokens_decoder() {
        let place = model["vocab"].get_mut(id as usize).and_then(|token| token.get_mut(0));
        if let Some(text) = place.filter(|_| added.special) {
            *text = format!("\u{10FFFF}{id}").into();
        }
    }
    // By its text: the crate's type wants to borrow from it.
    serde_json::from_str::<Unigram>(&model.to_string()).ok().map(ModelWrapper::Unigram)
}

/// The bytes of a token in SentencePiece's code: `▁` is a space, `<0x0A>` a byte.
pub(crate) fn piece(text: &str) -> Vec<u8> {
    let hex = text.strip_prefix("<0x").and_then(|text| text.strip_suffix('>'));
    match hex.filter(|hex| hex.len() == 2).map(|hex| u8::from_str_radix(hex, 16)) {
        Some(Ok(byte)) => vec![byte],
        _ => text.replace('▁', " ").into_bytes(),
    }
}

fn damaged(cause: impl std::fmt::Display) -> Error {
    Error::input(format!("tokenizer.json cannot be read: {cause}"))
}

/// What the crate does not check and would stop the program at.
fn check(file: &[u8]) -> Result<()> {
    #[derive(Deserialize)]
    struct File {
        model: Model,
        post_processor: Option<serde_json::Value>,
    }
    #[derive(Deserialize)]
    struct Model {
        #[serde(default)]
        merges: Vec<Merge>,
        /// A map in BPE, which is what has merges.
        #[serde(default)]
        vocab: serde_json::Value,
        continuing_subword_prefix: Option<String>,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Merge {
        Text(String),
        Pair(String, String),
    }

    let File { model, post_processor } = serde_json::from_slice(file).map_err(damaged)?;
    check_templates(&post_processor.unwrap_or_default())?;
    let vocab: HashSet<&str> = match &model.vocab {
        serde_json::Value::Object(vocab) => vocab.keys().map(String::as_str).collect(),
        _ => HashSet::new(),
    };
    let prefix = model.continuing_subword_prefix.unwrap_or_default();
    for merge in &model.merges {
        let (left, right) = match merge {
            Merge::Text(text) => text.split_once(' ').unwrap_or((text, "")),
            Merge::Pair(left, right) => (left.as_str(), right.as_str()),
        };
        // The crate takes as many bytes off, whatever they are.
        let rest = right.get(prefix.len()..).ok_or_else(|| {
            damaged(format!("the merge of {left:?} and {right:?} lacks the prefix {prefix:?}"))
        })?;
        let joined = format!("{left}{rest}");
        for text in [left, right, &joined] {
            if !vocab.contains(text) {
                return Err(damaged(format!(
                    "the merge of {left:?} and {right:?} needs the token {text:?}, which it has not"
                )));
            }
        }
    }
    Ok(())
}

/// The special tokens that templates put around a text are there.
fn check_templates(processor: &serde_json::Value) -> Result<()> {
    for inner in processor["processors"].as_array().into_iter().flatten() {
        check_templates(inner)?;
    }
    let pieces = ["single", "pair"].into_iter().filter_map(|kind| processor[kind].as_array());
    for piece in pieces.flatten() {
        let Some(id) = piece["SpecialToken"]["id"].as_str() else { continue };
        if processor["special_tokens"].get(id).is_none() {
            return Err(damaged(format!("a template puts {id:?} around texts, which it has not")));
        }
    }
    Ok(())
}

const CONFIG: &str = "tokenizer_config.json";
const MAP: &str = "special_tokens_map.json";

/// The text of the special token that a folder's files have under this name.
pub(crate) fn special<'a>(
    file: &impl Fn(&str) -> Option<&'a [u8]>,
    name: &str,
) -> Result<Option<String>> {
    for of in [CONFIG, MAP] {
        let Some(bytes) = file(of) else { continue };
        if let Some(text) = token(&fields(of, bytes)?, name) {
            return Ok(Some(text));
        }
    }
    Ok(None)
}

/// What is used of `tokenizer_config.json`.
#[derive(Default)]
pub(crate) struct Config {
    pub(crate) chat_template: Option<String>,
    pub(crate) bos: Option<String>,
    pub(crate) eos: Option<String>,
    pub(crate) add_bos: Option<bool>,
    pub(crate) add_eos: Option<bool>,
    /// The begin token of `config.json`.
    pub(crate) bos_id: Option<u32>,
    /// More tokens that end a generation.
    pub(crate) ends: Vec<u32>,
}

impl Config {
    pub(crate) fn read(file: Option<&[u8]>) -> Result<Self> {
        let Some(file) = file else { return Ok(Self::default()) };
        let fields = fields(CONFIG, file)?;
        let token = |name| token(&fields, name);
        let chat_template = match fields.get("chat_template") {
            None | Some(serde_json::Value::Null) => None,
            Some(serde_json::Value::String(source)) => Some(source.clone()),
            Some(serde_json::Value::Array(named)) => {
                let is_default = |t: &&serde_json::Value| t["name"].as_str() == Some("default");
                let found = named.iter().find(is_default).or(named.first());
                found.and_then(|t| t["template"].as_str()).map(String::from)
            }
            Some(_) => {
                return Err(unreadable(CONFIG, "its chat_template is neither text nor a list"));
            }
        };
        Ok(Self {
            chat_template,
            bos: token("bos_token"),
            eos: token("eos_token"),
            add_bos: fields.get("add_bos_token").and_then(serde_json::Value::as_bool),
            add_eos: fields.get("add_eos_token").and_then(serde_json::Value::as_bool),
            bos_id: None,
            ends: Vec::new(),
        })
    }

    /// With what other files of a folder say besides.
    pub(crate) fn of_folder<'a>(file: &impl Fn(&str) -> Option<&'a [u8]>) -> Result<Self> {
        let mut config = Self::read(file(CONFIG))?;
        if let Some(template) = file("chat_template.jinja") {
            config.chat_template = Some(String::from_utf8_lossy(template).into_owned());
        }
        if let Some(map) = file(MAP) {
            let fields = fields(MAP, map)?;
            config.bos = config.bos.or_else(|| token(&fields, "bos_token"));
            config.eos = config.eos.or_else(|| token(&fields, "eos_token"));
        }
        const GENERATION: &str = "generation_config.json";
        if let Some(generation) = file(GENERATION) {
            const EOS: &str = "eos_token_id";
            config.ends = ids(GENERATION, EOS, fields(GENERATION, generation)?.get(EOS))?;
        }
        const MODEL: &str = "config.json";
        if let Some(model) = file(MODEL) {
            // As transformers does where there is no generation_config.json: the outer object
            // counts more than the language model's.
            let fields = fields(MODEL, model)?;
            let find = |name: &str| {
                let nested = fields.get("text_config").and_then(|text| text.get(name));
                let own = ids(MODEL, name, fields.get(name))?;
                if own.is_empty() { ids(MODEL, name, nested) } else { Ok(own) }
            };
            config.bos_id = find("bos_token_id")?.first().copied();
            if config.ends.is_empty() {
                config.ends = find("eos_token_id")?;
            }
        }
        Ok(config)
    }
}

type Fields = HashMap<String, serde_json::Value>;

fn unreadable(name: &str, cause: impl std::fmt::Display) -> Error {
    Error::input(format!("{name} cannot be read: {cause}"))
}

fn fields(name: &str, file: &[u8]) -> Result<Fields> {
    serde_json::from_slice(file).map_err(|cause| unreadable(name, cause))
}

/// One token id or several; those that no token can have (−1) are none.
fn ids(file: &str, key: &str, value: Option<&serde_json::Value>) -> Result<Vec<u32>> {
    let id = |value: &serde_json::Value| match value {
        serde_json::Value::Null => Ok(None),
        value if value.is_i64() || value.is_u64() => {
            Ok(value.as_u64().and_then(|id| id.try_into().ok()))
        }
        other => Err(unreadable(file, format!("its {key} is {other}, which is no token id"))),
    };
    let one = value.map(std::slice::from_ref).unwrap_or_default();
    let all = value.and_then(serde_json::Value::as_array).map_or(one, Vec::as_slice);
    let all: Vec<Option<u32>> = all.iter().map(id).collect::<Result<_>>()?;
    Ok(all.into_iter().flatten().collect())
}

/// A token is its text, or an object with it.
fn token(fields: &Fields, name: &str) -> Option<String> {
    let value = fields.get(name)?;
    value.as_str().or_else(|| value.get("content")?.as_str()).map(String::from)
}
