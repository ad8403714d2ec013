//! `wisp tokenizer …`, as typed.

use super::parse;
use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct Tokenizer {
    #[command(subcommand)]
    pub task: Task,
}

#[derive(Debug, Subcommand)]
pub enum Task {
    /// Learn a byte-level BPE from a text and write tokenizer.json
    Train(Train),
}

/// Learn a byte-level BPE from a text and write tokenizer.json.
///
/// Begins with the 256 bytes, makes the most frequent pair of neighbouring tokens within a
/// word a token of its own, and repeats that until there are N.
#[derive(Debug, Args)]
pub struct Train {
    /// A file of UTF-8 text
    pub text: PathBuf,
    /// How many tokens to have in the end, the 256 bytes included
    #[arg(long, value_name = "N", value_parser = parse::positive)]
    pub vocab: usize,
    /// The file to write, over one that is there [default: tokenizer.json, if there is none]
    #[arg(long, value_name = "FILE.json")]
    pub out: Option<PathBuf>,
    /// Print {"out":"…","vocab":…,"text_bytes":…}
    #[arg(long)]
    pub json: bool,
}
