//! `wisp generate`: continue a prompt.

use crate::args::{Generate, Global};
use crate::messages::Messages;
use crate::out::{self, INTERRUPTED, Outcome, Stop};
use crate::{engine, files, interrupt};
use pollster::block_on;
use serde_json::json;
use std::ops::ControlFlow;
use wisp_base::{Error, Result};
use wisp_runtime::{Completion, Engine, FinishReason, Request, Sampling, Timings};

/// Where the prompt comes from, read before the model is loaded: a missing file costs nothing.
enum Input {
    Tokens(Vec<u32>),
    Text(Vec<u8>),
    Chat(Messages),
}

/// Runs the command.
pub fn run(global: &Global, args: Generate) -> Outcome {
    let sampling = args.sampling.over(Sampling::default())?;
    let input = input(&args)?;
    let loaded = engine::load_guessing(global, &args.model, &args.guessing)?;
    let mut engine = loaded.engine;
    sampling.check(engine.vocab())?;
    let mut stop = args.sampling.stop.clone();
    if matches!(input, Input::Chat(_)) {
        stop.extend(chat_stop(&engine)?);
    }
    let prompt = prompt(&engine, input)?;
    let (cancel, _guard) = interrupt::guard();
    let request = Request {
        prompt,
        max_tokens: args.max_tokens,
        sampling,
        stop,
        ignore_eos: args.sampling.ignore_eos,
        cancel,
        logprobs: None,
    };
    let mut printed = Ok(());
    let completion = if request.max_tokens == 0 {
        nothing()
    } else {
        block_on(engine.generate(&request, &mut |piece| {
            if !args.json {
                printed = out::text(&piece.text);
            }
            if printed.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        }))?
    };
    printed?;
    if args.json {
        let mut value = object(&request.prompt, &completion, loaded.load_ms);
        if args.guessing.is_on() {
            value["timings"]["guessed_tokens"] = completion.timings.guessed_tokens.into();
        }
        return out::json(&value);
    }
    out::end_text()?;
    let is_full = args.max_tokens > completion.tokens.len();
    out::detail(speed(&completion, Finish::of(completion.finish, is_full)));
    match completion.finish {
        FinishReason::Cancelled => Err(Stop::Status(INTERRUPTED)),
        FinishReason::Stop | FinishReason::Length => Ok(()),
    }
}

/// What `--max-tokens 0` gives: no work, no answer.
fn nothing() -> Completion {
    Completion {
        tokens: Vec::new(),
        text: String::new(),
        finish: FinishReason::Length,
        timings: Timings::default(),
    }
}

fn input(args: &Generate) -> Result<Input> {
    if let Some(tokens) = &args.tokens {
        return Ok(Input::Tokens(tokens.0.clone()));
    }
    if let Some(path) = &args.chat_file {
        return Ok(Input::Chat(Messages::load(path)?));
    }
    let text = match &args.prompt_file {
        Some(path) => files::read(path)?,
        // On Unix the bytes as typed, UTF-8 or not.
        None => args.prompt.clone().unwrap_or_default().into_encoded_bytes(),
    };
    Ok(Input::Text(text))
}

fn prompt(engine: &Engine, input: Input) -> Result<Vec<u32>> {
    let ids = match input {
        Input::Tokens(ids) => ids,
        Input::Text(text) => engine.tokenizer()?.encode(&text, true, true)?,
        Input::Chat(messages) => chat_prompt(engine, &messages)?,
    };
    if ids.is_empty() {
        return Err(Error::input("the prompt has no tokens: give at least one"));
    }
    crate::args::within(&ids, engine.vocab())?;
    Ok(ids)
}

/// A conversation in the model's own words, ready for its answer. The template
/// writes special tokens itself, so that none are added.
pub fn chat_prompt(engine: &Engine, messages: &Messages) -> Result<Vec<u32>> {
    let tokenizer = engine.tokenizer()?;
    let text = tokenizer.chat()?.render(&messages.value(), messages.tools.as_ref(), true)?;
    tokenizer.encode(text.as_bytes(), false, true)
}

/// The texts that end an answer in a conversation. Says so where the model has no template.
pub fn chat_stop(engine: &Engine) -> Result<Vec<String>> {
    let tokenizer = engine.tokenizer()?;
    let chat = tokenizer.chat()?;
    if !tokenizer.has_chat_template() {
        out::note(
            "the model has no chat template, so it was not made to chat: its answers \
             may make no sense",
        );
    }
    Ok(chat.stop().iter().map(|text| text.to_string()).collect())
}

fn object(prompt: &[u32], completion: &Completion, load_ms: f64) -> serde_json::Value {
    let timings = &completion.timings;
    json!({
        "prompt_tokens": prompt,
        "tokens": completion.tokens,
        "text": completion.text,
        "finish_reason": completion.finish.name(),
        "timings": {
            "load_ms": out::finite(load_ms),
            "prefill_ms": out::finite(timings.prefill_ms),
            "prefill_tokens_per_s": out::finite(timings.prefill_tokens_per_s()),
            "decode_tokens_per_s": timings.decode_tokens_per_s().map(out::finite),
        },
    })
}

/// Why an answer ended, as a person reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finish(&'static str);

impl Finish {
    /// `is_full`: at [`FinishReason::Length`] the context was what cut the answer.
    pub fn of(reason: FinishReason, is_full: bool) -> Self {
        Self(if reason == FinishReason::Length && is_full { "context full" } else { reason.name() })
    }
}

/// `[34 tokens, 28.1 tokens/s; prompt 120 new, 211.0 tokens/s; stop]`
pub fn speed(completion: &Completion, finish: Finish) -> String {
    let timings = &completion.timings;
    let count = completion.tokens.len();
    let decode = timings.decode_tokens_per_s();
    let decode = decode.map(|rate| format!(", {rate:.1} tokens/s")).unwrap_or_default();
    let guessed = match timings.guessed_tokens {
        0 => String::new(),
        guessed => format!(", {guessed} of them guessed"),
    };
    // One that was broken off has no speed.
    let prefill = match timings.prefill_tokens_per_s() {
        0.0 => String::new(),
        rate => format!(", {rate:.1} tokens/s"),
    };
    format!(
        "[{count} token{}{decode}{guessed}; prompt {} new{prefill}; {}]",
        if count == 1 { "" } else { "s" },
        timings.prefill_tokens,
        finish.0
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_that_was_broken_off_has_no_speed() {
        let mut completion = Completion { finish: FinishReason::Cancelled, ..nothing() };
        completion.timings.prefill_tokens = 330;
        let word = Finish::of(completion.finish, true);
        assert_eq!(speed(&completion, word), "[0 tokens; prompt 330 new; cancelled]");
        assert_eq!(object(&[1], &completion, 1.0)["timings"]["prefill_tokens_per_s"], 0.0);
        completion.timings.prefill_ms = 100.0;
        let full = Finish::of(FinishReason::Length, true);
        let line = "[0 tokens; prompt 330 new, 3300.0 tokens/s; context full]";
        assert_eq!(speed(&completion, full), line);
        assert_eq!(Finish::of(FinishReason::Length, false), Finish("length"));
    }

    #[test]
    fn json_has_the_fields_of_the_contract() {
        let mut completion = nothing();
        let value = object(&[1, 2], &completion, f64::NAN);
        assert_eq!(value["prompt_tokens"], json!([1, 2]));
        assert_eq!(value["finish_reason"], "length");
        assert_eq!(value["timings"]["load_ms"], 0.0);
        assert!(value["timings"]["decode_tokens_per_s"].is_null());
        completion.timings.decode_tokens = 10;
        completion.timings.decode_ms = 1000.0;
        assert_eq!(object(&[1], &completion, 1.0)["timings"]["decode_tokens_per_s"], 10.0);
    }
}
