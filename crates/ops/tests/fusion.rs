//! Fusion changes no result: every case both ways, and each rule's tape before and after.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use wisp_base::Format;
use wisp_gpu::{Gpu, Off, Reduce, Scalar, Tuning, Variant};
use wisp_graph::{
    Dispatch, Kind, Part, PlanKey, Resource, ResourceId, Rows, Tape, Target, Value, ValueId,
    Vector, Weight, link, lower,
};
use wisp_ops::check::{defined, run_for, target};
use wisp_ops::*;

/// A step of one token, and one of several.
const KEYS: [PlanKey; 2] = [
    PlanKey { tokens: 1, outputs: 1, decode: true, sample: false },
    PlanKey { tokens: 8, outputs: 8, decode: false, sample: false },
];

fn adapter() -> Target {
    Target {
        max_bindings: 16,
        pages_per_sequence: 4,
        ..Target::least(Variant::ALL[0], Tuning::GPU)
    }
}

/// The definition of a fused operation is the plain sequence: to the last bit.
#[test]
fn fused_tapes_are_defined_as_plain_ones() {
    for case in plain_cases().unwrap() {
        let plain = defined(&case, &case.tape).unwrap();
        let fused = fuse(case.tape.clone()).unwrap();
        assert_eq!(plain, defined(&case, &fused).unwrap(), "{}", case.name);
        for key in case.steps.iter().map(|(_, key)| *key).chain(KEYS) {
            let target = Target { kv: case.kv, ..adapter() };
            let linked = link(&fused, &target, key).unwrap();
            assert_eq!(plain, defined(&case, &linked).unwrap(), "{} {key:?}", case.name);
        }
    }
}

/// Every operation has a kernel of its own, so that a tape runs as it was recorded. Cases with
/// the same kernels are one here: formats and sizes are for the test of kernels.
#[test]
fn plain_tapes_run_on_a_device() {
    let gpu = pollster::block_on(Gpu::open(None, Off::default())).unwrap();
    let workgroup = Variant { reduce: Reduce::Workgroup, scalar: Scalar::F32 };
    let (mut failed, mut seen) = (Vec::new(), std::collections::BTreeSet::new());
    for case in plain_cases().unwrap() {
        for variant in [Variant::best(gpu.facts().caps), workgroup] {
            let target = target(&gpu, &case, variant, Tuning::CPU);
            let target = Target { links: false, ..target };
            let lowered = case.steps.iter().map(|(_, key)| lower(&case.tape, &target, *key));
            let names = |dispatch: &Dispatch| (dispatch.label, dispatch.kernel.name);
            let kernels = lowered.flat_map(|lowered| lowered.unwrap().dispatches);
            let kernels: Vec<_> = kernels.map(|dispatch| names(&dispatch)).collect();
            if !seen.insert((variant.to_string(), kernels)) {
                continue;
            }
            let report = pollster::block_on(run_for(&gpu, &case, target)).unwrap();
            gpu.forget_pipelines();
            if !report.passed() {
                failed.push(report);
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

fn value(tape: &mut Tape, name: &str, cols: usize, kind: Kind) -> ValueId {
    tape.input(Value { name: name.into(), rows: Rows::Tokens, cols, kind })
}

fn matrix(tape: &mut Tape, name: &str, format: Format, rows: usize) -> ResourceId {
    let parts = vec![Part { tensor: name.into(), rows: 0..rows }];
    tape.resource(Resource::Weight(Weight { parts, interleave: false, format, rows, cols: 64 }))
}

fn vector(tape: &mut Tape, name: &str, len: usize) -> ResourceId {
    tape.resource(Resource::Vector(Vector::all(name, len)))
}

/// The operations of a printed tape, without the numbers of nodes and values.
fn lines(tape: &Tape) -> Vec<String> {
    let words = |line: &str| {
        let line = line.split("->").next().unwrap_or_default();
        let is_value = |word: &&str| word.starts_with('v') && word.as_bytes()[1].is_ascii_digit();
        let words = line.split_whitespace().skip(1).filter(|word| !is_value(word));
        words.collect::<Vec<_>>().join(" ")
    };
    tape.to_string().lines().map(words).collect()
}

/// A feed-forward layer behind its norm.
fn feed_forward(formats: [Format; 2]) -> Tape {
    let mut tape = Tape::new();
    let x = value(&mut tape, "x", 64, Kind::Residual);
    let gain = vector(&mut tape, "norm", 64);
    let h = record(&mut tape, RmsNorm { eps: 1e-5, outputs: false }, &[x], &[gain]).unwrap();
    let [gate, up] = [("gate", formats[0]), ("up", formats[1])].map(|(name, format)| {
        let w = matrix(&mut tape, name, format, 64);
        record(&mut tape, Linear::PLAIN, &[h], &[w]).unwrap()
    });
    let glu = Glu { activation: Activation::Silu, interleaved: false };
    let h = record(&mut tape, glu, &[gate, up], &[]).unwrap();
    let down = matrix(&mut tape, "down", Format::Q8_0, 64);
    let h = record(&mut tape, Linear::PLAIN, &[h], &[down]).unwrap();
    let y = record(&mut tape, Add { factor: 1.0 }, &[h, x], &[]).unwrap();
    tape.keep(y);
    tape
}

#[test]
fn gate_and_up_alternate_in_one_matrix() {
    let plain = feed_forward([Format::Q4_0; 2]);
    assert_eq!(
        lines(&plain),
        [
            "rms_norm norm[64]",
            "linear gate[64, 64] Q4_0",
            "linear up[64, 64] Q4_0",
            "glu",
            "linear down[64, 64] Q8_0",
            "add",
        ]
    );
    let fused = fuse(plain).unwrap();
    assert_eq!(
        lines(&fused),
        [
            "rms_norm norm[64]",
            "linear gate+up[128, 64] Q4_0",
            "glu",
            "linear down[64, 64] Q8_0",
            "add",
        ]
    );
    let [one, many] = KEYS.map(|key| lines(&link(&fused, &adapter(), key).unwrap()));
    assert_eq!(
        one,
        [
            "rms_norm + linear + glu norm[64] gate+up[128, 64] Q4_0",
            "linear + add down[64, 64] Q8_0",
        ]
    );
    assert_eq!(
        many,
        [
            "rms_norm norm[64]",
            "linear + glu gate+up[128, 64] Q4_0",
            "linear + add down[64, 64] Q8_0",
        ]
    );
}

/// Matrices of two formats stay apart: the gate's product takes the other's results. A norm
/// before them is one buffer too many for the least of adapters, so that both read a stored one.
#[test]
fn gate_and_up_of_two_formats_stay_apart() {
    let fused = fuse(feed_forward([Format::Q4_0, Format::Q8_0])).unwrap();
    let one = |max_bindings| {
        lines(&link(&fused, &Target { max_bindings, ..adapter() }, KEYS[0]).unwrap())
    };
    let last = "linear + add down[64, 64] Q8_0";
    assert_eq!(
        one(16),
        [
            "rms_norm + linear norm[64] up[64, 64] Q8_0",
            "rms_norm + linear + glu norm[64] gate[64, 64] Q4_0",
            last,
        ]
    );
    assert_eq!(
        one(6),
        ["rms_norm norm[64]", "linear up[64, 64] Q8_0", "linear + glu gate[64, 64] Q4_0", last,]
    );
}

/// Queries, keys and values of a layer, attention, and the matrix behind it.
fn attention(normed: bool) -> Tape {
    let mut tape = Tape::new();
    let h = value(&mut tape, "h", 64, Kind::Activation);
    let x = value(&mut tape, "x", 64, Kind::Residual);
    let mut projected = |name: &str, heads: usize, norm: bool| {
        let w = matrix(&mut tape, name, Format::Q4_0, 16 * heads);
        let y = record(&mut tape, Linear::PLAIN, &[h], &[w]).unwrap();
        if !norm {
            return y;
        }
        let gain = vector(&mut tape, &format!("{name}_norm"), 16);
        let norm = QkNorm { queries: heads, query: 16, keys: 0, key: 0, eps: 1e-6 };
        record(&mut tape, norm, &[y], &[gain]).unwrap()
    };
    let (q, k, v) =
        (projected("q", 4, normed), projected("k", 2, normed), projected("v", 2, false));
    let data = std::sync::Arc::new(rope_table(&[1.0; 8], 64, 1.0));
    let table = tape.resource(Resource::Table { name: "rope".into(), data });
    let rope = Rope::new(16, 16, Pairing::NeoX);
    let cache = Resource::Paged { layer: 0, kv_heads: 2, head_dim: 16, latent: false };
    let cache = tape.resource(cache);
    let mut rotated = |heads, x| {
        record(&mut tape, Rotate { rope, heads, temperature: None }, &[x], &[table]).unwrap()
    };
    let (q, k) = (rotated(4, q), rotated(2, k));
    tape.push(AppendKv { kv_heads: 2, head_dim: 16 }, &[k, v], &[cache]).unwrap();
    let y = record(&mut tape, Attention::new(4, 2, 16, 0.25), &[q], &[cache]).unwrap();
    let w = matrix(&mut tape, "out", Format::Q4_0, 64);
    let y = record(&mut tape, Linear::PLAIN, &[y], &[w]).unwrap();
    let y = record(&mut tape, Add { factor: 1.0 }, &[y, x], &[]).unwrap();
    tape.keep(y);
    tape
}

#[test]
fn queries_keys_and_values_are_one_product_that_rotates_and_keeps_them() {
    let plain = attention(false);
    assert_eq!(
        lines(&plain)[..6],
        [
            "linear q[64, 64] Q4_0",
            "linear k[32, 64] Q4_0",
            "linear v[32, 64] Q4_0",
            "rotate rope[4608]",
            "rotate rope[4608]",
            "append_kv kv.0",
        ]
        .map(|line| line.replace("4608", &(2 * 8 * 257).to_string()))
    );
    let fused = fuse(plain).unwrap();
    let table = format!("rope[{}]", 2 * 8 * 257);
    assert_eq!(
        lines(&fused),
        [
            "linear q+k+v[128, 64] Q4_0".into(),
            format!("rope_append {table} kv.0"),
            "attention kv.0".into(),
            "linear out[64, 64] Q4_0".into(),
            "add".into(),
        ]
    );
    let one = lines(&link(&fused, &adapter(), KEYS[0]).unwrap());
    assert_eq!(
        one,
        [
            format!("linear + rope_append q+k+v[128, 64] Q4_0 {table} kv.0"),
            "attention + linear + add kv.0 out[64, 64] Q4_0".into(),
        ]
    );
}

#[test]
fn heads_are_normed_where_they_are_rotated() {
    let fused = fuse(attention(true)).unwrap();
    let table = format!("rope[{}]", 2 * 8 * 257);
    let [one, least] = [16, 8].map(|max_bindings| {
        let target = Target { max_bindings, ..adapter() };
        lines(&link(&fused, &target, KEYS[0]).unwrap())[..3].to_vec()
    });
    assert_eq!(one[0], "linear q+k+v[128, 64] Q4_0");
    assert_eq!(one[1], format!("qk_norm + rope_append q_norm+k_norm[32] {table} kv.0"));
    assert_eq!(
        least[1..],
        ["qk_norm q_norm+k_norm[32]".to_owned(), format!("rope_append {table} kv.0")]
    );
}

#[test]
fn a_norm_before_an_addition_is_one_operation() {
    let mut tape = Tape::new();
    let h = value(&mut tape, "h", 64, Kind::Residual);
    let x = value(&mut tape, "x", 64, Kind::Residual);
    let gain = vector(&mut tape, "norm", 64);
    let n = record(&mut tape, RmsNorm { eps: 1e-5, outputs: false }, &[h], &[gain]).unwrap();
    let y = record(&mut tape, Add { factor: 0.5 }, &[n, x], &[]).unwrap();
    tape.keep(y);
    assert_eq!(lines(&tape), ["rms_norm norm[64]", "add"]);
    assert_eq!(lines(&fuse(tape.clone()).unwrap()), ["add_norm norm[64]"]);
    // In place: not where somebody reads x later.
    record(&mut tape, Cast, &[x], &[]).unwrap();
    assert_eq!(lines(&fuse(tape).unwrap()), ["rms_norm norm[64]", "add", "cast"]);
}
