//! Speculative decoding: a step computes a token and guesses at those after it, and those
//! guesses that the model draws itself are kept. A guess takes a row of the step as a sequence
//! of its own would, with the pages of the one that it is for, and counts (for penalties) as if
//! the guesses before it were tokens of the answer: so no kernel knows of it. And since a draw
//! hangs on these, seed and position alone, not on what else is in a step, what comes out is
//! what would have come without guesses.

use web_time::Instant;
use wisp_base::{Error, Result};
use wisp_graph::{Step, StepToken};
use wisp_ops::{IN_PROMPT, NO_TOKEN, splits};

use crate::draft::MOST;
use crate::generate::Generator;
use crate::queue::Job;
use crate::sampling::settings;
use crate::stepper::{Stepper, Want};

/// How fast tokens come with and without guesses, and so what is worth trying.
#[derive(Debug, Default)]
pub struct Pace {
    /// Seconds a token without guesses.
    plain: Option<f64>,
    /// Seconds a token with guesses.
    guessed: Option<f64>,
    /// Guesses a step.
    guesses: usize,
    /// Tokens to come without guesses before the next try, and how long the pause was.
    pause: usize,
    last_pause: usize,
    /// When the last token came, if one came just before.
    last: Option<Instant>,
    /// Try whether it pays or not.
    pub always: bool,
}

/// What the device has of a sequence that is for guesses: a step writes only what is new.
#[derive(Debug, Default)]
pub struct Row {
    /// The admission that it guesses for: settings and bias are that one's.
    of: u64,
    /// Pages that it has, from the first on.
    pages: usize,
    /// The tokens of the answer that it has counted.
    counted: Vec<u32>,
}

/// Tokens without guesses before the first try: they say what a token costs.
const FIRST: usize = 4;
/// The longest pause between tries, in tokens.
const LONGEST_PAUSE: usize = 256;

impl Pace {
    /// A token came without guesses.
    pub fn plain(&mut self) {
        let now = Instant::now();
        if let Some(last) = self.last.replace(now) {
            self.plain = Some(mean(self.plain, (now - last).as_secs_f64()));
        }
        self.pause = self.pause.saturating_sub(1);
    }

    /// `tokens` came by a step with `guesses`, which took so many seconds.
    fn guessed(&mut self, guesses: usize, tokens: usize, seconds: f64) {
        self.last = None;
        let each = mean(self.guessed, seconds / tokens as f64);
        self.guessed = Some(each);
        if self.plain.is_some_and(|plain| each > plain) {
            self.pause = (self.last_pause * 2).clamp(16, LONGEST_PAUSE);
            self.last_pause = self.pause;
            self.guessed = None;
        } else if tokens > guesses {
            self.last_pause = 0;
        }
        // Steps of 2, 4 and 8 tokens have plans of their own.
        self.guesses = match tokens {
            tokens if tokens > guesses => MOST,
            tokens if tokens > guesses / 2 => guesses,
            _ => guesses / 2,
        };
    }

    /// How many guesses to try now.
    fn wanted(&mut self) -> usize {
        if self.always {
            return MOST;
        }
        if self.plain.is_none() {
            self.pause = self.pause.max(FIRST);
        }
        if self.pause > 0 { 0 } else { self.guesses.clamp(3, MOST) }
    }
}

/// Mostly the mean so far.
fn mean(before: Option<f64>, now: f64) -> f64 {
    before.map_or(now, |before| 0.75 * before + 0.25 * now)
}

impl Generator<'_, '_> {
    /// The slot whose next tokens are worth guessing: alone, and nobody wants its logits. How
    /// many guesses.
    pub fn worth_guessing(&mut self) -> Option<(usize, usize)> {
        let drafter = self.drafter.as_deref()?;
        let mut live =
            self.slots.iter().enumerate().filter_map(|(at, slot)| Some((at, slot.as_ref()?)));
        let (slot, only) = live.next()?;
        if live.next().is_some() || !self.queue.is_empty() || only.in_prefill() {
            return None;
        }
        let request = &only.job.request;
        if request.logprobs.is_some() {
            return None;
        }
        // A draw more than what is left would be for nothing, as would one beyond the context.
        let left = request.max_tokens.saturating_sub(only.job.answered() + 1);
        let room = self.ctx.saturating_sub(only.job.tokens.len());
        let most = left.min(room).min(self.stepper.sequences - self.slots.len());
        let hopeful = most > 0 && drafter.may_propose(&only.job.tokens);
        let guesses = if hopeful { self.pace.wanted().min(most) } else { 0 };
        (guesses > 0).then_some((slot, guesses))
    }

    /// A step with guesses, from its making to the tokens that it gives. Nothing may be
    /// under way. False where there were no guesses.
    ///
    /// # Errors
    /// The device failed.
    pub async fn guess(&mut self, slot: usize, most: usize) -> Result<bool> {
        let start = Instant::now();
        let (Some(drafter), Some(live)) = (self.drafter.as_deref_mut(), &self.slots[slot]) else {
            return Ok(false);
        };
        let Ok(guesses) = drafter.propose(&live.job.tokens, most).await else {
            // Its device may be lost: the model itself goes on.
            self.drafter = None;
            return Ok(false);
        };
        let vocab = self.stepper.decoder.vocab;
        let within = guesses.iter().take_while(|guess| (**guess as usize) < vocab).count();
        let guesses = &guesses[..within];
        let first = self.slots.len();
        let Some(live) = &mut self.slots[slot] else { return Ok(false) };
        let Some(last) = live.job.tokens.last().copied() else { return Ok(false) };
        let (id, position, known) = (live.id, live.position(), live.pages.list.len());
        let long = live.pages.long();
        let end = position + 1 + guesses.len();
        if guesses.is_empty() || self.pool.grow(&mut live.pages, end).is_err() {
            return Ok(false);
        }
        self.stepper.write_pages(slot, known, &live.pages.list[known..]);
        let counting = settings(&live.job.request.sampling).penalties();
        let mut counted = live.job.answer().to_vec();
        let sequence = |row: usize| if row == 0 { slot } else { first + row - 1 };
        let mut step = Step { splits: splits(&self.stepper.target.tuning, end), ..Step::default() };
        for (row, token) in std::iter::once(&last).chain(guesses).enumerate() {
            if row > 0 {
                counted.push(*token);
                self.write_row(slot, row - 1, first, &counted);
            }
            step.tokens.push(StepToken {
                id: Some(*token),
                position: (position + row) as u32,
                sequence: sequence(row) as u32,
                long,
            });
            step.outputs.push(row as u32);
        }
        // Compiling, the first time, says nothing of the next one.
        let asked = start.elapsed();
        let prepared = self.stepper.prepare(&step, Want::Tokens).await;
        let start = Instant::now();
        let flight = match prepared {
            Ok(_) => self.fly(&step, Vec::new()).await,
            Err(error) => Err(error),
        };
        let flight = match flight {
            Err(Error::Memory(_)) => {
                // The step was not submitted: without guesses it goes on.
                self.drafter = None;
                return Ok(false);
            }
            flight => flight?,
        };
        let drawn: Vec<u32> = self.read(flight.tokens).await?;
        // A row counts what it draws.
        counted.truncate(counted.len() - guesses.len());
        counted.push(drawn[slot]);
        for (row, token) in self.rows.iter_mut().zip(&drawn[first..]).take(guesses.len()) {
            if *token != NO_TOKEN {
                row.counted.push(*token);
            }
        }
        let mut kept = 0;
        for row in 0..=guesses.len() {
            let Some(live) = self.slots[slot].as_mut().filter(|live| live.id == id) else { break };
            let token = drawn[sequence(row)];
            live.drawn += 1;
            live.job.guessed += usize::from(row > 0);
            kept += 1;
            // The next step takes it from there.
            let at = slot as u64 * 4;
            let sampled = &self.stepper.resources.shared.sampled;
            self.stepper.gpu.write(sampled, at, bytemuck::bytes_of(&token));
            self.accept(slot, token, None);
            if guesses.get(row) != Some(&token) {
                break;
            }
        }
        if let (Some(live), true) = (self.slots[slot].as_ref().filter(|l| l.id == id), counting) {
            count(self.stepper, slot, &live.job, &counted, live.job.answer());
        }
        let seconds = (asked + start.elapsed()).as_secs_f64();
        self.pace.guessed(guesses.len(), kept, seconds);
        Ok(true)
    }

    /// Tells the device of row `at` of those for guesses, whose sequences begin at `first`: it
    /// is for the job in `slot`, after an answer of the tokens `counted`.
    fn write_row(&mut self, slot: usize, at: usize, first: usize, counted: &[u32]) {
        let (Some(live), sequence) = (&self.slots[slot], first + at) else { return };
        if self.rows.len() <= at {
            self.rows.resize_with(at + 1, Row::default);
        }
        if self.rows[at].of != live.id {
            self.set_sampling(sequence, &live.job);
            self.rows[at] = Row { of: live.id, pages: 0, counted: live.job.answer().to_vec() };
        }
        let row = &mut self.rows[at];
        self.stepper.write_pages(sequence, row.pages, &live.pages.list[row.pages..]);
        row.pages = live.pages.list.len();
        if settings(&live.job.request.sampling).penalties() {
            count(self.stepper, sequence, &live.job, &row.counted, counted);
        }
        row.counted.clear();
        row.counted.extend_from_slice(counted);
    }
}

/// Makes a sequence's counts, which hold the tokens `has` of an answer, hold those of `wanted`.
fn count(stepper: &Stepper, sequence: usize, job: &Job<'_>, has: &[u32], wanted: &[u32]) {
    let alike = has.iter().zip(wanted).take_while(|(a, b)| a == b).count();
    for token in has[alike..].iter().chain(&wanted[alike..]) {
        let of = |tokens: &[u32]| tokens.iter().filter(|other| *other == token).count() as u32;
        let in_prompt = if job.request.prompt.contains(token) { IN_PROMPT } else { 0 };
        if of(has) != of(wanted) {
            stepper.write_count(sequence, *token, in_prompt | of(wanted));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guesses_that_do_not_pay_pause_longer_and_longer() {
        let mut pace = Pace { plain: Some(1.0), ..Pace::default() };
        assert_eq!(pace.wanted(), 3);
        // All right, in the time of two tokens.
        pace.guessed(3, 4, 2.0);
        assert_eq!(pace.wanted(), MOST);
        for pause in [16, 32, 64] {
            // None right, and it costs three: the mean falls behind sooner or later.
            while pace.wanted() > 0 {
                pace.guessed(3, 1, 3.0);
            }
            assert_eq!(pace.pause, pause);
            (0..pause).for_each(|_| pace.plain());
        }
    }

    #[test]
    fn the_first_tokens_come_without_guesses() {
        let mut pace = Pace::default();
        assert_eq!(pace.wanted(), 0);
        (0..FIRST + 1).for_each(|_| pace.plain());
        assert!(pace.wanted() > 0);
    }
}
