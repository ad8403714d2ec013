//! Where the person's lines come from.

use crate::store::Store;
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;
use std::io::{BufRead, IsTerminal};
use std::path::PathBuf;
use wisp_base::{Error, Result};

/// What is typed at a terminal, or piped in.
pub enum Lines {
    /// With editing and history.
    Editor { editor: Box<DefaultEditor>, history: Option<PathBuf> },
    /// As they come.
    Pipe,
}

impl Lines {
    /// An editor where a person sits at stdin.
    pub fn open() -> Self {
        if !std::io::stdin().is_terminal() {
            return Self::Pipe;
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
        matches!(self, Self::Editor { .. })
    }

    /// The next line; `None` when the person leaves (Ctrl-D, Ctrl-C) or the pipe ends.
    pub fn next(&mut self) -> Result<Option<String>> {
        match self {
            Self::Pipe => pipe_line(),
            Self::Editor { editor, history } => match editor.readline("> ") {
                Ok(line) => {
                    remember(editor, history.as_ref(), &line);
                    Ok(Some(line))
                }
                Err(ReadlineError::Eof | ReadlineError::Interrupted) => Ok(None),
                Err(cause) => Err(Error::io("cannot read the terminal", cause)),
            },
        }
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
