//! How a model is to be loaded.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use wisp_base::{KvType, Result};
use wisp_formats::Checkpoint;
use wisp_graph::MAX_DRAFTS;

use crate::selfcheck::SelfCheckResults;

/// How a model is to be loaded.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Adapter by its number in `wisp devices` or by part of its name.
    pub device: Option<String>,
    /// `subgroups=off,f16=off,dot=off,coop=off` in any choice; empty for none.
    pub caps: String,
    /// Kernel parameters in place of the adapter's own: `matvec.rows=4,prefill_tokens=256` in any
    /// choice; empty for none.
    pub tuning: String,
    /// Whether to measure kernel parameters at the first load on an adapter, and keep what is
    /// found with the self-check's results.
    pub autotune: Autotune,
    /// KV cache type; by default f16 where the variant computes in f16, else f32.
    pub kv: Option<KvType>,
    /// Context in tokens; by default what the model was trained for, made
    /// smaller where that does not fit.
    pub ctx: Option<usize>,
    /// Sequences that may be alive at once (sampling state is kept for each).
    pub max_sequences: usize,
    /// The sequences share the KV cache of one context, and wait for each other when it
    /// is full; else there is room for a whole context each.
    pub share_cache: bool,
    /// Draft tokens from repetitions in the text so far, checked in the step of the next token; see
    /// [`Engine::draft_with`](crate::Engine::draft_with) too.
    pub speculation: Speculation,
    /// Bytes to take at most, where less than the adapter offers.
    pub memory_limit: Option<u64>,
    /// Where the self-check's results on an adapter are kept between runs.
    pub self_check_results: Option<SelfCheckResults>,
    /// The folder where compiled pipelines are kept between runs, where a driver gives them
    /// out; see [`wisp_gpu::Gpu::open_pipeline_cache`].
    pub pipelines: Option<PathBuf>,
    /// What to do with a model's header before it is loaded: give its weights in other
    /// formats, say.
    pub prepare: Option<Prepare>,
}

impl EngineOptions {
    /// Tokens that a step of decode may have: one per sequence, or one and draft tokens.
    pub(crate) fn decode_tokens(&self) -> usize {
        let drafts = if self.speculation == Speculation::Never { 0 } else { MAX_DRAFTS };
        self.max_sequences.max(1 + drafts)
    }

    /// A header, made ready as [`Self::prepare`] asks.
    ///
    /// # Errors
    /// Those of [`Self::prepare`].
    pub fn prepared(&self, mut checkpoint: Checkpoint) -> Result<Checkpoint> {
        if let Some(prepare) = &self.prepare {
            (prepare.0)(&mut checkpoint)?;
        }
        Ok(checkpoint)
    }
}

/// What is done with a header.
type Work = dyn Fn(&mut Checkpoint) -> Result<()> + Send + Sync;

/// See [`EngineOptions::prepare`].
#[derive(Clone)]
pub struct Prepare(pub Arc<Work>);

impl fmt::Debug for Prepare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Prepare")
    }
}

/// On which adapters kernel parameters are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Autotune {
    /// None.
    Never,
    /// Those that do not run on the processor.
    Gpus,
    /// All.
    Always,
}

impl Autotune {
    /// `kind`: as [`wisp_gpu::AdapterFacts`] has it.
    pub(crate) fn is_for(self, kind: &str) -> bool {
        self == Self::Always || self == Self::Gpus && kind != "cpu"
    }
}

/// When draft tokens are tried (speculative decoding).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speculation {
    /// Never: there is no room for draft tokens.
    Never,
    /// While tokens come faster with them than without, as measured.
    WhileFaster,
    /// Whenever there are draft tokens: for tests.
    Always,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            device: None,
            caps: String::new(),
            tuning: String::new(),
            autotune: Autotune::Never,
            kv: None,
            ctx: None,
            max_sequences: 1,
            share_cache: false,
            speculation: Speculation::Never,
            memory_limit: None,
            self_check_results: None,
            pipelines: None,
            prepare: None,
        }
    }
}
