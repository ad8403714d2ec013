//! SmolLM2 against PyTorch, in all four capability variants.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::ops::ControlFlow;

use wisp_runtime::{EngineOptions, Request};
use wisp_tests::{VARIANTS, first_difference, goldens, kl, load, model, relative_l2};

/// Logits at every position, the distribution after the prompt, and 48 greedy tokens.
/// f32 variants: 1e-4. f16 variants: 2e-2, and KL below 1e-2.
fn agrees(caps: &str) {
    let Some(path) = model() else { return };
    let mut engine = load(&path, caps, EngineOptions { ctx: Some(512), ..Default::default() });
    let f16 = engine.device_name().contains("f16");
    let bound = if f16 { 2e-2 } else { 1e-4 };
    let (columns, goldens) = goldens();
    let vocab = engine.vocab();
    for golden in &goldens {
        let name = &golden.name;
        let all: Vec<u32> = golden.tokens.iter().chain(&golden.greedy).copied().collect();
        let logits = pollster::block_on(engine.logits(&all, true, None)).unwrap();
        assert_eq!(logits.len(), all.len() * vocab);
        let mut worst: f64 = 0.0;
        for (at, row) in logits.chunks_exact(vocab).enumerate() {
            let some: Vec<f32> = columns.iter().map(|c| row[*c]).collect();
            let want = &golden.columns[at * columns.len()..(at + 1) * columns.len()];
            // The error of some columns, scaled to the whole row.
            let share = (columns.len() as f64 / vocab as f64).sqrt();
            worst = worst.max(relative_l2(&some, want, f64::from(golden.norms[at]) * share));
        }
        let last = &logits[(golden.tokens.len() - 1) * vocab..golden.tokens.len() * vocab];
        let size = f64::from(golden.norms[golden.tokens.len() - 1]);
        let whole = relative_l2(last, &golden.last, size);
        let divergence = kl(&golden.last, last);
        println!("{caps:?} {name}: {worst:.1e} columns, {whole:.1e} last row, KL {divergence:.1e}");
        // 64 of 49,152 columns: their sum of squares strays from its mean by 2·√(2/64).
        assert!(worst <= 1.5 * bound, "{caps:?} {name}: {worst:.1e} in some columns");
        assert!(whole <= bound, "{caps:?} {name}: {whole:.1e} in the row after the prompt");
        assert!(divergence <= 1e-2, "{caps:?} {name}: KL {divergence:.1e}");

        let request = Request {
            prompt: golden.tokens.clone(),
            max_tokens: golden.greedy.len(),
            ignore_eos: true,
            ..Request::default()
        };
        let answer =
            pollster::block_on(engine.generate(&request, &mut |_| ControlFlow::Continue(())));
        let answer = answer.unwrap();
        // f16 may turn steps that are closer than its own error.
        let margin = |m: &f64| if f16 { m / 20.0 } else { *m };
        let margins: Vec<f64> = golden.margins.iter().map(margin).collect();
        let differs = first_difference(&answer.tokens, &golden.greedy, &margins);
        assert_eq!(differs, None, "{caps:?} {name}: {:?}", answer.tokens);
    }
}

#[test]
fn subgroup_f16_agrees_with_pytorch() {
    agrees(VARIANTS[0]);
}

#[test]
fn subgroup_f32_agrees_with_pytorch() {
    agrees(VARIANTS[1]);
}

#[test]
fn workgroup_f16_agrees_with_pytorch() {
    agrees(VARIANTS[2]);
}

#[test]
fn workgroup_f32_agrees_with_pytorch() {
    agrees(VARIANTS[3]);
}
