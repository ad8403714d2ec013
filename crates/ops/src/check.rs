//! The harness of operations' cases: runs a case on a device and compares it with the CPU
//! definition. The test of the kernels, and the self-check of an adapter at its first use.
//! It knows no operation; `registry.rs` lists the cases of all.
//!
//! Each value lies between guards; all memory starts as NaN, so that a kernel that
//! reads padding or what nobody wrote is seen as well as one that writes too far.

use std::hash::{DefaultHasher, Hash, Hasher};

use wisp_base::quant::{decode, example, repack};
use wisp_base::{Error, Format, KvType, Result, uniform};
use wisp_gpu::{Gpu, Kernel, Scalar, Tuning, Variant, link};
use wisp_graph::{
    Cpu, DeviceResources, Kind, PAGE, Part, Plan, PlanKey, Resource, ResourceId, Rows, Scratch,
    Sequences, Shared, StateSize, Step, StepToken, Tape, Target, Value, ValueId, Vector, Weight,
    lower,
};

use crate::product::PACKED;
use crate::settings::{IN_PROMPT, Settings};

/// One small tape with the steps to run it for.
#[derive(Debug, Clone)]
pub struct Case {
    /// The operation, and what is special here.
    pub name: String,
    /// What is run.
    pub tape: Tape,
    /// Values that are filled with numbers.
    pub inputs: Vec<ValueId>,
    /// So many numbers, from a seed: uniform in −1 … 1, where nothing else is said.
    pub numbers: fn(u64, usize) -> Vec<f32>,
    /// Values that are compared.
    pub compare: Vec<ValueId>,
    /// Run one after the other on the same caches.
    pub steps: Vec<(Step, PlanKey)>,
    /// What the caches store.
    pub kv: KvType,
    /// Bytes per binding, where weights are to be split.
    pub max_binding: Option<u64>,
    /// For `sample`: settings of each sequence.
    pub settings: Vec<Settings>,
    /// Columns of the logits, where they are sampled.
    pub vocab: usize,
    /// Largest relative L2 error with f32 activations; with f16 ones at least 2e-3.
    pub bound: f64,
}

/// f16 keeps 11 bits: 2⁻¹¹ a rounding, a few of them behind each other.
const F16_BOUND: f64 = 2e-3;

/// Packed products round x to multiples of d, 1/127 of the largest of 32 neighbours: an error
/// of d/√12 a number, 0.23 % of the largest; the numbers that attention makes are 35 % of it or
/// more in the mean (root of squares), those of experts' first products likewise. Thrice that,
/// since weights may weigh errors more. All other products are of numbers that 8 bits hold, and
/// must be as right as those of f32.
const PACKED_BOUND: f64 = 2e-2;

/// Columns of the page table in all cases.
const PAGES_PER_SEQUENCE: usize = 4;
/// Sequences in all cases.
const SEQUENCES: usize = 3;
/// Bytes on both sides of a value.
const GUARD: u64 = 256;
/// What memory starts as: a NaN that no arithmetic makes.
const SENTINEL: u32 = 0x7fed_cafe;

/// One case on one variant.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The case.
    pub case: String,
    /// The variant.
    pub variant: Variant,
    /// Largest relative L2 error; infinite for NaN, for a wrong token and for an
    /// overwritten guard.
    pub error: f64,
    /// The bound on it.
    pub bound: f64,
}

impl Report {
    /// Within the bound?
    pub fn passed(&self) -> bool {
        self.error <= self.bound
    }
}

impl Case {
    /// A case of one step, with nothing special.
    pub(crate) fn new(name: impl Into<String>, tape: Tape, step: Step) -> Self {
        let key = PlanKey {
            tokens: step.tokens.len(),
            outputs: step.outputs.len().max(1),
            decode: false,
            sample: false,
        };
        Self {
            name: name.into(),
            tape,
            inputs: Vec::new(),
            numbers: random,
            compare: Vec::new(),
            steps: vec![(step, key)],
            kv: KvType::F32,
            max_binding: None,
            settings: Vec::new(),
            vocab: 0,
            bound: 2e-5,
        }
    }
}

/// What `case` is lowered for on this adapter.
pub fn target(gpu: &Gpu, case: &Case, variant: Variant, tuning: Tuning) -> Target {
    let mut target = Target::of(gpu.facts(), variant, tuning);
    target.kv = case.kv;
    target.max_binding = case.max_binding.unwrap_or(target.max_binding);
    target.pages_per_sequence = PAGES_PER_SEQUENCE;
    target
}

/// Whether products of the case are packed on such a target.
///
/// # Errors
/// Those of an operation.
pub fn is_packed(case: &Case, target: &Target) -> Result<bool> {
    for (_, key) in &case.steps {
        let packed = |kernel: &Kernel| kernel.links.get("product").is_some_and(|f| f == PACKED);
        if lower(&case.tape, target, *key)?.dispatches.iter().any(|d| packed(&d.kernel)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What a device would do for a case: where it is the same for two targets, one run tells of both.
///
/// # Errors
/// Those of an operation; a kernel that does not link.
pub fn work(case: &Case, target: &Target) -> Result<u64> {
    let mut work = DefaultHasher::new();
    (target.variant.scalar, target.tuning.matvec.packed).hash(&mut work);
    for (step, key) in &case.steps {
        let splits = step.splits.min(target.tuning.attention.splits);
        let counts = Step { splits, ..step.clone() }.counts();
        splits.hash(&mut work);
        for dispatch in lower(&case.tape, target, *key)?.dispatches {
            link(&dispatch.kernel)?.source.hash(&mut work);
            dispatch.binds.hash(&mut work);
            (dispatch.groups)(&counts).hash(&mut work);
        }
    }
    Ok(work.finish())
}

/// Runs one case on one variant, with the adapter's own tuning or another.
///
/// # Errors
/// The device failed; not: it computed wrongly.
pub async fn run(gpu: &Gpu, case: &Case, variant: Variant, tuning: Tuning) -> Result<Report> {
    run_for(gpu, case, target(gpu, case, variant, tuning)).await
}

/// Runs one case as it is lowered for `target`, which the adapter must be able to run.
///
/// # Errors
/// The device failed; not: it computed wrongly.
pub async fn run_for(gpu: &Gpu, case: &Case, target: Target) -> Result<Report> {
    let (variant, tuning) = (target.variant, target.tuning);
    let tape = &case.tape;
    let pages = SEQUENCES * PAGES_PER_SEQUENCE;
    let sequences = sequences(case);
    let words = case.steps.iter().map(|(step, _)| step.words().len()).max().unwrap_or(0);
    let sizes = Shared::sizes(words, SEQUENCES, PAGES_PER_SEQUENCE, case.vocab.max(1));
    // A slot beyond those of the sequences, which must stay as it is.
    let state = StateSize { pages, slots: SEQUENCES + 1, snapshots: 0 };
    let device = DeviceResources::allocate(gpu, tape, &target, state, sizes).await?;
    let shared = &device.shared;
    gpu.write(&shared.pages, 0, bytemuck::cast_slice(&sequences.pages));
    gpu.write(&shared.sampled, 0, bytemuck::cast_slice(&sequences.sampled));
    gpu.write(&shared.counts, 0, bytemuck::cast_slice(&sequences.counts));
    gpu.write(&shared.bias, 0, bytemuck::cast_slice(&sequences.bias));
    gpu.write(&shared.settings, 0, bytemuck::cast_slice(&sequences.settings));

    let load = |id: ResourceId| load(gpu, tape, &device, &target, id);
    let mut cpu = Cpu::new(tape, case.kv, state, sequences, load)?;
    for buffer in slots(tape).filter_map(|id| device.slots(id)) {
        gpu.write(buffer, 0, bytemuck::cast_slice(&vec![SENTINEL; buffer.size() as usize / 4]));
    }
    let mut error: f64 = 0.0;
    for (number, (step, key)) in case.steps.iter().enumerate() {
        // No more than the kernels have memory for.
        let splits = step.splits.min(tuning.attention.splits);
        let step = &Step { splits, ..step.clone() };
        step.check(usize::MAX, SEQUENCES, PAGES_PER_SEQUENCE * PAGE)?;
        let mut scratch = Scratch::guarded(GUARD);
        let plan = Plan::build(gpu, tape, &target, *key, &device, &mut scratch).await?;
        for (buffer, _, bytes) in plan.guarded() {
            let words = vec![SENTINEL; ((bytes + 2 * GUARD) / 4) as usize];
            gpu.write(buffer, 0, bytemuck::cast_slice(&words));
        }
        let inputs = fill_inputs(gpu, case, &plan, &target, number);
        gpu.write(&shared.step, 0, bytemuck::cast_slice(&step.words()));
        let mut encoder = gpu.encoder();
        plan.record(&mut gpu.pass(&mut encoder), &step.counts());
        gpu.submit(encoder)?;
        let expected = cpu.run(step, &inputs)?;
        for id in &case.compare {
            let value = tape.value(*id);
            let want = expected.get(id.index()).and_then(Option::as_deref).unwrap_or(&[]);
            let (buffer, offset, bytes) = plan
                .value(*id)
                .ok_or_else(|| Error::input(format!("{} is not stored", value.name)))?;
            let got = numbers(&gpu.read(buffer, offset, bytes).await?, value, variant, want.len());
            error = error.max(relative_error(&got, want));
        }
        if !case.settings.is_empty() {
            let tokens = gpu.read(&shared.sampled, 0, shared.sampled.size()).await?;
            let counts = gpu.read(&shared.counts, 0, shared.counts.size()).await?;
            let same = |bytes: &[u8], words: &[u32]| {
                bytes.as_chunks().0.iter().zip(words).all(|(b, w)| u32::from_le_bytes(*b) == *w)
            };
            if !same(&tokens, &cpu.sequences.sampled) || !same(&counts, &cpu.sequences.counts) {
                error = f64::INFINITY;
            }
        }
        for id in slots(tape) {
            error = error.max(slots_error(gpu, &device, &cpu, id).await?);
        }
        for (buffer, _, bytes) in plan.guarded() {
            let all = gpu.read(buffer, 0, buffer.size()).await?;
            let words: Vec<u32> =
                all.as_chunks().0.iter().map(|b| u32::from_le_bytes(*b)).collect();
            let (front, rest) = words.split_at((GUARD / 4) as usize);
            let back = rest.get((bytes / 4) as usize..).unwrap_or(&[]);
            let back = &back[..back.len().min((GUARD / 4) as usize)];
            if front.iter().chain(back).any(|word| *word != SENTINEL) {
                error = f64::INFINITY;
            }
        }
    }
    let mut bound = case.bound;
    if variant.scalar == Scalar::F16 {
        bound = bound.max(F16_BOUND);
    }
    // What attention or a first product of experts gives is not on the grid of 8 bits.
    let rounded = tape.resources().iter().any(|r| matches!(r, Resource::Paged { .. }))
        || tape.nodes().iter().any(|node| node.op.name().starts_with("experts"));
    if tuning.matvec.packed && rounded {
        bound = bound.max(PACKED_BOUND);
    }
    Ok(Report { case: case.name.clone(), variant, error, bound })
}

fn slots(tape: &Tape) -> impl Iterator<Item = ResourceId> {
    let all = tape.resources().iter().enumerate();
    all.filter(|(_, r)| matches!(r, Resource::Slots { .. })).map(|(at, _)| tape.id(at))
}

/// The largest relative error of a slot that a sequence has written; infinite where another
/// one was.
async fn slots_error(
    gpu: &Gpu,
    device: &DeviceResources,
    cpu: &Cpu<'_>,
    id: ResourceId,
) -> Result<f64> {
    let Some(buffer) = device.slots(id) else { return Ok(f64::INFINITY) };
    let got = gpu.read(buffer, 0, buffer.size()).await?;
    let got: Vec<f32> = got.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    let error = |(at, got): (usize, &[f32])| {
        let want = cpu.slot(id, at).unwrap_or(&[]);
        if want.iter().all(|x| x.is_nan()) {
            let same = got.iter().all(|x| x.to_bits() == SENTINEL);
            return if same { 0.0 } else { f64::INFINITY };
        }
        relative_error(got, want)
    };
    let len = cpu.slot(id, 0).map_or(1, <[f32]>::len);
    Ok(got.chunks_exact(len).enumerate().map(error).fold(0.0, f64::max))
}

/// The sequences that cases have.
fn sequences(case: &Case) -> Sequences {
    // Pages in an order of their own, so that a kernel that ignores the table is seen.
    let mut sequences = Sequences::new(SEQUENCES, PAGES_PER_SEQUENCE, case.vocab.max(1));
    let pages = SEQUENCES * PAGES_PER_SEQUENCE;
    for (at, page) in sequences.pages.iter_mut().enumerate() {
        *page = ((at * 7 + 5) % pages) as u32;
    }
    sequences.sampled.fill(2);
    for (at, (count, bias)) in sequences.counts.iter_mut().zip(&mut sequences.bias).enumerate() {
        *count = [0, 0, 1, 3, IN_PROMPT, IN_PROMPT | 2][at % 6];
        *bias = [0.0, -1.5, 0.25][at % 3];
    }
    for at in 0..SEQUENCES {
        let settings = case.settings.get(at).copied().unwrap_or_default();
        sequences.settings.extend(settings.words());
    }
    sequences
}

/// Numbers of the inputs of step `number`.
fn inputs(case: &Case, number: usize) -> Vec<(ValueId, Vec<f32>)> {
    let Some((step, _)) = case.steps.get(number) else { return Vec::new() };
    let input = |(at, id): (usize, &ValueId)| {
        let value = case.tape.value(*id);
        let rows = if value.rows == Rows::Tokens { step.tokens.len() } else { step.outputs.len() };
        (*id, (case.numbers)((number * 1000 + at) as u64 + 77, rows * value.cols))
    };
    case.inputs.iter().enumerate().map(input).collect()
}

/// Fills the inputs of step `number`, and gives their numbers.
pub fn fill_inputs(
    gpu: &Gpu,
    case: &Case,
    plan: &Plan,
    target: &Target,
    number: usize,
) -> Vec<(ValueId, Vec<f32>)> {
    let tape = &case.tape;
    let mut inputs = inputs(case, number);
    for (id, data) in &mut inputs {
        let value = tape.value(*id);
        if target.tuning.matvec.packed {
            on_grid(data, value.cols);
        }
        if half(value, target.variant) {
            KvType::F16.round(data);
        }
        if let Some((buffer, offset, _)) = plan.value(*id) {
            upload(gpu, buffer, offset, value, target.variant, data);
        }
    }
    inputs
}

/// Makes them k/128, |k| ≤ 127, and 127 the largest of each 32 neighbours of a row: packed
/// products round nothing of it.
fn on_grid(data: &mut [f32], cols: usize) {
    for block in data.chunks_mut(cols.max(1)).flat_map(|row| row.chunks_mut(32)) {
        block.iter_mut().for_each(|x| *x = (*x * 127.0).round() / 128.0);
        let most = block.len() / 2;
        block[most] = (127.0f32 / 128.0).copysign(block[most]);
    }
}

fn half(value: &Value, variant: Variant) -> bool {
    value.kind == Kind::Activation && variant.scalar == Scalar::F16
}

/// Fills a weight or vector on the device, and gives its numbers.
fn load(
    gpu: &Gpu,
    tape: &Tape,
    device: &DeviceResources,
    target: &Target,
    id: ResourceId,
) -> Result<Vec<f32>> {
    let numbers = resource(tape, id, target.tuning.matvec.packed)?;
    match tape.get(id) {
        Resource::Weight(w) => {
            let packed = repack(w.format, &stored(w)?, w.cols)?;
            device.write_rows(gpu, tape, id, 0, w.rows, &packed)?;
        }
        Resource::Vector(_) => device.write_numbers(gpu, id, &numbers)?,
        _ => {}
    }
    Ok(numbers)
}

/// The numbers of a weight or vector. Of vectors on packed products' `grid`: as gains of a norm
/// they leave x there.
fn resource(tape: &Tape, id: ResourceId, grid: bool) -> Result<Vec<f32>> {
    match tape.get(id) {
        Resource::Weight(w) => {
            let mut numbers = vec![0.0; w.rows * w.cols];
            decode(w.format, &stored(w)?, &mut numbers)?;
            Ok(numbers)
        }
        Resource::Vector(v) => {
            let part =
                |Part { tensor, rows }: &Part| random(seed(tensor), rows.end).split_off(rows.start);
            let mut numbers = joined(v.parts.iter().map(part).collect(), v.interleave, 1);
            if grid {
                numbers.iter_mut().for_each(|x| *x = 1f32.copysign(*x));
            }
            Ok(numbers)
        }
        _ => Ok(Vec::new()),
    }
}

/// A weight as a file has it.
fn stored(w: &Weight) -> Result<Vec<u8>> {
    let row = w.format.bytes(w.cols);
    let mut parts = Vec::new();
    for Part { tensor, rows } in &w.parts {
        let bytes = example(w.format, seed(tensor), rows.end * w.cols)?;
        parts.push(bytes[rows.start * row..].to_vec());
    }
    Ok(joined(parts, w.interleave, row))
}

/// What the definitions of `tape`, which makes the values of `case`, give for those that are
/// compared: step by step.
///
/// # Errors
/// Those of an operation.
pub fn defined(case: &Case, tape: &Tape) -> Result<Vec<Vec<f32>>> {
    let state = StateSize { pages: SEQUENCES * PAGES_PER_SEQUENCE, slots: SEQUENCES, snapshots: 0 };
    let load = |id| resource(tape, id, false);
    let mut cpu = Cpu::new(tape, case.kv, state, sequences(case), load)?;
    let mut found = Vec::new();
    for (number, (step, _)) in case.steps.iter().enumerate() {
        let values = cpu.run(step, &inputs(case, number))?;
        let compared = case.compare.iter().map(|id| values.get(id.index()).cloned().flatten());
        found.extend(compared.map(Option::unwrap_or_default));
    }
    Ok(found)
}

/// Of a tensor's numbers, which are the same on whatever tape it is.
fn seed(tensor: &str) -> u64 {
    tensor.bytes().fold(7, |hash: u64, byte| hash.wrapping_mul(31) + u64::from(byte))
}

/// Parts one behind the other, or `row` of each in turn.
fn joined<T: Copy>(parts: Vec<Vec<T>>, interleave: bool, row: usize) -> Vec<T> {
    match parts.as_slice() {
        [a, b] if interleave => {
            let rows = a.chunks(row).zip(b.chunks(row));
            rows.flat_map(|(a, b)| [a, b].concat()).collect()
        }
        parts => parts.concat(),
    }
}

/// Rows of `data` with the stride of `value`; the padding stays as it is.
fn upload(
    gpu: &Gpu,
    buffer: &wisp_gpu::Buffer,
    offset: u64,
    value: &Value,
    variant: Variant,
    data: &[f32],
) {
    let mut words = Vec::new();
    for row in data.chunks_exact(value.cols) {
        let padding = value.stride() - value.cols;
        if half(value, variant) {
            let nan = half::f16::from_bits(0x7fed);
            let row = row.iter().map(|x| half::f16::from_f32(*x));
            let row: Vec<_> = row.chain(std::iter::repeat_n(nan, padding)).collect();
            words.extend(
                row.as_chunks()
                    .0
                    .iter()
                    .map(|[low, high]| u32::from(low.to_bits()) | u32::from(high.to_bits()) << 16),
            );
        } else {
            words.extend(row.iter().map(|x| x.to_bits()));
            words.extend(std::iter::repeat_n(SENTINEL, padding));
        }
    }
    gpu.write(buffer, offset, bytemuck::cast_slice(&words));
}

/// The first `count` numbers of a value, without padding.
fn numbers(bytes: &[u8], value: &Value, variant: Variant, count: usize) -> Vec<f32> {
    let all: Vec<f32> = if half(value, variant) {
        bytes.as_chunks().0.iter().map(|b| half::f16::from_le_bytes(*b).to_f32()).collect()
    } else {
        bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
    };
    let rows = all.chunks(value.stride());
    rows.flat_map(|row| row.iter().take(value.cols)).copied().take(count).collect()
}

/// ‖got − want‖ / ‖want‖; infinite where a number is missing or not finite.
pub fn relative_error(got: &[f32], want: &[f32]) -> f64 {
    let square = |x: f64| x * x;
    let difference: f64 = got.iter().zip(want).map(|(g, w)| square(f64::from(g - w))).sum();
    let size: f64 = want.iter().map(|w| square(f64::from(*w))).sum();
    let error = (difference / size.max(1e-30)).sqrt();
    if error.is_finite() && got.len() == want.len() && !want.is_empty() {
        error
    } else {
        f64::INFINITY
    }
}

/// Uniform in −1 … 1.
fn random(seed: u64, count: usize) -> Vec<f32> {
    let mut next = uniform(seed);
    (0..count).map(|_| next()).collect()
}

/// A step with the tokens (sequence, position); outputs by index.
pub(crate) fn step(tokens: &[(u32, u32)], outputs: &[u32]) -> Step {
    let token = |(at, (sequence, position)): (usize, &(u32, u32))| {
        StepToken::causal(Some(at as u32 % 5), *position, *sequence)
    };
    Step {
        tokens: tokens.iter().enumerate().map(token).collect(),
        outputs: outputs.to_vec(),
        splits: 1,
    }
}

/// Steps of recurrent operations: one for each list of runs (sequence, first position, count,
/// how many of them are draft tokens). Those where every run is one token, or has draft tokens,
/// are decode's.
pub(crate) fn runs(steps: &[&[(u32, u32, u32, u32)]]) -> Vec<(Step, PlanKey)> {
    let made = |runs: &&[(u32, u32, u32, u32)]| {
        let run = |&(sequence, first, count, _): &(u32, u32, u32, u32)| {
            (first..first + count).map(move |position| (sequence, position))
        };
        let mut step = step(&runs.iter().flat_map(run).collect::<Vec<_>>(), &[]);
        let drafts = runs
            .iter()
            .flat_map(|(_, _, count, drafts)| (0..*count).map(move |at| at + drafts >= *count));
        step.tokens.iter_mut().zip(drafts).for_each(|(token, draft)| token.draft = draft);
        let decode = runs.iter().all(|(_, _, count, drafts)| *count == 1 || *drafts > 0);
        let key = PlanKey { tokens: step.tokens.len(), outputs: 1, decode, sample: false };
        (step, key)
    };
    steps.iter().map(made).collect()
}

/// Runs for them: shorter and longer than what a convolution remembers, beside each other, from
/// position 0 and from later ones; decode; a slot that another sequence has left; draft tokens, in
/// vain and accepted, behind a token, behind several, and from position 0.
pub(crate) const RUNS: [&[(u32, u32, u32, u32)]; 9] = [
    &[(0, 0, 2, 0), (1, 0, 7, 0), (2, 0, 1, 0)],
    &[(2, 1, 1, 0), (0, 2, 5, 0)],
    &[(1, 7, 1, 0), (0, 7, 1, 0), (2, 2, 1, 0)],
    &[(1, 8, 2, 0), (2, 3, 19, 0)],
    &[(0, 0, 1, 0), (1, 10, 1, 0)],
    &[(0, 1, 8, 7)],
    &[(0, 2, 5, 2), (1, 11, 2, 1), (2, 22, 1, 0)],
    &[(1, 12, 1, 0)],
    &[(1, 0, 7, 6), (0, 5, 4, 0)],
];

/// A vector of one tensor.
pub(crate) fn vector(name: &str, len: usize) -> Resource {
    Resource::Vector(Vector::all(name, len))
}

/// A weight of one tensor.
pub(crate) fn matrix(name: &str, format: Format, rows: usize, cols: usize) -> Resource {
    let parts = vec![Part { tensor: name.to_owned(), rows: 0..rows }];
    Resource::Weight(Weight { parts, interleave: false, format, rows, cols })
}
