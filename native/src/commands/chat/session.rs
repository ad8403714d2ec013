//! The conversation so far, and the engine that answers.

use crate::args::Chat;
use crate::commands::generate::{Finish, speed};
use crate::interrupt;
use crate::messages::Messages;
use crate::out::{self, Outcome};
use pollster::block_on;
use serde_json::Value;
use std::ops::ControlFlow;
use std::sync::Arc;
use wisp_base::{Error, Result};
use wisp_runtime::{Cancel, Completion, FinishReason, Handle, Request, Sampling};
use wisp_tokenizer::Tokenizer;

/// Of the context, an answer should find a quarter free...
const FREE: usize = 4;

/// ...else the oldest turns are left out until half of it is: turns that follow then find what
/// is left in the cache, until it is full again.
const FREED: usize = 2;

/// One conversation.
pub struct Session {
    handle: Handle,
    tokenizer: Arc<Tokenizer>,
    /// What was said, the system's message first where there is one.
    pub messages: Messages,
    /// How answers are drawn.
    pub sampling: Sampling,
    /// Longest answer; as long as the context where `None`.
    pub max_tokens: Option<usize>,
    system: Option<String>,
    stop: Vec<String>,
    ignore_eos: bool,
    /// Messages behind the system's that are not shown to the model any more.
    left_out: usize,
    last: Option<Last>,
    prompt_tokens: usize,
}

/// The answer that came last.
struct Last {
    completion: Completion,
    finish: Finish,
}

impl Session {
    /// Nothing said yet.
    pub fn new(handle: Handle, tokenizer: Arc<Tokenizer>, sampling: Sampling, args: Chat) -> Self {
        let mut session = Self {
            handle,
            tokenizer,
            messages: Messages::default(),
            sampling,
            max_tokens: args.max_tokens.filter(|most| *most != usize::MAX),
            system: args.system,
            stop: args.sampling.stop,
            ignore_eos: args.sampling.ignore_eos,
            left_out: 0,
            last: None,
            prompt_tokens: 0,
        };
        session.clear();
        session
    }

    /// The adapter's name.
    pub fn device_name(&self) -> String {
        self.handle.info().device_name()
    }

    /// How many tokens there are, for checks of settings.
    pub fn vocab(&self) -> usize {
        self.handle.info().vocab
    }

    /// Forgets everything but what the system was told.
    pub fn clear(&mut self) {
        self.left_out = 0;
        self.messages = Messages::default();
        if let Some(system) = self.system.clone() {
            self.messages.push("system", &system);
        }
    }

    /// Begins anew with another system message; an empty one is none.
    pub fn set_system(&mut self, text: &str) {
        self.system = Some(text.to_string()).filter(|text| !text.is_empty());
        self.clear();
    }

    /// Streams the answer to `text`, and keeps both.
    pub fn answer(&mut self, text: &str) -> Outcome<FinishReason> {
        let before = self.messages.messages.len();
        self.messages.push("user", text);
        let result = self.complete();
        match &result {
            Ok(completion) => self.messages.push("assistant", &completion.text),
            // As if it had not been asked: the next question stands on its own.
            Err(_) => self.messages.messages.truncate(before),
        }
        let completion = result?;
        // The answer may be as long as it likes, or as the context that it found allows.
        let is_full = self.max_tokens.is_none_or(|most| most > completion.tokens.len());
        let finish = Finish::of(completion.finish, is_full);
        out::note(speed(&completion, finish));
        let reason = completion.finish;
        self.last = Some(Last { completion, finish });
        Ok(reason)
    }

    /// The messages for the template, without those that are left out.
    fn shown(&self, left_out: usize) -> Messages {
        let mut shown = self.messages.clone();
        let first = first_turn(&shown.messages);
        shown.messages.drain(first..(first + left_out).min(shown.messages.len()));
        shown
    }

    /// What is asked of the model, without the oldest messages.
    fn request(&self, left_out: usize, cancel: Cancel) -> Result<Request> {
        let request = Request {
            prompt: self.shown(left_out).prompt(),
            max_tokens: self.max_tokens.unwrap_or(usize::MAX),
            sampling: self.sampling.clone(),
            stop: self.stop.clone(),
            ignore_eos: self.ignore_eos,
            cancel,
            logprobs: None,
        };
        request.encoded(Ok(&self.tokenizer))
    }

    /// What is asked of the model. Where that leaves no room for an answer, the oldest turns are
    /// left out from now on.
    fn fitting_request(&mut self, cancel: Cancel) -> Result<Request> {
        let ctx = self.handle.info().ctx();
        let request = self.request(self.left_out, cancel.clone())?;
        let wanted = request.max_tokens.clamp(1, (ctx / FREE).max(1));
        if request.prompt.len() + wanted <= ctx {
            return Ok(request);
        }
        let first = first_turn(&self.messages.messages);
        let turns: Vec<usize> = (first + self.left_out + 1..self.messages.messages.len())
            .filter(|at| role(&self.messages.messages[*at]) == "user")
            .map(|at| at - first)
            .collect();
        // The fewest turns that free enough; the last one stays in any case.
        let mut failed = None;
        let at = turns.partition_point(|left_out| match self.request(*left_out, cancel.clone()) {
            Ok(request) => request.prompt.len() > ctx / FREED,
            Err(error) => {
                failed = Some(error);
                false
            }
        });
        if let Some(error) = failed {
            return Err(error);
        }
        let Some(left_out) = turns.get(at).or(turns.last()).copied() else { return Ok(request) };
        self.left_out = left_out;
        self.request(left_out, cancel)
    }

    fn complete(&mut self) -> Outcome<Completion> {
        let left_out = self.left_out;
        let (cancel, _guard) = interrupt::guard();
        let mut request = self.fitting_request(cancel)?;
        let ctx = self.handle.info().ctx();
        let room = ctx.saturating_sub(request.prompt.len());
        if room == 0 {
            self.left_out = left_out;
            return Err(Error::memory(format!(
                "the message takes {} tokens with the template, but the context has room for \
                 {ctx}: give a shorter one, or a larger --ctx",
                request.prompt.len(),
            ))
            .into());
        }
        if self.left_out > 0 && left_out == 0 {
            out::note(
                "the context is full: from now on the oldest messages are left out, but for the \
                 system's (/clear begins anew, --ctx gives more room)",
            );
        }
        self.prompt_tokens = request.prompt.len();
        request.max_tokens = request.max_tokens.min(room);
        // The next answer shall not follow the dice of this one.
        self.sampling.seed = self.sampling.seed.wrapping_add(1);
        let mut printed = Ok(());
        let completion = block_on(self.handle.submit(request)?.completion(&mut |piece| {
            printed = out::text(&piece.text);
            if printed.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        }));
        printed?;
        out::text("\n")?;
        Ok(completion?)
    }

    /// What `/stats` prints.
    pub fn stats(&self) -> String {
        let info = self.handle.info();
        let memory = info.memory;
        let last = self.last.as_ref();
        let answer =
            last.map_or("no answer yet".into(), |last| speed(&last.completion, last.finish));
        let in_context = self.prompt_tokens + last.map_or(0, |last| last.completion.tokens.len());
        let left_out = match self.left_out {
            0 => String::new(),
            count => format!(", the oldest {count} left out"),
        };
        format!(
            "device    {}\nmemory    {} of weights, {} of KV cache, {} of scratch\ncontext   \
             {in_context} of {} tokens in {} messages{left_out}\nanswer    {answer}",
            info.device_name(),
            crate::bytes::shown(memory.weights),
            crate::bytes::shown(memory.kv),
            crate::bytes::shown(memory.scratch),
            info.ctx(),
            self.messages.messages.len(),
        )
    }

    /// Takes messages out of a file in place of those so far.
    pub fn load(&mut self, path: &std::path::Path) -> Result<usize> {
        let messages = Messages::load(path)?;
        // Does the template take them? Better to know now.
        messages.prompt().tokens(Ok(&self.tokenizer))?;
        self.messages = messages;
        self.left_out = 0;
        Ok(self.messages.messages.len())
    }
}

fn role(message: &Value) -> &str {
    message.get("role").and_then(Value::as_str).unwrap_or_default()
}

/// Where what the system was told ends.
fn first_turn(messages: &[Value]) -> usize {
    let is_system = |message: &&Value| ["system", "developer"].contains(&role(message));
    messages.iter().take_while(is_system).count()
}
