//! Random weights in a published model's sizes, and what `wisp bench` measures with them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::rc::Rc;
use std::sync::Arc;

use pollster::block_on;
use wisp_base::{Error, Format, KvType};
use wisp_bench::{Load, sweep};
use wisp_formats::{Checkpoint, TensorInfo};
use wisp_runtime::{Autotune, Engine, EngineOptions, Prepare, SelfCheckResults, Shape};

fn engine(options: EngineOptions) -> Engine {
    let shape = Shape::find("smollm2-135m").unwrap();
    block_on(Engine::random(&shape, &options, &mut |_| {})).unwrap()
}

/// The device repeats the rows that were drawn: 2²⁰ weights in rows of 576, up to whole
/// sixteens of them. The embedding makes the logits too, so they repeat as its rows do.
#[test]
fn weights_are_filled_to_the_last_row() {
    const PERIOD: usize = 1824;
    let mut engine = engine(EngineOptions { ctx: Some(32), ..Default::default() });
    let logits = block_on(engine.logits(&[1, 40_000, 7], false, None)).unwrap();
    assert_eq!(logits.len(), 49_152);
    assert!(logits.iter().all(|logit| logit.is_finite()));
    assert!(logits.iter().zip(&logits[PERIOD..]).all(|(a, b)| a == b));
    let spread = logits[..PERIOD].iter().fold(0f32, |most, logit| most.max(logit.abs()));
    assert!(spread > 0.1, "all rows are alike: {spread}");
}

#[test]
fn a_sweep_measures_each_load_and_refuses_what_does_not_fit() {
    let decode = |depth, batch| Load::Decode { depth, batch };
    let loads = [Load::Prefill(70), decode(33, 1), decode(33, 3)];
    let most = loads.iter().map(|load| load.positions(2)).max().unwrap();
    let in_q8_0 = |checkpoint: &mut Checkpoint| {
        let choose = |tensor: &TensorInfo| match tensor.shape.len() {
            1 => tensor.format,
            _ => Format::Q8_0,
        };
        checkpoint.recast(choose, Rc::new(|_, _, _| Err(Error::input("nothing is read"))))
    };
    let mut engine = engine(EngineOptions {
        prepare: Some(Prepare(Arc::new(in_q8_0))),
        ctx: Some(most),
        kv: Some(KvType::Q8_0),
        max_sequences: 3,
        share_cache: true,
        ..Default::default()
    });
    let points = block_on(sweep(&mut engine, &loads, 2, 1)).unwrap();
    assert_eq!(points.iter().map(|point| point.load).collect::<Vec<_>>(), loads);
    for point in &points {
        assert!(point.tokens_per_s.median > 0.0, "{point:?}");
        assert!(point.bandwidth_share > 0.0 && point.bandwidth_share < 1.5, "{point:?}");
    }
    // Weights are read once for all sequences; what is computed grows with them.
    let (one, three) = (&points[1], &points[2]);
    assert!(three.bytes < one.bytes * 11 / 10, "{} and {}", one.bytes, three.bytes);
    assert!(three.flops.abs_diff(one.flops * 3) < one.flops / 100, "{} {}", one.flops, three.flops);
    for load in [decode(most, 1), decode(1, 4), Load::Prefill(most + 1)] {
        let refused = block_on(sweep(&mut engine, &[load], 2, 1)).unwrap_err().to_string();
        assert!(refused.contains("give a larger ctx"), "{refused}");
    }
}

#[test]
fn parameters_are_measured_once_and_can_be_set() {
    let results = SelfCheckResults::from(String::new());
    let options = EngineOptions {
        ctx: Some(64),
        autotune: Autotune::Always,
        self_check_results: Some(results.clone()),
        ..EngineOptions::default()
    };
    let first = engine(options.clone()).tuning();
    let tuned = |results: &SelfCheckResults| {
        let text = results.text();
        text.lines().filter(|line| line.starts_with("tuning | ")).map(str::to_owned).collect()
    };
    let lines: Vec<String> = tuned(&results);
    assert_eq!(lines.len(), 1);
    assert!(lines[0].ends_with(&format!("\t{first}")), "{lines:?}");
    // What is kept is believed, and what is given comes before it.
    let other = lines[0].replace(&first.to_string(), "matvec.rows=2,matvec.rows_for_many=2");
    let kept = Some(SelfCheckResults::from(format!("{}{other}\n", results.text())));
    let mut known = engine(EngineOptions { self_check_results: kept.clone(), ..options.clone() });
    assert_eq!((known.tuning().matvec.rows, known.tuning().matvec.rows_for_many), (2, 2));
    let tuning = "matvec.rows=4,attention.splits=2".to_owned();
    let set = EngineOptions { tuning, self_check_results: kept, ..options.clone() };
    let mut set = engine(set);
    assert_eq!((set.tuning().matvec.rows, set.tuning().attention.splits), (4, 2));
    // How work is cut changes no more than rounding.
    let tokens: Vec<u32> = (0..50).map(|at| at * 911).collect();
    let one = block_on(known.logits(&tokens, false, None)).unwrap();
    let two = block_on(set.logits(&tokens, false, None)).unwrap();
    let norm = |x: &[f32]| x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    let apart: Vec<f32> = one.iter().zip(&two).map(|(a, b)| a - b).collect();
    assert!(norm(&apart) < 1e-2 * norm(&one), "{}", norm(&apart) / norm(&one));
    let wrong = EngineOptions { tuning: "matvec.rows=3".into(), ..options };
    let shape = Shape::find("smollm2-135m").unwrap();
    let refused = block_on(Engine::random(&shape, &wrong, &mut |_| {})).err().unwrap();
    assert!(refused.to_string().contains("must be an even number"), "{refused}");
}
