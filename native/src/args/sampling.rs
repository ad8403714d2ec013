//! How the next token is drawn, as flags.

use clap::Args;
use wisp_runtime::Sampling;

/// Flags that `chat` and `generate` share. What is not given keeps the command's default.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Sampling")]
pub struct SamplingArgs {
    /// How far to stray from the most likely token; 0 never does
    #[arg(long, visible_alias = "temp", value_name = "T", allow_negative_numbers = true)]
    pub temperature: Option<f32>,
    /// Draw from the K most likely tokens; 0 is off
    #[arg(long, value_name = "K")]
    pub top_k: Option<u32>,
    /// Draw from the most likely tokens whose probabilities reach P together; 1 is off
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    pub top_p: Option<f32>,
    /// Drop tokens less likely than this share of the most likely one; 0 is off
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    pub min_p: Option<f32>,
    /// Make tokens of the prompt and answer less likely; 1 is off
    #[arg(long, visible_alias = "repetition-penalty", value_name = "X")]
    #[arg(allow_negative_numbers = true)]
    pub repeat_penalty: Option<f32>,
    /// Subtract from logits of tokens that are in the answer; 0 is off
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub presence_penalty: Option<f32>,
    /// Subtract from logits of tokens for each time they are in the answer; 0 is off
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub frequency_penalty: Option<f32>,
    /// Add VALUE to a token's logit; may be given again
    #[arg(long, value_name = "ID=VALUE", value_parser = bias)]
    pub logit_bias: Vec<(u32, f32)>,
    /// The same seed on the same adapter gives the same answer; -1 is another one each time
    #[arg(long, value_name = "N", value_parser = seed, allow_negative_numbers = true)]
    pub seed: Option<u64>,
    /// End the answer before this text; may be given again
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, value_parser = super::parse::text)]
    pub stop: Vec<String>,
    /// Go on past the model's end-of-answer token
    #[arg(long)]
    pub ignore_eos: bool,
}

impl SamplingArgs {
    /// `base` with what was given put in its place, each within its range.
    pub fn over(&self, base: Sampling) -> wisp_base::Result<Sampling> {
        let sampling = Sampling {
            temperature: self.temperature.unwrap_or(base.temperature),
            top_k: self.top_k.unwrap_or(base.top_k),
            top_p: self.top_p.unwrap_or(base.top_p),
            min_p: self.min_p.unwrap_or(base.min_p),
            repetition_penalty: self.repeat_penalty.unwrap_or(base.repetition_penalty),
            presence_penalty: self.presence_penalty.unwrap_or(base.presence_penalty),
            frequency_penalty: self.frequency_penalty.unwrap_or(base.frequency_penalty),
            logit_bias: self.logit_bias.clone(),
            seed: self.seed.unwrap_or(base.seed),
        };
        // The vocabulary is not known yet; the engine checks biased tokens against it.
        sampling.check(usize::MAX)?;
        Ok(sampling)
    }
}

/// A seed; -1, as llama.cpp has it, is a random one.
pub fn seed(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(seed) => Ok(seed),
        Err(_) if text == "-1" => Ok(any_seed()),
        Err(_) => Err("give a whole number from 0 on, or -1 for a random seed".into()),
    }
}

/// A seed that differs from run to run.
pub fn any_seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id())
}

/// `ID=VALUE`.
fn bias(text: &str) -> Result<(u32, f32), String> {
    text.split_once('=')
        .and_then(|(id, value)| Some((id.trim().parse().ok()?, value.trim().parse().ok()?)))
        .filter(|(_, value): &(u32, f32)| value.is_finite())
        .ok_or_else(|| "give a token id and a number, like 42=-1.5".into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn flags_replace_defaults_and_are_checked() {
        let args = SamplingArgs { top_k: Some(5), ..SamplingArgs::default() };
        let base = Sampling { temperature: 0.6, ..Sampling::default() };
        assert_eq!(args.over(base.clone()).unwrap(), Sampling { top_k: 5, ..base.clone() });
        let wrong = SamplingArgs { temperature: Some(-1.0), ..SamplingArgs::default() };
        assert!(wrong.over(base).unwrap_err().to_string().starts_with("temperature is -1"));
    }

    #[test]
    fn a_seed_of_minus_one_is_random() {
        assert_eq!(seed("18446744073709551615"), Ok(u64::MAX));
        assert_ne!(seed("-1").unwrap(), seed("-1").unwrap());
        for wrong in ["-2", "x", "", "1.5"] {
            assert!(seed(wrong).unwrap_err().contains("-1 for a random seed"), "{wrong}");
        }
    }

    #[test]
    fn biases_are_id_and_number() {
        assert_eq!(bias("42=-1.5"), Ok((42, -1.5)));
        for wrong in ["42", "x=1", "42=", "42=nan", "-1=2"] {
            assert!(bias(wrong).is_err(), "{wrong}");
        }
    }
}
