//! What the person sees: results on stdout, everything else on stderr, and one
//! sentence when something is wrong.

use std::fmt::Display;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU8, Ordering};
use wisp_base::{Error, Setting};

/// How a command ends early.
#[derive(Debug)]
pub enum Stop {
    /// Something was wrong; the sentence goes to stderr.
    Failed(Error),
    /// The command line is wrong; the sentence goes to stderr.
    Usage(String),
    /// All is said already; leave with this status.
    Status(u8),
}

/// What every command gives.
pub type Outcome<T = ()> = std::result::Result<T, Stop>;

/// Status after Ctrl-C, as shells have it: 128 + SIGINT.
pub const INTERRUPTED: u8 = 130;

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Writing to stdout failed. A closed pipe (`wisp … | head`) is the reader's choice.
fn stdout_failed(cause: io::Error) -> Stop {
    if cause.kind() == io::ErrorKind::BrokenPipe {
        Stop::Status(0)
    } else {
        Stop::Failed(Error::io("cannot write to stdout", cause))
    }
}

/// Runs the whole program: turns its outcome, or a bug's panic, into a sentence and a status.
pub fn guard(program: impl FnOnce() -> Outcome) -> ExitCode {
    std::panic::set_hook(Box::new(|info| {
        let at = info.location().map(|place| format!(" ({}:{})", place.file(), place.line()));
        let said = info.payload_as_str().unwrap_or("no message");
        sentence(format!(
            "a mistake in wisp itself{}: {said}; please report it",
            at.unwrap_or_default()
        ));
    }));
    match catch_unwind(AssertUnwindSafe(program)) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(Stop::Status(status))) => ExitCode::from(status),
        Ok(Err(Stop::Usage(why))) => {
            sentence(why);
            ExitCode::from(2)
        }
        Ok(Err(Stop::Failed(Error::Cancelled))) => {
            sentence("cancelled");
            ExitCode::from(INTERRUPTED)
        }
        Ok(Err(Stop::Failed(error))) => {
            failed(&error);
            ExitCode::FAILURE
        }
        // `EX_SOFTWARE` of sysexits.h. The hook has printed the sentence.
        Err(_) => ExitCode::from(70),
    }
}

/// 0 quiet, 1 normal, 2 verbose.
static VOLUME: AtomicU8 = AtomicU8::new(1);

/// Takes `--quiet` and `--verbose` to heart.
pub fn set_volume(quiet: bool, verbose: bool) {
    let volume = if quiet { 0 } else { 1 + u8::from(verbose) };
    VOLUME.store(volume, Ordering::Relaxed);
}

/// Is only the result wanted?
pub fn quiet() -> bool {
    VOLUME.load(Ordering::Relaxed) == 0
}

/// A remark on stderr, unless `--quiet`.
pub fn note(text: impl Display) {
    if !quiet() {
        to_stderr(text);
    }
}

/// A remark on stderr with `--verbose`.
pub fn detail(text: impl Display) {
    if VOLUME.load(Ordering::Relaxed) > 1 {
        to_stderr(text);
    }
}

/// A line on stderr whatever the volume: answers to what was just asked.
pub fn to_stderr(text: impl Display) {
    // A closed stderr leaves nobody to tell.
    let _ = writeln!(io::stderr(), "{text}");
}

/// What was wrong, with the flags that concern it.
pub fn failed(error: &Error) {
    sentence(error.worded(|setting| Some(flag(setting))));
}

/// The flag that sets it.
pub fn flag(setting: Setting) -> &'static str {
    match setting {
        Setting::Ctx => "--ctx",
        Setting::Kv => "--kv",
        Setting::Caps => "--caps",
        Setting::Device => "--device",
        Setting::Tuning => "--tune",
        Setting::Ops => "--ops",
    }
}

/// What was wrong, as one line.
pub fn sentence(text: impl Display) {
    to_stderr(format!("wisp: {}", one_line(&text.to_string())));
}

/// Line breaks and other control characters out of names and systems' messages become spaces.
fn one_line(text: &str) -> String {
    let spaced = text.replace(|c: char| c.is_control(), " ");
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Text on stdout as it is.
pub fn text(text: &str) -> Outcome {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(stdout_failed)
}

/// A line on stdout.
pub fn line(line: impl Display) -> Outcome {
    text(&format!("{line}\n"))
}

/// One JSON value on a line of its own on stdout.
pub fn json(value: &serde_json::Value) -> Outcome {
    line(value)
}

/// A line break after text for a person; a program wants the text alone.
pub fn end_text() -> Outcome {
    if io::IsTerminal::is_terminal(&io::stdout()) { text("\n") } else { Ok(()) }
}

/// A number for JSON, which has no infinity: 0 for what could not be measured.
pub fn finite(number: f64) -> f64 {
    if number.is_finite() { number.max(0.0) } else { 0.0 }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_is_one_line() {
        assert_eq!(one_line("no\nsuch\r\n  \u{1b}file"), "no such file");
    }

    #[test]
    fn numbers_in_json_are_finite() {
        assert_eq!(finite(f64::NAN), 0.0);
        assert_eq!(finite(f64::INFINITY), 0.0);
        assert_eq!(finite(1.5), 1.5);
    }
}
