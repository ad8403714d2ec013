//! `wisp tokenize`: text on stdin, tokens on stdout.

use crate::args::Tokenize;
use crate::engine;
use crate::files::json_text;
use crate::out::{self, Outcome};
use serde_json::json;
use std::io::{BufRead, Read};
use wisp_base::{Error, Result};
use wisp_tokenizer::Tokenizer;

/// Runs the command.
pub fn run(args: &Tokenize) -> Outcome {
    let (_, tokenizer) = engine::tokenizer(&args.model)?;
    let stdin = std::io::stdin();
    let failed = |cause| Error::io("cannot read stdin", cause);
    if !args.lines {
        let mut text = Vec::new();
        stdin.lock().read_to_end(&mut text).map_err(failed)?;
        return print(args, &encode(args, &tokenizer, &text)?);
    }
    let mut line = Vec::new();
    let mut stdin = stdin.lock();
    for number in 1.. {
        line.clear();
        if stdin.read_until(b'\n', &mut line).map_err(failed)? == 0 {
            break;
        }
        let text = json_text(number, &line)?;
        print(args, &encode(args, &tokenizer, text.as_bytes())?)?;
    }
    Ok(())
}

fn encode(args: &Tokenize, tokenizer: &Tokenizer, text: &[u8]) -> Result<Vec<u32>> {
    tokenizer.encode(text, !args.no_special, args.parse_special)
}

fn print(args: &Tokenize, ids: &[u32]) -> Outcome {
    if args.json || args.lines {
        return out::json(&json!({ "tokens": ids }));
    }
    // As `--tokens` takes them.
    out::line(ids.iter().map(u32::to_string).collect::<Vec<_>>().join(","))
}
