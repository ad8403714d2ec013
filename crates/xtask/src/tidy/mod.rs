//! The house rules, as far as a search of the text can tell.

mod circles;
mod rules;
mod tokens;

use crate::step::Result;
use std::path::Path;

/// A text of the repository, by its path from the root (with `/` everywhere).
#[derive(Debug)]
pub struct File {
    path: String,
    text: String,
}

/// A rule that is broken: where, and what to do instead.
#[derive(Debug, PartialEq, Eq)]
pub struct Problem(pub String);

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl File {
    /// A problem at a line, counted from 1.
    fn problem(&self, line: usize, what: &str) -> Problem {
        Problem(format!("{}:{line}: {what}", self.path))
    }

    /// Lines with their numbers, what is behind `//` left out.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.lines()
            .map(|(number, line)| (number, line.split_once("//").map_or(line, |(code, _)| code)))
    }

    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    fn is(&self, ending: &str) -> bool {
        self.path.ends_with(ending)
    }

    fn under(&self, folders: &[&str]) -> bool {
        folders.iter().any(|folder| self.path.starts_with(folder))
    }
}

/// Where nothing of ours lies: made by tools, or downloaded.
const SKIPPED: [&str; 6] = ["target", ".git", ".wisp", "node_modules", "__pycache__", "dist"];

/// What the rules read.
const TEXTS: [&str; 15] = [
    ".rs", ".wgsl", ".toml", ".md", ".yml", ".yaml", ".sh", ".py", ".ts", ".js", ".mjs", ".html",
    ".css", ".txt", "/run",
];

/// Every rule that is broken in the repository at `root`.
pub fn check(root: &Path) -> Result<Vec<Problem>> {
    let mut files = Vec::new();
    collect(root, "", &mut files)?;
    files.sort_by(|one, two| one.path.cmp(&two.path));
    Ok(rules::ALL.iter().flat_map(|rule| rule(&files)).collect())
}

fn collect(root: &Path, inside: &str, files: &mut Vec<File>) -> Result {
    let folder = root.join(inside);
    let failed = |cause| format!("cannot read {}: {cause}", folder.display());
    for entry in std::fs::read_dir(&folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if inside.is_empty() { name.clone() } else { format!("{inside}/{name}") };
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() {
            if !SKIPPED.contains(&name.as_str()) {
                collect(root, &path, files)?;
            }
        } else if kind.is_file() && TEXTS.iter().any(|ending| path.ends_with(ending)) {
            let text = std::fs::read_to_string(entry.path())
                .map_err(|cause| format!("cannot read {path}: {cause}"))?;
            files.push(File { path, text });
        }
    }
    Ok(())
}
