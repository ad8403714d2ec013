//! A model on a device: runs steps. Plans are made at their first use and kept.

use std::collections::HashMap;

use wisp_base::{Error, Result};
use wisp_gpu::{Buffer, Gpu, NATIVE, SubmissionIndex};
use wisp_graph::{
    DeviceResources, PAGE, Plan, PlanKey, Scratch, Shared, StateSize, Step, Target, lower,
};
use wisp_models::{Decoder, DecoderTape};
use wisp_ops::{SETTING_WORDS, Settings};

use crate::engine::activity::Activity;
use crate::load::progress::Progress;

/// Steps of up to so many tokens of prompts share a plan, and the largest that the adapter
/// should take at once. A plan computes a few rows too many, and compiling one takes longer
/// than that; but steps of decode are the same ones over and over: powers of two share theirs.
const BUCKETS: [usize; 6] = [1, 8, 32, 128, 512, 2048];

/// Bytes of logits that a scoring step makes at most, if it makes several rows.
const MAX_LOGITS: usize = 32 << 20;

/// A model on a device.
#[derive(Debug)]
pub struct Stepper {
    /// The device.
    pub gpu: Gpu,
    /// What its kernels are linked for.
    pub target: Target,
    /// The model.
    pub decoder: Decoder,
    /// Its forward pass.
    pub forward: DecoderTape,
    /// Weights, KV cache, state of the sequences.
    pub resources: DeviceResources,
    /// Sequences that a step may have.
    pub sequences: usize,
    /// What it does now.
    pub activity: Activity,
    scratch: Scratch,
    plans: HashMap<PlanKey, Plan>,
}

/// What is wanted of a step's last rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// A token drawn for each output.
    Tokens,
    /// The logits of each output, as they are.
    Logits,
}

impl Stepper {
    /// Allocates everything that lives as long as the model. A step of decode has
    /// `decode_tokens` tokens at most.
    ///
    /// # Errors
    /// No memory left.
    pub async fn new(
        gpu: Gpu,
        target: Target,
        decoder: Decoder,
        forward: DecoderTape,
        state: StateSize,
        decode_tokens: usize,
    ) -> Result<Self> {
        let sequences = state.slots;
        let shared = shared_sizes(&target, sequences, decode_tokens, decoder.vocab);
        let resources =
            DeviceResources::allocate(&gpu, &forward.tape, &target, state, shared).await?;
        let mut scratch = Scratch::default();
        let plans = promised_plans(&target, decode_tokens, decoder.config.encoder);
        Plan::reserve(&gpu, &forward.tape, &target, &plans, &mut scratch).await?;
        Ok(Self {
            gpu,
            target,
            decoder,
            forward,
            resources,
            sequences,
            activity: Activity::default(),
            scratch,
            plans: HashMap::new(),
        })
    }

    /// Compiles kernels that the first request would wait for: those of decode, and on a GPU of
    /// prompts. Not on a native software adapter, whose compiler takes its memory from the same
    /// host, beside what loading takes.
    ///
    /// # Errors
    /// A kernel that does not compile.
    pub async fn compile(&self, progress: &mut dyn FnMut(Progress)) -> Result<()> {
        let software = self.gpu.facts().kind == "cpu";
        if NATIVE && software {
            return Ok(());
        }
        let mut kernels = Vec::new();
        let mut plans = promised_plans(&self.target, 1, self.decoder.config.encoder);
        // There, short prompts have other kernels than long ones.
        plans.retain(|key| key.decode || !software);
        for key in plans {
            for dispatch in lower(&self.forward.tape, &self.target, key)?.dispatches {
                if !kernels.contains(&dispatch.kernel) {
                    kernels.push(dispatch.kernel);
                }
            }
        }
        let total = kernels.len();
        let mut report = |done| progress(Progress::Compiling { done, total });
        report(0);
        self.gpu.precompile(kernels.iter(), &mut report);
        for (at, kernel) in kernels.iter().enumerate() {
            self.gpu.pipeline(kernel).await?;
            if !NATIVE {
                report(at + 1);
            }
        }
        Ok(())
    }

    /// Most tokens that a step should have.
    pub fn most_tokens(&self) -> usize {
        self.target.tuning.prefill_tokens
    }

    /// Most tokens that a step should have whose logits are all read.
    pub fn most_scored(&self) -> usize {
        most_scored(&self.target, self.decoder.columns() * 4)
    }

    /// The plan for a step.
    fn key(&self, step: &Step, want: Want) -> PlanKey {
        let mut sequences: Vec<_> = step.tokens.iter().map(|t| t.sequence).collect();
        sequences.dedup();
        let drafts = step.tokens.iter().any(|token| token.draft);
        let decode = sequences.len() == step.tokens.len() || drafts;
        let bucket = |count| bucket(count, decode, self.most_tokens());
        let tokens = bucket(step.tokens.len());
        PlanKey {
            tokens,
            outputs: if decode { tokens } else { bucket(step.outputs.len().max(1)) },
            decode,
            sample: want == Want::Tokens,
        }
    }

    /// Makes the plan for steps like this one, if there is none yet.
    ///
    /// # Errors
    /// A kernel that does not compile; no memory left.
    pub async fn prepare(&mut self, step: &Step, want: Want) -> Result<PlanKey> {
        let key = self.key(step, want);
        if !self.plans.contains_key(&key) {
            let plan = Plan::build(
                &self.gpu,
                &self.forward.tape,
                &self.target,
                key,
                &self.resources,
                &mut self.scratch,
            )
            .await?;
            self.plans.insert(key, plan);
        }
        Ok(key)
    }

    /// The plan that [`Self::prepare`] named.
    pub fn plan(&self, key: PlanKey) -> Option<&Plan> {
        self.plans.get(&key)
    }

    /// Checks a step, hands it to the device, and does not wait for it. `finish`
    /// may record copies behind it.
    ///
    /// # Errors
    /// A step out of bounds, a lost device.
    pub async fn submit(
        &mut self,
        step: &Step,
        want: Want,
        finish: impl FnOnce(&mut wisp_gpu::CommandEncoder, &Self),
    ) -> Result<SubmissionIndex> {
        self.submit_between(
            step,
            want,
            |_, _| Ok(()),
            |encoder, stepper| {
                finish(encoder, stepper);
                Ok(())
            },
        )
        .await
    }

    /// As [`Self::submit`]; `begin` may record copies before the step too.
    ///
    /// # Errors
    /// Those of `begin` and `finish`.
    pub async fn submit_between(
        &mut self,
        step: &Step,
        want: Want,
        begin: impl FnOnce(&mut wisp_gpu::CommandEncoder, &Self) -> Result<()>,
        finish: impl FnOnce(&mut wisp_gpu::CommandEncoder, &Self) -> Result<()>,
    ) -> Result<SubmissionIndex> {
        step.check(self.decoder.vocab, self.sequences, self.target.pages_per_sequence * PAGE)?;
        let key = self.prepare(step, want).await?;
        let shared = &self.resources.shared;
        self.gpu.write(&shared.step, 0, bytemuck::cast_slice(&step.words()));
        let mut encoder = self.gpu.encoder();
        begin(&mut encoder, self)?;
        if let Some(plan) = self.plan(key) {
            plan.record(&mut self.gpu.pass(&mut encoder), &step.counts());
        }
        finish(&mut encoder, self)?;
        self.activity.count_step();
        self.gpu.submit(encoder)
    }

    /// Runs a step and reads its logits: `[outputs, vocab]`; an encoder's hidden states.
    ///
    /// # Errors
    /// As [`Self::submit`]; numbers that are not finite.
    pub async fn logits(&mut self, step: &Step) -> Result<Vec<f32>> {
        let key = self.prepare(step, Want::Logits).await?;
        self.submit(step, Want::Logits, |_, _| ()).await?;
        let columns = self.decoder.columns();
        let Some((buffer, offset)) = self.logits_at(key) else { return Ok(Vec::new()) };
        let row = self.logits_row_bytes();
        let data = self.gpu.read(buffer, offset, step.outputs.len() as u64 * row).await?;
        let all: Vec<f32> = bytemuck::pod_collect_to_vec(&data);
        let rows = all.chunks(row as usize / 4).flat_map(|row| row.iter().take(columns));
        let logits: Vec<f32> = rows.copied().collect();
        match logits.iter().fold(true, |finite, logit| finite & logit.is_finite()) {
            true => Ok(logits),
            false => Err(not_finite()),
        }
    }

    /// Where a plan leaves its rows of logits: buffer, first byte. Where it samples they
    /// have bias and penalties.
    pub fn logits_at(&self, key: PlanKey) -> Option<(&Buffer, u64)> {
        let place = self.plan(key)?.value(self.forward.logits)?;
        Some((place.0, place.1))
    }

    /// Bytes from one row of logits to the next.
    pub fn logits_row_bytes(&self) -> u64 {
        self.decoder.columns().next_multiple_of(8) as u64 * 4
    }

    /// Tells the device which pages a sequence has.
    pub fn write_pages(&self, sequence: usize, first: usize, pages: &[u32]) {
        let at = (sequence * self.target.pages_per_sequence + first) * 4;
        self.gpu.write(&self.resources.shared.pages, at as u64, bytemuck::cast_slice(pages));
    }

    /// Sets a sequence's sampling state. `counts` and `bias` are rows of the
    /// vocabulary, where the settings need them.
    pub fn write_sampling(
        &self,
        sequence: usize,
        settings: &Settings,
        counts: Option<&[u32]>,
        bias: Option<&[f32]>,
    ) {
        let shared = &self.resources.shared;
        let at = (sequence * SETTING_WORDS * 4) as u64;
        self.gpu.write(&shared.settings, at, bytemuck::cast_slice(&settings.words()));
        let row = (sequence * self.decoder.vocab * 4) as u64;
        if let Some(counts) = counts {
            self.gpu.write(&shared.counts, row, bytemuck::cast_slice(counts));
        }
        if let Some(bias) = bias {
            self.gpu.write(&shared.bias, row, bytemuck::cast_slice(bias));
        }
    }

    /// Sets how often a sequence has had a token.
    pub fn write_count(&self, sequence: usize, token: u32, count: u32) {
        let at = (sequence * self.decoder.vocab + token as usize) as u64 * 4;
        self.gpu.write(&self.resources.shared.counts, at, bytemuck::bytes_of(&count));
    }
}

/// What a model gives is no number: an answer would be gibberish.
pub fn not_finite() -> Error {
    Error::device(
        "the model's outputs are not finite numbers: its activations overflow, or the adapter \
         computes wrongly; try caps f16=off, which computes in f32",
    )
}

/// Bytes of the state that all plans share.
pub fn shared_sizes(
    target: &Target,
    sequences: usize,
    decode_tokens: usize,
    vocab: usize,
) -> [u64; 6] {
    let most = target.tuning.prefill_tokens.max(decode_tokens);
    let words = Step::capacity(most, most);
    Shared::sizes(words, sequences, target.pages_per_sequence, vocab)
}

/// The size that steps of `count` tokens (or outputs) share a plan with.
fn bucket(count: usize, decode: bool, most_tokens: usize) -> usize {
    let powers = decode.then(|| count.next_power_of_two());
    let buckets = BUCKETS.into_iter().chain([most_tokens]).chain(powers);
    buckets.filter(|b| *b >= count).min().unwrap_or(count)
}

/// Most tokens of a step whose logits are all read: a whole bucket, since the plan has rows
/// for all of it.
fn most_scored(target: &Target, row_bytes: usize) -> usize {
    let most_tokens = target.tuning.prefill_tokens;
    let most = MAX_LOGITS.min(usize::try_from(target.max_binding).unwrap_or(usize::MAX));
    let most = most_tokens.min(most / row_bytes.max(1));
    let buckets = BUCKETS.into_iter().chain([most_tokens]);
    buckets.filter(|bucket| *bucket <= most).max().unwrap_or(1)
}

/// The plans whose memory is made with the model, so that none is missing in the midst of
/// requests: the longest piece of a prompt, and decode of one token up to all of them. Of an
/// encoder: a text as long as the context.
pub fn promised_plans(target: &Target, decode_tokens: usize, encoder: bool) -> Vec<PlanKey> {
    let most_tokens = target.tuning.prefill_tokens;
    let tokens = most_tokens.max(decode_tokens);
    if encoder {
        return vec![PlanKey { tokens, outputs: tokens, decode: false, sample: false }];
    }
    let mut plans = vec![PlanKey { tokens, outputs: 1, decode: false, sample: true }];
    let mut count = 1;
    while count < 2 * decode_tokens {
        let size = bucket(count.min(decode_tokens), true, most_tokens);
        plans.push(PlanKey { tokens: size, outputs: size, decode: true, sample: true });
        count *= 2;
    }
    plans
}

#[cfg(test)]
mod tests {
    use super::*;
    use wisp_gpu::{Tuning, Variant};

    fn target(prefill_tokens: usize) -> Target {
        let tuning = Tuning { prefill_tokens, ..Tuning::GPU };
        Target { pages_per_sequence: 8, ..Target::least(Variant::ALL[0], tuning) }
    }

    #[test]
    fn rows_of_logits_stay_within_their_bound_as_the_plan_rounds_them_up() {
        for prefill_tokens in [1, 8, 100, 256, 512, 4096] {
            let target = target(prefill_tokens);
            for vocab in [265, 32_000, 49_152, 128_256, 151_936, 262_144, 16 << 20] {
                let most = most_scored(&target, vocab * 4);
                assert!((1..=prefill_tokens).contains(&most));
                for outputs in 1..=most {
                    let rows = bucket(outputs, false, prefill_tokens);
                    let bytes = rows * vocab * 4;
                    assert!(rows == 1 || bytes <= MAX_LOGITS, "{prefill_tokens} {vocab}: {rows}");
                }
            }
        }
    }

    #[test]
    fn each_number_of_sequences_that_decode_has_a_promised_plan() {
        for sequences in 1..40 {
            for prefill_tokens in [8, 128, 512] {
                let plans = promised_plans(&target(prefill_tokens), sequences, false);
                for live in 1..=sequences {
                    let size = bucket(live, true, prefill_tokens);
                    let key = PlanKey { tokens: size, outputs: size, decode: true, sample: true };
                    assert!(plans.contains(&key), "{live} of {sequences}: {plans:?}");
                }
            }
        }
    }
}
