//! A request's sampling settings, as the device has them.

use wisp_ops::{IN_PROMPT, Settings};

use crate::engine::generate::Streamed;
use crate::engine::runner::Runner;
use crate::request::Sampling;
use crate::schedule::Sequence;

impl Runner<'_> {
    /// Sets the sampling state of sequence `number` of the device.
    pub(crate) fn set_sampling(&self, number: usize, sequence: &Sequence<Streamed<'_, '_>>) {
        let request = &sequence.client.client.request;
        let vocab = self.stepper.decoder.vocab;
        let settings = settings(&request.sampling);
        let counts = settings.penalties().then(|| {
            let mut counts = vec![0; vocab];
            let (prompt, answer) = sequence.tokens.split_at(sequence.prompt);
            prompt.iter().for_each(|token| counts[*token as usize] = IN_PROMPT);
            answer.iter().for_each(|token| counts[*token as usize] += 1);
            counts
        });
        let bias = settings.biased.then(|| {
            let mut row = vec![0.0; vocab];
            for (token, bias) in &request.sampling.logit_bias {
                row[*token as usize] += bias;
            }
            row
        });
        self.stepper.write_sampling(number, &settings, counts.as_deref(), bias.as_deref());
    }
}

pub(crate) fn settings(sampling: &Sampling) -> Settings {
    Settings {
        temperature: sampling.temperature,
        top_k: sampling.top_k,
        top_p: sampling.top_p,
        min_p: sampling.min_p,
        repetition: sampling.repetition_penalty,
        presence: sampling.presence_penalty,
        frequency: sampling.frequency_penalty,
        biased: !sampling.logit_bias.is_empty(),
        seed: sampling.seed,
    }
}
