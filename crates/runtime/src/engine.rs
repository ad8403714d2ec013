//! One loaded model on one adapter.

use std::ops::ControlFlow;

use wisp_base::{Error, Result};
use wisp_formats::Source;
use wisp_tokenizer::Tokenizer;

use crate::options::{Cancel, Completion, EngineOptions, Request};

/// Where a load stands, for a progress bar.
#[derive(Debug, Clone)]
pub enum Progress {
    /// The kernels are being compared with their definitions on this adapter.
    Checking,
    /// Weights on the device so far, of all, in bytes of the file.
    Weights {
        /// Bytes done.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
    /// Something the person should know (a smaller context, a safer kernel variant).
    Note(String),
}

/// A piece of an answer, as it arrives.
#[derive(Debug, Clone)]
pub struct Piece {
    /// The new token.
    pub token: u32,
    /// Text that became certain with it; may be empty.
    pub text: String,
}

/// One loaded model on one adapter.
pub struct Engine {}

impl Engine {
    /// Reads the header, plans the memory, checks the kernels, uploads the weights.
    pub async fn load(
        _source: &dyn Source,
        _options: &EngineOptions,
        _progress: &mut dyn FnMut(Progress),
    ) -> Result<Engine> {
        Err(Error::unsupported("not yet"))
    }

    /// The tokenizer of the file, or the sentence that says why there is none.
    pub fn tokenizer(&self) -> Result<&Tokenizer> {
        Err(Error::unsupported("not yet"))
    }

    /// Entries of the vocabulary: the width of a row of logits.
    pub fn vocab(&self) -> usize {
        0
    }

    /// The context that was planned for, in tokens.
    pub fn ctx(&self) -> usize {
        0
    }

    /// The adapter's name and driver.
    pub fn device_name(&self) -> String {
        String::new()
    }

    /// What the weights, KV cache and scratch take; see `wisp inspect`.
    pub fn memory(&self) -> crate::MemoryPlan {
        crate::MemoryPlan::default()
    }

    /// Prefill and decode; `on_piece` sees each token and may break off.
    pub async fn generate(
        &mut self,
        _request: &Request,
        _on_piece: &mut dyn FnMut(Piece) -> ControlFlow<()>,
    ) -> Result<Completion> {
        Err(Error::unsupported("not yet"))
    }

    /// Raw logits, `[positions, vocab]` row by row: every position with `all`, else the last.
    /// `chunk`: at most so many tokens a step.
    pub async fn logits(
        &mut self,
        _tokens: &[u32],
        _all: bool,
        _chunk: Option<usize>,
    ) -> Result<Vec<f32>> {
        Err(Error::unsupported("not yet"))
    }

    /// `nll[i] = -ln p(tokens[i + 1] | tokens[..=i])`, one entry fewer than tokens.
    pub async fn nll(&mut self, _tokens: &[u32], _cancel: &Cancel) -> Result<Vec<f64>> {
        Err(Error::unsupported("not yet"))
    }

    /// Measures prefill and decode; see `wisp bench`.
    pub async fn bench(&mut self, _options: &BenchOptions) -> Result<BenchReport> {
        Err(Error::unsupported("not yet"))
    }
}

/// What `wisp bench` is to do.
#[derive(Debug, Clone)]
pub struct BenchOptions {
    /// Prompt length.
    pub prompt_tokens: usize,
    /// Tokens to decode.
    pub generate: usize,
    /// Rounds; the report has median, least and most.
    pub repeat: usize,
    /// Time each kind of dispatch on the GPU as well.
    pub ops: bool,
}

/// Median, least and most of some rounds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Spread {
    /// The middle one.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The most.
    pub max: f64,
}

/// One kind of dispatch in a decode step.
#[derive(Debug, Clone)]
pub struct OpTime {
    /// The op's name.
    pub op: String,
    /// Dispatches a step.
    pub calls: usize,
    /// GPU time a step, all calls together, in microseconds.
    pub gpu_us: f64,
    /// Bytes that must be read or written a step.
    pub bytes: u64,
    /// Floating-point operations a step.
    pub flops: u64,
}

/// What `wisp bench` found.
#[derive(Debug, Clone, Default)]
pub struct BenchReport {
    /// Prompt tokens a second.
    pub prefill_tokens_per_s: Spread,
    /// New tokens a second.
    pub decode_tokens_per_s: Spread,
    /// Dispatches in a decode step.
    pub dispatches_per_token: usize,
    /// Bytes that a decode step must read.
    pub bytes_per_token: u64,
    /// Bytes a token × tokens a second over the adapter's measured copy bandwidth.
    pub bandwidth_share: f64,
    /// Host time to prepare and submit a decode step, in microseconds.
    pub host_us_per_token: f64,
    /// Time to the first token after loading, in milliseconds.
    pub first_token_ms: f64,
    /// With `ops`.
    pub ops: Vec<OpTime>,
}
