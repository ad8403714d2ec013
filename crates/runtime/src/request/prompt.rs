//! What a request begins with, as callers have it, and the tokens that a model reads.

use serde_json::Value;
use wisp_base::{Error, Result};
use wisp_tokenizer::Tokenizer;

use crate::request::Request;

/// What a model is to continue.
#[derive(Debug, Clone, PartialEq)]
pub enum Prompt {
    /// Token ids, used as given.
    Tokens(Vec<u32>),
    /// Text, UTF-8 or not. The special tokens that the model wants around a text are added, and
    /// special tokens that are spelled in it are read as such.
    Text(Vec<u8>),
    /// A conversation, rendered by the model's chat template and ready for an answer.
    Chat {
        /// `[{"role": …, "content": …}, …]`
        messages: Value,
        /// `[{"type": "function", "function": …}, …]`, for templates that know of tools.
        tools: Option<Value>,
    },
}

impl Default for Prompt {
    /// No tokens, which every model refuses.
    fn default() -> Self {
        Self::Tokens(Vec::new())
    }
}

impl From<Vec<u32>> for Prompt {
    fn from(tokens: Vec<u32>) -> Self {
        Self::Tokens(tokens)
    }
}

impl Prompt {
    /// The prompt's tokens. `tokenizer`: or why there is none.
    ///
    /// # Errors
    /// Text or messages without a tokenizer; messages that the chat template refuses.
    pub fn tokens(self, tokenizer: Result<&Tokenizer>) -> Result<Vec<u32>> {
        match self {
            Self::Tokens(tokens) => Ok(tokens),
            Self::Text(text) => tokenizer?.encode(&text, true, true),
            Self::Chat { messages, tools } => {
                let tokenizer = tokenizer?;
                let text = rendered(tokenizer, &messages, tools.as_ref())?;
                // A template writes special tokens itself, so that none are added.
                tokenizer.encode(text.as_bytes(), false, true)
            }
        }
    }

    /// The texts that end an answer to this prompt, besides those that the caller asks for: in a
    /// conversation, the ends of turns that the model's tokens do not mark.
    ///
    /// # Errors
    /// A conversation without a tokenizer, or with a chat template that cannot be used.
    pub fn stop(&self, tokenizer: Result<&Tokenizer>) -> Result<&'static [&'static str]> {
        match self {
            Self::Chat { .. } => Ok(tokenizer?.chat()?.stop()),
            Self::Tokens(_) | Self::Text(_) => Ok(&[]),
        }
    }
}

/// A conversation as the model's template writes it, ready for an answer.
///
/// # Errors
/// A template that refuses the messages, or that leaves tools out.
pub fn rendered(tokenizer: &Tokenizer, messages: &Value, tools: Option<&Value>) -> Result<String> {
    let template = tokenizer.chat()?;
    let text = template.render(messages, tools, true)?;
    if tools.is_some() && text == template.render(messages, None, true)? {
        let message = "the model's chat template knows no tools: leave them out, or take a model \
                       that was trained with tools";
        return Err(Error::unsupported(message));
    }
    Ok(text)
}

impl<P: Into<Prompt>> Request<P> {
    /// The request with its prompt as tokens, and with the stop texts that belong to the prompt.
    ///
    /// # Errors
    /// As [`Prompt::tokens`].
    pub fn encoded(self, tokenizer: Result<&Tokenizer>) -> Result<Request> {
        let Self { prompt, max_tokens, sampling, mut stop, ignore_eos, logprobs, cancel } = self;
        let prompt = prompt.into();
        stop.extend(prompt.stop(tokenizer.clone())?.iter().map(|text| (*text).to_owned()));
        let prompt = prompt.tokens(tokenizer)?;
        Ok(Request { prompt, max_tokens, sampling, stop, ignore_eos, logprobs, cancel })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(prompt: Prompt) -> Request<Prompt> {
        Request { prompt, max_tokens: 3, stop: vec!["x".into()], ..Request::default() }
    }

    #[test]
    fn tokens_need_no_tokenizer_and_all_else_says_that_it_does() {
        let none = || Err(Error::input("no tokenizer here"));
        let tokens = request(vec![1, 2].into()).encoded(none()).unwrap();
        assert_eq!((tokens.prompt, tokens.stop), (vec![1, 2], vec!["x".to_owned()]));
        let chat = Prompt::Chat { messages: Value::Array(Vec::new()), tools: None };
        for prompt in [Prompt::Text(b"a".to_vec()), chat] {
            let error = request(prompt).encoded(none()).unwrap_err();
            assert_eq!(error.to_string(), "no tokenizer here");
        }
    }
}
