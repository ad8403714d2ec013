//! What files say in other ways than most do, with a tiny random model: the answers are those of
//! the usual file.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use pollster::block_on;
use wisp_formats::{Array, Value};
use wisp_runtime::{Cancel, Engine, EngineOptions, Request, Sampling};
use wisp_tests::tiny::{Tiny, VOCAB};
use wisp_tests::{ask, greedy, load_tiny};

const PROMPT: [u32; 9] = [104, 5, 200, 33, 104, 7, 9, 12, 13];

fn load(model: &Tiny) -> Result<Engine, String> {
    let options = EngineOptions { ctx: Some(64), ..EngineOptions::default() };
    load_tiny(model, options).map(|loaded| loaded.0).map_err(|error| error.to_string())
}

fn answer(model: &Tiny) -> Vec<u32> {
    ask(&mut load(model).unwrap(), &greedy(&PROMPT, 8)).tokens
}

/// Some converters write a number for each layer where all have the same. Where layers may differ,
/// each is as its own number says, and the tensors must agree.
#[test]
fn a_number_for_each_layer_is_one_for_all_where_they_are_equal() {
    const ALIKE: &str = "metadata key KEY differs from layer to layer";
    const ONE: &str = "metadata key KEY is [] (array of u32)";
    const EACH: &str = "metadata key KEY is not a size for each of 2 layers";
    let each: [(&str, Array, Array, &str, &str); 4] = [
        (
            "attention.head_count_kv",
            Array::U32(vec![2; 2]),
            Array::U32(vec![2, 4]),
            "tensor blk.1.attn_k.weight has 32 rows of 64, but by the metadata it has 64",
            EACH,
        ),
        ("attention.head_count", Array::I32(vec![4; 2]), Array::I32(vec![4, 2]), ALIKE, ONE),
        (
            "feed_forward_length",
            Array::U64(vec![96; 2]),
            Array::U64(vec![96, 64]),
            "tensor blk.1.ffn_gate.weight has 96 rows of 64, but by the metadata it has 64",
            EACH,
        ),
        (
            "attention.layer_norm_rms_epsilon",
            Array::F32(vec![1e-5; 2]),
            Array::F32(vec![1e-5, 1e-6]),
            ALIKE,
            ONE,
        ),
    ];
    let mut all = Tiny::new();
    for (key, equal, other, differs, none) in each {
        let key = format!("llama.{key}");
        let error = load(&Tiny::new().with(&key, other)).err().unwrap();
        assert!(error.contains(&differs.replace("KEY", &key)), "{error}");
        let empty = load(&Tiny::new().with(&key, Array::U32(Vec::new()))).err().unwrap();
        assert!(empty.contains(&none.replace("KEY", &key)), "{empty}");
        all = all.with(&key, equal);
    }
    assert_eq!(answer(&all), answer(&Tiny::new()));
}

/// Converters write 2³² − 1, −1 or an id beyond the vocabulary for "none".
#[test]
fn special_ids_that_no_token_has_are_none() {
    let plain = answer(&Tiny::new());
    let none: [Value; 4] =
        [Value::U32(u32::MAX), Value::I32(-1), Value::I64(-1), Value::U32(VOCAB)];
    for none in none {
        let mut model = Tiny::new();
        for name in ["bos", "eos", "eot", "eom", "unknown", "padding", "seperator", "cls"] {
            model = model.with(&format!("tokenizer.ggml.{name}_token_id"), none.clone());
        }
        let mut engine = load(&model).unwrap();
        let tokenizer = engine.tokenizer().unwrap();
        assert_eq!((tokenizer.bos(), tokenizer.eos()), (None, None));
        assert_eq!(ask(&mut engine, &greedy(&PROMPT, 8)).tokens, plain);
    }
    let word = Tiny::new().with("tokenizer.ggml.padding_token_id", "none");
    let error = load(&word).unwrap().tokenizer().err().unwrap().to_string();
    assert!(error.contains("tokenizer.ggml.padding_token_id is \"none\" (string), but"), "{error}");
}

/// Embeddings have more rows than the tokenizer has tokens: what is drawn of them is no text,
/// and ends nothing.
#[test]
fn a_drawn_id_without_a_token_is_no_text() {
    let rows = 300;
    let model = Tiny::new()
        .with_tensor("token_embd.weight", &[64, rows])
        .with_tensor("output.weight", &[64, rows]);
    let mut engine = load(&model).unwrap();
    let bias = |token: u32| Sampling { logit_bias: vec![(token, 100.0)], ..Sampling::default() };
    let request = Request { sampling: bias(280), stop: vec!["x".into()], ..greedy(&PROMPT, 3) };
    let done = ask(&mut engine, &request);
    assert_eq!((done.tokens, done.text.as_str()), (vec![280; 3], ""));
    let tokens = [&PROMPT[..], &[280, 299]].concat();
    let nll = block_on(engine.nll(&tokens, &Cancel::default())).unwrap();
    assert!(nll.iter().all(|nll| (nll - (rows as f64).ln()).abs() < 1e-4), "{nll:?}");
    let tokenizer = engine.tokenizer().unwrap();
    assert_eq!(
        tokenizer.decode(&[104, 280, 105], true).unwrap(),
        tokenizer.decode(&[104, 105], true).unwrap()
    );
    assert!(tokenizer.decode(&[300], true).is_err());
}
