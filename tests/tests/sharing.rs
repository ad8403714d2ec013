//! Several requests on the cache of one context, requests that come while others run, and
//! what becomes of them when the device is lost: with a tiny random model.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::cell::{Cell, RefCell};
use std::ops::ControlFlow;

use pollster::block_on;
use wisp_base::Error;
use wisp_formats::BytesSource;
use wisp_runtime::{Completion, Engine, EngineOptions, Event, FinishReason, Queue};
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
