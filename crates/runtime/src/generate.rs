//! The generation loop: requests are admitted as slots and pages allow, their
//! prompts computed, then all of them take a step together, several steps in
//! flight; tokens are read back behind them.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::time::Instant;

use wisp_base::{Error, Result};
use wisp_gpu::{Buffer, Readback};
use wisp_graph::{Step, StepToken};
use wisp_ops::{IN_PROMPT, Settings, splits};
use wisp_tokenizer::Tokenizer;

use crate::cache::{PagePool, Pages};
use crate::engine::Piece;
use crate::options::{Completion, FinishReason, Request, Sampling, Timings};
use crate::stepper::{Stepper, Want};
use crate::text::Text;

/// What is called for every token: which request, and what came.
pub type OnPiece<'a> = &'a mut dyn FnMut(usize, Piece) -> ControlFlow<()>;

/// A request that holds a slot.
struct Live<'a> {
    /// Its number among the requests.
    index: usize,
    request: &'a Request,
    text: Text<'a>,
    pages: Pages,
    /// Prompt, then the answer as far as it is known here.
    tokens: Vec<u32>,
    /// Answer tokens that submitted steps draw.
    drawn: usize,
    /// Prompt tokens that were not in the cache.
    computed: usize,
    started: Instant,
    first: Option<Instant>,
    last: Instant,
}

/// A submitted step whose tokens are yet to be read.
struct Flight {
    tokens: Readback,
    /// Slots that drew a token, with the request that held them.
    drew: Vec<(usize, usize)>,
}

/// Everything the loop works on.
pub struct Generator<'a> {
    pub stepper: &'a mut Stepper,
    pub pool: &'a mut PagePool,
    pub tokenizer: Option<&'a Tokenizer>,
    /// Positions a sequence may have.
    pub ctx: usize,
}

impl Generator<'_> {
    /// Answers all requests; a result each, in their order.
    ///
    /// # Errors
    /// The device failed. What is wrong with one request is in its own result.
    pub async fn run(
        &mut self,
        requests: &[Request],
        on_piece: OnPiece<'_>,
    ) -> Result<Vec<Result<Completion>>> {
        let tokenizer = self.tokenizer;
        let mut results: Vec<Option<Result<Completion>>> = Vec::new();
        results.resize_with(requests.len(), || None);
        let mut slots: Vec<Option<Live<'_>>> = Vec::new();
        slots.resize_with(self.stepper.sequences, || None);
        let mut waiting: VecDeque<usize> = (0..requests.len()).collect();
        let mut flights: VecDeque<Flight> = VecDeque::new();
        let mut ring: Vec<Buffer> = Vec::new();
        let most = self.stepper.target.tuning.steps_in_flight.max(1);
        loop {
            while let Some(index) = waiting.front().copied() {
                let Some(slot) = slots.iter().position(Option::is_none) else { break };
                let request = &requests[index];
                let alone = slots.iter().all(Option::is_none);
                match self.admit(index, request, tokenizer) {
                    Ok(live) => {
                        waiting.pop_front();
                        let live = slots[slot].insert(live);
                        let flight = self.prefill(slot, live, &mut ring).await?;
                        match flight {
                            Some(flight) => flights.push_back(flight),
                            None => {
                                let why = match request.cancel.is_cancelled() {
                                    true => FinishReason::Cancelled,
                                    false => FinishReason::Length,
                                };
                                results[index] = self.end(&mut slots[slot], why, on_piece);
                            }
                        }
                    }
                    // Others will give their pages back.
                    Err(Error::Memory(_)) if !alone => break,
                    Err(error) => {
                        waiting.pop_front();
                        results[index] = Some(Err(error));
                    }
                }
            }
            while flights.len() < most {
                match self.decode(&mut slots, &mut results, &mut ring).await? {
                    Some(flight) => flights.push_back(flight),
                    None => break,
                }
            }
            let Some(flight) = flights.pop_front() else {
                // Nothing under way and nothing to submit: the context is full.
                let mut ended = false;
                for slot in &mut slots {
                    if let Some(index) = slot.as_ref().map(|live| live.index) {
                        results[index] = self.end(slot, FinishReason::Length, on_piece);
                        ended = true;
                    }
                }
                if !ended && waiting.is_empty() {
                    break;
                }
                continue;
            };
            let (tokens, buffer) = flight.tokens.wait(&self.stepper.gpu).await?;
            ring.push(buffer);
            let tokens: Vec<u32> =
                tokens.as_chunks().0.iter().map(|b| u32::from_le_bytes(*b)).collect();
            for (slot, index) in flight.drew {
                let slot_of = &mut slots[slot];
                let Some(live) = slot_of.as_mut().filter(|live| live.index == index) else {
                    continue; // It ended while this step was under way.
                };
                if let Some(why) = self.accept(live, tokens[slot], on_piece)? {
                    results[index] = self.end(slot_of, why, on_piece);
                }
            }
        }
        let missing = || Err(Error::input("a request was lost"));
        Ok(results.into_iter().map(|result| result.unwrap_or_else(missing)).collect())
    }

    /// Checks a request and gives it the pages of its prompt.
    fn admit<'a>(
        &mut self,
        index: usize,
        request: &'a Request,
        tokenizer: Option<&'a Tokenizer>,
    ) -> Result<Live<'a>> {
        let vocab = self.stepper.decoder.vocab;
        check_tokens(&request.prompt, vocab, self.ctx)?;
        request.sampling.check(vocab)?;
        let started = Instant::now();
        let mut pages = self.pool.share(&request.prompt);
        if let Err(error) = self.pool.grow(&mut pages, request.prompt.len()) {
            self.pool.release(pages);
            return Err(error);
        }
        Ok(Live {
            index,
            request,
            text: Text::new(tokenizer, &request.stop),
            pages,
            tokens: request.prompt.clone(),
            drawn: 0,
            computed: 0,
            started,
            first: None,
            last: started,
        })
    }

    /// Computes a prompt and draws the first token; `None` if there is none to draw.
    async fn prefill(
        &mut self,
        slot: usize,
        live: &mut Live<'_>,
        ring: &mut Vec<Buffer>,
    ) -> Result<Option<Flight>> {
        if live.request.max_tokens == 0 {
            return Ok(None);
        }
        self.stepper.write_pages(slot, 0, &live.pages.list);
        self.set_sampling(slot, live.request);
        let prompt = &live.request.prompt;
        // Shared pages are whole, and hold all but the last token at most.
        let mut at = live.pages.shared() * wisp_graph::PAGE;
        live.computed = prompt.len() - at;
        let mut before: Option<Flight> = None;
        while at < prompt.len() {
            let end = prompt.len().min(at + self.stepper.most_tokens());
            let token = |(i, id): (usize, &u32)| StepToken {
                id: Some(*id),
                position: (at + i) as u32,
                sequence: slot as u32,
            };
            let tokens: Vec<_> = prompt[at..end].iter().enumerate().map(token).collect();
            let last = end == prompt.len();
            let outputs = if last { vec![tokens.len() as u32 - 1] } else { Vec::new() };
            let drew = if last { vec![(slot, live.index)] } else { Vec::new() };
            let splits = splits(&self.stepper.target.tuning, end);
            let flight = self.fly(Step { tokens, outputs, splits }, drew, ring).await?;
            // One step ahead of the device, no more: a cancelled prompt ends soon.
            if let Some(before) = before.replace(flight) {
                ring.push(before.tokens.wait(&self.stepper.gpu).await?.1);
            }
            if live.request.cancel.is_cancelled() {
                return Ok(None);
            }
            at = end;
        }
        live.drawn = 1;
        self.pool.name(&mut live.pages, prompt);
        Ok(before)
    }

    /// One more token for every sequence that may have one.
    async fn decode(
        &mut self,
        slots: &mut [Option<Live<'_>>],
        results: &mut [Option<Result<Completion>>],
        ring: &mut Vec<Buffer>,
    ) -> Result<Option<Flight>> {
        let mut step = Step::default();
        let mut drew = Vec::new();
        for (slot, place) in slots.iter_mut().enumerate() {
            let Some(live) = place else { continue };
            let position = live.request.prompt.len() + live.drawn - 1;
            if live.drawn >= live.request.max_tokens || position >= self.ctx {
                continue;
            }
            let pages = live.pages.list.len();
            if let Err(error) = self.pool.grow(&mut live.pages, position + 1) {
                let live = place.take();
                if let Some(live) = live {
                    results[live.index] = Some(Err(error));
                    self.pool.release(live.pages);
                }
                continue;
            }
            self.stepper.write_pages(slot, pages, &live.pages.list[pages..]);
            live.drawn += 1;
            drew.push((slot, live.index));
            step.outputs.push(step.tokens.len() as u32);
            step.tokens.push(StepToken {
                id: None,
                position: position as u32,
                sequence: slot as u32,
            });
        }
        let Some(longest) = step.tokens.iter().map(|token| token.position + 1).max() else {
            return Ok(None);
        };
        step.splits = splits(&self.stepper.target.tuning, longest as usize);
        Ok(Some(self.fly(step, drew, ring).await?))
    }

    /// Submits a step with a copy of the drawn tokens behind it.
    async fn fly(
        &mut self,
        step: Step,
        drew: Vec<(usize, usize)>,
        ring: &mut Vec<Buffer>,
    ) -> Result<Flight> {
        let bytes = self.stepper.sequences as u64 * 4;
        let staging = ring.pop().unwrap_or_else(|| self.stepper.gpu.staging(bytes));
        let copy = |encoder: &mut wisp_gpu::CommandEncoder, stepper: &Stepper| {
            let sampled = &stepper.resources.shared.sampled;
            encoder.copy_buffer_to_buffer(sampled, 0, &staging, 0, bytes);
        };
        let submission = self.stepper.submit(&step, Want::Tokens, copy).await?;
        Ok(Flight { tokens: self.stepper.gpu.begin_read(staging, submission), drew })
    }

    /// Takes a token that was drawn; a reason if it is the end.
    fn accept(
        &mut self,
        live: &mut Live<'_>,
        token: u32,
        on_piece: OnPiece<'_>,
    ) -> Result<Option<FinishReason>> {
        live.last = Instant::now();
        live.first.get_or_insert(live.last);
        if live.request.cancel.is_cancelled() {
            return Ok(Some(FinishReason::Cancelled));
        }
        let ends = self.tokenizer.is_some_and(|t| t.is_end_of_generation(token));
        if ends && !live.request.ignore_eos {
            return Ok(Some(FinishReason::Stop));
        }
        live.tokens.push(token);
        let (text, stopped) = live.text.push(token)?;
        if on_piece(live.index, Piece { token, text }).is_break() {
            return Ok(Some(FinishReason::Cancelled));
        }
        let answer = live.tokens.len() - live.request.prompt.len();
        Ok(match (stopped, answer >= live.request.max_tokens) {
            (true, _) => Some(FinishReason::Stop),
            (false, true) => Some(FinishReason::Length),
            (false, false) => None,
        })
    }

    /// Ends the request in a slot: its pages go back, named, so that they can be shared.
    fn end(
        &mut self,
        slot: &mut Option<Live<'_>>,
        mut finish: FinishReason,
        on_piece: OnPiece<'_>,
    ) -> Option<Result<Completion>> {
        let mut live = slot.take()?;
        let prompt = live.request.prompt.len();
        // The last token drawn was not fed: its keys are not in the cache.
        let fed = if live.drawn == 0 { 0 } else { prompt + live.drawn - 1 };
        self.pool.name(&mut live.pages, &live.tokens[..fed.min(live.tokens.len())]);
        self.pool.release(live.pages);
        let (rest, stopped) = live.text.finish();
        if !rest.is_empty()
            && let Some(token) = live.tokens.last()
        {
            let _ = on_piece(live.index, Piece { token: *token, text: rest });
        }
        if stopped {
            finish = FinishReason::Stop;
        }
        let tokens = live.tokens.split_off(prompt);
        let ms = |from: Instant, to: Instant| to.duration_since(from).as_secs_f64() * 1000.0;
        let first = live.first.unwrap_or(live.last);
        let timings = Timings {
            prefill_ms: ms(live.started, first),
            prefill_tokens: live.computed,
            decode_ms: ms(first, live.last),
            decode_tokens: tokens.len().saturating_sub(1),
        };
        Some(Ok(Completion { tokens, text: live.text.shown, finish, timings }))
    }

    fn set_sampling(&self, slot: usize, request: &Request) {
        let vocab = self.stepper.decoder.vocab;
        let settings = settings(&request.sampling);
        let counts = settings.penalties().then(|| {
            let mut counts = vec![0; vocab];
            request.prompt.iter().for_each(|token| counts[*token as usize] = IN_PROMPT);
            counts
        });
        let bias = settings.biased.then(|| {
            let mut row = vec![0.0; vocab];
            for (token, bias) in &request.sampling.logit_bias {
                row[*token as usize] += bias;
            }
            row
        });
        self.stepper.write_sampling(slot, &settings, counts.as_deref(), bias.as_deref());
    }
}

fn settings(sampling: &Sampling) -> Settings {
    Settings {
        temperature: sampling.temperature,
        top_k: sampling.top_k,
        top_p: sampling.top_p,
        min_p: sampling.min_p,
        repetition: sampling.repetition_penalty,
        presence: sampling.presence_penalty,
        frequency: sampling.frequency_penalty,
        biased: !sampling.logit_bias.is_empty(),
        seed: sampling.seed,
    }
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
