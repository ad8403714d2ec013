//! OpenAI's Responses: requests, answers and their events
//! (<https://platform.openai.com/docs/api-reference/responses>).

use serde_json::{Map, Value, json};
use wisp_base::{Error, Result as BaseResult};
use wisp_runtime::{Completion, FinishReason, Piece, Prompt, Request, Sampling};

use crate::chat;
use crate::error::Refusal;
use crate::fields::{Fields, unknown, wrong};
use crate::response::{Head, Usage};
use crate::writer::Writer;

type Result<T> = std::result::Result<T, Refusal>;

/// Fields that change nothing here, and may be passed.
const IGNORED: [&str; 6] = [
    "user",
    "metadata",
    "service_tier",
    "safety_identifier",
    "prompt_cache_key",
    "parallel_tool_calls",
];

/// A checked request for a response.
#[derive(Debug, Clone)]
pub struct ResponsesRequest {
    /// The model that is asked for, if one is named.
    pub model: Option<String>,
    /// The response that it goes on from.
    pub previous: Option<String>,
    /// Whether another may go on from its answer.
    pub store: bool,
    /// Whether the answer is wanted as events.
    pub stream: bool,
    /// What the model is told before the conversation: it holds for this answer alone.
    pub instructions: Option<String>,
    /// What is new in the conversation, as templates know it.
    pub messages: Vec<Value>,
    sampling: Sampling,
    max_tokens: usize,
    tools: Option<Value>,
}

impl ResponsesRequest {
    /// Checks the text of a request's body. `seed`: what tokens are drawn by.
    ///
    /// # Errors
    /// No JSON. A field that is wrong or not known, or that this version does not honour, by its
    /// path.
    pub fn read(body: &str, seed: u64) -> Result<Self> {
        let mut fields = Fields::of("", Fields::parse(body)?)?;
        let mut messages = Vec::new();
        match fields.take("input") {
            Some(Value::String(text)) => messages.push(json!({"role": "user", "content": text})),
            Some(Value::Array(items)) if !items.is_empty() => {
                for (index, item) in items.into_iter().enumerate() {
                    self::item(&format!("input[{index}]"), item, &mut messages)?;
                }
            }
            other => return Err(wrong("input", other.as_ref(), "a text, or a list of items")),
        }
        let usual = Sampling::default();
        let temperature = fields.number("temperature", 0.0, 2.0)?.unwrap_or(1.0) as f32;
        let top_p = fields.number("top_p", 0.0, 1.0)?.map_or(usual.top_p, |number| number as f32);
        let sampling = Sampling { temperature, top_p, seed, ..usual };
        let max_tokens = fields.count("max_output_tokens", 1)?.unwrap_or(usize::MAX);
        let tools = tools(&mut fields)?;
        only(&mut fields, "truncation", &json!("disabled"))?;
        only(&mut fields, "background", &json!(false))?;
        only(&mut fields, "top_logprobs", &json!(0))?;
        if let Some(mut text) = fields.object("text")? {
            only(&mut text, "format", &json!({"type": "text"}))?;
            only(&mut text, "verbosity", &json!("medium"))?;
            text.end()?;
        }
        if let Some(mut reasoning) = fields.object("reasoning")? {
            only(&mut reasoning, "effort", &json!("none"))?;
            reasoning.end()?;
        }
        let read = Self {
            model: fields.text("model")?,
            previous: fields.text("previous_response_id")?,
            store: fields.flag_or("store", true)?,
            stream: fields.flag("stream")?,
            instructions: fields.text("instructions")?,
            messages,
            sampling,
            max_tokens,
            tools,
        };
        only(&mut fields, "include", &json!([]))?;
        if let Some(mut options) = fields.object("stream_options")? {
            // There is none to leave out.
            options.flag("include_obfuscation")?;
            options.end()?;
        }
        for (name, _) in fields.rest() {
            if !IGNORED.contains(&name.as_str()) {
                return Err(unknown(&name));
            }
        }
        Ok(read)
    }

    /// What the engine is asked, behind what was said `before`.
    pub fn request(&self, before: &[Value]) -> Request<Prompt> {
        let first = self.instructions.iter().map(|text| json!({"role": "system", "content": text}));
        let messages = first.chain(before.iter().cloned()).chain(self.messages.iter().cloned());
        let prompt = Prompt::Chat { messages: messages.collect(), tools: self.tools.clone() };
        let (max_tokens, sampling) = (self.max_tokens, self.sampling.clone());
        Request { prompt, max_tokens, sampling, ..Request::default() }
    }
}

/// Refuses a field with any value but the one that asks for nothing.
fn only(fields: &mut Fields, name: &str, harmless: &Value) -> Result<()> {
    match fields.take(name) {
        Some(value) if value != *harmless => {
            let path = fields.path(name);
            let message = format!("{path} is not supported by this version: leave it out");
            Err(Refusal::unsupported(&path, message))
        }
        _ => Ok(()),
    }
}

/// An item of a conversation as chat templates know it.
fn item(path: &str, value: Value, into: &mut Vec<Value>) -> Result<()> {
    let mut item = Fields::of(path, value)?;
    let missing = |name: &str| wrong(&format!("{path}.{name}"), None, "a text");
    match item.text("type")?.as_deref() {
        None | Some("message") => {
            let mut message = Map::new();
            message.extend(item.take("role").map(|role| ("role".to_owned(), role)));
            let content = match item.take("content") {
                Some(Value::Array(parts)) => Some(parts.into_iter().map(part).collect()),
                other => other,
            };
            message.extend(content.map(|content| ("content".to_owned(), content)));
            into.push(Value::Object(chat::message(path, Value::Object(message))?));
        }
        Some("function_call") => {
            let name = item.text("name")?.ok_or_else(|| missing("name"))?;
            let arguments = item.text("arguments")?.ok_or_else(|| missing("arguments"))?;
            let id = item.text("call_id")?.ok_or_else(|| missing("call_id"))?;
            let function = json!({"name": name, "arguments": arguments});
            let call = json!({"id": id, "type": "function", "function": function});
            into.push(json!({"role": "assistant", "content": "", "tool_calls": [call]}));
        }
        Some("function_call_output") => {
            let output = item.text("output")?.ok_or_else(|| missing("output"))?;
            let id = item.text("call_id")?.ok_or_else(|| missing("call_id"))?;
            into.push(json!({"role": "tool", "tool_call_id": id, "content": output}));
        }
        Some("reasoning") => {}
        Some(kind) => {
            let message = format!("{path} is of type {kind:?}, which this version does not take");
            return Err(Refusal::unsupported(path, message));
        }
    }
    Ok(())
}

/// A part of a message, by the name that chats have for it.
fn part(mut part: Value) -> Value {
    let kind = part.get("type").and_then(Value::as_str);
    if matches!(kind, Some("input_text" | "output_text")) {
        part["type"] = "text".into();
    }
    part
}

/// Tools as chats have them.
fn tools(fields: &mut Fields) -> Result<Option<Value>> {
    let mut listed = Vec::new();
    for (index, tool) in fields.list("tools", "tools")?.into_iter().flatten().enumerate() {
        let path = format!("tools[{index}]");
        let mut tool = Fields::of(&path, tool)?;
        let kind = tool.text("type")?.unwrap_or_default();
        if kind != "function" {
            let message = format!("{path}.type is {kind:?}; this version knows functions only");
            return Err(Refusal::unsupported(&path, message));
        }
        listed.push(json!({"type": "function", "function": tool.into_rest()}));
    }
    fields.put("tools", listed.into());
    Ok(chat::tools(fields)?.filter(|tools| !tools.is_empty()).map(Value::Array))
}

/// Writes a response, as events where the request asked for them.
pub struct ResponsesWriter {
    head: Head,
    /// What the answer repeats of the request.
    echo: Value,
    stream: bool,
    /// Events so far.
    events: u64,
}

impl ResponsesWriter {
    /// For the answer to `asked`. Its item is named after the response.
    pub fn new(head: Head, asked: &ResponsesRequest) -> Self {
        let most = asked.max_tokens;
        let echo = json!({
            "instructions": asked.instructions,
            "max_output_tokens": (most < usize::MAX).then_some(most),
            "previous_response_id": asked.previous,
            "store": asked.store,
            "temperature": asked.sampling.temperature,
            "top_p": asked.sampling.top_p,
        });
        Self { head, echo, stream: asked.stream, events: 0 }
    }

    fn item_id(&self) -> String {
        self.head.id.replacen("resp_", "msg_", 1)
    }

    fn item(&self, status: &str, content: &Value) -> Value {
        json!({"type": "message", "id": self.item_id(), "status": status, "role": "assistant",
            "content": content})
    }

    fn response(&self, status: &str, output: &Value, usage: &Value) -> Value {
        let details = (status == "incomplete").then(|| json!({"reason": "max_output_tokens"}));
        let mut response = json!({
            "id": self.head.id,
            "object": "response",
            "created_at": self.head.created,
            "status": status,
            "error": null,
            "incomplete_details": details,
            "model": self.head.model,
            "output": output,
            "parallel_tool_calls": true,
            "reasoning": {"effort": null, "summary": null},
            "text": {"format": {"type": "text"}},
            "tool_choice": "auto",
            "tools": [],
            "truncation": "disabled",
            "usage": usage,
            "metadata": {},
        });
        for (name, value) in self.echo.as_object().into_iter().flatten() {
            response[name] = value.clone();
        }
        response
    }

    /// An event; `of` what it is told where in the answer.
    fn event(&mut self, name: &str, of: &[(&str, Value)]) -> String {
        let mut event = json!({"type": name, "sequence_number": self.events});
        self.events += 1;
        for (name, value) in of {
            event[*name] = value.clone();
        }
        event.to_string()
    }

    /// An event of the text.
    fn text_event(&mut self, name: &str, what: &str, value: Value) -> String {
        let place = [
            ("item_id", self.item_id().into()),
            ("output_index", 0.into()),
            ("content_index", 0.into()),
            (what, value),
        ];
        self.event(name, &place)
    }
}

/// A text of an answer.
fn output_text(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

impl Writer for ResponsesWriter {
    fn start(&mut self) -> Vec<String> {
        if !self.stream {
            return Vec::new();
        }
        let response = self.response("in_progress", &json!([]), &Value::Null);
        let item = self.item("in_progress", &json!([]));
        vec![
            self.event("response.created", &[("response", response.clone())]),
            self.event("response.in_progress", &[("response", response)]),
            self.event("response.output_item.added", &[("output_index", 0.into()), ("item", item)]),
            self.text_event("response.content_part.added", "part", output_text("")),
        ]
    }

    fn piece(&mut self, piece: &Piece) -> Option<String> {
        if !self.stream || piece.text.is_empty() {
            return None;
        }
        let place = [
            ("item_id", self.item_id().into()),
            ("output_index", 0.into()),
            ("content_index", 0.into()),
            ("delta", piece.text.as_str().into()),
            ("logprobs", json!([])),
        ];
        Some(self.event("response.output_text.delta", &place))
    }

    fn end(
        mut self: Box<Self>,
        completion: &Completion,
        prompt_tokens: usize,
    ) -> BaseResult<Vec<String>> {
        let status = match completion.finish {
            FinishReason::Cancelled => return Err(Error::Cancelled),
            FinishReason::Length => "incomplete",
            FinishReason::Stop => "completed",
        };
        let usage = Usage::of(completion, prompt_tokens);
        let usage = json!({
            "input_tokens": usage.prompt_tokens,
            "input_tokens_details": {"cached_tokens": usage.prompt_tokens_details.cached_tokens},
            "output_tokens": usage.completion_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": usage.total_tokens,
        });
        let text = output_text(&completion.text);
        let item = self.item(status, &json!([text]));
        let response = self.response(status, &json!([item]), &usage);
        if !self.stream {
            return Ok(vec![response.to_string()]);
        }
        let last = format!("response.{status}");
        Ok(vec![
            self.text_event("response.output_text.done", "text", completion.text.as_str().into()),
            self.text_event("response.content_part.done", "part", text),
            self.event("response.output_item.done", &[("output_index", 0.into()), ("item", item)]),
            self.event(&last, &[("response", response)]),
        ])
    }
}
