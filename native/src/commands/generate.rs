//! `wisp generate`: continue a prompt.

use crate::args::{Generate, Global};
use crate::engine::Started;
use crate::messages::Messages;
use crate::out::{self, INTERRUPTED, Outcome, Stop};
use crate::{engine, files, interrupt};
use pollster::block_on;
use serde_json::json;
use std::ops::ControlFlow;
use wisp_base::{Error, Result};
use wisp_runtime::{Completion, FinishReason, Prompt, Request, Sampling, Timings};
use wisp_tokenizer::Tokenizer;

/// Runs the command.
pub fn run(global: &Global, args: Generate) -> Outcome {
    let sampling = args.sampling.over(Sampling::default())?;
    // Before the model is loaded: a missing file costs nothing.
    let prompt = prompt(&args)?;
    let Started { handle, load_ms } =
        engine::start_speculative(global, &args.model, &args.speculative)?;
    let info = handle.info();
    sampling.check(info.vocab)?;
    let tokenizer = handle.tokenizer();
    if matches!(prompt, Prompt::Chat { .. }) {
        note_on_template(tokenizer.as_deref().map_err(Clone::clone)?)?;
    }
    let (cancel, _guard) = interrupt::guard();
    let request = Request {
        prompt,
        max_tokens: args.max_tokens,
        sampling,
        stop: args.sampling.stop.clone(),
        ignore_eos: args.sampling.ignore_eos,
        cancel,
        logprobs: None,
    };
    let request = request.encoded(tokenizer.as_deref().map_err(Clone::clone))?;
    let tokens = request.prompt.clone();
    if tokens.is_empty() {
        return Err(Error::input("the prompt has no tokens: give at least one").into());
    }
    crate::args::within(&tokens, info.vocab)?;
    let mut printed = Ok(());
    let completion = if request.max_tokens == 0 {
        nothing()
    } else {
        block_on(handle.submit(request)?.completion(&mut |piece| {
            if !args.json {
                printed = out::text(&piece.text);
            }
            if printed.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        }))?
    };
    printed?;
    if args.json {
        let mut value = object(&tokens, &completion, load_ms);
        if args.speculative.is_on() {
            value["timings"]["accepted_draft_tokens"] =
                completion.timings.accepted_draft_tokens.into();
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
        stop: None,
        timings: Timings::default(),
    }
}

fn prompt(args: &Generate) -> Result<Prompt> {
    if let Some(tokens) = &args.tokens {
        return Ok(Prompt::Tokens(tokens.0.clone()));
    }
    if let Some(path) = &args.chat_file {
        return Ok(Messages::load(path)?.prompt());
    }
    let text = match &args.prompt_file {
        Some(path) => files::read(path)?,
        // On Unix the bytes as typed, UTF-8 or not.
        None => args.prompt.clone().unwrap_or_default().into_encoded_bytes(),
    };
    Ok(Prompt::Text(text))
}

/// Says so where the model has no chat template.
///
/// # Errors
/// It has one that cannot be used.
pub fn note_on_template(tokenizer: &Tokenizer) -> Result<()> {
    tokenizer.chat()?;
    if !tokenizer.has_chat_template() {
        out::note(
            "the model has no chat template: it is a base model, whose answers may make no \
             sense",
        );
    }
    Ok(())
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
    let drafts = match timings.accepted_draft_tokens {
        0 => String::new(),
        accepted => format!(", {accepted} of them accepted draft tokens"),
    };
    // One that was broken off has no speed.
    let prefill = match timings.prefill_tokens_per_s() {
        0.0 => String::new(),
        rate => format!(", {rate:.1} tokens/s"),
    };
    format!(
        "[{count} token{}{decode}{drafts}; prompt {} new{prefill}; {}]",
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
