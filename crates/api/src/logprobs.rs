//! How likely tokens were, in the two shapes that OpenAI has for it.

use serde::Serialize;
use serde_json::{Map, Value};
use wisp_runtime::Piece;
use wisp_tokenizer::Tokenizer;

use crate::generation::Endpoint;

/// A token and how likely it was.
#[derive(Serialize)]
pub struct TopLogprob {
    /// Its text; half a character is U+FFFD.
    token: String,
    /// ln p.
    logprob: f32,
    bytes: Vec<u8>,
}

impl TopLogprob {
    fn of(tokenizer: &Tokenizer, token: u32, logprob: f32) -> Self {
        let bytes = match tokenizer.is_control(token) {
            true => tokenizer.token_text(token).map(|text| text.as_bytes().to_vec()),
            false => tokenizer.token_bytes(token),
        };
        let bytes = bytes.unwrap_or_default();
        Self { token: String::from_utf8_lossy(&bytes).into_owned(), logprob, bytes }
    }
}

/// The token that was drawn, and the likeliest ones.
#[derive(Serialize)]
pub struct TokenLogprob {
    token: String,
    logprob: f32,
    bytes: Vec<u8>,
    /// The best first.
    top_logprobs: Vec<TopLogprob>,
}

impl TokenLogprob {
    /// Of a piece of an answer; `None` where they were not asked for.
    pub fn of(tokenizer: &Tokenizer, piece: &Piece) -> Option<Self> {
        let (id, logprobs) = piece.token.zip(piece.logprobs.as_ref())?;
        let TopLogprob { token, logprob, bytes } = TopLogprob::of(tokenizer, id, logprobs.logprob);
        let top = logprobs.top.iter().map(|(id, ln)| TopLogprob::of(tokenizer, *id, *ln));
        Some(Self { token, logprob, bytes, top_logprobs: top.collect() })
    }
}

/// Token by token, as each endpoint has them.
#[derive(Serialize)]
#[serde(untagged)]
pub enum Logprobs {
    /// In a chat.
    Chat {
        content: Vec<TokenLogprob>,
        /// There are no refusals here.
        refusal: (),
    },
    /// In a text completion.
    Completion {
        tokens: Vec<String>,
        token_logprobs: Vec<f32>,
        /// The likeliest tokens at each place.
        top_logprobs: Vec<Map<String, Value>>,
        /// Where each begins in the answer, in characters.
        text_offset: Vec<usize>,
    },
}

impl Logprobs {
    /// None yet.
    pub fn of(endpoint: Endpoint) -> Self {
        match endpoint {
            Endpoint::Chat => Self::Chat { content: Vec::new(), refusal: () },
            Endpoint::Completions => Self::Completion {
                tokens: Vec::new(),
                token_logprobs: Vec::new(),
                top_logprobs: Vec::new(),
                text_offset: Vec::new(),
            },
        }
    }

    /// `at`: where the token begins.
    pub fn push(&mut self, one: TokenLogprob, at: usize) {
        match self {
            Self::Chat { content, .. } => content.push(one),
            Self::Completion { tokens, token_logprobs, top_logprobs, text_offset } => {
                tokens.push(one.token);
                token_logprobs.push(one.logprob);
                let top = one.top_logprobs.into_iter();
                top_logprobs.push(top.map(|top| (top.token, top.logprob.into())).collect());
                text_offset.push(at);
            }
        }
    }
}
