//! Guesses at the tokens to come, for speculative decoding (Leviathan et al. 2023): from the
//! text so far (prompt lookup, Saxena 2023), or by a smaller model.

use wisp_base::{Error, Result};
use wisp_gpu::{Buffer, CommandEncoder, NATIVE};
use wisp_graph::{MAX_DRAFTS, Step, StepToken};
use wisp_ops::{Settings, splits};

use crate::engine::Engine;
use crate::engine::stepper::{Stepper, Want};
use crate::state::BlockTable;

/// Lengths of a repetition whose continuation is proposed: the longest first.
const ALIKE: [usize; 3] = [4, 3, 2];

/// Where draft tokens come from.
pub enum Drafter {
    /// The text so far.
    Lookup,
    /// A smaller model with the same vocabulary.
    Model(Box<DraftModel>),
}

/// See [`Drafter::Model`].
pub struct DraftModel {
    engine: Engine,
    pages: BlockTable,
    /// What its cache holds, or if it has state in slots, the first snapshot: without drafts.
    fed: Vec<u32>,
    /// As it computes sequences of some length (longrope).
    long: bool,
    /// Where draft tokens are read.
    staging: Option<Buffer>,
}

impl Drafter {
    /// Guesses at what follows `tokens`; none where it has no idea.
    ///
    /// # Errors
    /// The draft model's device failed.
    pub async fn propose(&mut self, tokens: &[u32], most: usize) -> Result<Vec<u32>> {
        match self {
            Self::Lookup => Ok(lookup(tokens, most).to_vec()),
            // The npm package has no call for it.
            Self::Model(model) if NATIVE => model.propose(tokens, most).await,
            Self::Model(_) => Ok(Vec::new()),
        }
    }

    /// Whether there will be draft tokens.
    pub fn may_propose(&self, tokens: &[u32]) -> bool {
        match self {
            Self::Lookup => !lookup(tokens, 1).is_empty(),
            Self::Model(model) => tokens.len() + MAX_DRAFTS <= model.engine.ctx(),
        }
    }
}

/// What followed the last tokens where they stood before, the latest time.
fn lookup(tokens: &[u32], most: usize) -> &[u32] {
    for alike in ALIKE {
        let Some(start) = tokens.len().checked_sub(alike) else { continue };
        let last = &tokens[start..];
        // The first token may be any before `start`: what follows may overlap with `last`.
        let found = (0..start).rev().find(|at| &tokens[*at..at + alike] == last);
        if let Some(at) = found {
            let from = at + alike;
            return &tokens[from..tokens.len().min(from + most)];
        }
    }
    &[]
}

impl DraftModel {
    /// # Errors
    /// An encoder; another vocabulary than that of the model it drafts for.
    pub fn new(engine: Engine, of: &Engine) -> Result<Self> {
        engine.expect_decoder()?;
        let same = match (engine.tokenizer(), of.tokenizer()) {
            (Ok(ours), Ok(theirs)) => {
                const PROBE: &[u8] = "Wisp: 1, 22, 333;\n\tüñí 東京 <tag> don't".as_bytes();
                ours.encode(PROBE, false, true)? == theirs.encode(PROBE, false, true)?
            }
            _ => engine.vocab() == of.vocab(),
        };
        if same {
            let (pages, fed) = (BlockTable::default(), Vec::new());
            return Ok(Self { engine, pages, fed, long: false, staging: None });
        }
        Err(Error::input(format!(
            "the draft model ({}) has another vocabulary than the model ({}): give one of the \
             same family",
            engine.name(),
            of.name()
        )))
    }

    async fn propose(&mut self, tokens: &[u32], most: usize) -> Result<Vec<u32>> {
        let engine = &mut self.engine;
        let most = most.min(MAX_DRAFTS);
        if tokens.len() + most > engine.ctx() || tokens.is_empty() || most == 0 {
            return Ok(Vec::new());
        }
        // Larger vocabularies than the draft's have tokens that it does not know.
        if tokens.iter().any(|token| *token as usize >= engine.vocab()) {
            return Ok(Vec::new());
        }
        let long = engine.stepper.decoder.is_long(tokens.len() + most);
        if std::mem::replace(&mut self.long, long) != long {
            self.fed.clear();
        }
        let alike = self.fed.iter().zip(tokens).take_while(|(a, b)| a == b).count();
        let recurrent = engine.stepper.decoder.is_recurrent();
        let first = match alike.min(tokens.len() - 1) {
            first if recurrent && first < self.fed.len() => 0,
            first => first,
        };
        let before = self.pages.list.len();
        engine.blocks.allocate(&mut self.pages, tokens.len() + most)?;
        let stepper = &mut engine.stepper;
        stepper.write_pages(0, before, &self.pages.list[before..]);
        stepper.write_sampling(0, &Settings::default(), None, None);
        let mut position = first;
        while position < tokens.len() {
            let end = tokens.len().min(position + stepper.most_tokens());
            let part = StepToken::run(&tokens[position..end], position, 0);
            let part = part.map(|token| token.with_long(long)).collect();
            let step = step(stepper, part, end == tokens.len());
            let restores = recurrent && position == first && first > 0;
            let saves = recurrent && end == tokens.len();
            let copy = |copies: bool, from, to| {
                move |encoder: &mut CommandEncoder, stepper: &Stepper| match copies {
                    true => stepper.resources.copy_slot(encoder, from, to),
                    false => Ok(()),
                }
            };
            let snapshot = stepper.sequences;
            let (begin, finish) = (copy(restores, snapshot, 0), copy(saves, 0, snapshot));
            stepper.submit_between(&step, Want::Tokens, begin, finish).await?;
            position = end;
        }
        // Each draw is copied away: the next one overwrites it.
        let gpu = stepper.gpu.clone();
        let staging = match self.staging.take() {
            Some(staging) => staging,
            None => gpu.catch(|| gpu.staging(MAX_DRAFTS as u64 * 4)).await?,
        };
        let mut draft = 0;
        let submission = loop {
            let mut encoder = gpu.encoder();
            let sampled = &stepper.resources.shared.sampled;
            encoder.copy_buffer_to_buffer(sampled, 0, &staging, draft * 4, 4);
            let submission = gpu.submit(encoder)?;
            draft += 1;
            if draft == most as u64 {
                break submission;
            }
            let position = (tokens.len() + draft as usize - 1) as u32;
            let drawn = StepToken::causal(None, position, 0).with_long(long);
            let step = step(stepper, vec![drawn], true);
            stepper.submit(&step, Want::Tokens, |_, _| ()).await?;
        };
        let (bytes, staging) = gpu.begin_read(staging, submission).wait(&gpu).await?;
        self.staging = Some(staging);
        let mut drafts: Vec<u32> = bytemuck::pod_collect_to_vec(&bytes);
        drafts.truncate(most);
        self.fed.clear();
        self.fed.extend_from_slice(tokens);
        if !recurrent {
            // The last draft token was sampled but not computed.
            self.fed.extend_from_slice(&drafts[..drafts.len().saturating_sub(1)]);
        }
        Ok(drafts)
    }
}

fn step(stepper: &Stepper, tokens: Vec<StepToken>, draws: bool) -> Step {
    let last = tokens.last().map_or(0, |token| token.position as usize);
    Step {
        outputs: if draws { vec![tokens.len() as u32 - 1] } else { Vec::new() },
        tokens,
        splits: splits(&stepper.target.tuning, last + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_followed_the_longest_repetition_is_proposed() {
        assert_eq!(lookup(&[1, 2, 3], 5), [0; 0]);
        assert_eq!(lookup(&[1, 2, 3, 9, 8, 1, 2], 2), [3, 9]);
        // Four alike, though two alike came later.
        let tokens = [5, 6, 1, 2, 70, 3, 1, 2, 80, 5, 6, 1, 2];
        assert_eq!(lookup(&tokens, 1), [70]);
        // Itself goes on.
        assert_eq!(lookup(&[7, 7, 7, 7], 3), [7]);
        assert_eq!(lookup(&[], 3), [0; 0]);
    }
}
