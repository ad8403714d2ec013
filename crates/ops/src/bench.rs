//! Every operation at the sizes that models have, for a bench of kernels: tapes like those
//! of the cases, but large, and without a CPU run beside them.

use std::sync::Arc;

use wisp_base::{Format, KvType, Result};
use wisp_graph::{
    Kind, Operation, PlanKey, Resource, ResourceId, Rows, Step, StepToken, Tape, Value, ValueId,
};

use crate::check::{Case, matrix, vector};
use crate::{
    Activation, AddNorm, AddRow, Attention, Cast, Embed, Epilogue, Experts, ExpertsInto, Gating,
    HeadLinear, HeadNorm, LayerNorm, Linear, Pairing, RmsNorm, RopeAppend, Route, Sample, Settings,
    record, rope_table, splits,
};

/// Llama 3.2 1B's, and those of most models of its size.
const WIDTH: usize = 2048;
const FFN: usize = 8192;
const VOCAB: usize = 128_256;
const HEADS: usize = 32;
const KV_HEADS: usize = 8;
const HEAD_DIM: usize = 64;
/// A step of decode, and one of prefill.
const TOKENS: [usize; 2] = [1, 128];

/// What is measured, an operation a tape where it can run alone. `tuning` says into how
/// many splits attention goes.
///
/// # Errors
/// None, unless a case is wrong.
pub fn cases(tuning: &wisp_gpu::Tuning) -> Result<Vec<Case>> {
    let mut all = Vec::new();
    for format in Format::ALL {
        for rows in [WIDTH, FFN] {
            for tokens in TOKENS {
                all.push(linear(format, Epilogue::Store, false, rows, tokens)?);
            }
        }
    }
    for tokens in TOKENS {
        for (epilogue, bias, rows) in [
            (Epilogue::ADD, false, WIDTH),
            (Epilogue::Gated(Activation::Silu), false, 2 * FFN),
            (Epilogue::Activate(Activation::Gelu), true, FFN),
            (Epilogue::Gate(Activation::Silu), false, FFN),
        ] {
            all.push(linear(Format::Q4_0, epilogue, bias, rows, tokens)?);
        }
        all.extend(rows(tokens)?);
        all.extend(heads(tokens)?);
    }
    // Fewer: they are large.
    for tokens in [1, 16] {
        all.extend([experts(tokens, false)?, experts(tokens, true)?]);
    }
    all.push(linear(Format::Q4_0, Epilogue::LOGITS, false, VOCAB, 1)?);
    for kv in [KvType::F32, KvType::F16, KvType::Q8_0, KvType::Q4_0] {
        for (from, tokens) in [(127, 1), (4095, 1), (0, 128)] {
            all.push(attention(kv, from, tokens, tuning)?);
        }
    }
    let warm = Settings { temperature: 0.8, seed: 7, ..Settings::default() };
    for (name, settings) in [
        ("greedy", Settings::default()),
        ("temperature", warm),
        ("top-p 0.95", Settings { top_p: 0.95, ..warm }),
        ("top-k 40, top-p 0.95", Settings { top_k: 40, top_p: 0.95, ..warm }),
        ("penalties", Settings { repetition: 1.1, ..warm }),
    ] {
        let mut tape = Tape::new();
        let logits = value(&mut tape, Rows::Outputs, VOCAB, Kind::Logits);
        tape.push(Sample, &[logits], &[])?;
        let mut case = made(format!("{VOCAB}, {name}"), tape, vec![logits], 0, 1);
        case.steps.iter_mut().for_each(|(_, key)| key.sample = true);
        all.push(Case { settings: vec![settings], vocab: VOCAB, ..case });
    }
    Ok(all)
}

/// A step of `tokens` tokens of one sequence from position `from` on, with logits of the
/// last one.
fn made(
    name: impl Into<String>,
    tape: Tape,
    inputs: Vec<ValueId>,
    from: usize,
    tokens: usize,
) -> Case {
    let token = |at: usize| StepToken {
        id: Some((at * 7919 % VOCAB) as u32),
        position: (from + at) as u32,
        sequence: 0,
        long: false,
    };
    let step = Step {
        tokens: (0..tokens).map(token).collect(),
        outputs: vec![tokens as u32 - 1],
        splits: 1,
        both_ways: false,
    };
    Case { inputs, ..Case::new(name, tape, step) }
}

fn value(tape: &mut Tape, rows: Rows, cols: usize, kind: Kind) -> ValueId {
    tape.input(Value { name: format!("input of {cols}"), rows, cols, kind })
}

/// One operation with its inputs (columns and kinds) and resources.
fn alone(
    name: String,
    op: impl Operation + 'static,
    inputs: &[(usize, Kind)],
    resources: Vec<Resource>,
    tokens: usize,
) -> Result<Case> {
    let mut tape = Tape::new();
    let values = inputs.iter().map(|(cols, kind)| value(&mut tape, Rows::Tokens, *cols, *kind));
    let values: Vec<ValueId> = values.collect();
    let resources: Vec<ResourceId> = resources.into_iter().map(|r| tape.resource(r)).collect();
    tape.push(op, &values, &resources)?;
    Ok(made(format!("{name} × {tokens}"), tape, values, 0, tokens))
}

/// A product with a matrix of `rows` rows and WIDTH columns.
fn linear(
    format: Format,
    epilogue: Epilogue,
    bias: bool,
    rows: usize,
    tokens: usize,
) -> Result<Case> {
    let mut inputs = vec![(WIDTH, Kind::Activation)];
    if matches!(epilogue, Epilogue::Add { .. } | Epilogue::Gate(_)) {
        inputs.push((rows, Kind::Residual));
    }
    let mut resources = vec![matrix("w", format, rows, WIDTH)];
    if bias {
        resources.push(vector("bias", rows));
    }
    let name = format!("{format} {rows}×{WIDTH}");
    alone(name, Linear { epilogue, bias }, &inputs, resources, tokens)
}

/// What goes over whole rows of the residual stream.
fn rows(tokens: usize) -> Result<Vec<Case>> {
    let (wide, name) = ([(WIDTH, Kind::Residual)], format!("{WIDTH}"));
    let gain = || vector("gain", WIDTH);
    let embedding = matrix("embedding", Format::Q4_0, VOCAB, WIDTH);
    let positions = matrix("positions", Format::F16, 1024, WIDTH);
    let norm = LayerNorm { eps: 1e-5, outputs: false, bias: true, wide: false };
    let both = [wide[0], wide[0]];
    Ok(vec![
        alone(
            format!("Q4_0 {VOCAB}×{WIDTH}"),
            Embed { factor: 1.0 },
            &[],
            vec![embedding],
            tokens,
        )?,
        alone(format!("F16 {WIDTH}"), AddRow::OfPosition, &wide, vec![positions], tokens)?,
        alone(name.clone(), RmsNorm { eps: 1e-5, outputs: false }, &wide, vec![gain()], tokens)?,
        alone(name.clone(), norm, &wide, vec![gain(), vector("bias", WIDTH)], tokens)?,
        alone(name.clone(), AddNorm { eps: 1e-5, factor: 1.0 }, &both, vec![gain()], tokens)?,
        alone(name, Cast, &wide, vec![], tokens)?,
    ])
}

/// What goes over the heads of a row, but attention.
fn heads(tokens: usize) -> Result<Vec<Case>> {
    let row = |cols| [(cols, Kind::Activation)];
    // Qwen3's heads.
    let norm = HeadNorm { queries: 32, query: 128, keys: 8, key: 128, eps: 1e-6 };
    let qkv = (HEADS + 2 * KV_HEADS) * HEAD_DIM;
    let turn = RopeAppend::new(HEADS, KV_HEADS, HEAD_DIM, HEAD_DIM, Pairing::Halves);
    let frequencies: Vec<f64> =
        (0..HEAD_DIM / 2).map(|at| 5e5f64.powf(-2.0 * at as f64 / HEAD_DIM as f64)).collect();
    let data = Arc::new(rope_table(&frequencies, 4096, 1.0));
    let table = Resource::Table { name: "rope".into(), data };
    // DeepSeek-V2-Lite's queries into the space of its cache: 128 numbers a head of 192.
    let latent = matrix("w", Format::Q8_0, 16 * 512, 128);
    let name = |heads, dim| format!("{heads} heads of {dim}");
    Ok(vec![
        alone(name(32, 128), norm, &row(48 * 128), vec![vector("gains", 256)], tokens)?,
        alone(name(HEADS, HEAD_DIM), turn, &row(qkv), vec![table, cache()], tokens)?,
        alone(
            "Q8_0 16 × 512×128".into(),
            HeadLinear { heads: 16 },
            &row(16 * 192),
            vec![latent],
            tokens,
        )?,
    ])
}

fn cache() -> Resource {
    Resource::Cache { layer: 0, kv_heads: KV_HEADS, head_dim: HEAD_DIM, latent: false }
}

fn attention(kv: KvType, from: usize, tokens: usize, tuning: &wisp_gpu::Tuning) -> Result<Case> {
    let op = Attention::new(HEADS, KV_HEADS, HEAD_DIM, 1.0 / (HEAD_DIM as f32).sqrt());
    let mut tape = Tape::new();
    let queries = value(&mut tape, Rows::Tokens, HEADS * HEAD_DIM, Kind::Activation);
    let cache = tape.resource(cache());
    tape.push(op, &[queries], &[cache])?;
    let end = from + tokens;
    let what = if tokens == 1 { "decode" } else { "prefill" };
    let name = format!("{what} at {end}, {HEADS}/{KV_HEADS} heads of {HEAD_DIM}, {}", kv.name());
    let mut case = made(name, tape, vec![queries], from, tokens);
    for (step, key) in &mut case.steps {
        step.splits = splits(tuning, end);
        *key = PlanKey { decode: tokens == 1, ..*key };
    }
    Ok(Case { kv, ..case })
}

/// gpt-oss's experts, gate and up as one matrix or `apart`. The router is there as well: it says
/// which of them are read.
fn experts(tokens: usize, apart: bool) -> Result<Case> {
    let (experts, used, size) = (32, 4, 2880);
    let mut tape = Tape::new();
    let logits = value(&mut tape, Rows::Tokens, experts, Kind::Residual);
    let x = value(&mut tape, Rows::Tokens, size, Kind::Activation);
    let residual = value(&mut tape, Rows::Tokens, size, Kind::Residual);
    let (gating, groups) = (Gating::Softmax, (1, 1));
    let route = Route { used, gating, normalize: true, factor: 1.0, groups, bias: false };
    let routes = record(&mut tape, route, &[logits], &[])?;
    let mut products = |inputs: &[ValueId], name: &str, rows: usize, into| {
        let w = tape.resource(matrix(name, Format::MXFP4, experts * rows, size));
        let bias = tape.resource(vector(&format!("{name} bias"), experts * rows));
        record(&mut tape, Experts { experts, used, into, bias: true }, inputs, &[w, bias])
    };
    let gated = ExpertsInto::Gated(Activation::GPT_OSS);
    let h = if apart {
        let up = products(&[x, routes], "up", size, ExpertsInto::Wide)?;
        products(&[x, routes, up], "gate", size, ExpertsInto::Gate(Activation::GPT_OSS))?
    } else {
        products(&[x, routes], "gate_up", 2 * size, gated)?
    };
    products(&[h, routes, residual], "down", size, ExpertsInto::Sum { factor: 1.0 })?;
    let how = if apart { ", gate and up apart" } else { "" };
    let name = format!("MXFP4 {used} of {experts} of {size} × {tokens}{how}");
    Ok(made(name, tape, vec![logits, x, residual], 0, tokens))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;

    use wisp_gpu::{Tuning, Variant};
    use wisp_graph::{Target, lower};

    use super::*;

    /// Names of operations and kernels, formats in products.
    fn seen(cases: &[Case], tuning: Tuning) -> (BTreeSet<&'static str>, BTreeSet<Format>) {
        let (mut names, mut formats) = (BTreeSet::new(), BTreeSet::new());
        for case in cases {
            let target = Target {
                variant: Variant::ALL[0],
                kv: case.kv,
                tuning,
                max_binding: 128 << 20,
                subgroup: 4,
                max_bindings: 16,
                coop: None,
                workgroup_memory: 16384,
                pages_per_sequence: 128,
            };
            for (_, key) in &case.steps {
                for dispatch in lower(&case.tape, &target, *key).unwrap().dispatches {
                    names.extend([dispatch.label, dispatch.kernel.name]);
                }
            }
            if case.tape.nodes().iter().any(|node| node.op.name() == "linear") {
                formats.extend(case.tape.resources().iter().filter_map(|r| match r {
                    Resource::Weight(weight) => Some(weight.format),
                    _ => None,
                }));
            }
        }
        (names, formats)
    }

    #[test]
    fn every_operation_kernel_and_weight_format_is_measured() {
        for tuning in [Tuning::CPU, Tuning::GPU] {
            let (names, formats) = seen(&cases(&tuning).unwrap(), tuning);
            let (checked, _) = seen(&crate::check::cases().unwrap(), tuning);
            let missing: Vec<_> = checked.difference(&names).collect();
            assert!(missing.is_empty(), "no bench case of {missing:?}");
            assert_eq!(formats, BTreeSet::from(Format::ALL));
        }
    }

    #[test]
    fn no_two_cases_have_a_name_in_common() {
        let cases = cases(&Tuning::GPU).unwrap();
        let name = |case: &Case| (case.tape.nodes()[0].op.name(), case.name.clone());
        let names: BTreeSet<_> = cases.iter().map(name).collect();
        assert_eq!(names.len(), cases.len());
    }
}
