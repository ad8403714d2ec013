//! Longrope (Phi-3): short and long sequences in one engine, each by its own frequencies from
//! its first token on, against transformers. The data: `golden/make_families.py`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use pollster::block_on;
use wisp_runtime::{Cancel, Completion, Engine, EngineOptions, Request};
use wisp_tests::hub::{Family, families};
use wisp_tests::{ask, ask_all, greedy, load_from, relative_l2};

/// Sequences of up to so many tokens are short.
const SHORT: usize = 64;

fn phi3() -> Family {
    families().into_iter().find(|family| family.name == "phi3_short").unwrap()
}

/// A context of 128, in which both kinds are possible.
fn load(family: &Family, options: EngineOptions) -> Engine {
    let caps = "f16=off".to_owned();
    let options = EngineOptions { caps, ctx: Some(128), max_sequences: 2, ..options };
    load_from(&family.folder(), options).unwrap().0
}

/// PyTorch's tokens behind the prompt, where all positions are of one kind.
fn answer(family: &Family, kind: &str) -> Vec<u32> {
    serde_json::from_value(family.golden["greedy"][kind]["tokens"].clone()).unwrap()
}

fn prompt(family: &Family) -> Vec<u32> {
    serde_json::from_value(family.golden["tokens"].clone()).unwrap()
}

/// A request whose last token is fed after `reach` others.
fn reaching(prompt: &[u32], reach: usize) -> Request {
    greedy(prompt, reach + 1 - prompt.len())
}

#[test]
fn a_request_is_long_by_what_it_can_reach_and_shares_pages_with_its_kind_only() {
    let family = phi3();
    let (prompt, short, long) =
        (prompt(&family), answer(&family, "short"), answer(&family, "long"));
    assert_ne!(short[..20], long[..20]);
    let mut engine = load(&family, EngineOptions::default());
    // Side by side in the same steps; then again, with the pages of their own kind.
    for computed in [40, 8] {
        let requests = [reaching(&prompt, SHORT), reaching(&prompt, SHORT + 1)];
        let (answers, _) = ask_all(&mut engine, &requests);
        let answers: Vec<Completion> = answers.into_iter().map(|a| a.unwrap()).collect();
        assert_eq!(answers[0].tokens, short[..25]);
        assert_eq!(answers[1].tokens, long[..26]);
        assert_eq!(
            answers.iter().map(|a| a.timings.prefill_tokens).collect::<Vec<_>>(),
            [computed; 2]
        );
    }
    // The context bounds what can be reached: 128 tokens are fed, and a last one is drawn.
    let all = ask(&mut engine, &greedy(&prompt, usize::MAX));
    assert_eq!((all.tokens.len(), &all.tokens[..30]), (89, &long[..]));
}

#[test]
fn drafts_rotate_as_the_sequence_that_they_are_for() {
    use wisp_runtime::Speculation;
    let family = phi3();
    let (prompt, short, long) =
        (prompt(&family), answer(&family, "short"), answer(&family, "long"));
    let options = EngineOptions { speculation: Speculation::Always, ..EngineOptions::default() };
    let mut engine = load(&family, options);
    let done = ask(&mut engine, &greedy(&prompt, 25));
    assert_eq!(done.tokens, short[..25]);
    let done = ask(&mut engine, &greedy(&prompt, 30));
    assert_eq!(done.tokens, long);
    assert!(done.timings.accepted_draft_tokens > 0);
}

#[test]
fn logits_and_likelihoods_are_of_the_length_that_is_asked_for() {
    let family = phi3();
    let (prompt, long) = (prompt(&family), answer(&family, "long"));
    let mut engine = load(&family, EngineOptions::default());
    let text = [prompt, long].concat();
    let nll = |engine: &mut Engine, end: usize| {
        block_on(engine.nll(&text[..end], &Cancel::default())).unwrap()
    };
    // One token more makes the same positions those of a long sequence: all of the answer's
    // tokens are the likeliest then.
    let (short, long) = (nll(&mut engine, SHORT), nll(&mut engine, SHORT + 1));
    let sum = |nll: &[f64]| nll[39..63].iter().sum::<f64>();
    assert!(sum(&long) < sum(&short) - 1.0, "{} {}", sum(&long), sum(&short));
    // Short ones are PyTorch's whatever the context; `families.rs` has all positions.
    let want = family.logits();
    let got = block_on(engine.logits(&text[..40], true, None)).unwrap();
    let size = want.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    assert!(relative_l2(&got, &want, size) < 1e-5);
    let row = want.len() / 40;
    let beyond = block_on(engine.logits(&text[..SHORT + 1], true, None)).unwrap();
    assert!(relative_l2(&beyond[..40 * row], &want, size) > 1e-2);
}
