//! Requests about texts and tokens, in llama.cpp's shapes: `/tokenize`, `/detokenize`,
//! `/apply-template`.

use serde_json::Value;

use crate::chat;
use crate::error::Refusal;
use crate::fields::{Fields, token, wrong};

/// A text as tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenizeRequest {
    /// The model that is asked for, if one is named.
    pub model: Option<String>,
    /// The text.
    pub content: String,
    /// With the tokens that the model wants around a text.
    pub add_special: bool,
    /// The texts of control tokens are these tokens.
    pub parse_special: bool,
}

impl TokenizeRequest {
    /// Checks a request's body.
    ///
    /// # Errors
    /// A field that is wrong or not known, by its path.
    pub fn read(body: &str) -> Result<Self, Refusal> {
        let mut fields = Fields::of("", Fields::parse(body)?)?;
        let content = fields.text("content")?.ok_or_else(|| wrong("content", None, "a text"))?;
        let add_special = fields.flag("add_special")?;
        let parse_special = fields.flag_or("parse_special", true)?;
        let model = fields.text("model")?;
        fields.end()?;
        Ok(Self { model, content, add_special, parse_special })
    }
}

/// Tokens as a text.
#[derive(Debug, Clone, PartialEq)]
pub struct DetokenizeRequest {
    /// The model that is asked for, if one is named.
    pub model: Option<String>,
    /// Their ids.
    pub tokens: Vec<u32>,
}

impl DetokenizeRequest {
    /// Checks a request's body.
    ///
    /// # Errors
    /// A field that is wrong or not known, by its path.
    pub fn read(body: &str) -> Result<Self, Refusal> {
        let mut fields = Fields::of("", Fields::parse(body)?)?;
        let value = fields.take("tokens");
        let ids = value.as_ref().and_then(Value::as_array);
        let ids = ids.and_then(|ids| ids.iter().map(token).collect());
        let tokens = ids.ok_or_else(|| wrong("tokens", value.as_ref(), "a list of token ids"))?;
        let model = fields.text("model")?;
        fields.end()?;
        Ok(Self { model, tokens })
    }
}

/// A conversation as the text that a model reads.
#[derive(Debug, Clone, PartialEq)]
pub struct TemplateRequest {
    /// The model that is asked for, if one is named.
    pub model: Option<String>,
    /// The conversation, as templates know it.
    pub messages: Value,
    /// The tools that it may call.
    pub tools: Option<Value>,
}

impl TemplateRequest {
    /// Checks a request's body.
    ///
    /// # Errors
    /// A field that is wrong or not known, by its path.
    pub fn read(body: &str) -> Result<Self, Refusal> {
        let mut fields = Fields::of("", Fields::parse(body)?)?;
        let (messages, tools) = chat::conversation(&mut fields)?;
        let model = fields.text("model")?;
        fields.end()?;
        Ok(Self { model, messages, tools })
    }
}
