//! `wisp detokenize`: tokens to text.

use crate::args::Detokenize;
use crate::engine;
use crate::out::{self, Outcome};

/// Runs the command.
pub fn run(args: Detokenize) -> Outcome {
    let (checkpoint, tokenizer) = engine::tokenizer(&args.model)?;
    let ids = args.tokens.within(engine::vocab(&checkpoint)?)?;
    out::text(&tokenizer.decode(&ids, !args.no_special)?)?;
    out::end_text()
}
