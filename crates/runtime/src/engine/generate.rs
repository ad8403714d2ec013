//! The loop that answers requests: the [`Scheduler`] says what the next step computes, the
//! [`Runner`] has it computed, several steps in flight, and what they sample is told to clients.

use std::collections::VecDeque;

use wisp_base::{Error, Result, Setting};
use wisp_ops::NO_TOKEN;
use wisp_tokenizer::Tokenizer;

use crate::engine::draft::Drafter;
use crate::engine::logprobs;
use crate::engine::queue::{Client, Piece, Queue};
use crate::engine::runner::{InFlight, Runner};
use crate::engine::speculate::Controller;
use crate::engine::stepper::{Stepper, not_finite};
use crate::engine::text::Text;
use crate::request::FinishReason;
use crate::schedule::{Ended, Limits, Scheduler, Sequence, accepted};
use crate::state::BlockManager;

/// Whoever asked, and the text of the answer on its way there.
pub(crate) struct Streamed<'e, 'q> {
    pub client: Client<'q>,
    text: Text<'e>,
}

/// Everything the loop works on.
pub struct Generator<'e, 'q> {
    pub(crate) runner: Runner<'e>,
    pub(crate) scheduler: Scheduler<'e, Streamed<'e, 'q>>,
    /// Or why there is none.
    tokenizer: Result<&'e Tokenizer>,
    /// Positions that a sequence may have.
    pub(crate) ctx: usize,
    pub(crate) queue: &'e Queue<'q>,
    in_flight: VecDeque<InFlight>,
    /// Draft tokens, where they were asked for.
    pub(crate) drafter: Option<&'e mut Drafter>,
    pub(crate) controller: Controller,
}

impl<'e, 'q> Generator<'e, 'q> {
    pub fn new(
        stepper: &'e mut Stepper,
        blocks: &'e mut BlockManager,
        tokenizer: Result<&'e Tokenizer>,
        ctx: usize,
        queue: &'e Queue<'q>,
    ) -> Self {
        let slots = stepper.sequences;
        let limits = Limits { ctx, prefill_tokens: stepper.most_tokens(), slots };
        Self {
            runner: Runner::new(stepper),
            scheduler: Scheduler::new(blocks, limits),
            tokenizer,
            ctx,
            queue,
            in_flight: VecDeque::new(),
            drafter: None,
            controller: Controller::default(),
        }
    }

    /// With draft tokens, while they pay or `always`.
    pub fn with_drafter(mut self, drafter: Option<&'e mut Drafter>, always: bool) -> Self {
        self.drafter = drafter;
        self.controller.always = always;
        self
    }

    /// Works until the queue is empty and every request has ended.
    ///
    /// # Errors
    /// The device failed: requests that have not ended are in the queue again. What is wrong
    /// with one request is told to its client.
    pub async fn run(mut self) -> Result<()> {
        let result = self.serve().await;
        for sequence in self.scheduler.into_unfinished().into_iter().rev() {
            self.queue.put_back(sequence.with_client(|streamed| streamed.client));
        }
        result
    }

    async fn serve(&mut self) -> Result<()> {
        let most = self.runner.stepper.target.tuning.steps_in_flight.max(1);
        loop {
            self.receive();
            self.scheduler.end_cancelled();
            self.admit();
            let activity = &self.runner.stepper.activity;
            activity.show_free_pages(self.scheduler.available_blocks());
            if let Some((slot, most)) = self.worth_speculating() {
                match self.in_flight.pop_front() {
                    // Draft tokens follow what it samples.
                    Some(step) => drop(self.complete(step).await?),
                    None if self.speculate(slot, most).await? => {}
                    None => self.one_step().await?,
                }
                continue;
            }
            while self.in_flight.len() < most
                && let Some(step) = self.submit_next().await?
            {
                self.in_flight.push_back(step);
            }
            match self.in_flight.pop_front() {
                Some(step) => drop(self.complete(step).await?),
                None if self.scheduler.none_waits() && self.queue.is_empty() => return Ok(()),
                None => {}
            }
        }
    }

    /// A step, to its end.
    async fn one_step(&mut self) -> Result<()> {
        match self.submit_next().await? {
            Some(step) => self.complete(step).await.map(drop),
            None => Ok(()),
        }
    }

    /// Takes what was pushed onto the queue.
    fn receive(&mut self) {
        while let Some(mut sequence) = self.queue.pop() {
            if sequence.cancel.is_cancelled() {
                sequence.finish(FinishReason::Cancelled, None);
                continue;
            }
            sequence.long = self.runner.stepper.decoder.is_long(sequence.reach(self.ctx));
            match self.check(&sequence) {
                Ok(text) => {
                    self.scheduler.add(sequence.with_client(|client| Streamed { client, text }));
                }
                Err(error) => sequence.fail(error),
            }
        }
    }

    /// Checks a request; the text of its answer so far.
    fn check(&self, sequence: &Sequence<Client<'q>>) -> Result<Text<'e>> {
        let request = &sequence.client.request;
        let vocab = self.runner.stepper.decoder.vocab;
        check_tokens(&request.prompt, vocab, self.ctx)?;
        request.sampling.check(vocab)?;
        if let Some(count) = request.logprobs.filter(|count| *count > logprobs::MOST) {
            return Err(Error::input(format!(
                "logprobs of {count} alternatives are asked for; {} are the most",
                logprobs::MOST
            )));
        }
        if let (Err(error), false) = (&self.tokenizer, request.stop.is_empty()) {
            return Err(Error::input(format!("stop texts need a tokenizer, but {error}")));
        }
        Text::new(self.tokenizer.as_ref().ok().copied(), &request.stop, sequence.answer())
    }

    /// Gives slots to requests that wait.
    fn admit(&mut self) {
        while let Some(slot) = self.scheduler.admit() {
            let Some(running) = self.scheduler.running_mut(slot) else { continue };
            let sequence = &mut running.sequence;
            sequence.client.client.start();
            let nothing_wanted = sequence.answered() >= sequence.max_tokens;
            self.runner.set_sampling(slot, &running.sequence);
            if nothing_wanted {
                self.end(slot, FinishReason::Length);
            }
        }
        self.tell_ended();
    }

    /// Tells clients of what the scheduler has ended.
    fn tell_ended(&mut self) {
        for (sequence, why) in self.scheduler.take_ended() {
            match why {
                Ended::Cancelled => finish(sequence, FinishReason::Cancelled),
                Ended::Failed(error) => sequence.with_client(|s| s.client).fail(error),
            }
        }
    }

    /// Submits the next step; `None` if there is nothing to compute. Where no memory is left for
    /// a step, one request ends and the others go on.
    async fn submit_next(&mut self) -> Result<Option<InFlight>> {
        loop {
            self.scheduler.end_cancelled();
            let planned = self.scheduler.next_step();
            self.tell_ended();
            let Some(planned) = planned else { return Ok(None) };
            match self.runner.submit(&planned).await {
                Ok(step) => {
                    self.scheduler.submitted(&planned);
                    return Ok(Some(step));
                }
                Err(error @ Error::Memory(_)) => self.scheduler.not_submitted(planned, error)?,
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits for a step and hands its tokens out: how many rows of it counted.
    pub(crate) async fn complete(&mut self, step: InFlight) -> Result<usize> {
        let step = self.runner.complete(step).await?;
        let vocab = self.runner.stepper.decoder.vocab;
        let mut logits = step.logits.chunks(self.runner.stepper.logits_row_bytes() as usize / 4);
        let with_drafts = step.rows.iter().find(|row| row.draft.is_some());
        let count = accepted(&step.rows, &step.tokens);
        if let Some(row) = with_drafts {
            self.scheduler.roll_back(row, step.rows.len() - count);
        }
        for (row, token) in step.rows.iter().zip(&step.tokens).take(count) {
            let logits = if row.wants_logits { logits.next() } else { None };
            if !self.scheduler.is_current(row) {
                continue; // It ended while this step was in flight.
            }
            let logits = logits.and_then(|logits| logits.get(..vocab));
            if with_drafts.is_none() {
                self.controller.plain();
            }
            if row.draft.is_some()
                && let Some(running) = self.scheduler.running_mut(row.slot)
            {
                running.sequence.client.client.accepted_drafts += 1;
            }
            self.accept(row.slot, *token, logits);
            if row.draft.is_some() && self.scheduler.is_current(row) {
                self.count(row.slot, *token);
            }
        }
        Ok(count)
    }

    /// Takes a token that was sampled, and ends the request if it was the last.
    pub(crate) fn accept(&mut self, slot: usize, token: u32, logits: Option<&[f32]>) {
        let Some(running) = self.scheduler.running_mut(slot) else { return };
        let sequence = &mut running.sequence;
        let Streamed { client, text } = &mut sequence.client;
        client.tick();
        if sequence.cancel.is_cancelled() {
            return self.end(slot, FinishReason::Cancelled);
        }
        if token == NO_TOKEN {
            self.fail(slot, not_finite());
            // Keys and values may be wrong where they are shared, too.
            return self.scheduler.forget_cache();
        }
        let ends = self.tokenizer.as_ref().is_ok_and(|t| t.is_end_of_generation(token));
        if ends && !client.request.ignore_eos {
            return self.end(slot, FinishReason::Stop);
        }
        let pushed = text.push(token);
        let logprobs = logits.zip(client.request.logprobs);
        let logprobs = logprobs.map(|(row, top)| logprobs::of(row, token, top));
        let full = self.scheduler.push(slot, token);
        let (text, stopped) = match pushed {
            Ok(pushed) => pushed,
            Err(error) => return self.fail(slot, error),
        };
        let Some(running) = self.scheduler.running_mut(slot) else { return };
        let client = &mut running.sequence.client.client;
        if client.tell(Piece { token: Some(token), text, logprobs }).is_break() {
            self.end(slot, FinishReason::Cancelled);
        } else if stopped {
            self.end(slot, FinishReason::Stop);
        } else if full {
            self.end(slot, FinishReason::Length);
        }
    }

    /// Ends the request in a slot.
    fn end(&mut self, slot: usize, reason: FinishReason) {
        if let Some(sequence) = self.scheduler.end(slot) {
            finish(sequence, reason);
        }
    }

    /// Ends the request in a slot with an error.
    fn fail(&mut self, slot: usize, error: Error) {
        if let Some(sequence) = self.scheduler.end(slot) {
            sequence.with_client(|streamed| streamed.client).fail(error);
        }
    }
}

/// Tells a client of the end, and of the text that was held back until then.
fn finish(mut sequence: Sequence<Streamed<'_, '_>>, mut reason: FinishReason) {
    let Streamed { client, text } = &mut sequence.client;
    let (rest, stopped) = text.finish();
    if !rest.is_empty() {
        let _ = client.tell(Piece { token: None, text: rest, logprobs: None });
    }
    if stopped {
        reason = FinishReason::Stop;
    }
    let stop = text.stop().map(str::to_owned);
    sequence.with_client(|streamed| streamed.client).finish(reason, stop);
}

/// # Errors
/// No tokens, more than the context takes, or one outside the vocabulary.
pub fn check_tokens(tokens: &[u32], vocab: usize, ctx: usize) -> Result<()> {
    if tokens.is_empty() {
        return Err(Error::input("the prompt has no tokens: give at least one"));
    }
    if tokens.len() > ctx {
        let count = tokens.len();
        let error =
            Error::input(format!("the prompt has {count} tokens, but the context is {ctx}"));
        return Err(error.hint("give a larger ", Setting::Ctx, " or a shorter prompt"));
    }
    match tokens.iter().find(|id| **id as usize >= vocab) {
        None => Ok(()),
        Some(id) => Err(Error::input(format!(
            "token {id} is not in the vocabulary, which has {vocab} tokens (0 to {})",
            vocab.saturating_sub(1)
        ))),
    }
}
