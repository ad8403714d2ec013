//! `wisp perplexity`: how well a model predicts a text.

use crate::args::{self, Global, Perplexity, TokenList};
use crate::out::{self, Outcome};
use crate::{engine, files, interrupt, progress};
use pollster::block_on;
use serde_json::json;
use std::ops::Range;
use wisp_base::{Error, Result};
use wisp_runtime::{Cancel, Engine};

/// Runs the command.
pub fn run(global: &Global, args: &Perplexity) -> Outcome {
    // Read before the model is loaded: a wrong file costs nothing.
    let input = match (&args.tokens_file, &args.text_file) {
        (Some(path), _) => Input::Tokens(enough(args::from_file(path)?)?),
        (None, Some(path)) => Input::Text(files::read(path)?),
        (None, None) => Input::Text(Vec::new()),
    };
    let mut engine = engine::load(global, &args.model)?.engine;
    // What the model's metadata put before a text stands before each window of it too.
    let before = match &input {
        Input::Tokens(_) => Vec::new(),
        Input::Text(_) => engine.tokenizer()?.around().0.to_vec(),
    };
    let ids = ids(&engine, input)?;
    let windows = windows(ids.len(), engine.ctx(), args.stride)?;
    let (cancel, _guard) = interrupt::guard();
    let nll = nll(&mut engine, &ids, &windows, &before, &cancel)?;
    let mean = nll.iter().sum::<f64>() / nll.len().max(1) as f64;
    let perplexity = mean.exp();
    if args.json {
        return out::json(&json!({"nll": nll, "mean_nll": mean, "perplexity": perplexity}));
    }
    let windowed = match windows.len() {
        1 => String::new(),
        count => format!(", {count} windows of {} tokens", engine.ctx()),
    };
    out::line(format!(
        "perplexity {perplexity:.4} over {} tokens (mean NLL {mean:.6}{windowed})",
        nll.len()
    ))
}

/// Tokens that are read together.
#[derive(Debug, PartialEq, Eq)]
struct Window {
    tokens: Range<usize>,
    /// The first of them that is predicted here; an earlier window had those before it.
    first: usize,
}

/// One window where the context holds the text. Else windows as long as the context, each
/// `stride` tokens (half a window, if not said) behind the one before; each token counts in
/// the first window that has it, so that but for the first one all have at least
/// `ctx - stride` tokens before them. That is transformers' definition; llama.cpp's, which leaves
/// out the first half of each window and reads on from its end, gives the others the same context.
fn windows(count: usize, ctx: usize, stride: Option<usize>) -> Result<Vec<Window>> {
    if stride.is_some_and(|stride| stride >= ctx) {
        return Err(Error::input(format!(
            "--stride is {}, but the context has {ctx} tokens: give a smaller one, so that each \
             window begins with tokens of the one before",
            stride.unwrap_or_default()
        )));
    }
    // The last token is predicted and not read.
    if count <= ctx + 1 {
        return Ok(vec![Window { tokens: 0..count, first: 1 }]);
    }
    let stride = stride.unwrap_or(ctx / 2).max(1);
    let mut windows = Vec::new();
    let (mut start, mut first) = (0, 1);
    while first < count {
        let end = count.min(start + ctx);
        windows.push(Window { tokens: start..end, first });
        (start, first) = (start + stride, end);
    }
    Ok(windows)
}

/// `-ln p` of each token but the first, given those before it in its window. Windows begin
/// with `before`, in place of as many tokens of theirs.
fn nll(
    engine: &mut Engine,
    ids: &[u32],
    windows: &[Window],
    before: &[u32],
    cancel: &Cancel,
) -> Result<Vec<f64>> {
    let bar = (windows.len() > 1).then(|| progress::count("reading windows", windows.len()));
    let mut nll = Vec::with_capacity(ids.len());
    for window in windows {
        let mut tokens = ids.get(window.tokens.clone()).unwrap_or_default().to_vec();
        let first = window.first - window.tokens.start;
        tokens.iter_mut().zip(before).take(first).for_each(|(token, before)| *token = *before);
        nll.extend(block_on(engine.nll_from(&tokens, first, cancel))?);
        bar.iter().for_each(|bar| bar.inc(1));
    }
    bar.iter().for_each(|bar| bar.finish_and_clear());
    Ok(nll)
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn each_token_but_the_first_is_predicted_once() {
        for (count, ctx, stride) in [
            (2, 8, None),
            (9, 8, None),
            (10, 8, None),
            (100, 8, Some(1)),
            (57, 8, Some(7)),
            (23, 2, None),
        ] {
            let windows = windows(count, ctx, stride).unwrap();
            let mut next = 1;
            for window in &windows {
                assert_eq!(window.first, next);
                assert!(window.tokens.start < next && next < window.tokens.end);
                assert!(windows.len() == 1 || window.tokens.len() <= ctx);
                next = window.tokens.end;
            }
            assert_eq!(next, count, "{count} tokens");
            assert_eq!(windows.len() == 1, count <= ctx + 1);
        }
        let window = |tokens, first| Window { tokens, first };
        let of_ten = [window(0..8, 1), window(4..10, 8)];
        assert_eq!(windows(10, 8, None).unwrap(), of_ten);
        assert!(windows(10, 8, Some(8)).unwrap_err().to_string().starts_with("--stride is 8, "));
    }
}
