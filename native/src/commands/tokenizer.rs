//! `wisp tokenizer train`: a vocabulary of one's own.

use crate::args::{TokenizerTask, Train};
use crate::files;
use crate::out::{self, Outcome};
use serde_json::json;
use std::path::Path;
use wisp_base::Error;

/// The file where none is named.
const OUT: &str = "tokenizer.json";

/// Runs the command.
pub fn run(task: TokenizerTask) -> Outcome {
    match task {
        TokenizerTask::Train(args) => train(&args),
    }
}

fn train(args: &Train) -> Outcome {
    let path = args.out.as_deref().unwrap_or(Path::new(OUT));
    if args.out.is_none() && path.exists() {
        return Err(Error::input(format!(
            "there is a {OUT} here already: --out {OUT} writes over it, or name another file"
        ))
        .into());
    }
    files::expect_other(path, std::slice::from_ref(&args.text))?;
    let bytes = files::read(&args.text)?;
    let text = String::from_utf8(bytes).map_err(|cause| {
        let (name, at) = (args.text.display(), cause.utf8_error().valid_up_to());
        Error::input(format!("{name} is not UTF-8 text: byte {at} is wrong; convert it first"))
    })?;
    let trained = wisp_tokenizer::train(&text, args.vocab)?;
    files::write(path, |file| file.write_all(trained.as_bytes()))?;
    if args.json {
        let text_bytes = text.len();
        return out::json(&json!({"out": path, "vocab": args.vocab, "text_bytes": text_bytes}));
    }
    out::line(format!("{}: {} tokens", path.display(), args.vocab))
}
