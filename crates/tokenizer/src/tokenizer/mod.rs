//! [`Tokenizer`]: one face for the two kinds of file.

mod hub;
mod stream;
mod token;

use crate::bpe::ByteLevel;
use crate::json::{self, Json};
use crate::special::{Literals, Part};
use crate::split::Splitter;
use crate::spm::Spm;
use crate::unigram::Unigram;
use crate::wordpiece::WordPiece;
use crate::{ChatTemplate, Vocabulary, bytes, end};
use std::collections::BTreeSet;
use wisp_base::{Error, Result};

pub use stream::Stream;
pub(crate) use token::{Kind, Token};

/// Text to token ids and back.
pub struct Tokenizer {
    tokens: Vec<Token>,
    engine: Engine,
    /// What goes before and after text where special tokens are asked for.
    before: Vec<u32>,
    after: Vec<u32>,
    bos: Option<u32>,
    eos: Option<u32>,
    ends: BTreeSet<u32>,
    /// A bad template is an error when it is asked for: the model is of use without it.
    chat: Result<ChatTemplate>,
    /// The file brings a template.
    has_chat: bool,
    code: Code,
    /// The space that text begins with was put there by `encode`.
    strips_space: bool,
    /// Ids below this are the model's, though no token may have them.
    rows: usize,
}

/// How the vocabulary writes the bytes of a token.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Code {
    /// GPT-2's table.
    Bytes,
    /// `▁` for a space, `<0x0A>` for a byte.
    Pieces,
}

enum Engine {
    Gguf { model: Model, user_defined: Literals, all: Literals },
    Json(Box<Json>),
}

/// What a GGUF file's `tokenizer.ggml.model` names.
enum Model {
    Bpe(Box<ByteLevel>),
    Spm(Box<Spm>),
    Unigram(Box<Unigram>),
    WordPiece(Box<WordPiece>),
}

impl Model {
    /// Appends the ids of `text`; `first`: nothing or a control token is before it.
    fn encode(&self, text: &[u8], first: bool, ids: &mut Vec<u32>) -> Result<()> {
        match self {
            Self::Bpe(model) => model.encode(text, ids),
            Self::Spm(model) => {
                model.encode(text, first, ids);
                Ok(())
            }
            Self::Unigram(model) => model.encode(text, ids),
            Self::WordPiece(model) => model.encode(text, ids),
        }
    }
}

impl Tokenizer {
    /// From a GGUF file's metadata.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where the kind of tokenizer or the pre-tokenizer is
    /// not known; [`Error::Input`] where the lists contradict each other.
    pub fn from_vocabulary(v: Vocabulary) -> Result<Self> {
        let v = v.without_absent_ids();
        let usual = Usual::of(&v.model)?;
        let splitter = match (&*v.model, v.pre.as_deref()) {
            ("gpt2", pre) => Some(Splitter::named(pre.unwrap_or("default"))?),
            ("gemma4", _) => Some(Splitter::named("gemma4")?),
            _ => None,
        };
        check(&v, usual.scores)?;
        let count = v.tokens.len();
        let known = |given: Option<u32>, usual: Option<u32>| {
            given.or(usual.filter(|id| (*id as usize) < count))
        };
        let bos = known(v.bos.or(v.cls), usual.bos);
        let eos = known(v.eos, usual.eos);
        let sep = known(v.sep, usual.sep);
        let unk = known(v.unk, usual.unk);
        let add_space_prefix = v.add_space_prefix.unwrap_or(usual.add_space_prefix);
        let tokens = tokens(v.tokens, &v.types);
        let mut code = Code::Pieces;
        let mut add_bos = usual.add_bos;
        let model = match (splitter, &*v.model) {
            (Some(splitter), _) => {
                add_bos = splitter.add_bos;
                if !splitter.raw {
                    code = Code::Bytes;
                }
                Model::Bpe(Box::new(ByteLevel::new(&tokens, &v.merges, splitter)?))
            }
            (None, "llama") => {
                Model::Spm(Box::new(Spm::new(&tokens, v.scores, unk, add_space_prefix)))
            }
            (None, "t5") => Model::Unigram(Box::new(Unigram::new(
                &tokens,
                &v.scores,
                unk,
                &v.charsmap,
                add_space_prefix,
                v.remove_extra_whitespaces.unwrap_or(false),
            )?)),
            (None, _) => Model::WordPiece(Box::new(WordPiece::new(&tokens, unk))),
        };
        let user_defined = Literals::new(texts(&tokens, |kind| kind == Kind::UserDefined))?;
        let all =
            Literals::new(texts(&tokens, |kind| !matches!(kind, Kind::Normal | Kind::Unused)))?;

        let mut ends = end::ids(texts(&tokens, |kind| kind == Kind::Control));
        ends.extend([v.eos, v.eot, v.eom].into_iter().flatten());
        let text = |id: Option<u32>| id.map(|id| tokens[id as usize].text.as_str());
        let before = bos.filter(|_| v.add_bos.unwrap_or(add_bos));
        let has_chat = v.chat_template.is_some();
        let chat = match v.chat_template {
            Some(source) => ChatTemplate::new(&source, text(bos), text(eos)),
            None => ChatTemplate::plain(text(before)),
        };
        let after = match model {
            Model::WordPiece(_) => sep.filter(|_| v.add_sep.unwrap_or(true)),
            _ => eos.filter(|_| v.add_eos.unwrap_or(usual.add_eos)),
        };
        Ok(Self {
            strips_space: match model {
                Model::Spm(_) | Model::Unigram(_) => add_space_prefix,
                Model::WordPiece(_) => true,
                Model::Bpe(_) => false,
            },
            engine: Engine::Gguf { model, user_defined, all },
            before: before.into_iter().collect(),
            after: after.into_iter().collect(),
            bos,
            eos,
            ends,
            chat,
            has_chat,
            code,
            rows: tokens.len(),
            tokens,
        })
    }

    /// For a model whose embedding has so many rows: files often have more of them than tokens
    /// (Qwen2.5: 151,936 and 151,665), and an id without a token has no text.
    pub fn with_rows(mut self, rows: usize) -> Self {
        self.rows = self.rows.max(rows);
        self
    }

    /// The ids of `text` with the begin and end tokens that the file asks for, at most
    /// `most`: the text is cut, not what is around it.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn encode_cut(&self, text: &[u8], most: usize) -> Result<Vec<u32>> {
        let mut ids = self.encode(text, false, true)?;
        ids.truncate(most.saturating_sub(self.before.len() + self.after.len()));
        Ok([self.before.as_slice(), &ids, &self.after].concat())
    }

    /// One more than the greatest id.
    pub fn vocab_size(&self) -> usize {
        self.tokens.len()
    }

    /// The ids of `text`. `add_special`: the begin and end tokens are added as the
    /// file asks. `parse_special`: the texts of control tokens are those tokens;
    /// without it they are plain text. User-defined tokens are always recognised.
    ///
    /// Bytes that are not UTF-8 become the tokens of single bytes (U+FFFD where the
    /// tokenizer is not byte-level). A byte for which the vocabulary has no token is
    /// left out, as Hugging Face and llama.cpp do.
    ///
    /// # Errors
    /// The tokenizer refuses the text: its file is damaged.
    pub fn encode(&self, text: &[u8], add_special: bool, parse_special: bool) -> Result<Vec<u32>> {
        let mut ids = Vec::with_capacity(text.len() / 3 + 2);
        if add_special {
            ids.extend(&self.before);
        }
        match &self.engine {
            Engine::Gguf { model, user_defined, all } => {
                let literals = if parse_special { all } else { user_defined };
                let mut first = true;
                for part in literals.cut(text) {
                    match part {
                        Part::Text(text) => model.encode(text, first, &mut ids)?,
                        Part::Token(id) => ids.push(id),
                    }
                    first = matches!(part, Part::Token(_));
                }
            }
            Engine::Json(json) => json.encode(text, parse_special, &mut ids)?,
        }
        if add_special {
            ids.extend(&self.after);
        }
        Ok(ids)
    }

    /// The bytes that token `id` stands for; none for a control token, nor for an id of the
    /// model that no token has. None if the id is not in the vocabulary.
    pub fn token_bytes(&self, id: u32) -> Option<Vec<u8>> {
        let Some(token) = self.token(id) else {
            return self.check_id(id).ok().map(|()| Vec::new());
        };
        match token.kind {
            Kind::Normal | Kind::Unused => match self.code {
                Code::Pieces => Some(json::piece(&token.text)),
                Code::Bytes => Some(bytes::decode(&token.text)),
            },
            Kind::UserDefined => Some(token.text.clone().into_bytes()),
            Kind::Control | Kind::Missing => Some(Vec::new()),
        }
    }

    /// Token `id` as the vocabulary has it.
    pub fn token_text(&self, id: u32) -> Option<&str> {
        self.token(id).map(|token| token.text.as_str())
    }

    /// Whether `id` is a control token: it steers the model and is not printed.
    pub fn is_control(&self, id: u32) -> bool {
        self.token(id).is_some_and(Token::is_control)
    }

    /// The text of `ids`; that of control tokens is in it if `special`. Bytes that
    /// are not UTF-8 become U+FFFD.
    ///
    /// # Errors
    /// An id is not in the vocabulary.
    pub fn decode(&self, ids: &[u32], special: bool) -> Result<String> {
        ids.iter().try_for_each(|id| self.check_id(*id))?;
        if let Some(json) = self.other_decoder() {
            return json.decode(ids, special);
        }
        let mut text = Vec::new();
        for id in ids {
            match self.token(*id) {
                Some(token) if token.is_control() && special => text.extend(token.text.bytes()),
                _ => text.extend(self.token_bytes(*id).unwrap_or_default()),
            }
        }
        let added = self.strips_space && text.first() == Some(&b' ');
        Ok(String::from_utf8_lossy(&text[usize::from(added)..]).into_owned())
    }

    /// Whether decoded text lacks the space that it begins with.
    pub(crate) fn strips_space(&self) -> bool {
        self.strips_space
    }

    /// Whether the model has said its all after token `id`.
    pub fn is_end_of_generation(&self, id: u32) -> bool {
        self.ends.contains(&id)
    }

    /// The begin-of-sequence token.
    pub fn bos(&self) -> Option<u32> {
        self.bos
    }

    /// The end-of-sequence token.
    pub fn eos(&self) -> Option<u32> {
        self.eos
    }

    /// What goes before and after text where special tokens are asked for.
    pub fn around(&self) -> (&[u32], &[u32]) {
        (&self.before, &self.after)
    }

    /// Decodes tokens one by one.
    pub fn stream(&self) -> Stream<'_> {
        Stream::new(self)
    }

    /// The chat template: a plain dialogue where the file has none.
    ///
    /// # Errors
    /// That of the file is not a Jinja template.
    pub fn chat(&self) -> Result<&ChatTemplate> {
        self.chat.as_ref().map_err(Clone::clone)
    }

    /// Whether the file brings a chat template of its own: else it is a base model.
    pub fn has_chat_template(&self) -> bool {
        self.has_chat
    }

    fn token(&self, id: u32) -> Option<&Token> {
        self.tokens.get(id as usize).filter(|token| token.kind != Kind::Missing)
    }

    pub(crate) fn check_id(&self, id: u32) -> Result<()> {
        if (id as usize) < self.rows {
            return Ok(());
        }
        Err(Error::input(format!(
            "token {id} is not in the vocabulary, which has {} tokens",
            self.rows
        )))
    }

    /// What decodes, where it is not GPT-2's table.
    pub(crate) fn other_decoder(&self) -> Option<&Json> {
        match &self.engine {
            Engine::Json(json) if !json.is_byte_level() => Some(json),
            _ => None,
        }
    }
}

/// What holds for a kind of tokenizer where the file says nothing.
#[derive(Default)]
struct Usual {
    scores: bool,
    bos: Option<u32>,
    eos: Option<u32>,
    sep: Option<u32>,
    unk: Option<u32>,
    add_bos: bool,
    add_eos: bool,
    add_space_prefix: bool,
}

impl Usual {
    fn of(model: &str) -> Result<Self> {
        let nothing = Self::default();
        Ok(match model {
            "gpt2" | "gemma4" => nothing,
            "llama" => Self {
                scores: true,
                bos: Some(1),
                eos: Some(2),
                unk: Some(0),
                add_bos: true,
                add_space_prefix: true,
                ..nothing
            },
            "t5" => Self { scores: true, eos: Some(1), unk: Some(2), add_eos: true, ..nothing },
            "bert" => {
                Self { bos: Some(101), sep: Some(102), unk: Some(100), add_bos: true, ..nothing }
            }
            "none" | "no_vocab" => {
                return Err(Error::input(
                    "the file has no tokenizer (tokenizer.ggml.model is 'none'): give the model \
                     token ids",
                ));
            }
            _ => {
                return Err(Error::unsupported(format!(
                    "the file's tokenizer is of the kind '{model}' (tokenizer.ggml.model); this \
                     version has 'gpt2', 'gemma4', 'llama', 't5' and 'bert'"
                )));
            }
        })
    }
}

/// What must hold before anything is built.
fn check(v: &Vocabulary, scores: bool) -> Result<()> {
    let count = v.tokens.len();
    if count == 0 {
        return Err(Error::input(
            "the file's vocabulary (tokenizer.ggml.tokens) is empty: the file is damaged",
        ));
    }
    if u32::try_from(count).is_err() {
        return Err(Error::unsupported(format!(
            "the file's vocabulary has {count} tokens; 4294967295 is the most that can be used"
        )));
    }
    if !v.types.is_empty() && v.types.len() != count {
        return Err(Error::input(format!(
            "the file has {count} tokens but {} token types (tokenizer.ggml.token_type): the file \
             is damaged",
            v.types.len()
        )));
    }
    if scores && v.scores.len() != count {
        return Err(Error::input(format!(
            "the file has {count} tokens but {} scores (tokenizer.ggml.scores): the file is damaged",
            v.scores.len()
        )));
    }
    Ok(())
}

fn tokens(texts: Vec<String>, types: &[i32]) -> Vec<Token> {
    let types = types.iter().copied().chain(std::iter::repeat(1));
    let token = |(text, kind): (String, i32)| {
        let kind = match kind {
            // The unknown token is control text, too: nothing plain is spelt so.
            2 | 3 => Kind::Control,
            _ if end::is_control(&text) => Kind::Control,
            4 => Kind::UserDefined,
            5 => Kind::Unused,
            _ => Kind::Normal,
        };
        Token { text, kind }
    };
    texts.into_iter().zip(types).map(token).collect()
}

fn texts(tokens: &[Token], wanted: impl Fn(Kind) -> bool) -> impl Iterator<Item = (u32, &str)> {
    let wanted = move |token: &Token| wanted(token.kind) && token.kind != Kind::Missing;
    (0..).zip(tokens).filter(move |(_, token)| wanted(token)).map(|(id, token)| (id, &*token.text))
}
