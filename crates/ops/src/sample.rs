//! The next token of each row of logits: bias and penalties, then top-k, top-p,
//! min-p, then a draw from softmax(logits / T); the order is llama.cpp's.
//!
//! repetition: Keskar et al. 2019 (tokens of prompt and answer); presence and
//! frequency: as the OpenAI API defines them (tokens of the answer). The draw is
//! the Gumbel-max trick: argmax of logit / T − ln(−ln(1 − v)), where v is uniform and depends
//! on (seed, position, token) alone, so that a seed gives the same tokens however
//! sequences are batched.

use wisp_base::{Error, Result};
use wisp_graph::{
    Bind, Cost, CpuNode, Kind, Lower, MAX_DRAFTS, Operation, PlanKey, Resource, Rows, Tape, Value,
};

use crate::check::{self, Case};
use crate::noise::{gumbel, noise_bits, noise_key};
use crate::nth;
use crate::settings::{IN_PROMPT, SETTING_WORDS, Settings};

/// Chunks of the vocabulary at most, whose largest logits `shaders/sample_pick.wgsl` sorts.
const CHUNKS: usize = 256;

/// Logits a chunk at least.
const CHUNK: usize = 256;

/// What is drawn where the largest logit is no finite number: the model computes wrongly.
pub const NO_TOKEN: u32 = u32::MAX;

/// Draws the next token of each row of logits into the sequence's entries of
/// `sampled`, or [`NO_TOKEN`]: the first one, or behind draft tokens that of so many. Where
/// penalties want that it is counted; behind draft tokens, which count as sampled, it is not.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample;

impl Settings {
    fn adjust(&self, logits: &mut [f32], counts: &[u32], bias: &[f32]) {
        for ((logit, seen), bias) in logits.iter_mut().zip(counts).zip(bias) {
            if self.biased {
                *logit += bias;
            }
            if self.penalties() {
                let times = seen & !IN_PROMPT;
                if *seen != 0 {
                    let up = *logit > 0.0;
                    *logit = if up { *logit / self.repetition } else { *logit * self.repetition };
                }
                if times > 0 {
                    *logit -= self.presence;
                }
                *logit -= times as f32 * self.frequency;
            }
        }
    }

    fn pick(&self, logits: &[f32], position: u32) -> usize {
        let first_best = |score: &dyn Fn(usize) -> f32, of: &mut dyn Iterator<Item = usize>| {
            of.fold((f32::NEG_INFINITY, 0), |best, id| {
                let score = score(id);
                if score > best.0 { (score, id) } else { best }
            })
            .1
        };
        let all = 0..logits.len();
        let top = first_best(&|id| logits[id], &mut all.clone());
        if self.temperature <= 0.0 {
            return top;
        }
        let largest = logits[top];
        let mut order: Vec<f32> = logits.to_vec();
        order.sort_by(|a, b| b.total_cmp(a));
        let mut floor = f32::NEG_INFINITY;
        if self.top_k > 0 && (self.top_k as usize) < logits.len() {
            floor = order[self.top_k as usize - 1];
        }
        if self.top_p < 1.0 {
            let kept: Vec<f32> = order.iter().copied().filter(|l| *l >= floor).collect();
            let mass = |l: &f32| f64::from(l - largest).exp();
            let wanted = f64::from(self.top_p) * kept.iter().map(mass).sum::<f64>();
            let mut sum = 0.0;
            for logit in &kept {
                sum += mass(logit);
                if sum >= wanted {
                    floor = floor.max(*logit);
                    break;
                }
            }
        }
        if self.min_p > 0.0 {
            floor = floor.max(largest + self.min_p.ln());
        }
        let floor = floor.min(largest);
        let key = noise_key(self.seed, position);
        let score = |id: usize| {
            (logits[id] - largest) / self.temperature + gumbel(noise_bits(key, id as u32))
        };
        first_best(&score, &mut all.filter(|id| logits[*id] >= floor))
    }
}

impl Operation for Sample {
    fn name(&self) -> &'static str {
        "sample"
    }

    fn infer(&self, inputs: &[&Value], _: &[&Resource]) -> Result<Option<Value>> {
        match nth(inputs, 0)? {
            Value { kind: Kind::Logits, rows: Rows::Outputs, cols, .. } if *cols < 1 << 24 => {
                Ok(None)
            }
            other => Err(Error::input(format!("{} are no logits to sample from", other.name))),
        }
    }

    fn cpu(&self, node: &mut CpuNode<'_>) -> Result<Vec<f32>> {
        let (logits, vocab) = (node.input(0)?, node.value(0)?.cols);
        let drafts = node.step.drafts();
        // As they are before the step.
        let before = node.sequences.counts.clone();
        for (row, output) in logits.chunks_exact(vocab).zip(&node.step.outputs) {
            let (token, drafts) = (node.step.tokens[*output as usize], drafts[*output as usize]);
            let at = token.sequence as usize;
            let words = node.sequences.settings.get(at * SETTING_WORDS..(at + 1) * SETTING_WORDS);
            let settings = words
                .and_then(Settings::from_words)
                .ok_or_else(|| Error::input(format!("sequence {at} has no settings")))?;
            let range = at * vocab..(at + 1) * vocab;
            let mut row = row.to_vec();
            let mut counts = before[range.clone()].to_vec();
            let drafted = &node.step.tokens[*output as usize + 1 - drafts..=*output as usize];
            drafted.iter().filter_map(|token| token.id).for_each(|id| counts[id as usize] += 1);
            settings.adjust(&mut row, &counts, &node.sequences.bias[range.clone()]);
            let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let to = at * (1 + MAX_DRAFTS) + drafts;
            node.sequences.sampled[to] = if largest > -3e38 && largest.is_finite() {
                let id = settings.pick(&row, token.position);
                if settings.penalties() && drafts == 0 {
                    node.sequences.counts[range.start + id] += 1;
                }
                id as u32
            } else {
                NO_TOKEN
            };
        }
        Ok(Vec::new())
    }

    fn gpu(&self, lower: &mut Lower<'_>) -> Result<()> {
        if !lower.key.sample {
            return Ok(());
        }
        let logits = lower.input(0);
        let threads = lower.target.tuning.reduce_threads;
        // One workgroup goes over all, in as few turns as it can: llvmpipe ends loops silently
        // after 65,535 turns of one thread in all of them together.
        let many = (logits.cols / 1024).next_power_of_two().min(256) as u32;
        let chunk = logits.cols.div_ceil(CHUNKS).next_multiple_of(64).max(CHUNK);
        let chunks = logits.cols.div_ceil(chunk);
        let best = lower.temp((lower.key.outputs * chunks * 16) as u64);
        let kernel = |name, threads: u32| {
            lower
                .kernel(name)
                .set("THREADS", threads)
                .set("VOCAB", logits.cols as u64)
                .set("CHUNK", chunk as u64)
                .set("STRIDE", logits.stride() as u64)
        };
        let (prepare, pick) =
            (kernel("sample_prepare", threads), kernel("sample_pick", threads.max(many)));
        let binds = |extra| {
            vec![
                ("step", Bind::Step),
                ("settings", Bind::Settings),
                ("logits", lower.bind_input(0)),
                ("counts", Bind::Counts),
                ("best", Bind::Temp(best)),
                extra,
            ]
        };
        let (to_prepare, to_pick) =
            (binds(("bias", Bind::Bias)), binds(("sampled", Bind::Sampled)));
        let bytes = 4 * logits.cols as u64;
        lower.dispatch(
            prepare,
            to_prepare,
            move |c| [chunks as u32, 1, c.outputs],
            move |c| Cost { bytes: bytes * u64::from(c.outputs), flops: 0 },
        );
        lower.dispatch(
            pick,
            to_pick,
            move |c| [c.outputs, 1, 1],
            move |c| Cost { bytes: 16 * chunks as u64 * u64::from(c.outputs), flops: 0 },
        );
        Ok(())
    }
}

/// Every setting alone and together, over a vocabulary of several chunks.
pub(crate) fn cases() -> Result<Vec<Case>> {
    let off = Settings::default();
    let warm = Settings { temperature: 0.8, seed: 0x1234_5678_9abc, ..off };
    let penalised =
        Settings { repetition: 1.3, presence: 0.4, frequency: 0.2, biased: true, ..off };
    let sets = [
        ("greedy", [off, off, off]),
        ("penalties", [penalised, off, Settings { biased: true, ..off }]),
        (
            "temperature",
            [warm, Settings { seed: 7, ..warm }, Settings { temperature: 2.0, ..warm }],
        ),
        (
            "top-k",
            [
                Settings { top_k: 1, ..warm },
                Settings { top_k: 5, ..warm },
                Settings { top_k: 1100, ..warm },
            ],
        ),
        (
            "top-p, min-p",
            [
                Settings { top_p: 0.3, ..warm },
                Settings { min_p: 0.5, ..warm },
                Settings { top_p: 0.0, ..warm },
            ],
        ),
        (
            "all",
            [
                Settings { top_k: 40, top_p: 0.9, min_p: 0.05, ..warm },
                Settings { temperature: 1.5, top_k: 300, top_p: 0.5, seed: 3, ..penalised },
                off,
            ],
        ),
    ];
    let mut cases: Vec<Case> = sets
        .into_iter()
        .map(|(name, settings)| case(name, 2500, settings))
        .collect::<Result<_>>()?;
    for temperature in [0.05, 1.0] {
        let settings = RARE.map(|(seed, _)| Settings { temperature, seed, ..off });
        cases.push(case(&format!("rare noise, T = {temperature}"), 2500, settings)?);
    }
    // A sequence with draft tokens, one of them twice, beside one without.
    let drawn = Settings { temperature: 1.5, top_k: 300, seed: 3, ..penalised };
    for (name, settings) in [("greedy", penalised), ("drawn", drawn)] {
        let tokens = [(0, 4), (1, 10), (1, 11), (1, 12), (1, 13)];
        let mut case = case(&format!("{name} behind drafts"), 2500, [settings; 3])?;
        let mut step = check::step(&tokens, &[0, 1, 2, 3, 4]);
        step.tokens[2..].iter_mut().for_each(|token| (token.draft, token.id) = (true, Some(7)));
        step.tokens[3].id = Some(8);
        let key = PlanKey { tokens: 5, outputs: 5, decode: true, sample: true };
        case.steps = vec![(step.clone(), key), (step, key)];
        cases.push(case);
    }
    Ok(cases)
}

/// For each sequence of [`case`] a seed by which a token gets noise as large as one of 2³⁰,
/// 2²³ and 2¹⁵ tokens does, and that token. Where T = 1 it is drawn, however the logarithm
/// rounds; where logits count for much it is not, unless its noise is infinite.
const RARE: [(u64, usize); 3] = [(214_725, 1571), (15_944, 1389), (12, 2278)];

/// Three sequences with these settings draw from logits of so many tokens, twice.
///
/// # Errors
/// Too large a vocabulary.
pub fn case(name: &str, vocab: usize, settings: [Settings; 3]) -> Result<Case> {
    let mut tape = Tape::new();
    let logits = tape.input(Value {
        name: "logits".into(),
        rows: Rows::Outputs,
        cols: vocab,
        kind: Kind::Logits,
    });
    tape.push(Sample, &[logits], &[])?;
    let tokens = [(1, 9), (1, 10), (0, 4), (2, 5)];
    let mut case = Case::new(format!("sample {name}"), tape, check::step(&tokens, &[1, 2, 3]));
    case.steps[0].1.sample = true;
    // A second draw sees the first one's counts.
    case.steps.push(case.steps[0].clone());
    Ok(Case { inputs: vec![logits], settings: settings.to_vec(), vocab, ..case })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn rare_noise_is_drawn_where_logits_count_for_little_and_not_where_they_count_for_much() {
        for case in cases().unwrap().iter().filter(|case| case.name.contains("rare noise")) {
            let step = &case.steps[0].0;
            // As the harness fills the only input.
            let logits = (case.numbers)(77, 3 * case.vocab);
            for (row, output) in logits.chunks(case.vocab).zip(&step.outputs) {
                let token = step.tokens[*output as usize];
                let settings = case.settings[token.sequence as usize];
                let rare = RARE[token.sequence as usize].1;
                let drawn = settings.pick(row, token.position);
                assert_eq!(drawn == rare, settings.temperature == 1.0, "{}: {drawn}", case.name);
            }
        }
    }
}
