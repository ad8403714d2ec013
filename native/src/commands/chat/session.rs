//! The conversation so far, and the engine that answers.

use crate::args::Chat;
use crate::commands::generate::{chat_prompt, speed};
use crate::interrupt;
use crate::messages::Messages;
use crate::out::{self, Outcome};
use pollster::block_on;
use std::ops::ControlFlow;
use wisp_base::{Error, Result};
use wisp_runtime::{Completion, Engine, FinishReason, Request, Sampling};

/// One conversation.
pub struct Session {
    engine: Engine,
    /// What was said, the system's message first where there is one.
    pub messages: Messages,
    /// How answers are drawn.
    pub sampling: Sampling,
    /// Longest answer; as long as the context where `None`.
    pub max_tokens: Option<usize>,
    system: Option<String>,
    stop: Vec<String>,
    ignore_eos: bool,
    last: Option<Completion>,
    prompt_tokens: usize,
}

impl Session {
    /// Nothing said yet. Answers end before a text of `stop` too.
    pub fn new(engine: Engine, sampling: Sampling, mut stop: Vec<String>, args: Chat) -> Self {
        stop.extend(args.sampling.stop);
        let mut session = Self {
            engine,
            messages: Messages::default(),
            sampling,
            max_tokens: args.max_tokens,
            system: args.system,
            stop,
            ignore_eos: args.sampling.ignore_eos,
            last: None,
            prompt_tokens: 0,
        };
        session.clear();
        session
    }

    /// The adapter's name.
    pub fn device_name(&self) -> String {
        self.engine.device_name()
    }

    /// How many tokens there are, for checks of settings.
    pub fn vocab(&self) -> usize {
        self.engine.vocab()
    }

    /// Forgets everything but what the system was told.
    pub fn clear(&mut self) {
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
        out::note(speed(&completion));
        let finish = completion.finish;
        self.last = Some(completion);
        Ok(finish)
    }

    fn complete(&mut self) -> Outcome<Completion> {
        let prompt = chat_prompt(&self.engine, &self.messages)?;
        let room = self.engine.ctx().saturating_sub(prompt.len());
        if room == 0 {
            return Err(Error::memory(format!(
                "the conversation has {} tokens, but the context has room for {}: /clear begins \
                 anew, --ctx asks for more",
                prompt.len(),
                self.engine.ctx()
            ))
            .into());
        }
        self.prompt_tokens = prompt.len();
        let (cancel, _guard) = interrupt::guard();
        let request = Request {
            prompt,
            max_tokens: self.max_tokens.unwrap_or(room).min(room),
            sampling: self.sampling.clone(),
            stop: self.stop.clone(),
            ignore_eos: self.ignore_eos,
            cancel,
            logprobs: None,
        };
        // The next answer shall not follow the dice of this one.
        self.sampling.seed = self.sampling.seed.wrapping_add(1);
        let mut printed = Ok(());
        let completion = block_on(self.engine.generate(&request, &mut |piece| {
            printed = out::text(&piece.text);
            if printed.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        }));
        printed?;
        out::text("\n")?;
        Ok(completion?)
    }

    /// What `/stats` prints.
    pub fn stats(&self) -> String {
        let memory = self.engine.memory();
        let answer = self.last.as_ref().map_or("no answer yet".into(), speed);
        let in_context =
            self.prompt_tokens + self.last.as_ref().map_or(0, |last| last.tokens.len());
        format!(
            "device    {}\nmemory    {} of weights, {} of KV cache, {} of scratch\ncontext   \
             {in_context} of {} tokens in {} messages\nanswer    {answer}",
            self.device_name(),
            crate::bytes::shown(memory.weights),
            crate::bytes::shown(memory.kv),
            crate::bytes::shown(memory.scratch),
            self.engine.ctx(),
            self.messages.messages.len(),
        )
    }

    /// Takes messages out of a file in place of those so far.
    pub fn load(&mut self, path: &std::path::Path) -> Result<usize> {
        let messages = Messages::load(path)?;
        // Does the template take them? Better to know now.
        chat_prompt(&self.engine, &messages)?;
        self.messages = messages;
        Ok(self.messages.messages.len())
    }
}
