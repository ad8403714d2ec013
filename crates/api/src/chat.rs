//! Conversations: messages and tools, checked, as chat templates know them.

use serde_json::{Map, Value};
use wisp_runtime::Prompt;

use crate::error::Refusal;
use crate::fields::{Fields, wrong};

type Result<T> = std::result::Result<T, Refusal>;

const ROLES: [&str; 5] = ["system", "developer", "user", "assistant", "tool"];

/// The conversation that a request continues.
pub fn prompt(fields: &mut Fields) -> Result<Prompt> {
    let (messages, tools) = conversation(fields)?;
    Ok(Prompt::Chat { messages, tools })
}

/// Its messages and tools, as templates know them.
pub fn conversation(fields: &mut Fields) -> Result<(Value, Option<Value>)> {
    let messages = Value::Array(messages(fields)?);
    Ok((messages, tools(fields)?.map(Value::Array)))
}

/// How many of the likeliest tokens are to be told, if any are.
pub fn logprobs(fields: &mut Fields) -> Result<Option<usize>> {
    let wanted = fields.flag("logprobs")?;
    let top = fields.integer("top_logprobs", 0, 20)?;
    if top.is_some() && !wanted {
        return Err(Refusal::input("top_logprobs", "top_logprobs needs logprobs: true"));
    }
    Ok(wanted.then(|| top.map_or(0, |top| top as usize)))
}

fn messages(fields: &mut Fields) -> Result<Vec<Value>> {
    let value = fields.take("messages");
    match value {
        Some(Value::Array(list)) if !list.is_empty() => {
            let checked = list.into_iter().enumerate().map(|(index, each)| {
                message(&format!("messages[{index}]"), each).map(Value::Object)
            });
            checked.collect()
        }
        other => Err(wrong("messages", other.as_ref(), "a list of at least one message")),
    }
}

/// A message as templates know it.
pub fn message(path: &str, value: Value) -> Result<Map<String, Value>> {
    let mut fields = Fields::of(path, value)?;
    let role = fields.take("role");
    let known = role.as_ref().and_then(Value::as_str).filter(|role| ROLES.contains(role));
    let Some(known) = known else {
        let must = "system, developer, user, assistant or tool";
        return Err(wrong(&fields.path("role"), role.as_ref(), must));
    };
    // Templates know only its older name.
    let known = if known == "developer" { "system" } else { known };
    let content = content(&fields.path("content"), fields.take("content"), known)?;
    let calls = fields.list("tool_calls", "tool calls")?;
    for (index, call) in calls.iter().flatten().enumerate() {
        function(&format!("{path}.tool_calls[{index}]"), call.clone())?;
    }
    fields.put("role", known.into());
    fields.put("content", content.into());
    if let Some(calls) = calls {
        fields.put("tool_calls", Value::Array(calls));
    }
    Ok(fields.into_rest())
}

fn content(path: &str, value: Option<Value>, role: &str) -> Result<String> {
    match value {
        Some(Value::String(text)) => Ok(text),
        None if role == "assistant" => Ok(String::new()),
        Some(Value::Array(parts)) => {
            let parts = parts.into_iter().enumerate();
            parts.map(|(index, each)| part(&format!("{path}[{index}]"), each)).collect()
        }
        other => Err(wrong(path, other.as_ref(), "a text, or a list of text parts")),
    }
}

fn part(path: &str, value: Value) -> Result<String> {
    let mut fields = Fields::of(path, value)?;
    let kind = fields.text("type")?.unwrap_or_default();
    if kind != "text" {
        let message = format!("{path} is of type {kind:?}; this version takes text only");
        return Err(Refusal::unsupported(path, message));
    }
    let text = fields.text("text")?;
    text.ok_or_else(|| wrong(&fields.path("text"), None, "a text"))
}

/// A tool, or a call of one: an object with a function that has a name.
fn function(path: &str, value: Value) -> Result<()> {
    let mut fields = Fields::of(path, value)?;
    if let Some(kind) = fields.text("type")?.filter(|kind| kind != "function") {
        let message = format!("{path}.type is {kind:?}; this version knows functions only");
        return Err(Refusal::unsupported(&fields.path("type"), message));
    }
    let Some(mut function) = fields.object("function")? else {
        return Err(wrong(&fields.path("function"), None, "an object"));
    };
    match function.text("name")? {
        Some(name) if !name.is_empty() => Ok(()),
        _ => Err(wrong(&function.path("name"), None, "the function's name")),
    }
}

/// The tools that may be called.
pub fn tools(fields: &mut Fields) -> Result<Option<Vec<Value>>> {
    let choice = fields.take("tool_choice");
    let tools = fields.list("tools", "tools")?;
    for (index, tool) in tools.iter().flatten().enumerate() {
        function(&format!("tools[{index}]"), tool.clone())?;
    }
    match choice.as_ref().map(|choice| choice.as_str().unwrap_or_default()) {
        None | Some("auto") => Ok(tools.filter(|tools| !tools.is_empty())),
        Some("none") => Ok(None),
        Some(_) => Err(Refusal::unsupported(
            "tool_choice",
            "tool_choice cannot force a tool in this version: leave it out",
        )),
    }
}
