//! Packed products: what rounding activations to 8 bits costs a real model.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use pollster::block_on;
use wisp_runtime::{Engine, EngineOptions, log_sum_exp};
use wisp_tests::{ask, first_difference, goldens, greedy, kl, load, model};

fn engine(caps: &str, tuning: &str) -> Option<Engine> {
    let options = EngineOptions { ctx: Some(320), tuning: tuning.into(), ..Default::default() };
    Some(load(&model()?, &format!("f16=off,{caps}"), options))
}

/// The distributions stay close to those of f32 products, whose own are PyTorch's.
#[test]
fn rounded_activations_change_little() {
    let Some(mut float) = engine("", "") else { return };
    assert!(!float.tuning().matvec.packed, "nobody asked for it");
    let mut packed = engine("", "matvec.packed=1").unwrap();
    assert!(packed.tuning().matvec.packed);
    let vocab = float.vocab();
    let (mut kls, mut nlls, mut same) = (Vec::new(), [0.0; 2], 0);
    for golden in
        goldens().1.iter().filter(|golden| ["code", "french", "json"].contains(&&*golden.name))
    {
        let text: Vec<u32> = golden.tokens.iter().chain(&golden.greedy).copied().collect();
        let logits = [&mut float, &mut packed]
            .map(|engine| block_on(engine.logits(&text, true, None)).unwrap());
        let [p, q] = &logits;
        let rows = || p.chunks_exact(vocab).zip(q.chunks_exact(vocab));
        let top = |row: &[f32]| (0..vocab).max_by(|a, b| row[*a].total_cmp(&row[*b]));
        kls.extend(rows().map(|(p, q)| kl(p, q)));
        same += rows().filter(|(p, q)| top(p) == top(q)).count();
        for (nll, logits) in nlls.iter_mut().zip(&logits) {
            let next = logits.chunks_exact(vocab).zip(&text[1..]);
            *nll +=
                next.map(|(row, id)| log_sum_exp(row) - f64::from(row[*id as usize])).sum::<f64>();
        }
        let tokens = ask(&mut float, &greedy(&golden.tokens, 4)).tokens;
        let differs = first_difference(&tokens, &golden.greedy[..4], &golden.margins);
        assert_eq!(differs, None, "{}: tokens of f32 products", golden.name);
    }
    let mean = kls.iter().sum::<f64>() / kls.len() as f64;
    let most = kls.iter().copied().fold(0.0, f64::max);
    let [before, after] = nlls.map(|nll| (nll / (kls.len() - 3) as f64).exp());
    println!(
        "{} tokens: mean KL {mean:.5}, most {most:.4}; perplexity {before:.4}, packed {after:.4}; \
         top-1 {:.1} %",
        kls.len(),
        100.0 * same as f64 / kls.len() as f64
    );
    assert!(mean > 0.0, "products were not packed");
    assert!(mean < 0.01 && most < 0.2, "mean KL {mean:.5}, most {most:.4}");
    assert!((after / before - 1.0).abs() < 0.02, "perplexity {before:.4}, packed {after:.4}");
}

/// Who switches the capability off has none, whatever the tuning.
#[test]
fn without_the_capability_nothing_is_packed() {
    let Some(engine) = engine("dot=off", "matvec.packed=1") else { return };
    assert!(!engine.tuning().matvec.packed);
}
