//! Lines that begin with `/`: commands to the chat itself.

use super::session::Session;
use crate::args::seed;
use crate::out::{self, Outcome};
use std::path::Path;
use wisp_base::{Error, Result};
use wisp_runtime::Sampling;

/// What happens after a command.
pub enum After {
    /// The next line.
    Stay,
    /// The end.
    Leave,
}

const NAMES: [&str; 10] =
    ["help", "?", "clear", "save", "load", "set", "stats", "exit", "quit", "bye"];

const HELP: &str = "\
/help              this list
/clear             forget the conversation
/save FILE         write the conversation to a JSON file
/load FILE         go on with the conversation of such a file
/set NAME VALUE    change a setting; /set alone lists them
/stats             memory, context, speed of the last answer
/exit              leave (Ctrl-D too)
Ctrl-C stops an answer; a second one leaves.
A message that begins with / is taken as one where a space stands before it, or where it
begins with a path.";

/// Whether a line is for the chat itself: it begins with `/` and a word. A path has more
/// than letters in it, or is there.
pub fn is_command(line: &str) -> bool {
    let Some(name) = line.split_whitespace().next().and_then(|word| word.strip_prefix('/')) else {
        return false;
    };
    line.starts_with('/')
        && (name == "?" || name.chars().all(|c| c.is_ascii_alphabetic()))
        && (name.is_empty() || NAMES.contains(&name) || !Path::new("/").join(name).exists())
}

/// Runs one command.
pub fn run(session: &mut Session, line: &str) -> Outcome<After> {
    let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim();
    match name {
        "/help" | "/?" => out::to_stderr(HELP),
        "/clear" => {
            session.clear();
            out::note("the conversation is forgotten");
        }
        "/save" => {
            let path = file(name, rest)?;
            session.messages.save(path)?;
            out::note(format!("saved to {}", path.display()));
        }
        "/load" => {
            let count = session.load(file(name, rest)?)?;
            out::note(format!("{count} messages loaded"));
        }
        "/set" if rest.is_empty() => out::to_stderr(settings(session)),
        "/set" => {
            let (setting, value) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            set(session, setting, value.trim())?;
        }
        "/stats" => out::to_stderr(session.stats()),
        "/exit" | "/quit" | "/bye" => return Ok(After::Leave),
        _ => {
            return Err(Error::input(format!(
                "there is no command {name}: /help lists them (for a message, put a space \
                     before it)"
            ))
            .into());
        }
    }
    Ok(After::Stay)
}

fn file<'a>(command: &str, rest: &'a str) -> Result<&'a Path> {
    if rest.is_empty() {
        return Err(Error::input(format!("{command} needs a file: {command} chat.json")));
    }
    Ok(Path::new(rest))
}

fn set(session: &mut Session, name: &str, value: &str) -> Result<()> {
    match name {
        "system" => {
            session.set_system(value);
            out::note("set; the conversation begins anew");
        }
        "max_tokens" if ["off", "-1"].contains(&value) => session.max_tokens = None,
        "max_tokens" => session.max_tokens = Some(number(name, value)?),
        _ => {
            let changed = change(&session.sampling, name, value)?;
            changed.check(session.vocab())?;
            session.sampling = changed;
        }
    }
    Ok(())
}

/// Settings with one of them changed.
fn change(sampling: &Sampling, name: &str, value: &str) -> Result<Sampling> {
    let mut sampling = sampling.clone();
    // As typed after `--`, too.
    match name.replace('-', "_").as_str() {
        "temperature" | "temp" => sampling.temperature = number(name, value)?,
        "top_k" => sampling.top_k = number(name, value)?,
        "top_p" => sampling.top_p = number(name, value)?,
        "min_p" => sampling.min_p = number(name, value)?,
        "repetition_penalty" | "repeat_penalty" => {
            sampling.repetition_penalty = number(name, value)?;
        }
        "presence_penalty" => sampling.presence_penalty = number(name, value)?,
        "frequency_penalty" => sampling.frequency_penalty = number(name, value)?,
        "seed" => sampling.seed = seed(value).map_err(Error::input)?,
        _ => {
            return Err(Error::input(format!("there is no setting {name}: /set alone lists them")));
        }
    }
    Ok(sampling)
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T> {
    value.parse().map_err(|_| {
        Error::input(format!("{name} cannot be {value:?}: give a number, like /set {name} 1"))
    })
}

fn settings(session: &Session) -> String {
    let s = &session.sampling;
    let most = session.max_tokens.map_or("off".into(), |most| most.to_string());
    format!(
        "temperature {}\ntop_k {}\ntop_p {}\nmin_p {}\nrepetition_penalty {}\npresence_penalty \
         {}\nfrequency_penalty {}\nseed {}\nmax_tokens {most}\nsystem TEXT",
        s.temperature,
        s.top_k,
        s.top_p,
        s.min_p,
        s.repetition_penalty,
        s.presence_penalty,
        s.frequency_penalty,
        s.seed
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_no_command() {
        for line in ["/help", "/?", "/save x/y", "/", "/nosuchcommand", "/set temp 1"] {
            assert!(is_command(line), "{line}");
        }
        for line in ["/some/file is what?", "/no-such", "/tmp is full", " /help", "a /help", "//"] {
            assert!(!is_command(line), "{line}");
        }
    }

    #[test]
    fn settings_change_by_either_spelling() {
        let base = Sampling::default();
        assert_eq!(change(&base, "top-k", "40").unwrap().top_k, 40);
        assert_eq!(change(&base, "temp", "0.5").unwrap().temperature, 0.5);
        assert!(change(&base, "heat", "1").unwrap_err().to_string().contains("no setting heat"));
        let error = change(&base, "top_k", "x").unwrap_err().to_string();
        assert!(error.starts_with("top_k cannot be \"x\""), "{error}");
    }
}
