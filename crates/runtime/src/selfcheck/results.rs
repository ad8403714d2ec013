//! Where the self-check's results are kept between runs: a line each, with the key of
//! adapter and kernels, a tab, and what was wrong (nothing, if all was right).

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// Clones are of the same results.
#[derive(Debug, Clone)]
pub enum SelfCheckResults {
    /// A file. One that can't be read or written is as good as none.
    File(PathBuf),
    /// A text, for where there are no files: whoever gave it keeps it.
    Text(Arc<Mutex<String>>),
}

impl From<PathBuf> for SelfCheckResults {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

impl From<String> for SelfCheckResults {
    fn from(text: String) -> Self {
        Self::Text(Arc::new(Mutex::new(text)))
    }
}

impl SelfCheckResults {
    /// All lines.
    pub fn text(&self) -> String {
        match self {
            Self::File(path) => std::fs::read_to_string(path).unwrap_or_default(),
            Self::Text(text) => text.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    /// The latest of a key.
    pub(crate) fn find(&self, key: &str) -> Option<String> {
        let text = self.text();
        let found = text.lines().rev().find_map(|line| line.strip_prefix(key)?.strip_prefix('\t'));
        found.map(str::to_owned)
    }

    /// One that cannot be kept is found again at the next start.
    pub(crate) fn add(&self, key: &str, wrong: &str) {
        let line = format!("{key}\t{}\n", wrong.replace(['\t', '\n', '\r'], " "));
        match self {
            Self::File(path) => append(path, &line),
            Self::Text(text) => {
                text.lock().unwrap_or_else(PoisonError::into_inner).push_str(&line);
            }
        }
    }
}

fn append(path: &std::path::Path, line: &str) {
    use std::io::Write;
    if let Some(folder) = path.parent() {
        let _ = std::fs::create_dir_all(folder);
    }
    if let Ok(mut file) = std::fs::OpenOptions::new().create(true).append(true).open(path) {
        // One write: two processes do not mix their lines.
        let _ = file.write_all(line.as_bytes());
    }
}
