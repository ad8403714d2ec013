//! The generation loop with a tiny random model, where real weights do not matter.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::ops::ControlFlow;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use pollster::block_on;
use wisp_base::{Error, KvType};
use wisp_runtime::{Completion, EngineOptions, FinishReason, Request, Sampling};
use wisp_tests::tiny::{END, Tiny, VOCAB};
use wisp_tests::{Shared, ask, ask_all, greedy, load_tiny, try_ask};

/// One engine for most tests here: room for three sequences of 512 tokens.
static SHARED: LazyLock<Shared> = LazyLock::new(|| {
    let options = EngineOptions { ctx: Some(512), max_sequences: 3, ..Default::default() };
    Shared::new(|| load_tiny(&Tiny::new(), options).unwrap().0)
});

/// Some tokens that are not the same for another `seed`.
fn prompt(seed: usize, count: usize) -> Vec<u32> {
    (0..count).map(|at| ((at * 37 + at * at * 11 + seed * 101) % 256) as u32).collect()
}

/// A request drawn at temperature 1 with a seed.
fn drawn(seed: u64, count: usize) -> Request {
    let sampling = Sampling { temperature: 1.0, seed, ..Sampling::default() };
    Request { sampling, ..greedy(&prompt(9, 20), count) }
}

fn biased(bias: &[(u32, f32)]) -> Sampling {
    Sampling { logit_bias: bias.to_vec(), ..Sampling::default() }
}

#[test]
fn several_sequences_get_what_each_gets_alone() {
    SHARED.with(|engine| {
        // Of different lengths, one longer than a step; more of them than there are slots.
        let requests: Vec<Request> = [(1, 3), (2, 150), (3, 40), (4, 1), (5, 77)]
            .map(|(seed, count)| greedy(&prompt(seed, count), 40 + seed))
            .into();
        let alone: Vec<_> = requests.iter().map(|request| ask(engine, request).tokens).collect();
        assert!(alone.windows(2).all(|pair| pair[0][..10] != pair[1][..10]), "all the same");
        let (together, order) = ask_all(engine, &requests);
        let together: Vec<_> = together.into_iter().map(|answer| answer.unwrap().tokens).collect();
        assert_eq!(together, alone);
        // The first three took turns.
        assert!(order[20..32].windows(3).all(|three| three[0] != three[1] && three[0] != three[2]));
        let (free, all) = engine.pages();
        assert_eq!((free, all), (48, 48));
    });
}

#[test]
fn a_shared_prefix_is_computed_once() {
    SHARED.with(|engine| {
        let prefix = prompt(21, 100);
        let request = |seed| greedy(&[prefix.clone(), prompt(seed, 9)].concat(), 8);
        let requests = [request(31), request(32), request(33)];
        let (answers, _) = ask_all(engine, &requests);
        let answers: Vec<Completion> = answers.into_iter().map(Result::unwrap).collect();
        // 100 tokens are three whole pages of 32 and a part of one, which is not shared.
        let computed: Vec<_> = answers.iter().map(|answer| answer.timings.prefill_tokens).collect();
        assert_eq!(computed, [109, 13, 13]);
        // Later requests find it too, and get what they would get without it.
        let again = ask(engine, &requests[1]);
        assert_eq!(again.timings.prefill_tokens, 13);
        assert_eq!(again.tokens, answers[1].tokens);
        assert_eq!(engine.pages(), (48, 48));
        let options = EngineOptions { ctx: Some(512), ..EngineOptions::default() };
        let mut other = load_tiny(&Tiny::new(), options).unwrap().0;
        assert_eq!(ask(&mut other, &requests[1]).tokens, answers[1].tokens);
    });
}

#[test]
fn cancelling_between_tokens_takes_effect_at_once() {
    SHARED.with(|engine| {
        let request = greedy(&prompt(41, 20), 100);
        let whole = ask(engine, &request).tokens;
        let (mut count, mut seen) = (0, String::new());
        let cancel = request.cancel.clone();
        let answer = block_on(engine.generate(&request, &mut |piece| {
            count += 1;
            seen.push_str(&piece.text);
            if count == 5 {
                cancel.cancel();
            }
            ControlFlow::Continue(())
        }));
        let answer = answer.unwrap();
        assert_eq!(
            (answer.finish, answer.tokens.as_slice()),
            (FinishReason::Cancelled, &whole[..5])
        );
        assert_eq!(answer.text, seen);
        // The sink may break off as well.
        let mut count = 0;
        let request = greedy(&prompt(41, 20), 100);
        let answer = block_on(engine.generate(&request, &mut |_| {
            count += 1;
            if count == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }));
        let answer = answer.unwrap();
        assert_eq!(
            (answer.finish, answer.tokens.as_slice()),
            (FinishReason::Cancelled, &whole[..3])
        );
        assert_eq!(engine.pages(), (48, 48));
    });
}

#[test]
fn cancelling_one_request_leaves_the_others_alone() {
    SHARED.with(|engine| {
        let requests = [1, 2, 3].map(|seed| greedy(&prompt(seed, 30), 30));
        let whole: Vec<_> = requests.iter().map(|request| ask(engine, request).tokens).collect();
        let mut seen = 0;
        let cancel = requests[1].cancel.clone();
        let answers = block_on(engine.generate_all(&requests, &mut |index, _| {
            seen += usize::from(index == 1);
            if seen == 4 {
                cancel.cancel();
            }
            ControlFlow::Continue(())
        }));
        let answers: Vec<_> = answers.unwrap().into_iter().map(Result::unwrap).collect();
        assert_eq!(
            (answers[1].finish, &answers[1].tokens[..]),
            (FinishReason::Cancelled, &whole[1][..4])
        );
        for index in [0, 2] {
            assert_eq!(answers[index].finish, FinishReason::Length);
            assert_eq!(answers[index].tokens, whole[index]);
        }
    });
}

#[test]
fn cancelling_a_prompt_stops_within_a_step_or_two() {
    let options = EngineOptions { ctx: Some(4 << 10), ..EngineOptions::default() };
    let mut engine = load_tiny(&Tiny::new(), options).unwrap().0;
    // Makes the plans, so that only computing takes time.
    ask(&mut engine, &greedy(&prompt(1, 1024), 2));
    let long = prompt(2, 3 << 10);
    let start = Instant::now();
    let whole = ask(&mut engine, &greedy(&long, 2));
    let all = start.elapsed();
    assert_eq!(whole.finish, FinishReason::Length);

    let long = prompt(3, 3 << 10);
    let request = greedy(&long, 2);
    let cancel = request.cancel.clone();
    let wait = all / 10;
    let thread = std::thread::spawn(move || {
        std::thread::sleep(wait);
        cancel.cancel();
    });
    let start = Instant::now();
    let cancelled = ask(&mut engine, &request);
    let took = start.elapsed();
    thread.join().unwrap();
    assert_eq!((cancelled.finish, cancelled.tokens.len()), (FinishReason::Cancelled, 0));
    assert!(took < all / 2, "cancelled after {wait:?}, ended after {took:?} of {all:?}");
    let (free, pages) = engine.pages();
    assert_eq!(free, pages);

    // Cancelled before it began: no work at all.
    let request = greedy(&prompt(4, 3 << 10), 2);
    request.cancel.cancel();
    let start = Instant::now();
    assert_eq!(ask(&mut engine, &request).finish, FinishReason::Cancelled);
    assert!(start.elapsed() < (all / 4).max(Duration::from_millis(100)));

    // What was half computed is not taken for a prefix that is there.
    let short = &long[..2000];
    let after = ask(&mut engine, &greedy(short, 16));
    let options = EngineOptions { ctx: Some(2048), ..EngineOptions::default() };
    let mut other = load_tiny(&Tiny::new(), options).unwrap().0;
    assert_eq!(after.tokens, ask(&mut other, &greedy(short, 16)).tokens);
}

#[test]
fn answers_end_where_they_should() {
    SHARED.with(|engine| {
        let request = |max_tokens| greedy(&prompt(51, 10), max_tokens);
        for most in [0, 1, 2, 33] {
            let answer = ask(engine, &request(most));
            assert_eq!((answer.finish, answer.tokens.len()), (FinishReason::Length, most));
            assert_eq!(answer.timings.decode_tokens_per_s().is_some(), most > 1);
        }
        // The end-of-generation token is not part of the answer.
        let sampling = biased(&[(END, 1e6)]);
        let end = Request { ignore_eos: false, sampling, ..request(20) };
        let answer = ask(engine, &end);
        assert_eq!(
            (answer.finish, answer.tokens.len(), answer.text.as_str()),
            (FinishReason::Stop, 0, "")
        );
        let on = ask(engine, &Request { ignore_eos: true, ..end });
        assert_eq!((on.finish, on.tokens), (FinishReason::Length, vec![END; 20]));
        assert_eq!(on.text, "", "control tokens are not text");
        // The context is full: 512 positions take a prompt of 500 and 12 tokens, and the
        // logits of the last of them give one more.
        let answer = ask(engine, &greedy(&prompt(52, 500), 100));
        assert_eq!((answer.finish, answer.tokens.len()), (FinishReason::Length, 13));
        assert_eq!(engine.pages(), (48, 48));
    });
}

#[test]
fn stop_texts_may_lie_across_tokens_and_are_never_shown() {
    SHARED.with(|engine| {
        let letters = biased(&[(u32::from(b'x'), 1e6)]);
        let request = |stop: &[&str]| Request {
            sampling: letters.clone(),
            stop: stop.iter().map(|stop| stop.to_string()).collect(),
            ..greedy(&prompt(61, 10), 10)
        };
        for (stops, shown, tokens, finish) in [
            (&["xxx"][..], "", 3, FinishReason::Stop),
            (&["y"], "xxxxxxxxxx", 10, FinishReason::Length),
            // Held back while it may come, shown when it does not.
            (&["xy"], "xxxxxxxxxx", 10, FinishReason::Length),
            (&["xxxxxxxxxxxx"], "xxxxxxxxxx", 10, FinishReason::Length),
            (&["xxxxxxxxxx"], "", 10, FinishReason::Stop),
            (&["xxxx", "xx", ""], "", 2, FinishReason::Stop),
        ] {
            let mut seen = String::new();
            let answer = block_on(engine.generate(&request(stops), &mut |piece| {
                seen.push_str(&piece.text);
                ControlFlow::Continue(())
            }));
            let answer = answer.unwrap();
            assert_eq!(answer.text, shown, "{stops:?}");
            assert_eq!(seen, shown, "{stops:?}: what was streamed");
            assert_eq!((answer.tokens.len(), answer.finish), (tokens, finish), "{stops:?}");
        }
    });
}

#[test]
fn a_stop_text_may_be_that_of_a_control_token() {
    SHARED.with(|engine| {
        // The bias of a token wanes with each time it comes: x, x, then the control token.
        let mut request = Request {
            sampling: biased(&[(u32::from(b'x'), 1e6), (END, 1e6 - 150.0)]),
            ignore_eos: true,
            ..greedy(&prompt(62, 10), 10)
        };
        request.sampling.frequency_penalty = 100.0;
        let mut with = |stops: &[&str]| {
            request.stop = stops.iter().map(|stop| stop.to_string()).collect();
            let answer = ask(engine, &request);
            (answer.text, answer.tokens.len(), answer.finish)
        };
        assert_eq!(with(&[]).2, FinishReason::Length);
        assert_eq!(with(&["<|im_end|>"]), ("xx".into(), 3, FinishReason::Stop));
        assert_eq!(with(&["x<|im_end|>"]), ("x".into(), 3, FinishReason::Stop));
        assert_eq!(with(&["im_end"]), ("xx".into(), 3, FinishReason::Stop));
        assert_eq!(with(&["<|im_end|>x", "xxx"]), ("".into(), 4, FinishReason::Stop));
        assert_eq!(with(&["<|im_end|>!"]).2, FinishReason::Length);
    });
}

#[test]
fn the_same_seed_gives_the_same_tokens_whatever_the_batch() {
    SHARED.with(|engine| {
        let one = ask(engine, &drawn(1, 40)).tokens;
        assert_eq!(ask(engine, &drawn(1, 40)).tokens, one);
        let two = ask(engine, &drawn(2, 40)).tokens;
        assert_ne!(one, two);
        let greedy = ask(engine, &greedy(&prompt(9, 20), 40)).tokens;
        assert_ne!(one, greedy);
        // Between others, in another slot, a later one in the queue.
        let requests = [drawn(7, 25), drawn(2, 40), drawn(3, 40), drawn(1, 40)];
        let (answers, _) = ask_all(engine, &requests);
        let answers: Vec<_> = answers.into_iter().map(|answer| answer.unwrap().tokens).collect();
        assert_eq!(answers[1], two);
        assert_eq!(answers[3], one);
    });
}

#[test]
fn sampling_settings_act() {
    SHARED.with(|engine| {
        let plain = greedy(&prompt(71, 12), 40);
        let tokens = ask(engine, &plain).tokens;
        let with = |sampling| Request { sampling, ..plain.clone() };
        // A hot draw without limits strays; limits that leave one token make it greedy again.
        let hot = Sampling { temperature: 5.0, seed: 3, ..Sampling::default() };
        assert_ne!(ask(engine, &with(hot.clone())).tokens, tokens);
        for limited in [
            Sampling { top_k: 1, ..hot.clone() },
            Sampling { top_p: 0.0, ..hot.clone() },
            Sampling { min_p: 1.0, ..hot.clone() },
        ] {
            let answer = ask(engine, &with(limited.clone()));
            assert_eq!(answer.tokens, tokens, "{limited:?}");
        }
        // A banned token does not come, a wanted one does.
        let ban = ask(engine, &with(biased(&[(tokens[0], -1e6)]))).tokens;
        assert!(!ban.contains(&tokens[0]));
        let want = ask(engine, &with(biased(&[(7, 1e6)]))).tokens;
        assert_eq!(want, [7; 40]);
        // Such penalties leave no token of the answer to come again.
        for penalised in [
            Sampling { presence_penalty: 100.0, ..Sampling::default() },
            Sampling { frequency_penalty: 100.0, ..Sampling::default() },
            Sampling { repetition_penalty: 1e6, ..Sampling::default() },
        ] {
            let mut answer = ask(engine, &with(penalised.clone())).tokens;
            // The repetition penalty is for tokens of the prompt as well.
            if penalised.repetition_penalty > 1.0 {
                assert!(!plain.prompt.iter().any(|token| answer.contains(token)));
            }
            answer.sort_unstable();
            answer.dedup();
            assert_eq!(answer.len(), 40, "{penalised:?}");
        }
    });
}

#[test]
fn settings_of_one_request_do_not_reach_the_next_in_its_slot() {
    SHARED.with(|engine| {
        let plain = greedy(&prompt(72, 12), 12);
        let before = ask(engine, &plain).tokens;
        let sampling = Sampling {
            temperature: 3.0,
            repetition_penalty: 9.0,
            presence_penalty: 50.0,
            ..biased(&[(7, 1e6)])
        };
        ask(engine, &Request { sampling, ..plain.clone() });
        assert_eq!(ask(engine, &plain).tokens, before);
        let penalised = Sampling { presence_penalty: 100.0, ..Sampling::default() };
        let penalised = Request { sampling: penalised, ..plain.clone() };
        let first = ask(engine, &penalised).tokens;
        assert_eq!(ask(engine, &penalised).tokens, first, "counts of before were kept");
    });
}

#[test]
fn wrong_requests_are_refused_with_a_sentence_and_others_go_on() {
    SHARED.with(|engine| {
        let sampling = |sampling| Request { sampling, ..greedy(&[1], 4) };
        let good = greedy(&prompt(81, 5), 4);
        let cases = [
            (greedy(&[], 4), "the prompt has no tokens: give at least one"),
            (
                greedy(&[0, VOCAB], 4),
                "token 265 is not in the vocabulary, which has 265 tokens (0 to 264)",
            ),
            (
                greedy(&[1; 513], 4),
                "the prompt has 513 tokens, but the context is 512: give a larger ctx",
            ),
            (
                sampling(Sampling { temperature: -1.0, ..Default::default() }),
                "temperature is -1; it must be",
            ),
            (
                sampling(Sampling { temperature: f32::NAN, ..Default::default() }),
                "temperature is NaN; it",
            ),
            (
                sampling(Sampling { top_p: 1.5, ..Default::default() }),
                "top_p is 1.5; it must be from 0 to 1",
            ),
            (
                sampling(Sampling { min_p: -0.5, ..Default::default() }),
                "min_p is -0.5; it must be from 0",
            ),
            (
                sampling(Sampling { repetition_penalty: 0.0, ..Default::default() }),
                "must be above 0 (1 is off)",
            ),
            (
                sampling(biased(&[(VOCAB, 1.0)])),
                "logit_bias names token 265, but the vocabulary has 265",
            ),
            (sampling(biased(&[(1, f32::INFINITY)])), "a logit_bias value is inf; it must be"),
        ];
        let expected = ask(engine, &good).tokens;
        let mut requests = vec![good.clone()];
        requests.extend(cases.iter().map(|(request, _)| request.clone()));
        requests.push(good);
        let (mut answers, _) = ask_all(engine, &requests);
        assert_eq!(answers.pop().unwrap().unwrap().tokens, expected);
        assert_eq!(answers.remove(0).unwrap().tokens, expected);
        for (answer, (_, part)) in answers.into_iter().zip(&cases) {
            let error = answer.unwrap_err().to_string();
            assert!(error.contains(part), "{part}: {error}");
        }
        assert_eq!(engine.pages(), (48, 48));
        for (tokens, chunk, part) in [
            (&[][..], None, "the prompt has no tokens"),
            (&[VOCAB], None, "token 265 is not in the vocabulary"),
            (&[1; 513], None, "the prompt has 513 tokens, but the context is 512"),
            (&[1], Some(0), "chunk must be at least 1 token"),
        ] {
            let error = block_on(engine.logits(tokens, true, chunk)).unwrap_err().to_string();
            assert!(error.contains(part), "{part}: {error}");
        }
    });
}

#[test]
fn logits_do_not_depend_on_how_the_tokens_are_fed() {
    SHARED.with(|engine| {
        let tokens = prompt(91, 200);
        let vocab = VOCAB as usize;
        let whole = block_on(engine.logits(&tokens, true, None)).unwrap();
        assert_eq!(whole.len(), 200 * vocab);
        let size = whole.iter().map(|l| f64::from(*l).powi(2)).sum::<f64>().sqrt();
        for chunk in [1, 2, 7, 32, 33, 199, 200, 1000] {
            let part = block_on(engine.logits(&tokens, true, Some(chunk))).unwrap();
            let error = wisp_tests::relative_l2(&part, &whole, size);
            assert!(error < 1e-5, "chunks of {chunk}: {error:.1e}");
            let last = block_on(engine.logits(&tokens, false, Some(chunk))).unwrap();
            let error = wisp_tests::relative_l2(&last, &whole[199 * vocab..], size / 200f64.sqrt());
            assert!(error < 1e-5, "chunks of {chunk}, last row: {error:.1e}");
        }
        assert_eq!(engine.pages(), (48, 48));
    });
}

#[test]
fn a_model_without_tokenizer_takes_ids() {
    let options = EngineOptions { ctx: Some(64), ..EngineOptions::default() };
    let mut engine = load_tiny(&Tiny::new().without("tokenizer."), options).unwrap().0;
    let request = greedy(&prompt(1, 3), 5);
    let answer = ask(&mut engine, &request);
    assert_eq!((answer.tokens.len(), answer.text.as_str()), (5, ""));
    let (same, tokens) = (request.clone(), answer.tokens);
    SHARED.with(move |engine| assert_eq!(tokens, ask(engine, &same).tokens));
    let error = try_ask(&mut engine, &Request { stop: vec!["a".into()], ..request }).unwrap_err();
    assert!(error.to_string().starts_with("stop texts need a tokenizer, but "), "{error}");
    assert!(engine.tokenizer().err().unwrap().to_string().contains("tokenizer.ggml.model"));
}

#[test]
fn a_cache_type_that_the_heads_do_not_fit_is_refused() {
    let options = EngineOptions { kv: Some(KvType::Q8_0), ..EngineOptions::default() };
    let error = load_tiny(&Tiny::new(), options).err().unwrap().to_string();
    assert!(
        error.contains("stores 32 numbers together, but heads have 16: give kv f16"),
        "{error}"
    );
}

#[test]
fn a_destroyed_device_is_one_clear_error() {
    let options = EngineOptions { ctx: Some(64), ..EngineOptions::default() };
    let mut engine = load_tiny(&Tiny::new(), options).unwrap().0;
    let request = greedy(&prompt(1, 3), 20);
    ask(&mut engine, &request);
    let gpu = engine.gpu().clone();
    let mut seen = 0;
    // In the middle of an answer.
    let error = block_on(engine.generate(&request, &mut |_| {
        seen += 1;
        if seen == 3 {
            gpu.destroy();
        }
        ControlFlow::Continue(())
    }));
    for error in [error.unwrap_err(), try_ask(&mut engine, &request).unwrap_err()] {
        assert!(matches!(error, Error::Device(_)), "{error:?}");
        let text = error.to_string();
        assert!(text.starts_with("the GPU ") && text.contains(" failed: "), "{text}");
        assert!(!text.contains('\n'), "{text}");
    }
    assert!(seen < 20);
    assert!(block_on(engine.logits(&[1, 2], true, None)).is_err());
}
