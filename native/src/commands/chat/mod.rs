//! `wisp chat`: a conversation with a model.

mod lines;
mod session;
mod slash;

use crate::args::{Chat, DEFAULT_MODEL, Global, any_seed};
use crate::commands::generate::note_on_template;
use crate::engine;
use crate::out::{self, INTERRUPTED, Outcome, Stop};
use crate::store::Store;
use lines::Lines;
use session::Session;
use wisp_base::Error;
use wisp_runtime::{FinishReason, Sampling};

/// Lively without losing the thread: what small models need.
const SAMPLING: Sampling = Sampling {
    temperature: 0.6,
    top_k: 0,
    top_p: 0.95,
    min_p: 0.05,
    repetition_penalty: 1.1,
    presence_penalty: 0.0,
    frequency_penalty: 0.0,
    logit_bias: Vec::new(),
    seed: 0,
};

/// The longest answer, unless told otherwise, of a base model: most
/// such models never come to an end.
const PLAIN_TOKENS: usize = 200;

/// Runs the command.
pub fn run(global: &Global, mut args: Chat) -> Outcome {
    let (model, prompt) = model_and_prompt(&args.words);
    if prompt.as_ref().is_some_and(|prompt| prompt.trim().is_empty()) {
        return Err(Error::input("the prompt is empty: give a text, or none to chat").into());
    }
    let prompt = match prompt {
        Some(prompt) => Some(with_stdin(prompt, &lines::piped()?)),
        None => None,
    };
    let mut sampling = args.sampling.over(SAMPLING)?;
    sampling.seed = args.sampling.seed.unwrap_or_else(any_seed);
    let handle = engine::start_speculative(global, &model, &args.speculative)?.handle;
    sampling.check(handle.info().vocab)?;
    let tokenizer = handle.tokenizer()?;
    // A template that is no use: say so before anything is typed.
    note_on_template(&tokenizer)?;
    if !tokenizer.has_chat_template() {
        // It is likeliest right where it is not lively.
        sampling = Sampling { seed: sampling.seed, ..args.sampling.over(Sampling::default())? };
        args.max_tokens.get_or_insert(PLAIN_TOKENS);
    }
    let mut session = Session::new(handle, tokenizer, sampling, args);
    match prompt {
        Some(prompt) => match session.answer(&prompt)? {
            FinishReason::Cancelled => Err(Stop::Status(INTERRUPTED)),
            FinishReason::Stop | FinishReason::Length => Ok(()),
        },
        None => converse(&mut session, &model),
    }
}

/// One argument is the model where it looks like one, else the prompt.
fn model_and_prompt(words: &[String]) -> (String, Option<String>) {
    match words {
        [] => (DEFAULT_MODEL.into(), None),
        [one] if Store::is_model(one) => (one.clone(), None),
        [one] => (DEFAULT_MODEL.into(), Some(one.clone())),
        [model, prompt, ..] => (model.clone(), Some(prompt.clone())),
    }
}

/// The prompt, and below it what was piped in.
fn with_stdin(prompt: String, piped: &str) -> String {
    match piped.trim_end_matches(['\r', '\n']) {
        "" => prompt,
        text => format!("{prompt}\n\n{text}"),
    }
}

/// Line by line, until the person leaves.
fn converse(session: &mut Session, model: &str) -> Outcome {
    let mut lines = Lines::open();
    if lines.is_terminal() {
        let device = session.device_name();
        out::note(format!(
            "{model} on {device}. /help lists the commands; Ctrl-C stops an answer, /exit leaves."
        ));
    }
    while let Some(line) = lines.next()? {
        let is_command = slash::is_command(&line);
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        let result = if is_command {
            match slash::run(session, line) {
                Ok(slash::After::Leave) => break,
                Ok(slash::After::Stay) => Ok(()),
                Err(stop) => Err(stop),
            }
        } else {
            session.answer(line).map(|_| ())
        };
        match result {
            Ok(()) => {}
            // A person can put it right; a script should not go on.
            Err(Stop::Failed(why)) if lines.is_terminal() => out::failed(&why),
            Err(stop) => return Err(stop),
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn one_word_is_a_model_only_if_it_looks_like_one() {
        let split = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| word.to_string()).collect();
            model_and_prompt(&words)
        };
        let prompt = |text: &str| (DEFAULT_MODEL.to_string(), Some(text.to_string()));
        let model = |text: &str| (text.to_string(), None);
        assert_eq!(split(&[]), model(DEFAULT_MODEL));
        assert_eq!(split(&["Why is the sky blue?"]), prompt("Why is the sky blue?"));
        assert_eq!(split(&["hello"]), prompt("hello"));
        for word in ["a.gguf", "smollm2-135m", "smollm-135m", "hf:a/b/c.gguf", "https://a/b"] {
            assert_eq!(split(&[word]), model(word));
        }
        assert_eq!(split(&["a", "b"]), ("a".to_string(), Some("b".to_string())));
    }

    #[test]
    fn what_is_piped_in_follows_the_prompt() {
        let with = |piped: &str| with_stdin("Summarize".into(), piped);
        assert_eq!(with(" a\nb\r\n\n"), "Summarize\n\n a\nb");
        assert_eq!((with(""), with("\n")), ("Summarize".into(), "Summarize".into()));
    }

    #[test]
    fn the_defaults_are_in_range() {
        assert!(SAMPLING.check(1).is_ok());
    }
}
