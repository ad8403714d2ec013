//! Answers and chunks as JSON. Ours beside OpenAI's fields: `timings`.

use serde::Serialize;

use crate::logprobs::Logprobs;

/// What every answer and chunk begins with.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// The answer's own name: [`Endpoint::id`](crate::Endpoint::id).
    pub id: String,
    /// Seconds since 1970.
    pub created: u64,
    /// The model, as the client knows it.
    pub model: String,
}

/// An answer or a chunk of one, of either endpoint. One type, since four that hardly differ are
/// four times the code to download for a browser.
#[derive(Serialize)]
pub struct Response {
    pub id: String,
    pub object: &'static str,
    pub created: u64,
    pub model: String,
    /// One; none in the chunk with the usage.
    pub choices: Vec<Choice>,
    /// In a stream absent unless asked for; then `null` in all chunks but the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Option<Usage>>,
    /// Of a whole answer, and in the last chunk with a choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timings: Option<Timings>,
}

impl Response {
    /// As text. Its keys are names: it can always be written.
    pub fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The one choice: `message` of a chat, `delta` of its chunk, or `text` of a text completion.
#[derive(Default, Serialize)]
pub struct Choice {
    /// Always 0.
    pub index: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<Message>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delta: Option<Message>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Where they were asked for.
    pub logprobs: Option<Logprobs>,
    /// Of a whole answer, and in the last chunk with a choice.
    pub finish_reason: Option<&'static str>,
}

/// `{"role": "assistant", "content": …, "refusal": null}`, or what a chunk adds to it.
#[derive(Default, Serialize)]
pub struct Message {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// There are no refusals here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<()>,
}

impl Message {
    pub fn whole(content: String) -> Self {
        Self { role: Some("assistant"), content: Some(content), refusal: Some(()) }
    }
}

/// Tokens of a request.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Usage {
    /// Of the prompt.
    pub prompt_tokens: usize,
    /// Of the answer.
    pub completion_tokens: usize,
    /// Both.
    pub total_tokens: usize,
    /// More of the prompt.
    pub prompt_tokens_details: PromptTokens,
}

/// What is known of a prompt's tokens.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PromptTokens {
    /// Those that an earlier request had computed.
    pub cached_tokens: usize,
}

/// How long it took.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Timings {
    /// To the first token.
    pub prefill_ms: f64,
    /// Prompt tokens computed, those found in the cache left out.
    pub prefill_tokens: usize,
    /// 0 where there is none.
    pub prefill_tokens_per_second: f64,
    /// From the first token to the last.
    pub decode_ms: f64,
    /// Tokens after the first.
    pub decode_tokens: usize,
    /// 0 where there is none.
    pub decode_tokens_per_second: f64,
    /// Of these, accepted draft tokens.
    pub accepted_draft_tokens: usize,
}

impl Usage {
    pub fn of(completion: &wisp_runtime::Completion, prompt_tokens: usize) -> Self {
        let completion_tokens = completion.tokens.len();
        // After a device loss all is computed again.
        let cached_tokens = prompt_tokens.saturating_sub(completion.timings.prefill_tokens);
        Self {
            prompt_tokens,
            completion_tokens,
            total_tokens: prompt_tokens + completion_tokens,
            prompt_tokens_details: PromptTokens { cached_tokens },
        }
    }
}

impl From<wisp_runtime::Timings> for Timings {
    fn from(timings: wisp_runtime::Timings) -> Self {
        Self {
            prefill_ms: timings.prefill_ms,
            prefill_tokens: timings.prefill_tokens,
            prefill_tokens_per_second: timings.prefill_tokens_per_s(),
            decode_ms: timings.decode_ms,
            decode_tokens: timings.decode_tokens,
            decode_tokens_per_second: timings.decode_tokens_per_s().unwrap_or(0.0),
            accepted_draft_tokens: timings.accepted_draft_tokens,
        }
    }
}
