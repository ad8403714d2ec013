//! From the words of the command line to [`Cli`], with one sentence where that fails.

use super::Cli;
use crate::out::{Outcome, Stop};
use clap::Parser;
use clap::error::ErrorKind;
use wisp_base::KvType;

/// Reads the command line; prints help and version itself.
pub fn parse() -> Outcome<Cli> {
    Cli::try_parse().map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // Help into a closed pipe is no failure.
            let _ = error.print();
            Stop::Status(0)
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            Stop::Usage("no command is given; see `wisp --help`".into())
        }
        _ => Stop::Usage(sentence(&error.render().to_string())),
    })
}

/// A text that is not empty.
pub fn text(text: &str) -> Result<String, String> {
    if text.is_empty() {
        Err("it is empty: leave it out or give a text".into())
    } else {
        Ok(text.to_owned())
    }
}

/// clap's paragraphs as one sentence: the message with its list, the tip, where to read on.
fn sentence(paragraphs: &str) -> String {
    let usage = paragraphs.lines().find_map(|line| line.trim().strip_prefix("Usage: wisp "));
    let command = usage.and_then(|usage| usage.split_whitespace().next());
    let command = command.filter(|word| word.chars().all(|c| c.is_ascii_lowercase()));
    let kept = paragraphs
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"))
        .filter(|line| !line.is_empty());
    let mut text = String::new();
    for line in kept {
        let line = line.strip_prefix("error: ").unwrap_or(line);
        let (join, line) = match line.strip_prefix("tip: ") {
            Some(tip) => ("; ", tip),
            None if text.is_empty() => ("", line),
            None if text.ends_with(':') => (" ", line),
            None if line.starts_with('[') => (" ", line),
            None => (", ", line),
        };
        text.push_str(join);
        text.push_str(line);
    }
    let command = command.map(|word| format!("{word} ")).unwrap_or_default();
    format!("{text}; see `wisp {command}--help`")
}

/// `--caps`, kept as text: the engine reads it. Wrong names must not wait for a model to load.
pub fn caps(text: &str) -> Result<String, String> {
    const NAMES: [&str; 4] = ["subgroups", "f16", "dot", "coop"];
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let known = pair
            .split_once('=')
            .is_some_and(|(name, state)| NAMES.contains(&name) && ["on", "off"].contains(&state));
        if !known {
            return Err(format!(
                "`{pair}` is not one of subgroups=off, f16=off, dot=off, coop=off"
            ));
        }
    }
    Ok(text.into())
}

/// `--kv`.
pub fn kv(text: &str) -> Result<KvType, String> {
    text.parse().map_err(|_| "give one of f32, f16, q8_0, q4_0".into())
}

/// A number of tokens at most; -1, as llama.cpp has it, is none.
pub fn most(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count) => Ok(count),
        Err(_) if text == "-1" => Ok(usize::MAX),
        Err(_) => Err("give a whole number from 0 on, or -1 for as many as the context has".into()),
    }
}

/// A count of at least 1.
pub fn positive(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|count| *count > 0)
        .ok_or_else(|| "give a whole number from 1 on".into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_table_of_arguments_is_sound() {
        Cli::command().debug_assert();
    }

    fn refused(words: &[&str]) -> String {
        let words = std::iter::once("wisp").chain(words.iter().copied());
        sentence(&Cli::try_parse_from(words).unwrap_err().render().to_string())
    }

    #[test]
    fn usage_errors_are_one_sentence_with_a_hint() {
        assert_eq!(
            refused(&["generate", "m.gguf"]),
            "the following required arguments were not provided: \
             <--tokens <IDS>|--prompt <TEXT>|--prompt-file <FILE>|--chat-file <FILE>>; \
             see `wisp generate --help`"
        );
        assert_eq!(
            refused(&["models", "--kv", "f64"]),
            "invalid value 'f64' for '--kv <TYPE>': give one of f32, f16, q8_0, q4_0; \
             see `wisp --help`"
        );
        assert!(refused(&["models", "--jsom"]).contains("; a similar argument exists: '--json'"));
        assert!(refused(&["models", "--ctx", "0"]).contains("a whole number from 1 on"));
        let refused_most = refused(&["generate", "m.gguf", "--tokens", "1", "--max-tokens", "-2"]);
        assert!(refused_most.contains("from 0 on, or -1 for as many"), "{refused_most}");
        assert_eq!((most("0"), most("7"), most("-1")), (Ok(0), Ok(7), Ok(usize::MAX)));
        assert!(refused(&["models", "--caps", "f16=0"]).contains("`f16=0` is not one of"));
    }
}
