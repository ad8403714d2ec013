//! Speculative decoding gives the tokens that come without it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use wisp_runtime::{Engine, EngineOptions, Request, Sampling, Speculation};
use wisp_tests::tiny::Tiny;
use wisp_tests::{ask, greedy, load, load_tiny, model};

const TEXTS: [&str; 3] = [
    "a b c d e f g a b c d e f g a b c d e f g a b",
    "The capital of France is Paris. The capital of Italy is Rome. The capital of",
    "def add(a, b):\n    return a + b\n\ndef sub(a, b):\n    return a - b\n\ndef mul(a, b):\n",
];

fn options(speculation: Speculation) -> EngineOptions {
    EngineOptions { ctx: Some(512), speculation, ..EngineOptions::default() }
}

fn requests(engine: &Engine) -> Vec<Request> {
    let tokenizer = engine.tokenizer().unwrap();
    let prompt = |text: &&str| tokenizer.encode(text.as_bytes(), true, false).unwrap();
    let drawn = Sampling { temperature: 0.7, top_p: 0.9, seed: 11, ..Sampling::default() };
    let prompts: Vec<_> = TEXTS.iter().map(prompt).collect();
    let greedily = prompts.iter().map(|prompt| greedy(prompt, 24));
    let drawing = |prompt: &Vec<u32>| Request { sampling: drawn.clone(), ..greedy(prompt, 24) };
    greedily.chain(prompts.iter().map(drawing)).collect()
}

/// Requests whose every token weighs on those after it.
fn penalised(engine: &Engine) -> Vec<Request> {
    let all = requests(engine).into_iter();
    all.map(|mut request| {
        request.sampling.repetition_penalty = 1.05;
        request.sampling.presence_penalty = 0.3;
        request.sampling.frequency_penalty = 0.2;
        request.sampling.logit_bias = vec![(request.prompt[0], 1.0), (11, -2.0)];
        request
    })
    .collect()
}

#[test]
fn drafts_change_no_token() {
    let Some(path) = model() else { return };
    let mut plain = load(&path, "", options(Speculation::Never));
    let mut looking = load(&path, "", options(Speculation::Always));
    let mut accepted = 0;
    for request in requests(&plain) {
        let (alone, with) = (ask(&mut plain, &request), ask(&mut looking, &request));
        assert_eq!(alone.tokens, with.tokens);
        assert_eq!(alone.timings.accepted_draft_tokens, 0);
        accepted += with.timings.accepted_draft_tokens;
    }
    assert!(accepted > 20, "hardly any draft token was accepted: {accepted}");
}

#[test]
fn drafts_change_no_token_under_penalties() {
    let Some(path) = model() else { return };
    let mut plain = load(&path, "", options(Speculation::Never));
    let mut looking = load(&path, "", options(Speculation::Always));
    let mut drafted = load(&path, "", options(Speculation::Always));
    drafted.draft_with(load(&path, "", options(Speculation::Never))).unwrap();
    let (mut looked_up, mut drafts) = (0, 0);
    for (at, request) in penalised(&plain).into_iter().enumerate() {
        let alone = ask(&mut plain, &request);
        let with = ask(&mut looking, &request);
        assert_eq!(alone.tokens, with.tokens);
        looked_up += with.timings.accepted_draft_tokens;
        // Guesses that are right, then one that is not: the draft has no penalties.
        if at == 1 {
            let with = ask(&mut drafted, &request);
            assert_eq!(alone.tokens, with.tokens);
            drafts += with.timings.accepted_draft_tokens;
        }
    }
    assert!(
        looked_up > 5 && drafts > 5,
        "hardly any draft token was accepted: {looked_up}, {drafts}"
    );
}

/// The drafts of a model for itself are always accepted: each step gives as many tokens as it can.
#[test]
fn a_draft_model_proposes() {
    let Some(path) = model() else { return };
    let mut plain = load(&path, "f16=off", options(Speculation::Never));
    let mut drafted = load(&path, "f16=off", options(Speculation::Always));
    drafted.draft_with(load(&path, "f16=off", options(Speculation::Never))).unwrap();
    for request in requests(&plain).into_iter().take(2) {
        let (alone, with) = (ask(&mut plain, &request), ask(&mut drafted, &request));
        assert_eq!(alone.tokens, with.tokens);
        // The prompt draws one of 24; of eight that follow, seven are draft tokens.
        assert!(with.timings.accepted_draft_tokens >= 18, "{}", with.timings.accepted_draft_tokens);
    }
    let other = load_tiny(&Tiny::new(), options(Speculation::Never)).unwrap().0;
    let refused = drafted.draft_with(other).unwrap_err().to_string();
    assert!(refused.contains("another vocabulary"), "{refused}");
}
