//! Ollama's API: chats, texts, and vectors, as lines of JSON
//! (<https://github.com/ollama/ollama/blob/main/docs/api.md>).

use serde_json::{Value, json};
use wisp_base::{Error, Result as BaseResult};
use wisp_runtime::{Completion, FinishReason, Piece, Prompt, Request, Sampling};

use crate::chat;
use crate::embeddings::{EmbeddingInput, inputs};
use crate::error::Refusal;
use crate::fields::{Fields, wrong};
use crate::writer::Writer;

type Result<T> = std::result::Result<T, Refusal>;

/// Options that say how to load a model, or how its makers compute: this server was told when it
/// started.
const IGNORED_OPTIONS: [&str; 9] = [
    "num_keep",
    "num_batch",
    "num_gpu",
    "main_gpu",
    "num_thread",
    "use_mmap",
    "low_vram",
    "numa",
    "num_ctx",
];

/// What is asked for, by Ollama's path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OllamaEndpoint {
    /// `/api/chat`
    Chat,
    /// `/api/generate`
    Generate,
}

/// A checked request for text.
#[derive(Debug, Clone)]
pub struct OllamaRequest {
    /// The model that is asked for, without the tag `latest`.
    pub model: String,
    /// What the engine is asked; `None` only loads the model.
    pub request: Option<Request<Prompt>>,
    /// Whether the answer is wanted line by line.
    pub stream: bool,
}

impl OllamaRequest {
    /// Checks the text of a request's body. `seed`: where it has none.
    ///
    /// # Errors
    /// No JSON. A field that is wrong or not known, or that this version does not honour, by its
    /// path.
    pub fn read(endpoint: OllamaEndpoint, body: &str, seed: u64) -> Result<Self> {
        let mut fields = Fields::of("", Fields::parse(body)?)?;
        let model = model(&mut fields)?;
        let stream = fields.flag_or("stream", true)?;
        let (sampling, stop, max_tokens) = options(&mut fields, seed)?;
        let prompt = match endpoint {
            OllamaEndpoint::Chat => {
                let named =
                    fields.take("messages").filter(|m| m.as_array().is_none_or(|m| !m.is_empty()));
                match named {
                    None => None,
                    Some(messages) => {
                        no_images(&messages)?;
                        fields.put("messages", messages);
                        Some(chat::prompt(&mut fields)?)
                    }
                }
            }
            OllamaEndpoint::Generate => text(&mut fields)?,
        };
        refuse_rest(fields)?;
        let request = prompt.map(|prompt| Request {
            prompt,
            max_tokens,
            sampling,
            stop,
            ..Request::default()
        });
        Ok(Self { model, request, stream })
    }
}

/// Texts only.
fn no_images(messages: &Value) -> Result<()> {
    let images = |message: &Value| {
        message.get("images").is_some_and(|images| !images.is_null() && *images != json!([]))
    };
    match messages.as_array().and_then(|all| all.iter().position(images)) {
        None => Ok(()),
        Some(at) => {
            let path = format!("messages[{at}].images");
            let message = format!("{path}: this version takes text only");
            Err(Refusal::unsupported(&path, message))
        }
    }
}

/// The model, under the name that it has without Ollama's tag.
fn model(fields: &mut Fields) -> Result<String> {
    let model = fields.text("model")?.or(fields.text("name")?);
    let model = model.ok_or_else(|| wrong("model", None, "the name of a model"))?;
    Ok(model.strip_suffix(":latest").unwrap_or(&model).to_owned())
}

/// The prompt of `/api/generate`.
fn text(fields: &mut Fields) -> Result<Option<Prompt>> {
    let system = fields.text("system")?;
    let raw = fields.flag("raw")?;
    let prompt = fields.text("prompt")?.unwrap_or_default();
    if prompt.is_empty() {
        return Ok(None);
    }
    if raw {
        return Ok(Some(Prompt::Text(prompt.into_bytes())));
    }
    let mut messages = Vec::new();
    messages.extend(system.map(|text| json!({"role": "system", "content": text})));
    messages.push(json!({"role": "user", "content": prompt}));
    Ok(Some(Prompt::Chat { messages: messages.into(), tools: None }))
}

/// Ollama's defaults, and what `options` changes.
fn options(fields: &mut Fields, seed: u64) -> Result<(Sampling, Vec<String>, usize)> {
    let mut options = match fields.object("options")? {
        Some(options) => options,
        None => Fields::of("options", json!({}))?,
    };
    let mut number = |name: &str, most: f64, usual: f32| -> Result<f32> {
        Ok(options.number(name, 0.0, most)?.map_or(usual, |number| number as f32))
    };
    let sampling = Sampling {
        temperature: number("temperature", 100.0, 0.8)?,
        top_p: number("top_p", 1.0, 0.9)?,
        min_p: number("min_p", 1.0, 0.0)?,
        repetition_penalty: number("repeat_penalty", 10.0, 1.0)?.max(0.01),
        presence_penalty: options.number("presence_penalty", -2.0, 2.0)?.unwrap_or(0.0) as f32,
        frequency_penalty: options.number("frequency_penalty", -2.0, 2.0)?.unwrap_or(0.0) as f32,
        top_k: options.top_k()?.unwrap_or(40),
        logit_bias: Vec::new(),
        seed: options.integer("seed", i64::MIN, i64::MAX)?.map_or(seed, |seed| seed as u64),
    };
    // -1 and -2 go on to the end.
    let most = options.integer("num_predict", -2, i64::MAX)?.filter(|most| *most >= 0);
    let most = most.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
    let stop = match options.take("stop") {
        None => Vec::new(),
        Some(Value::String(text)) => vec![text],
        Some(list) => {
            let texts = list.as_array().and_then(|list| {
                list.iter().map(|text| text.as_str().map(str::to_owned)).collect()
            });
            texts.ok_or_else(|| wrong("options.stop", Some(&list), "a list of texts"))?
        }
    };
    for (name, _) in options.rest() {
        if !IGNORED_OPTIONS.contains(&name.as_str()) {
            let path = format!("options.{name}");
            let message = format!("{path} is not supported by this version: leave it out");
            return Err(Refusal::unsupported(&path, message));
        }
    }
    Ok((sampling, stop.into_iter().filter(|text| !text.is_empty()).collect(), most))
}

/// Refuses what is left, but for what changes nothing or asks for nothing.
fn refuse_rest(fields: Fields) -> Result<()> {
    for (name, value) in fields.rest() {
        let empty = match &value {
            Value::Array(list) => list.is_empty(),
            Value::String(text) => text.is_empty(),
            other => *other == Value::Bool(false),
        };
        if !empty && name != "keep_alive" {
            let message = format!("{name} is not supported by this version: leave it out");
            return Err(Refusal::unsupported(&name, message));
        }
    }
    Ok(())
}

/// A checked request for vectors: `/api/embed`, and `/api/embeddings` before it.
#[derive(Debug, Clone)]
pub struct OllamaEmbedRequest {
    /// The model that is asked for, without the tag `latest`.
    pub model: String,
    /// At least one.
    pub inputs: Vec<EmbeddingInput>,
    /// Texts that are too long are cut.
    pub truncate: bool,
}

impl OllamaEmbedRequest {
    /// Checks the text of a request's body.
    ///
    /// # Errors
    /// As [`OllamaRequest::read`].
    pub fn read(body: &str) -> Result<Self> {
        let mut fields = Fields::of("", Fields::parse(body)?)?;
        let model = model(&mut fields)?;
        let input = fields.take("input").or(fields.take("prompt"));
        let inputs = input.as_ref().and_then(inputs).filter(|inputs| !inputs.is_empty());
        let inputs =
            inputs.ok_or_else(|| wrong("input", input.as_ref(), "a text or a list of texts"))?;
        let truncate = fields.flag_or("truncate", true)?;
        fields.take("options");
        refuse_rest(fields)?;
        Ok(Self { model, inputs, truncate })
    }
}

/// A question about a model: `/api/show`.
#[derive(Debug, Clone)]
pub struct OllamaModelRequest {
    /// The model, without the tag `latest`.
    pub model: String,
}

impl OllamaModelRequest {
    /// Checks the text of a request's body.
    ///
    /// # Errors
    /// As [`OllamaRequest::read`].
    pub fn read(body: &str) -> Result<Self> {
        let mut fields = Fields::of("", Fields::parse(body)?)?;
        let model = model(&mut fields)?;
        fields.take("verbose");
        fields.end()?;
        Ok(Self { model })
    }
}

/// Writes lines of an answer, or one.
pub struct OllamaWriter {
    endpoint: OllamaEndpoint,
    model: String,
    /// RFC 3339.
    created_at: String,
    stream: bool,
}

impl OllamaWriter {
    /// `created_at`: the time in RFC 3339.
    pub fn new(endpoint: OllamaEndpoint, model: String, created_at: String, stream: bool) -> Self {
        Self { endpoint, model, created_at, stream }
    }

    /// The answer to a request that only loads the model.
    pub fn loaded(&self) -> String {
        let mut line = self.line("");
        line["done"] = true.into();
        line["done_reason"] = "load".into();
        line.to_string()
    }

    fn line(&self, text: &str) -> Value {
        let mut line = json!({"model": self.model, "created_at": self.created_at, "done": false});
        match self.endpoint {
            OllamaEndpoint::Chat => {
                line["message"] = json!({"role": "assistant", "content": text});
            }
            OllamaEndpoint::Generate => line["response"] = text.into(),
        }
        line
    }
}

impl Writer for OllamaWriter {
    fn start(&mut self) -> Vec<String> {
        Vec::new()
    }

    fn piece(&mut self, piece: &Piece) -> Option<String> {
        (self.stream && !piece.text.is_empty()).then(|| self.line(&piece.text).to_string())
    }

    fn end(
        self: Box<Self>,
        completion: &Completion,
        prompt_tokens: usize,
    ) -> BaseResult<Vec<String>> {
        if completion.finish == FinishReason::Cancelled {
            return Err(Error::Cancelled);
        }
        let timings = &completion.timings;
        let nanoseconds = |ms: f64| (ms * 1e6) as u64;
        let mut line = self.line(if self.stream { "" } else { &completion.text });
        line["done"] = true.into();
        line["done_reason"] = completion.finish.name().into();
        line["total_duration"] = nanoseconds(timings.prefill_ms + timings.decode_ms).into();
        line["load_duration"] = 0.into();
        line["prompt_eval_count"] = prompt_tokens.into();
        line["prompt_eval_duration"] = nanoseconds(timings.prefill_ms).into();
        line["eval_count"] = completion.tokens.len().into();
        line["eval_duration"] = nanoseconds(timings.decode_ms).into();
        Ok(vec![line.to_string()])
    }
}
