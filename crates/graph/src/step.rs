//! What changes from step to step, and its words on the GPU (`shaders/lib/step.wgsl`).

use wisp_base::{Error, Result};

/// Positions a page of the KV cache.
pub const PAGE: usize = 32;

/// Most queries a tile of prefill attention.
pub const TILE: usize = 16;

/// Most draft tokens behind a sequence's next token (speculative decoding).
pub const MAX_DRAFTS: usize = 7;

/// Words before the tokens.
const HEADER: usize = 8;
/// Words per token.
const TOKEN: usize = 4;
/// Stands for an id that only the GPU knows yet.
const SAMPLED: u32 = u32::MAX;
/// Beside a token's sequence: it is a long one.
const LONG: u32 = 1 << 31;
/// Beside a token's sequence: it is a draft token.
const DRAFT: u32 = 1 << 30;

/// One token of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepToken {
    /// Its id; `None` takes what the sequence sampled last.
    pub id: Option<u32>,
    /// Its position in the sequence.
    pub position: u32,
    /// The sequence's slot: a row of the page table and of the sampling state.
    pub sequence: u32,
    /// How many positions of its sequence, from the first on, it sees. Behind its own there are
    /// those of this step alone.
    pub seen: u32,
    /// It turns by the frequencies for long contexts, where the model has two sets of them
    /// (longrope).
    pub long: bool,
    /// It may turn out not to be what is sampled there: state in slots stops before it, and what
    /// is sampled behind it counts it, and the draft tokens before it, as sampled.
    pub draft: bool,
}

impl StepToken {
    /// A token that sees itself and what is before it; see [`Self::id`].
    pub fn causal(id: Option<u32>, position: u32, sequence: u32) -> Self {
        Self { id, position, sequence, seen: position + 1, long: false, draft: false }
    }

    /// Neighbours of one sequence, the first of them at position `first`.
    pub fn run(ids: &[u32], first: usize, sequence: u32) -> impl Iterator<Item = Self> {
        let token = move |(position, id): (u32, &u32)| Self::causal(Some(*id), position, sequence);
        (first as u32..).zip(ids).map(token)
    }

    /// The same, of a sequence that turns by the frequencies for long contexts, or not.
    pub fn with_long(self, long: bool) -> Self {
        Self { long, ..self }
    }
}

/// One step: tokens in, rows of logits out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Step {
    /// Tokens of a sequence stand together, in the order of their positions.
    pub tokens: Vec<StepToken>,
    /// Of which tokens (by index) logits are asked for.
    pub outputs: Vec<u32>,
    /// Splits of decode attention.
    pub splits: u32,
}

/// The numbers that workgroup counts and costs depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Tokens.
    pub tokens: u32,
    /// Rows of logits.
    pub outputs: u32,
    /// Splits of decode attention.
    pub splits: u32,
    /// Tiles of prefill attention.
    pub tiles: u32,
    /// Runs: neighbours of one sequence, in order.
    pub runs: u32,
    /// Draft tokens, among the tokens.
    pub drafts: u32,
    /// Positions that attention looks at, over all tokens.
    pub keys: u64,
}

impl Step {
    /// Words that a step of at most so many tokens and outputs takes.
    pub fn capacity(tokens: usize, outputs: usize) -> usize {
        // A tile or a run has at least one token.
        HEADER + TOKEN * tokens + outputs + 5 * tokens
    }

    /// Queries of prefill attention: (first token, count ≤ [`TILE`]) of one sequence each.
    fn tiles(&self) -> Vec<(u32, u32)> {
        self.runs_up_to(TILE)
    }

    /// What recurrent operations go over in order: (first token, count) of each sequence.
    fn runs(&self) -> Vec<(u32, u32)> {
        self.runs_up_to(usize::MAX)
    }

    /// How many draft tokens there are up to each token, itself included.
    pub fn drafts(&self) -> Vec<usize> {
        let count = |drafts: &mut usize, token: &StepToken| {
            *drafts = if token.draft { *drafts + 1 } else { 0 };
            Some(*drafts)
        };
        self.tokens.iter().scan(0, count).collect()
    }

    fn runs_up_to(&self, most: usize) -> Vec<(u32, u32)> {
        let mut tiles: Vec<(u32, u32)> = Vec::new();
        let mut last: Option<&StepToken> = None;
        for (at, token) in self.tokens.iter().enumerate() {
            let follows = last
                .is_some_and(|l| l.sequence == token.sequence && l.position + 1 == token.position);
            match tiles.last_mut() {
                Some((_, count)) if follows && (*count as usize) < most => *count += 1,
                _ => tiles.push((at as u32, 1)),
            }
            last = Some(token);
        }
        tiles
    }

    /// The same step with tokens that see all of their sequence (encoders), not only what is
    /// before them.
    pub fn bidirectional(mut self) -> Self {
        for run in self.tokens.chunk_by_mut(|a, b| a.sequence == b.sequence) {
            let end = run.iter().map(|token| token.position + 1).max().unwrap_or(0);
            run.iter_mut().for_each(|token| token.seen = end);
        }
        self
    }

    /// The numbers that workgroup counts depend on.
    pub fn counts(&self) -> Counts {
        Counts {
            tokens: self.tokens.len() as u32,
            outputs: self.outputs.len() as u32,
            splits: self.splits,
            tiles: self.tiles().len() as u32,
            runs: self.runs().len() as u32,
            drafts: self.tokens.iter().filter(|token| token.draft).count() as u32,
            keys: self.tokens.iter().map(|token| u64::from(token.seen)).sum(),
        }
    }

    /// Every index within its bounds. Shaders run without bounds checks: this is
    /// what they rely on.
    ///
    /// # Errors
    /// A bug of the caller, named.
    pub fn check(&self, vocab: usize, sequences: usize, positions: usize) -> Result<()> {
        for token in &self.tokens {
            let id = token.id.unwrap_or(0) as usize;
            if id >= vocab {
                return Err(Error::input(format!(
                    "token {id} is not in the vocabulary, whose last is {}",
                    vocab.saturating_sub(1)
                )));
            }
            if token.sequence as usize >= sequences || token.position as usize >= positions {
                return Err(Error::input(format!(
                    "sequence {} position {} is outside the {sequences} sequences of {positions} \
                     positions that were planned",
                    token.sequence, token.position
                )));
            }
        }
        let runs = self.tokens.chunk_by(|a, b| a.sequence == b.sequence);
        let ends = runs.flat_map(|run| {
            let end = run.iter().map(|token| token.position + 1).max().unwrap_or(0);
            std::iter::repeat_n(end, run.len())
        });
        let mut ends = self.tokens.iter().zip(ends);
        if ends.any(|(token, end)| token.seen <= token.position || token.seen > end) {
            return Err(Error::input("a token sees what is not there, or not itself"));
        }
        if self.outputs.iter().any(|o| *o as usize >= self.tokens.len()) || self.splits == 0 {
            return Err(Error::input("a step asks for the logits of a token that it has not"));
        }
        let runs = self.runs().into_iter().map(|(first, _)| self.tokens[first as usize]);
        let unknown = self.tokens.iter().any(|token| token.draft && token.id.is_none());
        let too_many = self.drafts().into_iter().any(|drafts| drafts > MAX_DRAFTS);
        if unknown || too_many || runs.into_iter().any(|first| first.draft) {
            return Err(Error::input(format!(
                "a step's draft tokens must be known, {MAX_DRAFTS} at most, and follow another \
                 token of their sequence"
            )));
        }
        Ok(())
    }

    /// The words that the shaders read.
    pub fn words(&self) -> Vec<u32> {
        let (tiles, runs) = (self.tiles(), self.runs());
        let outputs_at = HEADER + TOKEN * self.tokens.len();
        let tiles_at = outputs_at + self.outputs.len();
        let runs_at = tiles_at + 2 * tiles.len();
        let mut words = Vec::with_capacity(runs_at + 3 * runs.len());
        words.extend([
            self.tokens.len() as u32,
            self.outputs.len() as u32,
            self.splits,
            0,
            outputs_at as u32,
            tiles_at as u32,
            runs_at as u32,
            runs.len() as u32,
        ]);
        for token in &self.tokens {
            let long = if token.long { LONG } else { 0 };
            let sequence = token.sequence | long | if token.draft { DRAFT } else { 0 };
            words.extend([token.id.unwrap_or(SAMPLED), token.position, sequence, token.seen]);
        }
        words.extend(&self.outputs);
        words.extend(tiles.iter().flat_map(|(first, count)| [*first, *count]));
        let drafts = self.drafts();
        words.extend(runs.iter().flat_map(|(first, count)| {
            let drafts =
                drafts.get((first + count) as usize - 1).map_or(0, |drafts| *drafts as u32);
            [*first, *count, count - drafts]
        }));
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(position: u32, sequence: u32) -> StepToken {
        StepToken::causal(Some(0), position, sequence)
    }

    #[test]
    fn tiles_hold_neighbours_of_one_sequence() {
        let mut tokens: Vec<_> = (3..20).map(|p| token(p, 0)).collect();
        tokens.extend([token(0, 1), token(1, 1), token(9, 2)]);
        let mut step = Step { tokens, outputs: vec![19], splits: 1 };
        assert_eq!(step.tiles(), [(0, 16), (16, 1), (17, 2), (19, 1)]);
        let words = step.words();
        assert_eq!(step.runs(), [(0, 17), (17, 2), (19, 1)]);
        assert_eq!(words[..8], [20, 1, 1, 0, 88, 89, 97, 3]);
        assert_eq!(words[88..], [19, 0, 16, 16, 1, 17, 2, 19, 1, 0, 17, 17, 17, 2, 2, 19, 1, 1]);
        assert!(words.len() <= Step::capacity(20, 1));
        let seen = |step: &Step| step.tokens[15..].iter().map(|t| t.seen).collect::<Vec<_>>();
        assert_eq!(seen(&step), [19, 20, 1, 2, 10]);
        step.tokens[17].long = true;
        assert_eq!(step.words()[8 + 4 * 17 + 2..][..3], [1 | 1 << 31, 1, 0]);
        assert_eq!(seen(&step.bidirectional()), [20, 20, 2, 2, 10]);
    }

    #[test]
    fn a_run_says_how_many_of_its_tokens_are_no_drafts() {
        let mut tokens: Vec<_> = (3..8).map(|p| token(p, 0)).collect();
        tokens.extend([token(0, 1), token(1, 1)]);
        [3, 4, 6].into_iter().for_each(|at: usize| tokens[at].draft = true);
        let mut step = Step { tokens, splits: 1, ..Step::default() };
        assert_eq!(step.drafts(), [0, 0, 0, 1, 2, 0, 1]);
        let words = step.words();
        assert_eq!(words[words.len() - 6..], [0, 5, 3, 5, 2, 1]);
        assert_eq!(words[8 + 4 * 6 + 2], 1 | 1 << 30);
        assert!(step.check(1, 2, 8).is_ok());
        step.tokens[5].draft = true;
        assert!(step.check(1, 2, 8).unwrap_err().to_string().contains("draft tokens"));
    }

    #[test]
    fn a_step_out_of_bounds_is_refused() {
        let step = Step { tokens: vec![token(4, 0)], splits: 1, ..Step::default() };
        assert!(step.check(1, 1, 5).is_ok());
        assert!(step.check(1, 1, 4).unwrap_err().to_string().contains("position 4"));
        assert!(step.check(0, 1, 5).unwrap_err().to_string().contains("vocabulary"));
        for seen in [4, 6] {
            let token = StepToken { seen, ..token(4, 0) };
            let step = Step { tokens: vec![token], splits: 1, ..Step::default() };
            assert!(step.check(1, 1, 5).unwrap_err().to_string().contains("sees"));
        }
    }
}
