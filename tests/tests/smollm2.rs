//! SmolLM2 in f32 kernels: what needs a real model, and numbers to compare with.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::cell::Cell;
use std::ops::ControlFlow;
use std::sync::LazyLock;

use pollster::block_on;
use wisp_base::{KvType, Result};
use wisp_formats::{FileSource, LocalFuture, Source};
use wisp_runtime::{Engine, EngineOptions, FinishReason, Request, Sampling};
use wisp_tests::{
    Golden, Shared, ask, ask_all, first_difference, goldens, greedy, load, load_from, model,
    relative_l2,
};

static GOLDENS: LazyLock<Vec<Golden>> = LazyLock::new(|| goldens().1);

fn golden(name: &str) -> &'static Golden {
    GOLDENS.iter().find(|golden| golden.name == name).unwrap()
}

/// Room for three sequences.
static SHARED: LazyLock<Shared> = LazyLock::new(|| {
    let options = EngineOptions { ctx: Some(320), max_sequences: 3, ..Default::default() };
    Shared::new(|| load(&model().unwrap(), "f16=off", options))
});

/// Runs a test where the model is here.
fn with(work: impl FnOnce(&mut Engine) + Send + 'static) {
    if model().is_some() {
        SHARED.with(work);
    }
}

#[test]
fn three_prompts_together_get_what_each_gets_alone() {
    with(|engine| {
        let three = ["code", "french", "json"].map(golden);
        let requests = three.map(|golden| greedy(&golden.tokens, 16));
        let (answers, order) = ask_all(engine, &requests);
        for ((answer, golden), request) in answers.into_iter().zip(three).zip(&requests) {
            let together = answer.unwrap();
            let alone = ask(engine, request);
            assert_eq!(together.tokens.len(), 16);
            for (tokens, what) in [(&together.tokens, "together"), (&alone.tokens, "alone")] {
                let differs = first_difference(tokens, &golden.greedy[..16], &golden.margins);
                assert_eq!(differs, None, "{} {what}", golden.name);
            }
            let differs = first_difference(&together.tokens, &alone.tokens, &golden.margins);
            assert_eq!(differs, None, "{}", golden.name);
        }
        // They took turns, a token each a step.
        assert!(order[15..35].windows(3).all(|three| three[0] != three[1] && three[0] != three[2]));
    });
}

#[test]
fn logits_do_not_depend_on_how_the_tokens_are_fed() {
    with(|engine| {
        let golden = golden("code");
        let size = f64::from(golden.norms[golden.tokens.len() - 1]);
        for chunk in [None, Some(1), Some(8), Some(20)] {
            let last = block_on(engine.logits(&golden.tokens, false, chunk)).unwrap();
            let error = relative_l2(&last, &golden.last, size);
            assert!(error <= 1e-4, "chunks of {chunk:?}: {error:.1e}");
        }
    });
}

#[test]
fn nll_is_pytorchs() {
    with(|engine| {
        for name in ["french", "short"] {
            let golden = golden(name);
            let all = [golden.tokens.as_slice(), &golden.greedy].concat();
            let nll = block_on(engine.nll(&all, &Default::default())).unwrap();
            assert_eq!(nll.len(), all.len() - 1);
            assert_eq!(golden.nll.len(), nll.len());
            let errors = nll.iter().zip(&golden.nll).map(|(nll, want)| (nll - want).abs());
            let worst = errors.fold(0.0, f64::max);
            assert!(worst <= 1e-4, "{name}: {worst:.1e}");
        }
    });
}

/// How far −ln p is from PyTorch's over a text: the mean of the distances, and the
/// distance of the means.
fn nll_errors(engine: &mut Engine) -> (f64, f64) {
    let golden = golden("json");
    let all = [&golden.tokens[..], &golden.greedy[..12]].concat();
    let nll = block_on(engine.nll(&all, &Default::default())).unwrap();
    let errors: Vec<_> = nll.iter().zip(&golden.nll).map(|(a, b)| a - b).collect();
    let count = errors.len() as f64;
    let mean = errors.iter().sum::<f64>() / count;
    (errors.iter().map(|error| error.abs()).sum::<f64>() / count, mean.abs())
}

#[test]
fn smaller_caches_stay_close() {
    let Some(path) = model() else { return };
    let mut before = 0.0;
    let mut size = u64::MAX;
    for (kv, bound) in [(KvType::F16, 6e-4), (KvType::Q8_0, 0.02), (KvType::Q4_0, 0.4)] {
        let options = EngineOptions { kv: Some(kv), ctx: Some(320), ..Default::default() };
        let mut engine = load(&path, "f16=off", options);
        let (error, shift) = nll_errors(&mut engine);
        println!("{kv:?}: {error:.1e} {shift:.1e}, {} bytes", engine.memory().kv);
        assert!(error <= bound && shift <= bound / 2.0, "{kv:?}: {error:.1e}, {shift:.1e}");
        // It is the cache that was asked for: smaller, and not as exact.
        assert!(error > before, "{kv:?}: {error:.1e}, not more than {before:.1e}");
        assert!(engine.memory().kv < size);
        (before, size) = (error, engine.memory().kv);
    }
}

#[test]
fn a_stop_text_across_tokens_ends_the_answer_and_is_never_shown() {
    with(|engine| {
        // " a wise and kind woman named Elara. She was": the text ends within a token.
        let prompt = &golden("story").tokens;
        for (stop, shown) in [
            ("named Ela", " a wise and kind woman "),
            (" woman named Elara.", " a wise and kind"),
            ("e and k", " a wis"),
        ] {
            let mut seen = String::new();
            let request = Request { stop: vec![stop.into()], ..greedy(prompt, 20) };
            let answer = block_on(engine.generate(&request, &mut |piece| {
                seen.push_str(&piece.text);
                ControlFlow::Continue(())
            }));
            let answer = answer.unwrap();
            assert_eq!((answer.text.as_str(), seen.as_str()), (shown, shown), "{stop:?}");
            assert_eq!(answer.finish, FinishReason::Stop);
            assert!(answer.tokens.len() < 15);
        }
    });
}

#[test]
fn an_answer_ends_by_itself() {
    with(|engine| {
        let prompt = "<|im_start|>system\nYou are a helpful AI assistant.<|im_end|>\n<|im_start|>user\n\
                  What is 2+2? Answer with one word.<|im_end|>\n<|im_start|>assistant\n";
        let tokenizer = engine.tokenizer().unwrap();
        let prompt = tokenizer.encode(prompt.as_bytes(), false, true).unwrap();
        let end = tokenizer.encode(b"<|im_end|>", false, true).unwrap();
        let request = Request { ignore_eos: false, ..greedy(&prompt, 60) };
        let answer = ask(engine, &request);
        println!("{:?}", answer.text);
        assert_eq!(answer.finish, FinishReason::Stop);
        assert!(!answer.tokens.is_empty() && !answer.tokens.contains(&end[0]));
        assert!(!answer.text.contains("<|"), "{:?}", answer.text);
        // Past it, where that is asked for; the answer up to there is the same.
        let on = ask(engine, &Request { ignore_eos: true, max_tokens: 60, ..request });
        assert_eq!(on.tokens[..answer.tokens.len()], answer.tokens);
        assert_eq!(on.tokens[answer.tokens.len()], end[0]);
        assert_eq!(on.finish, FinishReason::Length);
    });
}

#[test]
fn a_drawn_answer_follows_its_seed() {
    with(|engine| {
        let request = |seed| {
            let sampling = Sampling { temperature: 1.0, top_p: 0.95, seed, ..Sampling::default() };
            Request { sampling, ..greedy(&golden("story").tokens, 16) }
        };
        let one = ask(engine, &request(1)).tokens;
        assert_eq!(ask(engine, &request(1)).tokens, one);
        assert_ne!(ask(engine, &request(2)).tokens, one);
        let (answers, _) = ask_all(engine, &[request(5), request(1), request(6)]);
        assert_eq!(answers[1].as_ref().unwrap().tokens, one);
    });
}

/// Remembers how it was read.
struct Watched {
    file: FileSource,
    largest: Cell<usize>,
    read: Cell<u64>,
}

impl Source for Watched {
    fn name(&self) -> &str {
        self.file.name()
    }

    fn len(&self) -> u64 {
        self.file.len()
    }

    fn read<'a>(&'a self, offset: u64, into: &'a mut [u8]) -> LocalFuture<'a, Result<()>> {
        self.largest.set(self.largest.get().max(into.len()));
        self.read.set(self.read.get() + into.len() as u64);
        self.file.read(offset, into)
    }
}

#[test]
fn a_model_is_read_in_chunks_and_once() {
    let Some(path) = model() else { return };
    let file = FileSource::open(&path).unwrap();
    let watched = Watched { file, largest: Cell::new(0), read: Cell::new(0) };
    let caps = "f16=off".to_owned();
    let options = EngineOptions { caps, ctx: Some(64), ..EngineOptions::default() };
    let (engine, notes) = load_from(&watched, options).unwrap();
    assert!(notes.is_empty(), "{notes:?}");
    assert!(engine.memory().weights > 90_000_000);
    // The largest tensor has 17.7 MB.
    assert!(watched.largest.get() <= 5 << 20, "{} bytes at once", watched.largest.get());
    assert!(watched.read.get() < watched.len() + (8 << 20), "{} bytes in all", watched.read.get());
}
