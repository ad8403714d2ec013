//! Models whose layers carry state from token to token (LFM2, Qwen3.5): the answer is the same in whatever
//! pieces it is computed, beside whatever else, and from whatever snapshot it goes on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::cell::{Cell, RefCell};
use std::ops::ControlFlow;

use pollster::block_on;
use wisp_runtime::{Engine, EngineOptions, Event, Queue, Request, Sampling, Speculation};
use wisp_tests::hub::families;
use wisp_tests::{VARIANTS, ask, ask_all, greedy, load_from};

const NAMES: [&str; 2] = ["lfm2", "qwen3_5"];

fn load(name: &str, options: EngineOptions) -> Engine {
    let families = families();
    let family = families.iter().find(|family| family.name == name).unwrap();
    let caps = if options.caps.is_empty() { "f16=off".into() } else { options.caps.clone() };
    load_from(&family.folder(), EngineOptions { caps, ..options }).unwrap().0
}

fn prompt(seed: u32, count: u32) -> Vec<u32> {
    (0..count).map(|at| 3 + (at * 37 + seed * 11 + at * at * seed) % 120).collect()
}

/// The answer of an engine that has seen nothing before.
fn alone(name: &str, request: &Request) -> Vec<u32> {
    ask(&mut load(name, EngineOptions::default()), request).tokens
}

#[test]
fn chunks_of_a_prompt_change_nothing() {
    for name in NAMES {
        let request = greedy(&prompt(1, 75), 40);
        let whole = alone(name, &request);
        assert_eq!(whole.len(), 40);
        for tokens in [1, 2, 8, 31, 32] {
            let tuning = format!("prefill_tokens={tokens}");
            let mut engine = load(name, EngineOptions { tuning, ..EngineOptions::default() });
            assert_eq!(ask(&mut engine, &request).tokens, whole, "{name}: chunks of {tokens}");
        }
    }
}

#[test]
fn a_prompt_that_begins_like_an_earlier_one_goes_on_from_its_snapshot() {
    for name in NAMES {
        let (first, other) = (prompt(2, 75), prompt(3, 30));
        let mut engine = load(name, EngineOptions::default());
        let answer = ask(&mut engine, &greedy(&first, 8));
        assert_eq!(answer.timings.prefill_tokens, 75);
        // The same prompt again: from the snapshot at its last whole block.
        let again = ask(&mut engine, &greedy(&first, 8));
        assert_eq!((again.timings.prefill_tokens, &again.tokens), (11, &answer.tokens));
        // What has another end, and what has nothing in common.
        let changed = [&first[..66], &other[..9]].concat();
        let done = ask(&mut engine, &greedy(&changed, 8));
        assert_eq!(done.timings.prefill_tokens, 11);
        assert_eq!(done.tokens, alone(name, &greedy(&changed, 8)));
        assert_eq!(ask(&mut engine, &greedy(&other, 8)).tokens, alone(name, &greedy(&other, 8)));
        // One that shares a block only, behind which there is no snapshot.
        let short = [&first[..40], &other[..20]].concat();
        let done = ask(&mut engine, &greedy(&short, 8));
        assert_eq!(done.timings.prefill_tokens, 60);
        assert_eq!(done.tokens, alone(name, &greedy(&short, 8)));
    }
}

#[test]
fn a_conversation_goes_on_behind_its_last_answer() {
    for name in NAMES {
        let first = prompt(4, 40);
        let mut engine = load(name, EngineOptions::default());
        // 90 tokens are computed: blocks of the answer end at 64.
        let answer = ask(&mut engine, &greedy(&first, 51)).tokens;
        let second = [&first[..], &answer, &prompt(5, 7)].concat();
        let done = ask(&mut engine, &greedy(&second, 8));
        assert_eq!(done.timings.prefill_tokens, second.len() - 64);
        assert_eq!(done.tokens, alone(name, &greedy(&second, 8)));
    }
}

#[test]
fn several_sequences_share_a_step_and_wait_for_each_other() {
    for name in NAMES {
        let lengths = [1, 33, 5, 70, 64, 2];
        let requests: Vec<Request> = (0..6)
            .map(|seed| greedy(&prompt(seed, lengths[seed as usize]), 20 + seed as usize))
            .collect();
        let want: Vec<_> = requests.iter().map(|request| alone(name, request)).collect();
        // All at once, in turn, and preempted for want of blocks.
        for (max_sequences, share_cache, ctx) in [(6, false, 128), (2, false, 128), (5, true, 128)]
        {
            // In f16 two tokens that are nearly as likely may change places.
            for caps in VARIANTS.into_iter().filter(|caps| caps.contains("f16=off")) {
                let (ctx, caps) = (Some(ctx), caps.to_owned());
                let options =
                    EngineOptions { max_sequences, share_cache, ctx, caps, ..Default::default() };
                let (answers, _) = ask_all(&mut load(name, options), &requests);
                let tokens = answers.into_iter().map(|answer| answer.unwrap().tokens);
                assert_eq!(tokens.collect::<Vec<_>>(), want, "{name} {max_sequences}");
            }
        }
    }
}

#[test]
fn a_request_goes_on_after_a_lost_device() {
    for name in NAMES {
        let families = families();
        let family = families.iter().find(|family| family.name == name).unwrap();
        let request = greedy(&prompt(6, 45), 40);
        let want = alone(name, &request);
        let mut engine = load(name, EngineOptions::default());
        let gpu = engine.gpu().clone();
        let (told, answer) = (Cell::new(0), RefCell::new(None));
        let queue = Queue::new();
        queue.push(request, |event| {
            told.set(told.get() + 1);
            if told.get() == 20 {
                gpu.destroy();
            }
            if let Event::Done(done) = event {
                answer.replace(Some(done.unwrap().tokens));
            }
            ControlFlow::Continue(())
        });
        block_on(engine.serve(&queue)).unwrap_err();
        block_on(engine.restore(&family.folder(), &mut |_| ())).unwrap();
        block_on(engine.serve(&queue)).unwrap();
        assert_eq!(answer.take(), Some(want));
    }
}

/// The matrices of all sequences are one binding.
#[test]
fn more_sequences_than_a_binding_holds_are_refused() {
    let families = families();
    let family = families.iter().find(|family| family.name == "qwen3_5").unwrap();
    let options = EngineOptions { max_sequences: 100_000, ctx: Some(32), ..Default::default() };
    let error = load_from(&family.folder(), options).err().unwrap().to_string();
    assert!(
        error.contains("the state of 100000 sequences at once is 921.6 MB per layer"),
        "{error}"
    );
}

/// Greedy, drawn with a seed, and with penalties, by which every token weighs on those after it.
fn requests() -> Vec<Request> {
    let greedily = |seed, count| greedy(&prompt(seed, count), 70);
    let drawn = |mut request: Request| {
        request.sampling = Sampling { temperature: 0.4, top_p: 0.9, seed: 5, ..request.sampling };
        request
    };
    let penalised = |mut request: Request| {
        request.sampling.repetition_penalty = 1.02;
        request.sampling.presence_penalty = 0.05;
        request.sampling.frequency_penalty = 0.02;
        request.sampling.logit_bias = vec![(request.prompt[0], 0.5), (11, -2.0)];
        request
    };
    let all = [greedily(7, 45), drawn(greedily(8, 20)), penalised(greedily(9, 31))];
    all.into_iter().chain([penalised(drawn(greedily(10, 64)))]).collect()
}

fn speculating() -> EngineOptions {
    EngineOptions { speculation: Speculation::Always, ..EngineOptions::default() }
}

/// Some drafts are right, by repetitions in the text; nearly all are, by the model itself.
#[test]
fn drafts_change_no_token() {
    for name in NAMES {
        let mut looking = load(name, speculating());
        let mut drafted = load(name, speculating());
        drafted.draft_with(load(name, EngineOptions::default())).unwrap();
        for (at, request) in requests().into_iter().enumerate() {
            let want = alone(name, &request);
            let found = ask(&mut looking, &request);
            assert_eq!(found.tokens, want, "{name}, request {at}, from the text");
            let done = ask(&mut drafted, &request);
            assert_eq!(done.tokens, want, "{name}, request {at}, by a draft model");
            let accepted = done.timings.accepted_draft_tokens;
            assert!(accepted > if at == 0 { 40 } else { 5 }, "{name}, request {at}: {accepted}");
            println!("{name} {at}: {} {accepted}", found.timings.accepted_draft_tokens);
        }
    }
}

#[test]
fn drafts_beside_other_requests_change_no_token() {
    for name in NAMES {
        let requests = requests();
        let want: Vec<_> = requests.iter().map(|request| alone(name, request)).collect();
        let options = EngineOptions { max_sequences: 2, share_cache: true, ..speculating() };
        let mut engine = load(name, EngineOptions { ctx: Some(128), ..options });
        engine.draft_with(load(name, EngineOptions::default())).unwrap();
        let (answers, _) = ask_all(&mut engine, &requests);
        let tokens = answers.into_iter().map(|answer| answer.unwrap().tokens);
        assert_eq!(tokens.collect::<Vec<_>>(), want, "{name}");
    }
}

#[test]
fn a_conversation_goes_on_behind_an_answer_with_drafts() {
    for name in NAMES {
        let first = prompt(4, 40);
        let mut engine = load(name, speculating());
        engine.draft_with(load(name, EngineOptions::default())).unwrap();
        let answer = ask(&mut engine, &greedy(&first, 51));
        assert!(answer.timings.accepted_draft_tokens > 30);
        let second = [&first[..], &answer.tokens, &prompt(5, 7)].concat();
        let done = ask(&mut engine, &greedy(&second, 8));
        assert_eq!(done.timings.prefill_tokens, second.len() - 64, "{name}");
        assert_eq!(done.tokens, alone(name, &greedy(&second, 8)));
    }
}
