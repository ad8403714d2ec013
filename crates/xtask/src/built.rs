//! The release build of `wisp`, and models that it fetches.

use crate::step::{Result, cargo, output, root, run, wisp};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The model that `chat` and the tests use.
pub const MODEL: &str = "smollm2-135m";

/// The release build of `wisp`.
pub fn build() -> Result {
    run(cargo().args(["build", "--release", "-p", "wisp-llm"]))
}

/// Where the tests keep models: out of the person's own store.
pub fn home() -> PathBuf {
    std::env::var_os("WISP_HOME").map_or_else(|| root().join(".wisp"), PathBuf::from)
}

/// Fetches a model; `wisp pull` prints its path last.
pub fn pull(home: &Path, model: &str) -> Result<PathBuf> {
    let said = output(Command::new(wisp()).args(["pull", model]).env("WISP_HOME", home))?;
    let path = said.lines().last().map(str::trim).unwrap_or_default();
    // A file, or a folder of the hub.
    if Path::new(path).exists() {
        Ok(PathBuf::from(path))
    } else {
        Err(format!("wisp pull {model} printed {path:?}, which is not there"))
    }
}
