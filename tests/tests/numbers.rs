//! Numbers that are none: in a file's weights, and where a model's arithmetic overflows. There
//! is an error that says so, never an answer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use pollster::block_on;
use wisp_base::Error;
use wisp_runtime::{Cancel, Engine, EngineOptions, Sampling, Speculation};
use wisp_tests::tiny::Tiny;
use wisp_tests::{ask_all, greedy, load_tiny};

/// Writes an f32 over the number `at`.
fn put(at: usize, number: f32) -> impl FnOnce(&mut Vec<u8>) {
    move |bytes| bytes[4 * at..4 * at + 4].copy_from_slice(&number.to_le_bytes())
}

#[test]
fn weights_that_are_not_finite_are_refused_at_load() {
    let scale = |block: usize, half: u16| {
        move |bytes: &mut Vec<u8>| {
            bytes[34 * block..34 * block + 2].copy_from_slice(&half.to_le_bytes());
        }
    };
    for (model, sentence) in [
        (
            Tiny::new().edited("blk.1.ffn_norm.weight", put(5, f32::NAN)),
            "tensor blk.1.ffn_norm.weight: weight 5 is NaN",
        ),
        (
            Tiny::new().edited("output_norm.weight", put(63, f32::INFINITY)),
            "tensor output_norm.weight: weight 63 is inf",
        ),
        // Rows of 64: one that is stacked, one that alternates with another, an embedding.
        (
            Tiny::new().edited("blk.0.attn_k.weight", scale(7, 0x7e00)),
            "tensor blk.0.attn_k.weight: weight 224 is NaN",
        ),
        (
            Tiny::new().edited("blk.1.ffn_up.weight", scale(191, 0xfc00)),
            "tensor blk.1.ffn_up.weight: weight 6112 is ",
        ),
        (
            Tiny::new().edited("token_embd.weight", scale(2 * 264, 0x7c01)),
            "tensor token_embd.weight: weight 16896 is NaN",
        ),
    ] {
        let error = load_tiny(&model, EngineOptions::default()).map(|_| ()).unwrap_err();
        assert!(error.to_string().starts_with(&format!("tiny.gguf: {sentence}")), "{error}");
        assert!(error.to_string().ends_with(": the weights are damaged"), "{error}");
    }
}

/// Gains of a norm that f32 holds, and products with them that it does not.
fn overflowing(speculation: Speculation) -> Engine {
    let large =
        (0..64).fold(Tiny::new(), |tiny, at| tiny.edited("output_norm.weight", put(at, 3e38)));
    let options = EngineOptions { speculation, max_sequences: 2, ..EngineOptions::default() };
    load_tiny(&large, options).unwrap().0
}

fn says_so(error: &Error) {
    assert!(matches!(error, Error::Device(_)), "{error:?}");
    assert!(error.to_string().starts_with("the model's outputs are not finite numbers"), "{error}");
}

#[test]
fn logits_that_are_not_finite_are_an_error() {
    let mut engine = overflowing(Speculation::Never);
    says_so(&block_on(engine.logits(&[1, 2, 3], false, None)).unwrap_err());
    says_so(&block_on(engine.nll(&[1, 2, 3], &Cancel::default())).unwrap_err());
}

#[test]
fn nothing_is_drawn_from_logits_that_are_not_finite() {
    for speculation in [Speculation::Never, Speculation::Always] {
        let mut engine = overflowing(speculation);
        let warm = Sampling { temperature: 0.8, frequency_penalty: 0.5, ..Sampling::default() };
        let mut second = greedy(&[5, 6, 7, 5, 6, 7], 40);
        second.sampling = warm;
        for requests in [vec![greedy(&[1, 2, 3], 40)], vec![greedy(&[1, 2, 3], 40), second]] {
            for answer in ask_all(&mut engine, &requests).0 {
                says_so(&answer.unwrap_err());
            }
            // All that they had is free again.
            let (free, all) = engine.pages();
            assert_eq!(free, all);
        }
    }
}
