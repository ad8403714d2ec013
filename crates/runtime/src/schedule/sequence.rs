//! A sequence: a request's tokens, and how far they are.

use crate::request::Cancel;
use crate::state::BlockTable;

/// A request's tokens and what the scheduler must know of it. Device and cache may go: it goes on
/// from its tokens.
#[derive(Debug)]
pub struct Sequence<C> {
    /// Prompt, then the answer so far.
    pub tokens: Vec<u32>,
    /// How many of them are the prompt.
    pub prompt: usize,
    /// Tokens of the answer at most.
    pub max_tokens: usize,
    /// The logits of its tokens go to the host, which takes memory.
    pub wants_logits: bool,
    /// It is rotated by the frequencies for long contexts (longrope).
    pub long: bool,
    /// Ends it within a step when set.
    pub cancel: Cancel,
    /// Tokens that prefill computed, not found in the cache.
    pub computed: usize,
    /// Where there were too few blocks for it: how often blocks had been freed by then.
    pub(super) no_room: Option<u64>,
    /// It had to give its slot up.
    pub(super) preempted: bool,
    /// Whoever asked: no concern of the scheduler.
    pub client: C,
}

impl<C> Sequence<C> {
    /// A prompt without an answer yet.
    pub fn new(prompt: Vec<u32>, max_tokens: usize, cancel: Cancel, client: C) -> Self {
        Self {
            prompt: prompt.len(),
            tokens: prompt,
            max_tokens,
            wants_logits: false,
            long: false,
            cancel,
            computed: 0,
            no_room: None,
            preempted: false,
            client,
        }
    }

    /// The answer so far.
    pub fn answer(&self) -> &[u32] {
        &self.tokens[self.prompt..]
    }

    /// Tokens of the answer so far.
    pub fn answered(&self) -> usize {
        self.tokens.len() - self.prompt
    }

    /// The most tokens that are computed for it, in a context of `ctx`: the last one sampled is
    /// not.
    pub fn reach(&self, ctx: usize) -> usize {
        self.prompt.saturating_add(self.max_tokens.saturating_sub(1)).min(ctx)
    }

    /// The same for another client.
    pub fn with_client<D>(self, client: impl FnOnce(C) -> D) -> Sequence<D> {
        Sequence {
            tokens: self.tokens,
            prompt: self.prompt,
            max_tokens: self.max_tokens,
            wants_logits: self.wants_logits,
            long: self.long,
            cancel: self.cancel,
            computed: self.computed,
            no_room: self.no_room,
            preempted: self.preempted,
            client: client(self.client),
        }
    }
}

/// A sequence that holds a slot.
#[derive(Debug)]
pub struct Running<C> {
    pub sequence: Sequence<C>,
    /// Which admission this is: a sequence that was preempted gets another.
    pub admission: u64,
    pub blocks: BlockTable,
    /// Its tokens when it was admitted: what prefill computes. Of one that was preempted they
    /// hold some of the answer, and of a recurrent one so do accepted draft tokens.
    pub(super) known: usize,
    /// How many of them are in submitted steps, or were in the cache.
    pub(super) fed: usize,
    /// Tokens that submitted steps sample.
    pub sampled: usize,
    /// How many of these are behind draft tokens of a step whose result is yet to come.
    pub(super) drafts: usize,
    /// How many entries of its block table the device has.
    pub(super) written: usize,
    /// A snapshot of its state that a submitted step makes, and behind how many tokens, of which
    /// some are yet to be seen.
    pub(super) snapshot: Option<(usize, usize)>,
    /// The content behind which a snapshot of its answer was kept last.
    pub(super) kept: Option<u64>,
}

impl<C> Running<C> {
    /// Some of its prompt is not in a submitted step.
    pub fn in_prefill(&self) -> bool {
        self.fed < self.known
    }

    /// Another token is to be computed, in a context of `ctx`.
    pub(super) fn wants_token(&self, ctx: usize) -> bool {
        let sequence = &self.sequence;
        // Answered when it was admitted; what came since is among the sampled ones.
        let answered = self.known - sequence.prompt;
        let wanted = sequence.max_tokens.saturating_sub(answered);
        !self.in_prefill() && self.sampled < wanted && self.position() < ctx
    }

    /// The position of the next token to be computed, once the prompt is.
    pub fn position(&self) -> usize {
        self.known + self.sampled - 1
    }

    /// The entries of its block table that the device does not have, and the index of the first.
    pub(super) fn new_blocks(&self) -> (usize, &[u32]) {
        (self.written, &self.blocks.list[self.written..])
    }

    /// Tokens, from the first on, whose keys and values are in the cache, or will be before any
    /// later step: the last token sampled is not computed yet.
    pub(super) fn cached(&self) -> &[u32] {
        let end = if self.sampled == 0 { self.fed } else { self.position() };
        &self.sequence.tokens[..end.min(self.sequence.tokens.len())]
    }
}
