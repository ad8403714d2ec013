//! `wisp embed`: sentences to vectors.

use crate::args::Embed;
use crate::out::Outcome;
use wisp_base::Error;

/// Says that it is not there yet.
pub fn run(args: &Embed) -> Outcome {
    let _ = args.json;
    Err(Error::unsupported(format!(
        "cannot embed with {}: encoders come with a later version of wisp; this one reads \
         decoders from .gguf files",
        args.model
    ))
    .into())
}
