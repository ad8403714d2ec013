//! Several requests on the cache of one context, requests that come while others run, and
//! what becomes of them when the device is lost: with a tiny random model.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::cell::{Cell, RefCell};
use std::ops::ControlFlow;

use pollster::block_on;
use wisp_base::Error;
use wisp_formats::BytesSource;
use wisp_runtime::{
    Completion, Engine, EngineOptions, Event, FinishReason, Queue, Request, Speculation,
};
use wisp_tests::tiny::Tiny;
use wisp_tests::{ask, ask_all, greedy, load_tiny};

/// Eight pages of 32 positions for all sequences together.
fn shared_cache(sequences: usize) -> Engine {
    let options = EngineOptions {
        ctx: Some(256),
        max_sequences: sequences,
        share_cache: true,
        ..EngineOptions::default()
    };
    let engine = load_tiny(&Tiny::new(), options).unwrap().0;
    assert_eq!(engine.pages(), (8, 8));
    engine
}

fn prompt(seed: usize, count: usize) -> Vec<u32> {
    (0..count).map(|at| ((at * 37 + at * at * 11 + seed * 101) % 256) as u32).collect()
}

/// Whether tokens of two requests came in turns.
fn in_turns(order: &[usize]) -> bool {
    order.windows(2).filter(|two| two[0] != two[1]).count() > order.len() / 2
}

#[test]
fn a_shared_prefix_takes_its_pages_once() {
    let mut engine = shared_cache(2);
    // Seven pages each, six of them for the same tokens: eight in all, or fourteen.
    let prefix = prompt(1, 192);
    let request = |seed| greedy(&[prefix.clone(), prompt(seed, 8)].concat(), 20);
    let requests = [request(2), request(3)];
    let alone: Vec<_> = requests.iter().map(|r| ask(&mut shared_cache(1), r).tokens).collect();
    let (answers, order) = ask_all(&mut engine, &requests);
    assert!(in_turns(&order), "they were not in the cache at the same time: {order:?}");
    let answers: Vec<Completion> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers[1].timings.prefill_tokens, 8);
    assert_eq!([&answers[0].tokens, &answers[1].tokens], [&alone[0], &alone[1]]);
    assert_eq!(engine.pages(), (8, 8));

    // Without a common prefix there is room for one only: the other waits.
    let requests = [greedy(&prompt(4, 200), 20), greedy(&prompt(5, 200), 20)];
    let (answers, order) = ask_all(&mut engine, &requests);
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(order, [[0; 20], [1; 20]].concat());
}

#[test]
fn who_runs_out_of_pages_waits_and_goes_on_with_the_same_tokens() {
    let mut engine = shared_cache(2);
    // Each would fill six pages at its end: together they do not fit.
    let requests = [greedy(&prompt(6, 90), 90), greedy(&prompt(7, 90), 90)];
    let alone: Vec<_> = requests.iter().map(|r| ask(&mut shared_cache(1), r).tokens).collect();
    let (answers, order) = ask_all(&mut engine, &requests);
    assert!(in_turns(&order[..60]));
    let answers: Vec<_> = answers.into_iter().map(|answer| answer.unwrap().tokens).collect();
    assert_eq!(answers, alone);
    assert_eq!(engine.pages(), (8, 8));
}

#[test]
fn requests_may_come_while_others_run() {
    let mut engine = shared_cache(2);
    let first = greedy(&prompt(8, 30), 40);
    let later = greedy(&prompt(9, 30), 10);
    let alone = ask(&mut shared_cache(1), &later).tokens;
    let (order, done) = (RefCell::new(Vec::new()), RefCell::new(None));
    let (order, done) = (&order, &done);
    let pushed = Cell::new(false);
    let queue = Queue::new();
    let inner = queue.clone();
    let pushed = &pushed;
    let later = &later;
    queue.push(first, move |event| {
        if let Event::Piece(_) = event {
            order.borrow_mut().push(0);
        }
        if order.borrow().len() == 5 && !pushed.replace(true) {
            inner.push(later.clone(), move |event| {
                match event {
                    Event::Piece(_) => order.borrow_mut().push(1),
                    Event::Done(result) => *done.borrow_mut() = Some(result.unwrap()),
                    Event::DeviceLost(_) | Event::DeviceRestored => {}
                }
                ControlFlow::Continue(())
            });
        }
        ControlFlow::Continue(())
    });
    block_on(engine.serve(&queue)).unwrap();
    assert_eq!(done.borrow().as_ref().unwrap().tokens, alone);
    let order = order.borrow();
    let last = order.iter().rposition(|who| *who == 1).unwrap();
    assert!(last < order.len() - 1, "it waited for the end of the first: {order:?}");
}

#[test]
fn a_request_goes_on_after_a_lost_device() {
    let mut engine = shared_cache(2);
    let requests = [greedy(&prompt(10, 50), 60), greedy(&prompt(11, 20), 60)];
    let alone: Vec<_> = requests.iter().map(|r| ask(&mut shared_cache(1), r).tokens).collect();
    let gpu = engine.gpu().clone();
    let (tokens, done) = (Cell::new(0), RefCell::new(vec![None, None]));
    let queue = Queue::new();
    for (index, request) in requests.iter().enumerate() {
        let (gpu, tokens, done) = (&gpu, &tokens, &done);
        queue.push(request.clone(), move |event| {
            match event {
                Event::Piece(piece) => {
                    tokens.set(tokens.get() + usize::from(piece.token.is_some()))
                }
                Event::Done(result) => done.borrow_mut()[index] = Some(result.unwrap()),
                Event::DeviceLost(_) | Event::DeviceRestored => {}
            }
            if tokens.get() == 25 {
                gpu.destroy();
            }
            ControlFlow::Continue(())
        });
    }
    let error = block_on(engine.serve(&queue)).unwrap_err();
    assert!(matches!(error, Error::Device(_)), "{error}");
    assert!(error.to_string().starts_with("the GPU "), "{error}");
    assert!(done.borrow().iter().all(Option::is_none));
    let source = BytesSource::new("tiny.gguf", Tiny::new().bytes());
    block_on(engine.restore(&source, &mut |_| ())).unwrap();
    block_on(engine.serve(&queue)).unwrap();
    let done: Vec<Option<Completion>> = done.take();
    for (answer, alone) in done.into_iter().zip(&alone) {
        let answer = answer.unwrap();
        assert_eq!((&answer.tokens, answer.finish), (alone, FinishReason::Length));
    }
    assert_eq!(tokens.get(), 120, "a token was told twice or not at all");
}

/// What a queue's requests were told, in order: whose token, or whose end with its reason.
type Told = RefCell<Vec<(usize, Option<FinishReason>)>>;

/// A queue of `requests` that tells `told`, and the index of whose token it is `then`.
fn telling<'a>(requests: &[Request], told: &'a Told, then: &'a dyn Fn(usize)) -> Queue<'a> {
    let queue = Queue::new();
    for (index, request) in requests.iter().enumerate() {
        queue.push(request.clone(), move |event| {
            match event {
                Event::Piece(piece) if piece.token.is_some() => {
                    told.borrow_mut().push((index, None));
                    then(index);
                }
                Event::Piece(_) | Event::DeviceLost(_) | Event::DeviceRestored => {}
                Event::Done(result) => {
                    told.borrow_mut().push((index, Some(result.unwrap().finish)))
                }
            }
            ControlFlow::Continue(())
        });
    }
    queue
}

/// Tokens that a request was told of, and how many of another's came after its end.
fn tokens_and_after(told: &Told, of: usize, other: usize) -> (usize, usize) {
    let told = told.borrow();
    let end = told.iter().position(|(who, end)| *who == of && end.is_some()).unwrap();
    let of = told.iter().filter(|t| **t == (of, None)).count();
    (of, told[end..].iter().filter(|t| **t == (other, None)).count())
}

/// Two sequences of 64 positions each: the first request fills its context.
fn one_fills_its_context() -> (Engine, [Request; 2]) {
    let options = EngineOptions { ctx: Some(64), max_sequences: 2, ..EngineOptions::default() };
    let engine = load_tiny(&Tiny::new(), options).unwrap().0;
    (engine, [greedy(&prompt(12, 50), 1000), greedy(&prompt(13, 4), 60)])
}

#[test]
fn who_fills_the_context_ends_while_others_go_on() {
    let (mut engine, requests) = one_fills_its_context();
    let told = Told::default();
    let queue = telling(&requests, &told, &|_| ());
    block_on(engine.serve(&queue)).unwrap();
    // The last token drawn needs no position: 64 − 50 + 1.
    let (tokens, after) = tokens_and_after(&told, 0, 1);
    assert_eq!(tokens, 15);
    assert!(after >= 40, "it waited for the other, which had {after} tokens to come");
}

#[test]
fn a_full_context_at_a_lost_device_holds_up_nobody() {
    let (mut engine, requests) = one_fills_its_context();
    let (told, gpu, count) = (Told::default(), engine.gpu().clone(), Cell::new(0));
    let lose = |index| {
        count.set(count.get() + usize::from(index == 0));
        if count.get() == 15 && index == 0 {
            gpu.destroy();
        }
    };
    let queue = telling(&requests, &told, &lose);
    block_on(engine.serve(&queue)).unwrap_err();
    let source = BytesSource::new("tiny.gguf", Tiny::new().bytes());
    block_on(engine.restore(&source, &mut |_| ())).unwrap();
    block_on(engine.serve(&queue)).unwrap();
    assert_eq!(tokens_and_after(&told, 0, 1).0, 15);
    assert_eq!(tokens_and_after(&told, 1, 0), (60, 0));
}

#[test]
fn a_common_prefix_is_waited_for_only_until_it_is_computed() {
    let options = EngineOptions { max_sequences: 3, ..EngineOptions::default() };
    let mut engine = load_tiny(&Tiny::new(), options).unwrap().0;
    let long = greedy(&prompt(14, 1200), 3);
    let sharing = greedy(&[&long.prompt[..64], &prompt(15, 9)[..]].concat(), 3);
    let requests = [long, sharing, greedy(&prompt(16, 20), 3)];
    let alone = ask(&mut shared_cache(1), &requests[1]).tokens;
    let (answers, order) = ask_all(&mut engine, &requests);
    let first = |who| order.iter().position(|other| *other == who).unwrap();
    assert!(first(1) < first(0) && first(2) < first(0), "they waited for all of it: {order:?}");
    let answer = answers[1].as_ref().unwrap();
    // Two pages were found.
    assert_eq!((&answer.tokens, answer.timings.prefill_tokens), (&alone, 9));
}

#[test]
fn a_first_attempt_to_restore_that_fails_costs_no_drafts() {
    let options = EngineOptions {
        ctx: Some(512),
        speculation: Speculation::Always,
        ..EngineOptions::default()
    };
    let mut engine = load_tiny(&Tiny::new(), options).unwrap().0;
    let request = greedy(&[1, 2, 3, 1, 2, 3, 1, 2], 60);
    let before = ask(&mut engine, &request);
    assert!(before.timings.accepted_draft_tokens > 0);
    engine.gpu().destroy();
    let bytes = Tiny::new().bytes();
    let cut = BytesSource::new("tiny.gguf", bytes[..bytes.len() / 2].to_vec());
    assert!(block_on(engine.restore(&cut, &mut |_| ())).is_err());
    let whole = BytesSource::new("tiny.gguf", bytes);
    block_on(engine.restore(&whole, &mut |_| ())).unwrap();
    let after = ask(&mut engine, &request);
    assert_eq!(after.tokens, before.tokens);
    assert_eq!(after.timings.accepted_draft_tokens, before.timings.accepted_draft_tokens);
}

/// Rows of logits for the host take memory: of two requests that ask for them together one
/// finds none, and only that one ends.
#[test]
fn a_request_for_which_no_memory_is_left_ends_alone() {
    let mut engine = shared_cache(3);
    let logprobs = |start| Request { logprobs: Some(1), ..greedy(&prompt(start, 12), 20) };
    let requests = [greedy(&prompt(10, 50), 30), logprobs(11), logprobs(12)];
    let alone: Vec<_> = requests.iter().map(|r| ask(&mut shared_cache(1), r).tokens).collect();
    let row = engine.vocab().next_multiple_of(8) as u64 * 4;
    let in_flight = engine.tuning().steps_in_flight as u64;
    // Enough for steps with one row, not for those with two.
    let limit = engine.gpu().allocated() + (in_flight + 1) * row + 1000;
    engine.gpu().limit_memory(limit);
    let (answers, _) = ask_all(&mut engine, &requests);
    for (answer, alone) in answers.iter().zip(&alone).take(2) {
        assert_eq!(&answer.as_ref().unwrap().tokens, alone);
    }
    let error = answers[2].as_ref().unwrap_err();
    assert!(matches!(error, Error::Memory(_)), "{error}");
    assert_eq!(engine.pages().0, engine.pages().1, "pages were kept");
    // It was for the moment only.
    engine.gpu().limit_memory(u64::MAX);
    let (answers, _) = ask_all(&mut engine, &requests);
    for (answer, alone) in answers.iter().zip(&alone) {
        assert_eq!(&answer.as_ref().unwrap().tokens, alone);
    }
}
