//! `wisp perplexity`: how well a model predicts a text.

use crate::args::{self, Global, Perplexity, TokenList};
use crate::out::{self, Outcome};
use crate::{engine, files, interrupt};
use pollster::block_on;
use serde_json::json;
use wisp_base::{Error, Result};
use wisp_runtime::Engine;

/// Runs the command.
pub fn run(global: &Global, args: &Perplexity) -> Outcome {
    // Read before the model is loaded: a wrong file costs nothing.
    let input = match (&args.tokens_file, &args.text_file) {
        (Some(path), _) => Input::Tokens(enough(args::from_file(path)?)?),
        (None, Some(path)) => Input::Text(files::read(path)?),
        (None, None) => Input::Text(Vec::new()),
    };
    let mut engine = engine::load(global, &args.model)?.engine;
    let ids = ids(&engine, input)?;
    let (cancel, _guard) = interrupt::guard();
    let nll = block_on(engine.nll(&ids, &cancel))?;
    if let Some(at) = nll.iter().position(|value| !value.is_finite()) {
        return Err(Error::device(format!(
            "the model's logits after token {at} are not finite numbers: try --caps f16=off"
        ))
        .into());
    }
    let mean = nll.iter().sum::<f64>() / nll.len().max(1) as f64;
    let perplexity = mean.exp();
    if args.json {
        return out::json(&json!({"nll": nll, "mean_nll": mean, "perplexity": perplexity}));
    }
    out::line(format!("perplexity {perplexity:.4} over {} tokens (mean NLL {mean:.6})", nll.len()))
}

enum Input {
    Tokens(TokenList),
    Text(Vec<u8>),
}

fn ids(engine: &Engine, input: Input) -> Result<Vec<u32>> {
    let list = match input {
        Input::Tokens(list) => list,
        Input::Text(text) => enough(TokenList(engine.tokenizer()?.encode(&text, true, false)?))?,
    };
    list.within(engine.vocab())
}

/// The first token is given, so that only the others can be predicted.
fn enough(list: TokenList) -> Result<TokenList> {
    match list.0.len() {
        0 | 1 => Err(Error::input(format!(
            "perplexity needs at least 2 tokens, but there {} {}: give a longer text",
            if list.0.len() == 1 { "is" } else { "are" },
            list.0.len()
        ))),
        _ => Ok(list),
    }
}
