//! Where the person's lines come from.

use crate::out;
use crate::store::Store;
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;
use std::io::{BufRead, ErrorKind, IsTerminal, Read};
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;
use wisp_base::{Error, Result};

/// What is typed at a terminal, or piped in.
pub enum Lines {
    /// With editing and history.
    Editor { editor: Box<DefaultEditor>, history: Option<PathBuf> },
    /// A terminal that cannot move its cursor.
    Plain,
    /// As they come.
    Pipe,
}

/// What `TERM` says of terminals where rustyline does not edit: it reads them itself then, and
/// fails at what is not UTF-8.
const PLAIN: [&str; 3] = ["dumb", "cons25", "emacs"];

/// How long stdin may be silent before the person is told what is waited for.
const SILENT: Duration = Duration::from_secs(2);

impl Lines {
    /// An editor where a person sits at stdin.
    pub fn open() -> Self {
        if !std::io::stdin().is_terminal() {
            return Self::Pipe;
        }
        if std::env::var("TERM").is_ok_and(|term| PLAIN.contains(&term.as_str())) {
            return Self::Plain;
        }
        let Ok(mut editor) = DefaultEditor::new() else { return Self::Pipe };
        let history = Store::open().ok().map(|store| store.history());
        if let Some(path) = &history {
            // There is none before the first chat.
            let _ = editor.load_history(path);
        }
        Self::Editor { editor: Box::new(editor), history }
    }

    /// Is there a person?
    pub fn is_terminal(&self) -> bool {
        !matches!(self, Self::Pipe)
    }

    /// The next line; `None` when the person leaves (Ctrl-D, Ctrl-C) or the pipe ends.
    pub fn next(&mut self) -> Result<Option<String>> {
        let (editor, history) = match self {
            Self::Pipe => return pipe_line(),
            Self::Plain => {
                // A prompt that cannot be shown is not needed.
                let _ = out::text("> ");
                return pipe_line();
            }
            Self::Editor { editor, history } => (editor, history),
        };
        loop {
            match editor.readline("> ") {
                Ok(line) => {
                    remember(editor, history.as_ref(), &line);
                    return Ok(Some(line));
                }
                Err(ReadlineError::Eof | ReadlineError::Interrupted) => return Ok(None),
                Err(cause) if is_unreadable(&cause) => {
                    out::to_stderr("the terminal sent what is not UTF-8: the line is dropped");
                }
                Err(cause) => return Err(Error::io("cannot read the terminal", cause)),
            }
        }
    }
}

/// Where another terminal's characters come in: on Unix our own buffer has replaced them.
fn is_unreadable(error: &ReadlineError) -> bool {
    match error {
        ReadlineError::Io(cause) => cause.kind() == ErrorKind::InvalidData,
        #[cfg(windows)]
        ReadlineError::Decode(_) => true,
        _ => false,
    }
}

/// All that is piped in, where stdin is no terminal. What is not UTF-8 is U+FFFD.
pub fn piped() -> Result<String> {
    if std::io::stdin().is_terminal() {
        return Ok(String::new());
    }
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = std::io::stdin().lock().read_to_end(&mut bytes);
        // Nobody listens if the command has ended.
        let _ = sender.send(read.map(|_| bytes));
    });
    let read = receiver.recv_timeout(SILENT).or_else(|_| {
        out::note("reading stdin to its end: the text goes behind the prompt");
        receiver.recv()
    });
    match read {
        Ok(Ok(bytes)) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Ok(Err(cause)) => Err(Error::io("cannot read stdin", cause)),
        Err(cause) => Err(Error::io("cannot read stdin", cause)),
    }
}

/// A line that is no UTF-8 is read with U+FFFD where it is not.
fn pipe_line() -> Result<Option<String>> {
    let mut line = Vec::new();
    let read = std::io::stdin().lock().read_until(b'\n', &mut line);
    match read.map_err(|cause| Error::io("cannot read stdin", cause))? {
        0 => Ok(None),
        _ => Ok(Some(String::from_utf8_lossy(&line).into_owned())),
    }
}

/// History is a comfort: where it cannot be kept, the chat goes on.
fn remember(editor: &mut DefaultEditor, history: Option<&PathBuf>, line: &str) {
    if line.trim().is_empty() || editor.add_history_entry(line).is_err() {
        return;
    }
    let Some(path) = history else { return };
    if let Some(folder) = path.parent() {
        let _ = std::fs::create_dir_all(folder);
    }
    let _ = editor.save_history(path);
}
