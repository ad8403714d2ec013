//! Every operation at the sizes that models have, for a bench of kernels: tapes like those
//! of the cases, but large, and without a CPU run beside them.

use std::sync::Arc;

use wisp_base::{Format, KvType, Result};
use wisp_graph::{
    Kind, Operation, PlanKey, Resource, ResourceId, Rows, Step, StepToken, Tape, Value, ValueId,
};

use crate::check::{Case, matrix, vector};
use crate::{
    Activation, Add, AddNorm, AddRow, AppendKv, Attention, Cast, Embed, Experts, GatedDelta,
    Gating, Glu, HeadLinear, LayerNorm, Linear, OutputGate, Pairing, Pointwise, QkNorm, RmsNorm,
    Rope, RopeAppend, Rotate, Route, Sample, Settings, ShortConv, record, rope_table, splits,
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
                all.push(linear(format, Linear::PLAIN, rows, tokens, None)?);
            }
        }
    }
    for tokens in TOKENS {
        let (glu, biased) = (Activation::Silu, Linear { bias: true, ..Linear::PLAIN });
        for (op, rows, behind) in [
            (Linear::PLAIN, WIDTH, Behind::Add),
            (Linear::PLAIN, 2 * FFN, Behind::Glu(Glu { activation: glu, interleaved: true })),
            (biased, FFN, Behind::Activate),
            (Linear::PLAIN, FFN, Behind::Glu(Glu { activation: glu, interleaved: false })),
        ] {
            all.push(linear(Format::Q4_0, op, rows, tokens, Some(behind))?);
        }
        all.extend(rows(tokens)?);
        all.extend(heads(tokens)?);
        all.extend(recurrent(tokens)?);
    }
    // Fewer: they are large.
    for tokens in [1, 16] {
        all.extend([experts(tokens, false)?, experts(tokens, true)?]);
    }
    let logits = Linear { kind: Kind::Logits, bias: false };
    all.push(linear(Format::Q4_0, logits, VOCAB, 1, None)?);
    for kv in [KvType::F32, KvType::F16, KvType::Q8_0, KvType::Q4_0] {
        for (from, tokens) in [(127, 1), (4095, 1), (0, 128)] {
            all.push(attention(kv, from, tokens, tuning)?);
        }
    }
    let mut tape = Tape::new();
    let capped = value(&mut tape, Rows::Outputs, VOCAB, Kind::Logits);
    tape.push(Pointwise::Cap { factor: 1.0, cap: Some(30.0) }, &[capped], &[])?;
    all.push(made(format!("{VOCAB}"), tape, vec![capped], 0, 1));
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
    let token =
        |at: usize| StepToken::causal(Some((at * 7919 % VOCAB) as u32), (from + at) as u32, 0);
    let step = Step {
        tokens: (0..tokens).map(token).collect(),
        outputs: vec![tokens as u32 - 1],
        splits: 1,
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

/// What a product does with its results.
#[derive(Clone, Copy)]
enum Behind {
    Add,
    Activate,
    Glu(Glu),
}

/// A product with a matrix of `rows` rows and WIDTH columns.
fn linear(
    format: Format,
    op: Linear,
    rows: usize,
    tokens: usize,
    behind: Option<Behind>,
) -> Result<Case> {
    let mut tape = Tape::new();
    let x = value(&mut tape, Rows::Tokens, WIDTH, Kind::Activation);
    let mut inputs = vec![x];
    let mut resources = vec![tape.resource(matrix("w", format, rows, WIDTH))];
    if op.bias {
        resources.push(tape.resource(vector("bias", rows)));
    }
    let y = record(&mut tape, op, &[x], &resources)?;
    let mut other = |kind| {
        let other = value(&mut tape, Rows::Tokens, rows, kind);
        inputs.push(other);
        other
    };
    match behind {
        None => {}
        Some(Behind::Add) => {
            let stream = other(Kind::Residual);
            tape.push(Add { factor: 1.0 }, &[y, stream], &[])?;
        }
        Some(Behind::Activate) => {
            tape.push(Pointwise::Activate(Activation::Gelu), &[y], &[])?;
        }
        Some(Behind::Glu(glu)) if glu.interleaved => {
            tape.push(glu, &[y], &[])?;
        }
        Some(Behind::Glu(glu)) => {
            let up = other(Kind::Activation);
            tape.push(glu, &[y, up], &[])?;
        }
    }
    let behind = match behind {
        None => "",
        Some(Behind::Add) => ", added",
        Some(Behind::Activate) => ", activated",
        Some(Behind::Glu(_)) => ", gated",
    };
    Ok(made(format!("{format} {rows}×{WIDTH} × {tokens}{behind}"), tape, inputs, 0, tokens))
}

/// What goes over whole rows of the residual stream.
fn rows(tokens: usize) -> Result<Vec<Case>> {
    let (wide, name) = ([(WIDTH, Kind::Residual)], format!("{WIDTH}"));
    let gain = || vector("gain", WIDTH);
    let embedding = matrix("embedding", Format::Q4_0, VOCAB, WIDTH);
    let positions = matrix("positions", Format::F16, 1024, WIDTH);
    let norm = LayerNorm { eps: 1e-5, outputs: false, bias: true, wide: false };
    let both = [wide[0], wide[0]];
    let row = [(WIDTH, Kind::Activation)];
    let gelu = Pointwise::Activate(Activation::Gelu);
    let glu = Glu { activation: Activation::Silu, interleaved: false };
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
        alone(name.clone(), Cast, &wide, vec![], tokens)?,
        alone(name.clone(), Add { factor: 1.0 }, &both, vec![], tokens)?,
        alone(name.clone(), gelu, &row, vec![], tokens)?,
        alone(name, glu, &[row[0], row[0]], vec![], tokens)?,
    ])
}

/// What goes over the heads of a row, but attention.
fn heads(tokens: usize) -> Result<Vec<Case>> {
    let row = |cols| [(cols, Kind::Activation)];
    // Qwen3's heads.
    let norm = QkNorm { queries: 32, query: 128, keys: 8, key: 128, eps: 1e-6 };
    let qkv = (HEADS + 2 * KV_HEADS) * HEAD_DIM;
    let rope = Rope::new(HEAD_DIM, HEAD_DIM, Pairing::NeoX);
    let turn = RopeAppend::new(HEADS, KV_HEADS, rope);
    let rotate = Rotate { rope, heads: HEADS, temperature: None };
    let append = AppendKv { kv_heads: KV_HEADS, head_dim: HEAD_DIM };
    let frequencies: Vec<f64> =
        (0..HEAD_DIM / 2).map(|at| 5e5f64.powf(-2.0 * at as f64 / HEAD_DIM as f64)).collect();
    let data = Arc::new(rope_table(&frequencies, 4096, 1.0));
    let table = Resource::Table { name: "rope".into(), data };
    // DeepSeek-V2-Lite's queries into the space of its cache: 128 numbers a head of 192.
    let latent = matrix("w", Format::Q8_0, 16 * 512, 128);
    let name = |heads, dim| format!("{heads} heads of {dim}");
    Ok(vec![
        alone(name(32, 128), norm, &row(48 * 128), vec![vector("gains", 256)], tokens)?,
        alone(name(HEADS, HEAD_DIM), turn, &row(qkv), vec![table.clone(), cache()], tokens)?,
        alone(name(HEADS, HEAD_DIM), rotate, &row(HEADS * HEAD_DIM), vec![table], tokens)?,
        alone(
            name(KV_HEADS, HEAD_DIM),
            append,
            &[(KV_HEADS * HEAD_DIM, Kind::Activation); 2],
            vec![cache()],
            tokens,
        )?,
        alone(
            "Q8_0 16 × 512×128".into(),
            HeadLinear { heads: 16 },
            &row(16 * 192),
            vec![latent],
            tokens,
        )?,
    ])
}

/// Recurrent layers: LFM2-1.2B's convolution, Qwen3.5-4B's gated delta rule.
fn recurrent(tokens: usize) -> Result<Vec<Case>> {
    let state = |name, len| Resource::Slots { layer: 0, name, len };
    let (channels, kernel) = (2048, 3);
    let conv = ShortConv { channels, kernel, activation: None, gated: true, bias: false };
    let resources = vec![vector("taps", kernel * channels), state("conv", conv.state_len())];
    let gate = OutputGate {
        heads: 32,
        head_dim: 128,
        norm: Some(1e-6),
        activation: Activation::Silu,
        gate_first: 0,
    };
    let delta =
        GatedDelta { key_heads: 16, heads: 32, key_dim: 128, value_dim: 128, grouped: false };
    let delta_resources =
        vec![vector("decay", 32), vector("dt_bias", 32), state("delta", delta.state_len())];
    let delta_inputs =
        [(delta.input_cols(), Kind::Activation), (2 * delta.heads, Kind::Activation)];
    let cases = vec![
        alone("32/16 heads of 128".into(), delta, &delta_inputs, delta_resources, tokens)?,
        alone(
            format!("{channels} channels, {kernel} taps"),
            conv,
            &[(3 * channels, Kind::Activation)],
            resources,
            tokens,
        )?,
        alone(
            "32 heads of 128".into(),
            gate,
            &[(32 * 128, Kind::Activation); 2],
            vec![vector("gain", 128)],
            tokens,
        )?,
    ];
    // Behind the first position, where there is a state to read.
    let later = |mut case: Case| {
        for (step, key) in &mut case.steps {
            let moved = |t: &StepToken| StepToken::causal(t.id, t.position + 1, t.sequence);
            step.tokens = step.tokens.iter().map(moved).collect();
            key.decode = tokens == 1;
        }
        case
    };
    Ok(cases.into_iter().map(later).collect())
}

fn cache() -> Resource {
    Resource::Paged { layer: 0, kv_heads: KV_HEADS, head_dim: HEAD_DIM, latent: false }
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
    let products = |tape: &mut Tape, inputs: &[ValueId], name: &str, rows: usize, sum| {
        let w = tape.resource(matrix(name, Format::MXFP4, experts * rows, size));
        let bias = tape.resource(vector(&format!("{name} bias"), experts * rows));
        record(tape, Experts { experts, used, sum, bias: true }, inputs, &[w, bias])
    };
    let glu = Glu { activation: Activation::GPT_OSS, interleaved: !apart };
    let h = if apart {
        let up = products(&mut tape, &[x, routes], "up", size, false)?;
        let gate = products(&mut tape, &[x, routes], "gate", size, false)?;
        record(&mut tape, glu, &[gate, up], &[])?
    } else {
        let pairs = products(&mut tape, &[x, routes], "gate_up", 2 * size, false)?;
        record(&mut tape, glu, &[pairs], &[])?
    };
    let sum = products(&mut tape, &[h, routes], "down", size, true)?;
    record(&mut tape, Add { factor: 1.0 }, &[sum, residual], &[])?;
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
                kv: case.kv,
                subgroup: 4,
                max_bindings: 16,
                pages_per_sequence: 128,
                ..Target::least(Variant::ALL[0], tuning)
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
            let (checked, _) = seen(&crate::cases().unwrap(), tuning);
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
