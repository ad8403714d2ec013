//! What chat and text completions have in common: sampling, lengths, stops.

use serde_json::Value;
use wisp_runtime::Sampling;

use crate::error::Refusal;
use crate::fields::{Fields, unknown, wrong};

type Result<T> = std::result::Result<T, Refusal>;

/// Fields of OpenAI's that change nothing here, and may be passed. Everything else is honoured or
/// refused by name.
pub const IGNORED: [&str; 7] = [
    "user",
    "metadata",
    "store",
    "service_tier",
    "safety_identifier",
    "prompt_cache_key",
    "parallel_tool_calls",
];

/// Fields that would change the answer, if this version could, with the value that asks for
/// nothing, if there is one. (`{"type": …}` and a list of one count as what is in them.)
pub const UNSUPPORTED: [(&str, Option<&str>); 13] = [
    ("response_format", Some("\"text\"")),
    ("functions", None),
    ("function_call", Some("\"none\"")),
    ("modalities", Some("\"text\"")),
    ("audio", None),
    ("prediction", None),
    ("reasoning_effort", Some("\"none\"")),
    ("verbosity", Some("\"medium\"")),
    ("web_search_options", None),
    ("echo", Some("false")),
    ("best_of", Some("1")),
    ("suffix", None),
    ("dimensions", None),
];

/// What both kinds of completions ask for, besides their prompts.
pub struct Common {
    /// The model that is asked for, if one is named.
    pub model: Option<String>,
    /// Whether the answer is wanted in chunks.
    pub stream: bool,
    /// Whether a last chunk has the usage.
    pub include_usage: bool,
    /// How to draw tokens.
    pub sampling: Sampling,
    /// Texts that end the answer.
    pub stop: Vec<String>,
    /// The most tokens, by the name that both have.
    pub max_tokens: Option<usize>,
}

impl Common {
    /// `seed`: where none is given. OpenAI's defaults otherwise.
    pub fn read(fields: &mut Fields, seed: u64) -> Result<Self> {
        fields.integer("n", 1, 1).map_err(|refusal| {
            Refusal::unsupported("n", format!("{}: one answer a request", refusal.error))
        })?;
        let usual = Sampling::default();
        let mut single = |name, least, most, usual: f32| -> Result<f32> {
            Ok(fields.number(name, least, most)?.map_or(usual, |number| number as f32))
        };
        let sampling = Sampling {
            temperature: single("temperature", 0.0, 2.0, 1.0)?,
            top_p: single("top_p", 0.0, 1.0, usual.top_p)?,
            min_p: single("min_p", 0.0, 1.0, usual.min_p)?,
            frequency_penalty: single("frequency_penalty", -2.0, 2.0, usual.frequency_penalty)?,
            presence_penalty: single("presence_penalty", -2.0, 2.0, usual.presence_penalty)?,
            repetition_penalty: single("repetition_penalty", 0.01, 10.0, usual.repetition_penalty)?,
            top_k: fields.top_k()?.unwrap_or(usual.top_k),
            logit_bias: biases(fields)?,
            // As many seeds below 0 as above it.
            seed: fields.integer("seed", i64::MIN, i64::MAX)?.map_or(seed, |seed| seed as u64),
        };
        let stream = fields.flag("stream")?;
        let include_usage = match fields.object("stream_options")? {
            Some(mut options) => {
                let wanted = options.flag("include_usage")?;
                options.end()?;
                wanted
            }
            None => false,
        };
        Ok(Self {
            model: fields.text("model")?,
            stream,
            include_usage,
            sampling,
            stop: stops(fields)?,
            max_tokens: fields.count("max_tokens", 1)?,
        })
    }
}

/// Refuses what is left of a request's fields, but for what changes nothing.
pub fn refuse_rest(fields: Fields) -> Result<()> {
    for (name, value) in fields.rest() {
        if IGNORED.contains(&name.as_str()) {
            continue;
        }
        let Some((_, harmless)) = UNSUPPORTED.iter().find(|(known, _)| *known == name) else {
            return Err(unknown(&name));
        };
        let plain = match &value {
            Value::Array(list) if list.len() == 1 => &list[0],
            Value::Object(object) => object.get("type").unwrap_or(&value),
            other => other,
        };
        if *harmless != Some(plain.to_string().as_str()) {
            return Err(Refusal::unsupported(
                &name,
                format!("{name} is not supported by this version: leave it out"),
            ));
        }
    }
    Ok(())
}

fn stops(fields: &mut Fields) -> Result<Vec<String>> {
    let Some(value) = fields.take("stop") else { return Ok(Vec::new()) };
    let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let stops = match &value {
        Value::Array(list) => list.iter().map(text).collect(),
        one => text(one).map(|one| vec![one]),
    };
    let must = "a text or a list of texts, none of them empty";
    stops.ok_or_else(|| wrong(&fields.path("stop"), Some(&value), must))
}

fn biases(fields: &mut Fields) -> Result<Vec<(u32, f32)>> {
    let Some(mut biases) = fields.object("logit_bias")? else { return Ok(Vec::new()) };
    let names: Vec<String> = biases.names().cloned().collect();
    let mut all = Vec::new();
    for name in names {
        let id = name.parse().map_err(|_| {
            let must = "a token id, a whole number from 0 on";
            wrong("a token of logit_bias", Some(&Value::String(name.clone())), must)
        })?;
        if let Some(bias) = biases.number(&name, -100.0, 100.0)? {
            all.push((id, bias as f32));
        }
    }
    Ok(all)
}
