//! Sampling from vocabularies and distributions of all kinds gives the tokens of its
//! definition.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use wisp_base::uniform;
use wisp_gpu::{Gpu, Off, Reduce, Scalar, Tuning, Variant};
use wisp_ops::check::{Case, run};
use wisp_ops::{Settings, sample_case};

const WARM: Settings = Settings { temperature: 0.8, seed: 0x1234_5678_9abc, ..Settings::GREEDY };

/// Three sequences each.
fn settings() -> Vec<(&'static str, [Settings; 3])> {
    let hot = Settings { temperature: 3.0, seed: 5, ..WARM };
    vec![
        (
            "as in a chat",
            [
                Settings { top_k: 40, top_p: 0.95, min_p: 0.05, ..WARM },
                Settings { top_k: 40, top_p: 0.95, min_p: 0.05, ..hot },
                Settings { temperature: 0.0, ..WARM },
            ],
        ),
        (
            "top-k",
            [
                Settings { top_k: 1, ..hot },
                Settings { top_k: 64, ..hot },
                Settings { top_k: u32::MAX, ..hot },
            ],
        ),
        (
            "top-k of many",
            [
                Settings { top_k: 200, ..hot },
                Settings { top_k: 5000, ..hot },
                Settings { top_k: 5000, top_p: 0.5, ..hot },
            ],
        ),
        (
            "top-p",
            [
                Settings { top_p: 0.95, ..WARM },
                Settings { top_p: 0.3, ..hot },
                Settings { top_p: 0.0, ..hot },
            ],
        ),
        (
            "top-p of little",
            [
                Settings { top_p: 1e-6, ..hot },
                Settings { top_p: 0.01, ..WARM },
                Settings { top_p: 0.999, ..hot },
            ],
        ),
        (
            "min-p",
            [
                Settings { min_p: 0.05, ..hot },
                Settings { min_p: 1.0, ..hot },
                Settings { min_p: 0.5, top_p: 0.9, ..hot },
            ],
        ),
        (
            "all",
            [
                Settings { top_k: 100, top_p: 0.5, min_p: 0.1, biased: true, ..hot },
                Settings { top_k: 20, top_p: 0.9, repetition: 1.2, frequency: 0.1, ..hot },
                WARM,
            ],
        ),
    ]
}

fn flat(seed: u64, count: usize) -> Vec<f32> {
    let mut next = uniform(seed);
    (0..count).map(|_| next()).collect()
}

/// As a model has them: a bell of width 3.
fn bell(seed: u64, count: usize) -> Vec<f32> {
    let mut next = uniform(seed);
    (0..count).map(|_| 1.5 * (0..12).map(|_| next()).sum::<f32>()).collect()
}

fn equal(_: u64, count: usize) -> Vec<f32> {
    vec![0.25; count]
}

/// Few values, each of many tokens; few tokens above all these.
fn ties(seed: u64, count: usize) -> Vec<f32> {
    let few = |(id, x): (usize, f32)| if id % 9973 == 7 { 2.0 + x } else { (x * 3.0).round() };
    flat(seed, count).into_iter().enumerate().map(few).collect()
}

/// All but a few are forbidden.
fn masked(seed: u64, count: usize) -> Vec<f32> {
    let mask = |(id, x): (usize, f32)| if id % 7919 == 11 { x } else { f32::NEG_INFINITY };
    bell(seed, count).into_iter().enumerate().map(mask).collect()
}

/// Of a model that computes wrongly.
fn nan(_: u64, count: usize) -> Vec<f32> {
    vec![f32::NAN; count]
}

/// One of them too large, the others NaN.
fn infinite(_: u64, count: usize) -> Vec<f32> {
    let one = |id| if id == count / 3 { f32::INFINITY } else { f32::NAN };
    (0..count).map(one).collect()
}

/// All are forbidden.
fn nothing(_: u64, count: usize) -> Vec<f32> {
    vec![f32::NEG_INFINITY; count]
}

#[test]
fn tokens_are_those_of_the_definition() {
    let gpu = pollster::block_on(Gpu::open(None, Off::default())).unwrap();
    let mut failed = Vec::new();
    for (what, numbers, vocab) in [
        ("one", flat as fn(u64, usize) -> Vec<f32>, 1),
        ("flat", flat, 262_141),
        ("bell", bell, 50_257),
        ("bell", bell, 151_936),
        ("equal", equal, 100_000),
        ("ties", ties, 50_257),
        ("ties", ties, 262_141),
        ("masked", masked, 262_141),
        ("NaN", nan, 50_257),
        ("infinite", infinite, 2_501),
        ("nothing", nothing, 2_501),
    ] {
        for (name, settings) in settings() {
            let case = sample_case(&format!("{name}, {what}, {vocab}"), vocab, settings).unwrap();
            let case = Case { numbers, ..case };
            for (reduce, tuning) in
                [(Reduce::Subgroup, Tuning::CPU), (Reduce::Workgroup, Tuning::GPU)]
            {
                let variant = Variant { reduce, scalar: Scalar::F32 };
                if !variant.runs_on(gpu.facts().caps) {
                    continue;
                }
                let run = run(&gpu, &case, variant, tuning);
                if !pollster::block_on(run).unwrap().passed() {
                    failed.push(format!("{}, {variant}", case.name));
                }
            }
        }
    }
    assert!(failed.is_empty(), "other tokens:\n{}", failed.join("\n"));
}
