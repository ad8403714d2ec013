//! The driver: an engine in a thread of its own, asked by several, that replaces a lost device and
//! ends cleanly. With a tiny random model.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::ops::ControlFlow;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;

use pollster::block_on;
use wisp_base::Error;
use wisp_formats::BytesSource;
use wisp_runtime::{
    Answer, Completion, EngineOptions, Event, FinishReason, Handle, Prompt, Request, in_thread,
};
use wisp_tests::tiny::Tiny;
use wisp_tests::{ask, greedy, load_tiny};

/// Eight pages of 32 positions for all sequences together. `source`: what a lost device's
/// successor is loaded from.
fn started(sequences: usize, source: Vec<u8>) -> Handle {
    let options = EngineOptions {
        ctx: Some(256),
        max_sequences: sequences,
        share_cache: true,
        ..EngineOptions::default()
    };
    let loading = in_thread(async move |_| {
        let mut engine = load_tiny(&Tiny::new(), options)?.0;
        engine.recover_from(Rc::new(BytesSource::new("tiny.gguf", source)));
        Ok(engine)
    });
    block_on(loading.unwrap().finished(&mut |_| ())).unwrap()
}

fn start(sequences: usize) -> Handle {
    started(sequences, Tiny::new().bytes())
}

fn prompt(seed: usize, count: usize) -> Vec<u32> {
    (0..count).map(|at| ((at * 37 + at * at * 11 + seed * 101) % 256) as u32).collect()
}

fn alone(request: &Request) -> Vec<u32> {
    let options = EngineOptions { ctx: Some(256), ..EngineOptions::default() };
    ask(&mut load_tiny(&Tiny::new(), options).unwrap().0, request).tokens
}

fn completion(answer: Answer) -> Result<Completion, Error> {
    block_on(answer.completion(&mut |_| ControlFlow::Continue(())))
}

/// Reads tokens; gives up where the answer ends before.
fn read(answer: &mut Answer, tokens: usize) {
    for _ in 0..tokens {
        assert!(matches!(block_on(answer.next()), Some(Event::Piece(_))));
    }
}

#[test]
fn threads_that_ask_at_once_get_what_each_gets_alone() {
    let handle = start(2);
    let requests = [1, 2, 3, 4].map(|seed| greedy(&prompt(seed, 20 + seed), 30));
    let answers = requests.clone().map(|request| {
        let handle = handle.clone();
        thread::spawn(move || completion(handle.submit(request).unwrap()).unwrap().tokens)
    });
    for (answer, request) in answers.into_iter().zip(&requests) {
        assert_eq!(answer.join().unwrap(), alone(request));
    }
    let info = handle.info();
    assert_eq!((info.ctx(), info.pages), (256, 8));
    assert!(handle.activity().steps() > 30);
}

#[test]
fn an_answer_that_is_dropped_gives_its_place_to_the_next() {
    let handle = start(1);
    let (first, next) = (greedy(&prompt(1, 10), 10_000), greedy(&prompt(2, 10), 12));
    let mut dropped = handle.submit(Request { max_tokens: 240, ..first }).unwrap();
    read(&mut dropped, 3);
    let waits = handle.submit(greedy(&prompt(3, 10), 12)).unwrap();
    let answer = handle.submit(next.clone()).unwrap();
    // One that runs, and one that waits.
    drop((dropped, waits));
    assert_eq!(completion(answer).unwrap().tokens, alone(&next));
    let pages = block_on(handle.with(async |engine| engine.pages())).unwrap();
    assert_eq!(pages, (8, 8));
}

#[test]
fn a_slow_reader_holds_up_nobody() {
    let handle = start(2);
    let unread = handle.submit(greedy(&prompt(1, 10), 60)).unwrap();
    let answer = completion(handle.submit(greedy(&prompt(2, 10), 100)).unwrap()).unwrap();
    assert_eq!(answer.tokens.len(), 100);
    assert_eq!(completion(unread).unwrap().tokens, alone(&greedy(&prompt(1, 10), 60)));
}

#[test]
fn a_lost_device_is_told_and_changes_no_token() {
    let handle = start(2);
    let requests = [greedy(&prompt(5, 40), 60), greedy(&prompt(6, 10), 60)];
    let answers = requests.clone().map(|request| handle.submit(request).unwrap());
    for (mut answer, request) in answers.into_iter().zip(&requests) {
        let (mut told, mut done) = (Vec::new(), None);
        while let Some(event) = block_on(answer.next()) {
            match event {
                Event::Piece(_) if told.is_empty() => {
                    handle.gpu().destroy();
                    told.push("destroyed");
                }
                Event::Piece(_) => {}
                Event::DeviceLost(why) => {
                    assert!(why.contains("the GPU "), "{why}");
                    told.push("lost");
                }
                Event::DeviceRestored => told.push("restored"),
                Event::Done(result) => done = Some(result.unwrap()),
            }
        }
        let done = done.unwrap();
        assert_eq!((done.tokens, done.finish), (alone(request), FinishReason::Length));
    }
    // Work does not go on by itself, but finds another device.
    handle.gpu().destroy();
    let logits = |handle: &Handle| {
        block_on(handle.with(async |engine| engine.logits(&[1, 2], false, None).await)).unwrap()
    };
    assert!(matches!(logits(&handle), Err(Error::Device(_))));
    logits(&handle).unwrap();
}

#[test]
fn a_device_that_cannot_be_replaced_fails_whoever_waits() {
    let whole = Tiny::new().bytes();
    let handle = started(1, whole[..whole.len() / 2].to_vec());
    let mut running = handle.submit(greedy(&prompt(7, 10), 200)).unwrap();
    read(&mut running, 2);
    let waits = handle.submit(greedy(&prompt(8, 10), 5)).unwrap();
    handle.gpu().destroy();
    for answer in [running, waits] {
        let error = completion(answer).unwrap_err();
        assert!(error.to_string().contains("tiny.gguf"), "{error}");
    }
}

#[test]
fn unloading_ends_answers_and_refuses_what_comes_later() {
    let handle = start(1);
    let mut running = handle.submit(greedy(&prompt(9, 10), 200)).unwrap();
    read(&mut running, 2);
    let waits = handle.submit(greedy(&prompt(8, 10), 5)).unwrap();
    handle.unload();
    handle.unload();
    for answer in [running, waits] {
        assert!(matches!(completion(answer), Err(Error::Cancelled)));
    }
    let refused = handle.submit(greedy(&[1], 1)).unwrap_err().to_string();
    assert_eq!(refused, "the engine was unloaded: load the model again");
    assert!(block_on(handle.with(async |_| ())).is_err());
}

#[test]
fn work_waits_for_the_requests_before_it_and_those_behind_it_wait_for_it() {
    let handle = start(2);
    let mut before = handle.submit(greedy(&prompt(1, 10), 60)).unwrap();
    read(&mut before, 2);
    let (asked, may_ask) = mpsc::channel();
    let other = handle.clone();
    let work = thread::spawn(move || {
        let work = other.with(async |engine| engine.pages().0);
        // It is sent when the future is polled first.
        asked.send(()).unwrap();
        block_on(work).unwrap()
    });
    may_ask.recv().unwrap();
    let behind = handle.submit(greedy(&prompt(2, 10), 4)).unwrap();
    // Nothing runs while it works.
    assert_eq!(work.join().unwrap(), 8);
    assert_eq!(completion(before).unwrap().tokens.len(), 60);
    assert_eq!(completion(behind).unwrap().tokens.len(), 4);
}

#[test]
fn what_is_wrong_with_a_request_is_said_at_once() {
    let handle = start(1);
    let refused = |request: Request<Prompt>| handle.submit(request).unwrap_err().to_string();
    let tokens =
        |tokens: Vec<u32>| Request { prompt: Prompt::Tokens(tokens), ..Request::default() };
    assert!(refused(tokens(Vec::new())).starts_with("the prompt has no tokens"));
    let long = "the prompt has 300 tokens, but the context is 256: give a larger ctx or a shorter";
    assert!(refused(tokens(vec![1; 300])).starts_with(long));
    assert!(refused(tokens(vec![100_000])).starts_with("token 100000 is not in the vocabulary"));
}

#[test]
fn a_load_that_fails_says_why() {
    let loading = in_thread(async |_| Err(Error::input("no such model"))).unwrap();
    let error = block_on(loading.finished(&mut |_| ())).unwrap_err();
    assert_eq!(error.to_string(), "no such model");
}
