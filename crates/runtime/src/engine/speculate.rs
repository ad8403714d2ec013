//! Speculative decoding: a step computes the next token and, after it, draft tokens; those that the
//! model samples itself are accepted. The step is a run of one sequence, whose last tokens are the
//! drafts, each with a row of its own; the rest is rolled back
//! ([`Scheduler::roll_back`](crate::schedule::Scheduler::roll_back)). What is sampled depends on
//! the tokens before it, seed and position alone: the answer is the same as without.

use web_time::Instant;
use wisp_base::{Error, Result};
use wisp_graph::MAX_DRAFTS;
use wisp_ops::IN_PROMPT;

use crate::engine::generate::Generator;
use crate::engine::sampling::settings;

/// How fast tokens come with and without draft tokens, and so how many are worth trying.
#[derive(Debug, Default)]
pub struct Controller {
    /// Seconds per token without draft tokens.
    plain: Option<f64>,
    /// Seconds per token with draft tokens.
    speculative: Option<f64>,
    /// Draft tokens per step.
    drafts: usize,
    /// Tokens to come without draft tokens before the next try, and how long the pause was.
    pause: usize,
    last_pause: usize,
    /// When the last token came, if one came just before.
    last: Option<Instant>,
    /// Try whether it pays or not.
    pub always: bool,
}

/// Tokens without draft tokens before the first try: they say what a token costs.
const FIRST: usize = 4;
/// The longest pause between tries, in tokens.
const LONGEST_PAUSE: usize = 256;

impl Controller {
    /// A token came without draft tokens.
    pub fn plain(&mut self) {
        let now = Instant::now();
        if let Some(last) = self.last.replace(now) {
            self.plain = Some(mean(self.plain, (now - last).as_secs_f64()));
        }
        self.pause = self.pause.saturating_sub(1);
    }

    /// `tokens` came by a step with `drafts` draft tokens, which took so many seconds.
    fn speculative(&mut self, drafts: usize, tokens: usize, seconds: f64) {
        self.last = None;
        let each = mean(self.speculative, seconds / tokens as f64);
        self.speculative = Some(each);
        if self.plain.is_some_and(|plain| each > plain) {
            self.pause = (self.last_pause * 2).clamp(16, LONGEST_PAUSE);
            self.last_pause = self.pause;
            self.speculative = None;
        } else if tokens > drafts {
            self.last_pause = 0;
        }
        // Steps of 2, 4 and 8 tokens have plans of their own.
        self.drafts = match tokens {
            tokens if tokens > drafts => MAX_DRAFTS,
            tokens if tokens > drafts / 2 => drafts,
            _ => drafts / 2,
        };
    }

    /// How many draft tokens to try now.
    fn wanted(&mut self) -> usize {
        if self.always {
            return MAX_DRAFTS;
        }
        if self.plain.is_none() {
            self.pause = self.pause.max(FIRST);
        }
        if self.pause > 0 { 0 } else { self.drafts.clamp(3, MAX_DRAFTS) }
    }
}

/// Mostly the mean so far.
fn mean(before: Option<f64>, now: f64) -> f64 {
    before.map_or(now, |before| 0.75 * before + 0.25 * now)
}

impl Generator<'_, '_> {
    /// The slot whose next tokens are worth drafting for, and how many draft tokens.
    pub fn worth_speculating(&mut self) -> Option<(usize, usize)> {
        let drafter = self.drafter.as_deref()?;
        let (slot, most) = self.scheduler.draft_room().filter(|_| self.queue.is_empty())?;
        let hopeful = drafter.may_propose(&self.scheduler.running(slot)?.sequence.tokens);
        let drafts = if hopeful { self.controller.wanted().min(most) } else { 0 };
        (drafts > 0).then_some((slot, drafts))
    }

    /// A step with draft tokens, from its making to the tokens that it gives. Nothing may be
    /// in flight. False where there were none.
    ///
    /// # Errors
    /// The device failed.
    pub async fn speculate(&mut self, slot: usize, most: usize) -> Result<bool> {
        let start = Instant::now();
        let Some(running) = self.scheduler.running(slot) else { return Ok(false) };
        let Some(drafter) = self.drafter.as_deref_mut() else { return Ok(false) };
        let Ok(mut drafts) = drafter.propose(&running.sequence.tokens, most).await else {
            // Its device may be lost: the model itself goes on.
            self.drafter = None;
            return Ok(false);
        };
        let vocab = self.runner.stepper.decoder.vocab;
        drafts.truncate(drafts.iter().take_while(|draft| (**draft as usize) < vocab).count());
        let Some(planned) = self.scheduler.plan_drafts(slot, &drafts) else { return Ok(false) };
        // Compiling, the first time, says nothing of the next one.
        let asked = start.elapsed();
        let prepared = self.runner.prepare(&planned).await;
        let start = Instant::now();
        let submitted = match prepared {
            Ok(()) => self.runner.submit(&planned).await,
            Err(error) => Err(error),
        };
        let step = match submitted {
            Err(error @ Error::Memory(_)) => {
                // Without draft tokens it goes on.
                self.scheduler.not_submitted(planned, error)?;
                self.drafter = None;
                return Ok(false);
            }
            submitted => submitted?,
        };
        self.scheduler.submitted(&planned);
        let tokens = self.complete(step).await?;
        let seconds = (asked + start.elapsed()).as_secs_f64();
        self.controller.speculative(drafts.len(), tokens, seconds);
        Ok(true)
    }

    /// Counts a token, for penalties, that was sampled behind a draft token: the device has not.
    pub(crate) fn count(&self, slot: usize, token: u32) {
        let Some(running) = self.scheduler.running(slot) else { return };
        let sequence = &running.sequence;
        if settings(&sequence.client.client.request.sampling).penalties() {
            let (prompt, answer) = sequence.tokens.split_at(sequence.prompt);
            let in_prompt = if prompt.contains(&token) { IN_PROMPT } else { 0 };
            let count = answer.iter().filter(|other| **other == token).count() as u32;
            self.runner.stepper.write_count(slot, token, in_prompt | count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drafts_that_do_not_pay_pause_longer_and_longer() {
        let mut controller = Controller { plain: Some(1.0), ..Controller::default() };
        assert_eq!(controller.wanted(), 3);
        // All right, in the time of two tokens.
        controller.speculative(3, 4, 2.0);
        assert_eq!(controller.wanted(), MAX_DRAFTS);
        for pause in [16, 32, 64] {
            // None right, and it costs three: the mean falls behind sooner or later.
            while controller.wanted() > 0 {
                controller.speculative(3, 1, 3.0);
            }
            assert_eq!(controller.pause, pause);
            (0..pause).for_each(|_| controller.plain());
        }
    }

    #[test]
    fn the_first_tokens_come_without_drafts() {
        let mut controller = Controller::default();
        assert_eq!(controller.wanted(), 0);
        (0..FIRST + 1).for_each(|_| controller.plain());
        assert!(controller.wanted() > 0);
    }
}
