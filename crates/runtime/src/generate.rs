//! The generation loop: jobs are admitted as slots and pages allow; prompts are
//! computed piece by piece, in turn with a step that all the others take together;
//! several steps in flight; tokens are read back behind them.

use std::collections::VecDeque;

use wisp_base::{Error, Result};
use wisp_gpu::{Buffer, Readback};
use wisp_graph::{Step, StepToken};
use wisp_ops::{NO_TOKEN, splits};
use wisp_tokenizer::Tokenizer;

use crate::cache::{PagePool, Pages};
use crate::draft::Drafter;
use crate::logprobs;
use crate::options::FinishReason;
use crate::queue::{Job, Piece, Queue, Turn};
use crate::speculate::{Pace, Row};
use crate::stepper::{Stepper, Want, not_finite};
use crate::text::Text;

/// A job that holds a slot.
pub(crate) struct Live<'e, 'q> {
    pub job: Job<'q>,
    /// No other admission has it.
    pub id: u64,
    text: Text<'e>,
    pub pages: Pages,
    /// Its tokens when it was admitted: what prefill computes. For a job that was
    /// interrupted they hold some of the answer.
    known: usize,
    /// How many of them are in submitted steps, or were in the cache.
    fed: usize,
    /// Tokens that submitted steps draw.
    pub drawn: usize,
    /// `fed` and `drawn` before the step that is being made.
    before: (usize, usize),
}

impl Live<'_, '_> {
    pub fn in_prefill(&self) -> bool {
        self.fed < self.known
    }

    /// The position of the next token to be fed, once the prompt is computed.
    pub fn position(&self) -> usize {
        self.known + self.drawn - 1
    }
}

/// A submitted step whose tokens are yet to be read.
pub(crate) struct Flight {
    pub tokens: Readback,
    /// The rows of logits that are wanted on the host.
    logits: Option<Readback>,
    drew: Vec<Drew>,
}

/// A sequence that draws a token in a step.
#[derive(Clone, Copy)]
pub(crate) struct Drew {
    slot: usize,
    /// Which job held the slot then.
    id: u64,
    logprobs: bool,
}

/// Everything the loop works on.
pub struct Generator<'e, 'q> {
    pub(crate) stepper: &'e mut Stepper,
    pub(crate) pool: &'e mut PagePool,
    /// Or why there is none.
    tokenizer: Result<&'e Tokenizer>,
    /// Positions a sequence may have.
    pub(crate) ctx: usize,
    pub(crate) queue: &'e Queue<'q>,
    pub(crate) slots: Vec<Option<Live<'e, 'q>>>,
    flights: VecDeque<Flight>,
    /// Staging buffers that nobody reads.
    ring: Vec<Buffer>,
    admitted: u64,
    /// The slot whose prompt was computed last, and whether that was the last step.
    prefilled: (usize, bool),
    /// Guesses at tokens to come, where they were asked for.
    pub(crate) drafter: Option<&'e mut Drafter>,
    pub(crate) pace: Pace,
    /// What the sequences for guesses have on the device.
    pub(crate) rows: Vec<Row>,
}

impl<'e, 'q> Generator<'e, 'q> {
    pub fn new(
        stepper: &'e mut Stepper,
        pool: &'e mut PagePool,
        tokenizer: Result<&'e Tokenizer>,
        ctx: usize,
        queue: &'e Queue<'q>,
    ) -> Self {
        let mut slots = Vec::new();
        // The other sequences are for guesses.
        slots.resize_with(stepper.sequences - stepper.guesses, || None);
        Self {
            stepper,
            pool,
            tokenizer,
            ctx,
            queue,
            slots,
            flights: VecDeque::new(),
            ring: Vec::new(),
            admitted: 0,
            prefilled: (0, false),
            drafter: None,
            pace: Pace::default(),
            rows: Vec::new(),
        }
    }

    /// With guesses at tokens to come, while they pay or `always`.
    pub fn guessing(mut self, drafter: Option<&'e mut Drafter>, always: bool) -> Self {
        self.drafter = drafter;
        self.pace.always = always;
        self
    }

    /// Works until the queue is empty and every job has ended.
    ///
    /// # Errors
    /// The device failed: jobs that have not ended are in the queue again. What is wrong
    /// with one job is told to its sink.
    pub async fn run(mut self) -> Result<()> {
        let result = self.serve().await;
        let mut rest: Vec<_> = self.slots.iter_mut().filter_map(Option::take).collect();
        rest.sort_by_key(|live| std::cmp::Reverse(live.id));
        rest.into_iter().for_each(|live| self.queue.put_back(live.job));
        result
    }

    async fn serve(&mut self) -> Result<()> {
        let most = self.stepper.target.tuning.steps_in_flight.max(1);
        loop {
            self.queue.end_cancelled();
            self.admit();
            self.stepper.activity.show_free_pages(self.pool.free());
            if let Some((slot, most)) = self.worth_guessing() {
                match self.flights.pop_front() {
                    // What it draws is what is guessed from.
                    Some(flight) => self.land(flight).await?,
                    None if self.guess(slot, most).await? => {}
                    None => self.step().await?,
                }
                continue;
            }
            while self.flights.len() < most
                && let Some(flight) = self.next_step().await?
            {
                self.flights.push_back(flight);
            }
            match self.flights.pop_front() {
                Some(flight) => self.land(flight).await?,
                None if !self.queue.is_empty() => {}
                None => return Ok(()),
            }
        }
    }

    /// A step, to its end.
    async fn step(&mut self) -> Result<()> {
        match self.next_step().await? {
            Some(flight) => self.land(flight).await,
            None => Ok(()),
        }
    }

    /// Gives slots and pages to jobs that wait, as long as there are any for the first.
    fn admit(&mut self) {
        while let Some(slot) = self.slots.iter().position(Option::is_none) {
            let (slots, pool) = (&self.slots, &self.pool);
            let alone = slots.iter().all(Option::is_none);
            let (ctx, decoder) = (self.ctx, &self.stepper.decoder);
            let turn = |job: &Job<'_>| turn(slots, pool, job, decoder.is_long(job.reach(ctx)));
            let Some(mut job) = self.queue.pop(turn) else { return };
            job.start();
            match self.place(&job) {
                Ok((text, pages)) => {
                    let fed = pages.shared() * wisp_graph::PAGE;
                    let known = job.tokens.len();
                    job.computed += known - fed;
                    self.stepper.write_pages(slot, 0, &pages.list);
                    self.set_sampling(slot, &job);
                    self.admitted += 1;
                    let id = self.admitted;
                    let live =
                        Live { job, id, text, pages, known, fed, drawn: 0, before: (fed, 0) };
                    let nothing_wanted = live.job.answered() >= live.job.request.max_tokens;
                    self.slots[slot] = Some(live);
                    if nothing_wanted {
                        self.end(slot, FinishReason::Length);
                    }
                }
                // Others will give their pages back.
                Err(Error::Memory(_)) if !alone => {
                    job.no_room = Some(self.pool.releases());
                    return self.queue.put_back(job);
                }
                Err(error) => job.fail(error),
            }
        }
    }

    /// Checks a job and finds pages for its tokens.
    fn place(&mut self, job: &Job<'q>) -> Result<(Text<'e>, Pages)> {
        let request = &job.request;
        let vocab = self.stepper.decoder.vocab;
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
        let tokenizer = self.tokenizer.as_ref().ok().copied();
        let text = Text::new(tokenizer, &request.stop, &job.tokens[request.prompt.len()..])?;
        let long = self.stepper.decoder.is_long(job.reach(self.ctx));
        let mut pages = self.pool.share(&job.tokens, long);
        // One that left for want of pages would soon have to leave again.
        let spare = if job.answered() > 0 { wisp_graph::PAGE } else { 0 };
        match self.pool.grow(&mut pages, self.ctx.min(job.tokens.len() + spare)) {
            Ok(()) => Ok((text, pages)),
            Err(error) => {
                self.pool.release(pages);
                Err(error)
            }
        }
    }

    /// As [`Self::try_step`]; where no memory is left for a step, one request ends and the
    /// others go on.
    async fn next_step(&mut self) -> Result<Option<Flight>> {
        loop {
            for live in self.slots.iter_mut().flatten() {
                live.before = (live.fed, live.drawn);
            }
            match self.try_step().await {
                Err(error @ Error::Memory(_)) => self.end_for_memory(error)?,
                result => return result,
            }
        }
    }

    /// Takes a step back that was not submitted, and ends the request of those in it that took
    /// the most: one whose logits are asked for, else the newest.
    fn end_for_memory(&mut self, error: Error) -> Result<()> {
        let mut ends = None;
        for (slot, live) in self.slots.iter_mut().enumerate() {
            let Some(live) = live else { continue };
            if (live.fed, live.drawn) != live.before {
                (live.fed, live.drawn) = live.before;
                ends = ends.max(Some((live.job.request.logprobs.is_some(), live.id, slot)));
            }
        }
        match ends.and_then(|(_, _, slot)| self.leave(slot)) {
            Some(live) => live.job.fail(error),
            None => return Err(error),
        }
        Ok(())
    }

    /// Submits a piece of a prompt or a token for each of the others, in turn where
    /// there is both to do; `None` if there is neither.
    async fn try_step(&mut self) -> Result<Option<Flight>> {
        for slot in 0..self.slots.len() {
            if self.slots[slot].as_ref().is_some_and(|live| live.job.is_cancelled()) {
                self.end(slot, FinishReason::Cancelled);
            }
        }
        let (last, just_now) = self.prefilled;
        if just_now {
            self.prefilled.1 = false;
            if let Some(flight) = self.decode().await? {
                return Ok(Some(flight));
            }
        }
        let count = self.slots.len();
        let in_prefill = |slot: &usize| self.slots[*slot].as_ref().is_some_and(Live::in_prefill);
        let next = (1..=count).map(|step| (last + step) % count).find(in_prefill);
        match next {
            Some(slot) => {
                self.prefilled = (slot, true);
                self.prefill(slot).await
            }
            None => self.decode().await,
        }
    }

    /// The next piece of a prompt; the last one draws the first token.
    async fn prefill(&mut self, slot: usize) -> Result<Option<Flight>> {
        let most = self.stepper.most_tokens();
        let Some(live) = &mut self.slots[slot] else { return Ok(None) };
        let start = live.fed;
        let end = live.known.min(start + most);
        let part = &live.job.tokens[start..end];
        let long = live.pages.long();
        let tokens = StepToken::run(part, start, slot as u32).map(|token| token.with_long(long));
        let tokens: Vec<_> = tokens.collect();
        let mut step = Step { tokens, ..Step::default() };
        step.splits = splits(&self.stepper.target.tuning, end);
        let mut drew = Vec::new();
        if end == live.known {
            step.outputs.push(step.tokens.len() as u32 - 1);
            live.drawn = 1;
            drew.push(drawing(slot, live));
        }
        live.fed = end;
        let flight = self.fly(&step, drew).await?;
        // Not before: of a step that was not submitted the pages hold nothing.
        if let Some(live) = &mut self.slots[slot] {
            self.pool.name(&mut live.pages, &live.job.tokens[..end]);
        }
        Ok(Some(flight))
    }

    /// One more token for every sequence that may have one.
    async fn decode(&mut self) -> Result<Option<Flight>> {
        let mut step = Step::default();
        let mut drew = Vec::new();
        for slot in 0..self.slots.len() {
            let others = self.slots.iter().flatten().count() > 1;
            let Some(live) = &mut self.slots[slot] else { continue };
            let wanted = live.job.request.max_tokens.saturating_sub(
                // Those that have come since it was admitted are among the drawn ones.
                live.known - live.job.request.prompt.len(),
            );
            if live.in_prefill() || live.drawn >= wanted || live.position() >= self.ctx {
                continue;
            }
            let position = live.position();
            let pages = live.pages.list.len();
            if let Err(error) = self.pool.grow(&mut live.pages, position + 1) {
                // It goes on when others have given pages back; what it drew is drawn again.
                if let Some(live) = self.leave(slot) {
                    match others {
                        true => self.queue.put_back(live.job),
                        false => live.job.fail(error),
                    }
                }
                continue;
            }
            self.stepper.write_pages(slot, pages, &live.pages.list[pages..]);
            step.outputs.push(step.tokens.len() as u32);
            step.tokens.push(StepToken {
                id: None,
                position: position as u32,
                sequence: slot as u32,
                long: live.pages.long(),
            });
            live.drawn += 1;
            drew.push(drawing(slot, live));
        }
        let Some(longest) = step.tokens.iter().map(|token| token.position + 1).max() else {
            return Ok(None);
        };
        step.splits = splits(&self.stepper.target.tuning, longest as usize);
        Ok(Some(self.fly(&step, drew).await?))
    }

    /// Submits a step with copies of the drawn tokens, and of logits that are asked for,
    /// behind it.
    pub(crate) async fn fly(&mut self, step: &Step, drew: Vec<Drew>) -> Result<Flight> {
        let bytes = self.stepper.sequences as u64 * 4;
        let staging = self.staging(bytes).await?;
        let rows: Vec<u64> = (0u64..).zip(&drew).filter(|(_, d)| d.logprobs).map(|r| r.0).collect();
        let row_bytes = self.stepper.logits_row_bytes();
        let logits = match rows.len() as u64 {
            0 => None,
            count => Some(self.staging(count * row_bytes).await?),
        };
        let key = self.stepper.prepare(step, Want::Tokens).await?;
        let copy = |encoder: &mut wisp_gpu::CommandEncoder, stepper: &Stepper| {
            let sampled = &stepper.resources.shared.sampled;
            encoder.copy_buffer_to_buffer(sampled, 0, &staging, 0, bytes);
            if let Some((logits, (buffer, offset))) = logits.as_ref().zip(stepper.logits_at(key)) {
                for (to, row) in (0u64..).zip(&rows) {
                    let from = offset + row * row_bytes;
                    encoder.copy_buffer_to_buffer(buffer, from, logits, to * row_bytes, row_bytes);
                }
            }
        };
        let submission = self.stepper.submit(step, Want::Tokens, copy).await?;
        let gpu = &self.stepper.gpu;
        let logits = logits.map(|logits| gpu.begin_read(logits, submission));
        Ok(Flight { tokens: gpu.begin_read(staging, submission), logits, drew })
    }

    /// A staging buffer of so many bytes that nobody reads.
    async fn staging(&mut self, bytes: u64) -> Result<Buffer> {
        let gpu = &self.stepper.gpu;
        match self.ring.iter().position(|buffer| buffer.size() == bytes) {
            Some(at) => Ok(self.ring.swap_remove(at)),
            None => gpu.catch(|| gpu.staging(bytes)).await,
        }
    }

    /// What was copied into a staging buffer, which is free again.
    pub(crate) async fn read<T: bytemuck::AnyBitPattern + bytemuck::NoUninit>(
        &mut self,
        readback: Readback,
    ) -> Result<Vec<T>> {
        let (bytes, buffer) = readback.wait(&self.stepper.gpu).await?;
        self.ring.push(buffer);
        Ok(bytemuck::pod_collect_to_vec(&bytes))
    }

    /// Waits for a step's tokens and hands them out.
    async fn land(&mut self, flight: Flight) -> Result<()> {
        let tokens: Vec<u32> = self.read(flight.tokens).await?;
        let logits: Vec<f32> = match flight.logits {
            Some(logits) => self.read(logits).await?,
            None => Vec::new(),
        };
        let vocab = self.stepper.decoder.vocab;
        let mut rows = logits.chunks(self.stepper.logits_row_bytes() as usize / 4);
        for drew in flight.drew {
            let row = if drew.logprobs { rows.next() } else { None };
            if self.slots[drew.slot].as_ref().is_none_or(|live| live.id != drew.id) {
                continue; // It ended while this step was under way.
            }
            let row = row.and_then(|row| row.get(..vocab));
            self.pace.plain();
            self.accept(drew.slot, tokens[drew.slot], row);
        }
        Ok(())
    }

    /// Takes a token that was drawn, and ends the job if it was the last.
    pub(crate) fn accept(&mut self, slot: usize, token: u32, logits: Option<&[f32]>) {
        let Some(live) = &mut self.slots[slot] else { return };
        let job = &mut live.job;
        job.tick();
        if job.is_cancelled() {
            return self.end(slot, FinishReason::Cancelled);
        }
        if token == NO_TOKEN {
            if let Some(live) = self.leave(slot) {
                live.job.fail(not_finite());
            }
            // Keys and values may be wrong where they are shared, too.
            self.pool.forget();
            return;
        }
        let ends = self.tokenizer.as_ref().is_ok_and(|t| t.is_end_of_generation(token));
        if ends && !job.request.ignore_eos {
            return self.end(slot, FinishReason::Stop);
        }
        job.tokens.push(token);
        let (text, stopped) = match live.text.push(token) {
            Ok(pushed) => pushed,
            Err(error) => {
                if let Some(live) = self.leave(slot) {
                    live.job.fail(error);
                }
                return;
            }
        };
        let top = job.request.logprobs;
        let logprobs = logits.zip(top).map(|(row, top)| logprobs::of(row, token, top));
        let broken_off = job.tell(Piece { token: Some(token), text, logprobs }).is_break();
        if broken_off {
            self.end(slot, FinishReason::Cancelled);
        } else if stopped {
            self.end(slot, FinishReason::Stop);
        } else if job.answered() >= job.request.max_tokens || job.tokens.len() > self.ctx {
            // The last token of a full context has no position to be fed at.
            self.end(slot, FinishReason::Length);
        }
    }

    /// Ends the job in a slot.
    fn end(&mut self, slot: usize, mut finish: FinishReason) {
        let Some(Live { mut job, mut text, .. }) = self.leave(slot) else { return };
        let (rest, stopped) = text.finish();
        if !rest.is_empty() {
            let _ = job.tell(Piece { token: None, text: rest, logprobs: None });
        }
        if stopped {
            finish = FinishReason::Stop;
        }
        job.end(finish);
    }

    /// Frees a slot: its pages go back, named, so that they can be shared.
    fn leave(&mut self, slot: usize) -> Option<Live<'e, 'q>> {
        let mut live = self.slots[slot].take()?;
        // The last token drawn was not fed: its keys are not in the cache.
        let fed = if live.drawn == 0 { live.fed } else { live.position() };
        let known = fed.min(live.job.tokens.len());
        self.pool.name(&mut live.pages, &live.job.tokens[..known]);
        self.pool.release(std::mem::take(&mut live.pages));
        Some(live)
    }
}

fn drawing(slot: usize, live: &Live<'_, '_>) -> Drew {
    Drew { slot, id: live.id, logprobs: live.job.request.logprobs.is_some() }
}

/// Whether a job that waits may be admitted now.
fn turn(slots: &[Option<Live<'_, '_>>], pool: &PagePool, job: &Job<'_>, long: bool) -> Turn {
    // Long sequences share no pages with short ones.
    let alike = |live: &&Live<'_, '_>| live.in_prefill() && live.pages.long() == long;
    let mut prefills = slots.iter().flatten().filter(alike);
    // Whole pages that another prompt has in common with this one, and will have computed soon:
    // worth waiting for, but only until then.
    if prefills.any(|live| common_pages(live, job) > live.fed / wisp_graph::PAGE) {
        return Turn::Skip;
    }
    let alone = slots.iter().all(Option::is_none);
    match job.no_room {
        // Nobody has given back pages since there were too few of them.
        Some(then) if then == pool.releases() && !alone => Turn::Stop,
        _ => Turn::Take,
    }
}

/// Pages that a job could share with a prompt, once they are computed.
fn common_pages(live: &Live<'_, '_>, job: &Job<'_>) -> usize {
    let (prompt, tokens) = (&live.job.tokens[..live.known], &job.tokens);
    let alike = prompt.iter().zip(tokens).take_while(|(a, b)| a == b).count();
    // A job's last token is always computed: see `PagePool::share`.
    alike.min(tokens.len().saturating_sub(1)) / wisp_graph::PAGE
}

/// # Errors
/// No tokens, more than the context takes, or one outside the vocabulary.
pub fn check_tokens(tokens: &[u32], vocab: usize, ctx: usize) -> Result<()> {
    if tokens.is_empty() {
        return Err(Error::input("the prompt has no tokens: give at least one"));
    }
    if tokens.len() > ctx {
        return Err(Error::input(format!(
            "the prompt has {} tokens, but the context is {ctx}: give a larger --ctx or a shorter \
             prompt",
            tokens.len()
        )));
    }
    match tokens.iter().find(|id| **id as usize >= vocab) {
        None => Ok(()),
        Some(id) => Err(Error::input(format!(
            "token {id} is not in the vocabulary, which has {vocab} tokens (0 to {})",
            vocab.saturating_sub(1)
        ))),
    }
}
