//! A [`Tokenizer`] from the files of a folder of the hub.

use super::{Code, Engine, Kind, Token, Tokenizer, texts};
use crate::json::{self, Json};
use crate::{ChatTemplate, end};
use wisp_base::{Error, Result};

impl Tokenizer {
    /// From Hugging Face's `tokenizer.json`, and from `tokenizer_config.json` for
    /// the chat template and the begin and end tokens.
    ///
    /// # Errors
    /// A file is not what its name says, or is damaged.
    pub fn from_json(tokenizer: &[u8], config: Option<&[u8]>) -> Result<Self> {
        Self::from_config(tokenizer, json::Config::read(config)?)
    }

    /// From the files of a folder of the hub by their names: as [`Self::from_json`], and the
    /// template of `chat_template.jinja`, the begin and end tokens of
    /// `special_tokens_map.json`, the end tokens of `generation_config.json` or else those of
    /// the model's `config.json`.
    ///
    /// # Errors
    /// There is no `tokenizer.json`; a file is damaged.
    pub fn from_folder<'a>(file: impl Fn(&str) -> Option<&'a [u8]>) -> Result<Self> {
        let tokenizer = file("tokenizer.json").ok_or_else(|| {
            Error::unsupported(
                "the folder has no tokenizer.json: add the model's own, or give token ids",
            )
        })?;
        Self::from_config(tokenizer, json::Config::of_folder(&file)?)
    }

    /// The chat template's text in the files of a folder, if there is one.
    ///
    /// # Errors
    /// A file is damaged.
    pub fn template_of_folder<'a>(
        file: impl Fn(&str) -> Option<&'a [u8]>,
    ) -> Result<Option<String>> {
        Ok(json::Config::of_folder(&file)?.chat_template)
    }

    /// The text of a special token (`pad_token`, `mask_token`, …) in the files of a folder.
    ///
    /// # Errors
    /// A file is damaged.
    pub fn special_of_folder<'a>(
        file: impl Fn(&str) -> Option<&'a [u8]>,
        name: &str,
    ) -> Result<Option<String>> {
        json::special(&file, name)
    }

    fn from_config(tokenizer: &[u8], config: json::Config) -> Result<Self> {
        let json = Json::new(tokenizer)?;
        let tokens = json.tokens()?;
        let id = |text: &Option<String>| text.as_deref().and_then(|text| json.id(text));
        let (bos, eos) = (id(&config.bos), id(&config.eos));
        let (before, after) = match (config.add_bos, config.add_eos) {
            (None, None) => json.around()?,
            // As transformers does: where one of them is written, they replace what
            // tokenizer.json says.
            (add_bos, add_eos) => (
                bos.filter(|_| add_bos == Some(true)).into_iter().collect(),
                eos.filter(|_| add_eos == Some(true)).into_iter().collect(),
            ),
        };
        let control = |id: &&u32| tokens.get(**id as usize).is_some_and(Token::is_control);
        let bos = bos.or_else(|| before.first().filter(control).copied());
        let eos = eos.or_else(|| after.last().filter(control).copied());
        let there = |id: &u32| (*id as usize) < tokens.len();
        let bos = bos.or(config.bos_id.filter(there));
        let eos = eos.or_else(|| config.ends.first().copied().filter(there));
        let mut ends = end::ids(texts(&tokens, |kind| kind == Kind::Control));
        ends.extend(eos);
        ends.extend(config.ends);
        let has_chat = config.chat_template.is_some();
        let chat = match config.chat_template {
            Some(source) => {
                ChatTemplate::new(&source, config.bos.as_deref(), config.eos.as_deref())
            }
            None => ChatTemplate::plain(
                before.first().and_then(|id| tokens.get(*id as usize)).map(|t| t.text.as_str()),
            ),
        };
        let code = if json.is_byte_level() { Code::Bytes } else { Code::Pieces };
        let strips_space = false;
        let engine = Engine::Json(Box::new(json));
        Ok(Self {
            rows: tokens.len(),
            tokens,
            engine,
            before,
            after,
            bos,
            eos,
            ends,
            chat,
            has_chat,
            code,
            strips_space,
        })
    }
}
