//! What a caller asks for, and what it gets back.

mod prompt;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use wisp_base::{Error, Result};

pub use prompt::{Prompt, rendered};

/// How the next token is drawn. The order is llama.cpp's: logit bias and
/// penalties, then top-k, top-p, min-p, then temperature.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampling {
    /// 0 takes the most likely token.
    pub temperature: f32,
    /// Keep the k most likely tokens; 0 keeps all.
    pub top_k: u32,
    /// Keep the smallest set of tokens whose probability reaches this; 1 keeps all.
    pub top_p: f32,
    /// Drop tokens less likely than this share of the most likely one; 0 drops none.
    pub min_p: f32,
    /// Divides positive and multiplies negative logits of tokens already in
    /// prompt or answer (Keskar et al. 2019); 1 is off.
    pub repetition_penalty: f32,
    /// Subtracted once from logits of tokens already in the answer; 0 is off.
    pub presence_penalty: f32,
    /// Subtracted for each time a token is already in the answer; 0 is off.
    pub frequency_penalty: f32,
    /// Added to these tokens' logits.
    pub logit_bias: Vec<(u32, f32)>,
    /// The same seed on the same adapter gives the same tokens.
    pub seed: u64,
}

impl Default for Sampling {
    /// Greedy.
    fn default() -> Self {
        Self {
            temperature: 0.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            logit_bias: Vec::new(),
            seed: 0,
        }
    }
}

impl Sampling {
    /// Each setting within its range and each biased token within `vocab`,
    /// else one sentence that names the setting.
    pub fn check(&self, vocab: usize) -> Result<()> {
        let range = |name: &str, value: f32, low: f32, high: f32| {
            if value.is_finite() && (low..=high).contains(&value) {
                return Ok(());
            }
            let high = if high == f32::MAX { "∞".into() } else { high.to_string() };
            Err(Error::input(format!("{name} is {value}; it must be from {low} to {high}")))
        };
        range("temperature", self.temperature, 0.0, f32::MAX)?;
        range("top_p", self.top_p, 0.0, 1.0)?;
        range("min_p", self.min_p, 0.0, 1.0)?;
        if self.repetition_penalty <= 0.0 {
            return Err(Error::input("repetition_penalty must be above 0 (1 is off)"));
        }
        range("repetition_penalty", self.repetition_penalty, 0.0, f32::MAX)?;
        range("presence_penalty", self.presence_penalty, -100.0, 100.0)?;
        range("frequency_penalty", self.frequency_penalty, -100.0, 100.0)?;
        for &(token, bias) in &self.logit_bias {
            if token as usize >= vocab {
                return Err(Error::input(format!(
                    "logit_bias names token {token}, but the vocabulary has {vocab}"
                )));
            }
            range("a logit_bias value", bias, -1e9, 1e9)?;
        }
        Ok(())
    }
}

/// One request for text. `P`: its prompt, as tokens for an engine, as any
/// [`Prompt`](crate::Prompt) for a [`Handle`](crate::Handle).
#[derive(Debug, Clone, Default)]
pub struct Request<P = Vec<u32>> {
    /// What is to be continued.
    pub prompt: P,
    /// Stop after this many new tokens; `usize::MAX` goes on to the context's end.
    pub max_tokens: usize,
    /// How to draw them.
    pub sampling: Sampling,
    /// Stop before any of these texts (needs a tokenizer).
    pub stop: Vec<String>,
    /// Go on past end-of-generation tokens.
    pub ignore_eos: bool,
    /// Tell with each token how likely it was, and so many of the likeliest (20 at most).
    pub logprobs: Option<usize>,
    /// Stops the request within one step when set.
    pub cancel: Cancel,
}

/// A flag that another thread (Ctrl-C, say) sets to stop a request.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Asks the request to stop.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Has [`Self::cancel`] been called?
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// Why a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishReason {
    /// An end-of-generation token or a stop text.
    Stop,
    /// `max_tokens`, or the context is full.
    Length,
    /// [`Cancel`].
    Cancelled,
}

impl FinishReason {
    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What a request gave.
#[derive(Debug, Clone)]
pub struct Completion {
    /// The new tokens, the end-of-generation token that stopped it left out.
    pub tokens: Vec<u32>,
    /// Their text without control tokens, cut before a stop text; empty without a tokenizer.
    pub text: String,
    /// Why it ended.
    pub finish: FinishReason,
    /// The stop text that ended it, if one did.
    pub stop: Option<String>,
    /// How long it took.
    pub timings: Timings,
}

/// Wall-clock times of one request.
#[derive(Debug, Clone, Copy, Default)]
pub struct Timings {
    /// From the request's start to its first token.
    pub prefill_ms: f64,
    /// Prompt tokens computed (those found in the cache left out).
    pub prefill_tokens: usize,
    /// From the first token to the last.
    pub decode_ms: f64,
    /// Tokens after the first.
    pub decode_tokens: usize,
    /// Of these, accepted draft tokens.
    pub accepted_draft_tokens: usize,
}

impl Timings {
    /// Prompt tokens per second; 0 where there is none, or no token came after them.
    pub fn prefill_tokens_per_s(&self) -> f64 {
        let tokens = if self.prefill_ms > 0.0 { self.prefill_tokens } else { 0 };
        rate(tokens, self.prefill_ms).unwrap_or(0.0)
    }

    /// New tokens per second after the first; `None` where there was at most one.
    pub fn decode_tokens_per_s(&self) -> Option<f64> {
        rate(self.decode_tokens, self.decode_ms)
    }
}

fn rate(tokens: usize, ms: f64) -> Option<f64> {
    (tokens > 0).then(|| tokens as f64 * 1000.0 / ms.max(1e-3))
}
