//! Requests for text, of either endpoint.

use serde_json::Value;
use wisp_runtime::{Prompt, Request};

use crate::chat;
use crate::common::{Common, refuse_rest};
use crate::error::Refusal;
use crate::fields::{Fields, token, wrong};

/// What is asked for, by OpenAI's path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// `chat/completions`: an answer in a conversation.
    Chat,
    /// `completions`: the continuation of a text.
    Completions,
}

impl Endpoint {
    /// By its path behind `/v1/`.
    pub fn of(path: &str) -> Option<Self> {
        match path {
            "chat/completions" => Some(Self::Chat),
            "completions" => Some(Self::Completions),
            _ => None,
        }
    }

    /// The id of an answer: `chatcmpl-…`, `cmpl-…`.
    pub fn id(self, unique: &str) -> String {
        let prefix = match self {
            Self::Chat => "chatcmpl",
            Self::Completions => "cmpl",
        };
        format!("{prefix}-{unique}")
    }
}

/// A checked request.
#[derive(Debug, Clone)]
pub struct GenerationRequest {
    /// The model that is asked for, if one is named.
    pub model: Option<String>,
    /// What the engine is asked.
    pub request: Request<Prompt>,
    /// What the answer is to look like.
    pub form: ResponseForm,
}

/// What an answer is to look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResponseForm {
    /// Whose answer it is.
    pub endpoint: Endpoint,
    /// In chunks.
    pub stream: bool,
    /// With the usage in a last chunk.
    pub include_usage: bool,
    /// With how likely tokens were.
    pub logprobs: bool,
}

impl GenerationRequest {
    /// Checks the text of a request's body. `seed`: where it has none.
    ///
    /// # Errors
    /// No JSON. A field that is wrong or not known, or that this version does not honour, by its
    /// path.
    pub fn read(endpoint: Endpoint, body: &str, seed: u64) -> Result<Self, Refusal> {
        let mut fields = Fields::of("", Fields::parse(body)?)?;
        let (prompt, logprobs) = match endpoint {
            Endpoint::Chat => (chat::prompt(&mut fields)?, chat::logprobs(&mut fields)?),
            Endpoint::Completions => {
                let prompt = prompt(&mut fields)?;
                (prompt, fields.integer("logprobs", 0, 20)?.map(|count| count as usize))
            }
        };
        let newer = match endpoint {
            Endpoint::Chat => fields.count("max_completion_tokens", 1)?,
            Endpoint::Completions => None,
        };
        let Common { model, stream, include_usage, sampling, stop, max_tokens } =
            Common::read(&mut fields, seed)?;
        refuse_rest(fields)?;
        let max_tokens = newer.or(max_tokens).unwrap_or(usize::MAX);
        let request =
            Request { prompt, max_tokens, sampling, stop, logprobs, ..Request::default() };
        let logprobs = logprobs.is_some();
        let form = ResponseForm { endpoint, stream, include_usage, logprobs };
        Ok(Self { model, request, form })
    }
}

/// A text or tokens.
fn prompt(fields: &mut Fields) -> Result<Prompt, Refusal> {
    let value = fields.take("prompt");
    let prompt = match &value {
        Some(Value::String(text)) => Some(Prompt::Text(text.clone().into_bytes())),
        Some(Value::Array(list)) if !list.is_empty() => {
            list.iter().map(token).collect::<Option<Vec<_>>>().map(Prompt::Tokens)
        }
        _ => None,
    };
    prompt.ok_or_else(|| wrong("prompt", value.as_ref(), "one text, or one list of token ids"))
}
