//! The memory planner, before anything is allocated: numbers, refusals, smaller contexts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use pollster::block_on;
use wisp_base::{Error, KvType};
use wisp_formats::BytesSource;
use wisp_runtime::{Engine, EngineOptions, Speculation, plan_memory};
use wisp_tests::tiny::Tiny;
use wisp_tests::{ask, ask_all, greedy, load_tiny};

/// Bytes of keys and values per token: two layers, two heads of 16 numbers, f32.
const A_TOKEN: u64 = 2 * 2 * 2 * 16 * 4;

fn options(ctx: Option<usize>, memory_limit: Option<u64>) -> EngineOptions {
    EngineOptions { ctx, memory_limit, ..EngineOptions::default() }
}

/// `12.3 MB` before `what` in a sentence.
fn megabytes(sentence: &str, what: &str) -> f64 {
    let before = sentence.split(what).next().unwrap().trim();
    let number = before.strip_suffix("MB").unwrap().split_whitespace().next_back().unwrap();
    number.parse().unwrap()
}

#[test]
fn the_numbers_are_those_of_the_model() {
    let (engine, notes) = load_tiny(&Tiny::new(), options(Some(1024), None)).unwrap();
    let memory = engine.memory();
    assert_eq!(memory.kv, 1024 * A_TOKEN);
    assert_eq!((memory.ctx, engine.ctx(), engine.pages()), (1024, 1024, (32, 32)));
    assert_eq!(memory.total(), memory.weights + memory.kv + memory.scratch);
    // Q8_0 takes 34 bytes for 32 weights.
    let matrices = 2 * 265 * 64 + 2 * (2 * 64 * 64 + 2 * 32 * 64 + 3 * 96 * 64);
    assert!(memory.weights > matrices / 32 * 34);
    assert!(memory.weights < matrices / 32 * 40 + 1024 * 64 * 4, "{}", memory.weights);
    assert!(notes.is_empty(), "{notes:?}");
    // Room for each sequence.
    let three = EngineOptions { max_sequences: 3, ..options(Some(1024), None) };
    assert_eq!(load_tiny(&Tiny::new(), three).unwrap().0.memory().kv, 3 * 1024 * A_TOKEN);
}

#[test]
fn a_context_that_was_asked_for_and_does_not_fit_is_refused_with_the_largest_that_would() {
    let model = Tiny::new();
    let fits = load_tiny(&model, options(Some(1024), None)).unwrap().0.memory();
    // Room for 1,024 tokens, but not for 2,048.
    let limit = fits.total() + 600 * A_TOKEN;
    let error = load_tiny(&model, options(Some(2048), Some(limit))).err().unwrap();
    assert!(matches!(error, Error::Memory(_)));
    let text = error.to_string();
    let kv = megabytes(&text, " of KV cache for 2048 tokens");
    assert!((kv - 2048.0 * A_TOKEN as f64 / 1e6).abs() < 0.06, "{text}");
    assert!((megabytes(&text, " in all") - limit as f64 / 1e6).abs() < 0.06, "{text}");
    assert!(megabytes(&text, " of weights") > 0.0 && text.contains(" of scratch "), "{text}");
    let most: usize = text
        .split_once("give ctx ")
        .and_then(|(_, rest)| rest.strip_suffix(" or less"))
        .unwrap_or_else(|| panic!("{text}"))
        .parse()
        .unwrap();
    assert!((1024..2048).contains(&most), "{text}");
    // What it says would fit does, and works; a step more does not.
    let mut engine = load_tiny(&model, options(Some(most), Some(limit))).unwrap().0;
    assert!(engine.memory().total() <= limit);
    assert_eq!(ask(&mut engine, &greedy(&[1, 2, 3], 4)).tokens.len(), 4);
    assert!(load_tiny(&model, options(Some(most + 256), Some(limit))).is_err());
}

#[test]
fn a_context_that_was_not_asked_for_is_made_smaller_with_a_note() {
    let model = Tiny::new();
    let fits = load_tiny(&model, options(Some(1024), None)).unwrap().0.memory();
    let limit = fits.total() + 600 * A_TOKEN;
    let (mut engine, notes) = load_tiny(&model, options(None, Some(limit))).unwrap();
    assert!((1024..2048).contains(&engine.ctx()), "{}", engine.ctx());
    assert!(engine.memory().total() <= limit);
    assert_eq!(notes.len(), 1, "{notes:?}");
    let end = format!(": the context is made smaller, {} tokens", engine.ctx());
    assert!(notes[0].ends_with(&end) && notes[0].contains("do not fit the adapter"), "{notes:?}");
    assert_eq!(ask(&mut engine, &greedy(&[1, 2, 3], 4)).tokens.len(), 4);
}

#[test]
fn a_model_that_does_not_fit_at_all_says_so() {
    for ctx in [None, Some(32)] {
        let error = load_tiny(&Tiny::new(), options(ctx, Some(1000))).err().unwrap();
        assert!(matches!(error, Error::Memory(_)));
        let text = error.to_string();
        assert!(text.ends_with(": not even the shortest context would"), "{text}");
    }
    let error = load_tiny(&Tiny::new(), options(Some(0), None)).err().unwrap().to_string();
    assert_eq!(error, "the context must be at least 1 token: give a larger ctx");
}

#[test]
fn more_context_than_the_model_was_trained_for_is_noted() {
    let (engine, notes) = load_tiny(&Tiny::new(), options(Some(4096), None)).unwrap();
    assert_eq!(engine.ctx(), 4096);
    assert_eq!(notes, ["the model was trained for 2048 tokens of context, and 4096 are asked for"]);
}

#[test]
fn a_silly_context_is_refused_before_anything_is_allocated() {
    for ctx in [1 << 30, 1 << 40, usize::MAX] {
        let start = std::time::Instant::now();
        let error = load_tiny(&Tiny::new(), options(Some(ctx), None)).err().unwrap();
        assert!(matches!(error, Error::Memory(_)), "{error}");
        assert!(error.to_string().contains("give ctx "), "{error}");
        assert!(start.elapsed().as_secs() < 20);
    }
}

/// What the planner said, and what the buffers took after prompts of these lengths.
fn planned_and_allocated(mut engine: Engine, lengths: &[u32]) -> (f64, f64) {
    let (ctx, most) = (engine.ctx(), engine.vocab() as u32);
    for length in lengths {
        let prompt: Vec<u32> = (0..*length).map(|id| id % most).collect();
        assert!(prompt.len() + 4 < ctx);
        ask(&mut engine, &greedy(&prompt, 4));
    }
    (engine.memory().total() as f64, engine.allocated() as f64)
}

fn within_5_percent((planned, allocated): (f64, f64), what: &str) {
    assert!(
        (planned / allocated - 1.0).abs() < 0.05,
        "{what}: {planned} bytes are planned, {allocated} were allocated"
    );
}

#[test]
fn what_is_planned_is_allocated() {
    // From short to long: what a short prompt takes, a long one takes too.
    for kv in [KvType::F32, KvType::F16] {
        let options = EngineOptions { kv: Some(kv), ..options(Some(1024), None) };
        let engine = load_tiny(&Tiny::new(), options).unwrap().0;
        let bytes = planned_and_allocated(engine, &[1, 7, 30, 100, 300, 700]);
        within_5_percent(bytes, kv.name());
    }
    let Some(path) = wisp_tests::model() else { return };
    for kv in [KvType::Q8_0, KvType::Q4_0] {
        let options = EngineOptions { kv: Some(kv), ..options(Some(1024), None) };
        let engine = wisp_tests::load(&path, "", options);
        within_5_percent(planned_and_allocated(engine, &[1, 40]), kv.name());
    }
}

/// Nothing that requests may ask for at once is missing in the midst of them.
#[test]
fn parallel_decode_takes_no_more_memory_than_the_load_did() {
    for (max_sequences, speculation) in
        [(1, Speculation::Always), (6, Speculation::Never), (9, Speculation::Always)]
    {
        let options = EngineOptions { max_sequences, speculation, ..options(Some(256), None) };
        let mut engine = load_tiny(&Tiny::new(), options).unwrap().0;
        let loaded = engine.allocated();
        let most = engine.memory().total() as f64;
        assert!((loaded as f64 / most - 1.0).abs() < 0.05, "{loaded} of {most} planned");
        // From one sequence to all, since those that end early leave the others.
        let requests: Vec<_> = (0..max_sequences as u32)
            .map(|start| greedy(&[start, 1, 2, start, 1, 2], 8 + 3 * start as usize))
            .collect();
        ask_all(&mut engine, &requests);
        let staging = engine.allocated() - loaded;
        assert!(staging < 1024, "{max_sequences} sequences: {staging} bytes more");
    }
}

#[test]
fn planning_needs_no_device() {
    let source = BytesSource::new("tiny.gguf", Tiny::new().bytes());
    let gguf = block_on(wisp_runtime::open(&source)).unwrap();
    let caps = "f16=off".to_owned();
    let plan =
        |ctx| plan_memory(&gguf, &EngineOptions { caps: caps.clone(), ..options(ctx, None) });
    let plan = |ctx| plan(ctx).unwrap();
    assert_eq!(plan(Some(1024)).kv, 1024 * A_TOKEN);
    assert_eq!(plan(None).ctx, 2048);
}
