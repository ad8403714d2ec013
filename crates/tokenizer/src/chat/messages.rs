//! Messages before a template sees them.

use serde_json::{Map, Value as Json};
use wisp_base::{Error, Result};

/// The names that what a model thought goes by; the first is what templates read.
const REASONING: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];

/// Are they a list of objects, each with a role?
pub(super) fn check(messages: &Json) -> Result<()> {
    let list = messages.as_array().ok_or_else(|| {
        Error::input(
            "the messages are not a list: write [{\"role\": \"user\", \"content\": \"…\"}]",
        )
    })?;
    for (index, message) in list.iter().enumerate() {
        if !message.get("role").is_some_and(Json::is_string) {
            return Err(Error::input(format!(
                "message {index} has no role: write {{\"role\": \"user\", \"content\": \"…\"}}"
            )));
        }
    }
    Ok(())
}

/// As transformers does: reasoning under any of its names is found under the first two.
pub(super) fn with_reasoning(messages: &Json) -> Json {
    let named = |message: &Json| match message {
        Json::Object(fields) => Json::Object(reasoned(fields)),
        other => other.clone(),
    };
    messages.as_array().map_or(Json::Null, |list| list.iter().map(named).collect())
}

fn reasoned(fields: &Map<String, Json>) -> Map<String, Json> {
    let given = |name| fields.get(name).filter(|value| !value.is_null());
    let Some(reasoning) = REASONING.into_iter().find_map(given) else { return fields.clone() };
    let mut all = Map::from_iter([("thinking".to_string(), reasoning.clone())]);
    all.extend(fields.clone());
    all.insert("reasoning_content".into(), reasoning.clone());
    all
}
