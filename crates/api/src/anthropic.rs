//! Anthropic's Messages API: requests, answers and their events
//! (<https://docs.anthropic.com/en/api/messages>).

use serde_json::{Map, Value, json};
use wisp_base::{Error, Result as BaseResult};
use wisp_runtime::{Completion, FinishReason, Piece, Prompt, Request, Sampling};

use crate::error::Refusal;
use crate::fields::{Fields, unknown, wrong};
use crate::response::{Head, Usage};
use crate::writer::Writer;

type Result<T> = std::result::Result<T, Refusal>;

/// Fields that change nothing here.
const IGNORED: [&str; 4] = ["metadata", "service_tier", "inference_geo", "cache_control"];

/// A checked request for a message.
#[derive(Debug, Clone)]
pub struct MessagesRequest {
    /// The model that is asked for, if one is named.
    pub model: Option<String>,
    /// What the engine is asked.
    pub request: Request<Prompt>,
    /// Whether the answer is wanted as events.
    pub stream: bool,
}

impl MessagesRequest {
    /// Checks the text of a request's body. `seed`: what tokens are drawn by.
    ///
    /// # Errors
    /// No JSON. A field that is wrong or not known, or that this version does not honour, by its
    /// path.
    pub fn read(body: &str, seed: u64) -> Result<Self> {
        let mut fields = Fields::of("", Fields::parse(body)?)?;
        let max_tokens = fields.count("max_tokens", 1)?;
        let max_tokens =
            max_tokens.ok_or_else(|| wrong("max_tokens", None, "a whole number, 1 or more"))?;
        let usual = Sampling::default();
        let temperature = fields.number("temperature", 0.0, 1.0)?.unwrap_or(1.0) as f32;
        let top_p = fields.number("top_p", 0.0, 1.0)?.map_or(usual.top_p, |number| number as f32);
        let top_k = fields.top_k()?.unwrap_or(usual.top_k);
        let sampling = Sampling { temperature, top_p, top_k, seed, ..usual };
        let stop = fields.list("stop_sequences", "texts")?.unwrap_or_default();
        let stop = stop.iter().map(|text| text.as_str().filter(|text| !text.is_empty()));
        let stop: Option<Vec<String>> = stop.map(|text| text.map(str::to_owned)).collect();
        let stop = stop.ok_or_else(|| {
            Refusal::input("stop_sequences", "stop_sequences must be texts, none of them empty")
        })?;
        let stream = fields.flag("stream")?;
        let (model, prompt) = prompt(fields)?;
        let request = Request { prompt, max_tokens, sampling, stop, ..Request::default() };
        Ok(Self { model, request, stream })
    }

    /// The model and the prompt of a request whose tokens are to be counted.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_count(body: &str) -> Result<(Option<String>, Prompt)> {
        prompt(Fields::of("", Fields::parse(body)?)?)
    }
}

/// What is left of a request: the model, and the conversation.
fn prompt(mut fields: Fields) -> Result<(Option<String>, Prompt)> {
    let mut messages = Vec::new();
    if let Some(system) = fields.take("system") {
        messages.push(json!({"role": "system", "content": texts("system", system)?}));
    }
    let listed = fields.list("messages", "messages")?.filter(|list| !list.is_empty());
    let listed = listed.ok_or_else(|| wrong("messages", None, "a list of at least one message"))?;
    for (index, each) in listed.into_iter().enumerate() {
        message(&format!("messages[{index}]"), each, &mut messages)?;
    }
    if messages.last().is_some_and(|last| last["role"] == "assistant") {
        let message = "the last message is the assistant's, which this version does not continue";
        return Err(Refusal::unsupported("messages", message));
    }
    let tools = tools(&mut fields)?;
    if let Some(mut thinking) = fields.object("thinking")?
        && thinking.text("type")?.as_deref() != Some("disabled")
    {
        let message = "thinking is not supported by this version: leave it out";
        return Err(Refusal::unsupported("thinking", message));
    }
    let model = fields.text("model")?;
    for (name, _) in fields.rest() {
        if !IGNORED.contains(&name.as_str()) {
            return Err(unknown(&name));
        }
    }
    Ok((model, Prompt::Chat { messages: messages.into(), tools }))
}

/// A message as chat templates know it; results of tools are messages of their own.
fn message(path: &str, value: Value, into: &mut Vec<Value>) -> Result<()> {
    let mut fields = Fields::of(path, value)?;
    let role = fields.text("role")?.unwrap_or_default();
    if role != "user" && role != "assistant" {
        return Err(wrong(&fields.path("role"), Some(&role.into()), "user or assistant"));
    }
    let path = fields.path("content");
    let blocks = match fields.take("content") {
        Some(Value::String(text)) => {
            into.push(json!({"role": role, "content": text}));
            return Ok(());
        }
        Some(Value::Array(blocks)) => blocks,
        other => return Err(wrong(&path, other.as_ref(), "a text, or a list of blocks")),
    };
    let (mut text, mut calls) = (String::new(), Vec::new());
    for (index, block) in blocks.into_iter().enumerate() {
        let path = format!("{path}[{index}]");
        let mut block = Fields::of(&path, block)?;
        let missing = |name: &str, must: &str| wrong(&format!("{path}.{name}"), None, must);
        match (block.text("type")?.unwrap_or_default().as_str(), role.as_str()) {
            ("text", _) => text += &block.text("text")?.ok_or_else(|| missing("text", "a text"))?,
            ("tool_use", "assistant") => {
                let name = block.text("name")?.ok_or_else(|| missing("name", "a text"))?;
                let input = block.take("input").unwrap_or_else(|| json!({}));
                let id = block.text("id")?.ok_or_else(|| missing("id", "a text"))?;
                let function = json!({"name": name, "arguments": input});
                calls.push(json!({"id": id, "type": "function", "function": function}));
            }
            ("tool_result", "user") => {
                let id = block.text("tool_use_id")?;
                let id = id.ok_or_else(|| missing("tool_use_id", "a text"))?;
                let content = match block.take("content") {
                    Some(content) => texts(&format!("{path}.content"), content)?,
                    None => String::new(),
                };
                into.push(json!({"role": "tool", "tool_call_id": id, "content": content}));
            }
            ("thinking" | "redacted_thinking", "assistant") => {}
            (kind, role) => {
                let message = format!(
                    "{path} of a message of the {role} is of type {kind:?}; this version takes \
                     text and tools only"
                );
                return Err(Refusal::unsupported(&path, message));
            }
        }
    }
    if !calls.is_empty() {
        into.push(json!({"role": role, "content": text, "tool_calls": calls}));
    } else if !text.is_empty() || into.last().is_none_or(|last| last["role"] != "tool") {
        into.push(json!({"role": role, "content": text}));
    }
    Ok(())
}

/// A text, or text blocks.
fn texts(path: &str, value: Value) -> Result<String> {
    match value {
        Value::String(text) => Ok(text),
        Value::Array(blocks) => {
            let text = |(index, block)| {
                let path = format!("{path}[{index}]");
                let mut block = Fields::of(&path, block)?;
                match (block.text("type")?.as_deref(), block.text("text")?) {
                    (Some("text"), Some(text)) => Ok(text),
                    _ => Err(Refusal::unsupported(&path, format!("{path} must be a text block"))),
                }
            };
            blocks.into_iter().enumerate().map(text).collect()
        }
        other => Err(wrong(path, Some(&other), "a text, or a list of text blocks")),
    }
}

/// Tools as templates know them, which is as OpenAI has them.
fn tools(fields: &mut Fields) -> Result<Option<Value>> {
    let choice = match fields.object("tool_choice")? {
        Some(mut choice) => choice.text("type")?.unwrap_or_default(),
        None => "auto".into(),
    };
    let mut tools = Vec::new();
    for (index, tool) in fields.list("tools", "tools")?.into_iter().flatten().enumerate() {
        let path = format!("tools[{index}]");
        let mut tool = Fields::of(&path, tool)?;
        if let Some(kind) = tool.text("type")?.filter(|kind| kind != "custom") {
            let message = format!("{path}.type is {kind:?}; this version knows custom tools only");
            return Err(Refusal::unsupported(&path, message));
        }
        let name = tool.text("name")?.filter(|name| !name.is_empty());
        let mut function = Map::new();
        let name = name.ok_or_else(|| wrong(&tool.path("name"), None, "the tool's name"))?;
        function.insert("name".into(), name.into());
        function.extend(tool.take("description").map(|text| ("description".to_owned(), text)));
        function.extend(tool.take("input_schema").map(|schema| ("parameters".to_owned(), schema)));
        tools.push(json!({"type": "function", "function": function}));
    }
    match choice.as_str() {
        "auto" => Ok((!tools.is_empty()).then(|| tools.into())),
        "none" => Ok(None),
        _ => {
            let message = "tool_choice cannot force a tool in this version: leave it out";
            Err(Refusal::unsupported("tool_choice", message))
        }
    }
}

/// Writes a message, as events where the request asked for them.
pub struct MessagesWriter {
    head: Head,
    stream: bool,
    /// Tokens of the prompt, which the first event tells.
    prompt_tokens: usize,
}

impl MessagesWriter {
    /// For an answer to a prompt of so many tokens.
    pub fn new(head: Head, stream: bool, prompt_tokens: usize) -> Self {
        Self { head, stream, prompt_tokens }
    }

    fn message(&self, content: &Value, stop: (Option<&str>, Option<&str>), usage: &Value) -> Value {
        json!({
            "id": self.head.id,
            "type": "message",
            "role": "assistant",
            "model": self.head.model,
            "content": content,
            "stop_reason": stop.0,
            "stop_sequence": stop.1,
            "usage": usage,
        })
    }
}

impl Writer for MessagesWriter {
    fn start(&mut self) -> Vec<String> {
        if !self.stream {
            return Vec::new();
        }
        let usage = json!({"input_tokens": self.prompt_tokens, "output_tokens": 0});
        let message = self.message(&json!([]), (None, None), &usage);
        let block = json!({"type": "text", "text": ""});
        [
            json!({"type": "message_start", "message": message}),
            json!({"type": "content_block_start", "index": 0, "content_block": block}),
        ]
        .map(|event| event.to_string())
        .into()
    }

    fn piece(&mut self, piece: &Piece) -> Option<String> {
        if !self.stream || piece.text.is_empty() {
            return None;
        }
        let delta = json!({"type": "text_delta", "text": piece.text});
        Some(json!({"type": "content_block_delta", "index": 0, "delta": delta}).to_string())
    }

    fn end(
        self: Box<Self>,
        completion: &Completion,
        prompt_tokens: usize,
    ) -> BaseResult<Vec<String>> {
        let reason = match (completion.finish, &completion.stop) {
            (FinishReason::Cancelled, _) => return Err(Error::Cancelled),
            (FinishReason::Length, _) => "max_tokens",
            (FinishReason::Stop, Some(_)) => "stop_sequence",
            (FinishReason::Stop, None) => "end_turn",
        };
        let stop = completion.stop.as_deref();
        let usage = Usage::of(completion, prompt_tokens);
        let usage = json!({
            "input_tokens": usage.prompt_tokens - usage.prompt_tokens_details.cached_tokens,
            "cache_read_input_tokens": usage.prompt_tokens_details.cached_tokens,
            "cache_creation_input_tokens": 0,
            "output_tokens": usage.completion_tokens,
        });
        if !self.stream {
            let content = json!([{"type": "text", "text": completion.text}]);
            return Ok(vec![self.message(&content, (Some(reason), stop), &usage).to_string()]);
        }
        let delta = json!({"stop_reason": reason, "stop_sequence": stop});
        let events = [
            json!({"type": "content_block_stop", "index": 0}),
            json!({"type": "message_delta", "delta": delta, "usage": usage}),
            json!({"type": "message_stop"}),
        ];
        Ok(events.map(|event| event.to_string()).into())
    }
}
