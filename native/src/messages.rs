//! Conversations: what chat templates take, and what `/save` writes.

use crate::files;
use serde_json::{Value, json};
use std::path::Path;
use wisp_base::{Error, Result};
use wisp_runtime::Prompt;

/// Messages, and tools where the file has some.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Messages {
    /// `[{"role":…,"content":…},…]`
    pub messages: Vec<Value>,
    /// As the template takes them.
    pub tools: Option<Value>,
}

impl Messages {
    /// One more message.
    pub fn push(&mut self, role: &str, content: &str) {
        self.messages.push(json!({"role": role, "content": content}));
    }

    /// For the model.
    pub fn prompt(&self) -> Prompt {
        Prompt::Chat { messages: self.value(), tools: self.tools.clone() }
    }

    fn value(&self) -> Value {
        Value::Array(self.messages.clone())
    }

    /// Reads `[{"role":…,"content":…},…]` or `{"messages":[…],"tools":[…]}`.
    pub fn load(path: &Path) -> Result<Self> {
        let text = files::read(path)?;
        let name = path.display();
        let value: Value = files::from_json(&text)
            .map_err(|cause| Error::input(format!("{name} is not JSON: {cause}")))?;
        Self::from_json(value).map_err(|why| {
            Error::input(format!("{name} {why}; give [{{\"role\":\"user\",\"content\":\"…\"}}, …]"))
        })
    }

    fn from_json(value: Value) -> Result<Self, String> {
        let (messages, tools) = match value {
            Value::Object(mut object) => (object.remove("messages"), object.remove("tools")),
            other => (Some(other), None),
        };
        let Some(Value::Array(messages)) = messages else {
            return Err("holds no array of messages".into());
        };
        if messages.is_empty() {
            return Err("holds no message".into());
        }
        for (index, message) in messages.iter().enumerate() {
            if !message.is_object() {
                return Err(format!("has a message {index} that is not an object"));
            }
            if !message.get("role").is_some_and(Value::is_string) {
                return Err(format!("has a message {index} without a role"));
            }
        }
        if tools.as_ref().is_some_and(|tools| !tools.is_array()) {
            return Err("has tools that are not an array".into());
        }
        Ok(Self { messages, tools })
    }

    /// Writes what [`Self::load`] reads.
    pub fn save(&self, path: &Path) -> Result<()> {
        let value = match &self.tools {
            None => self.value(),
            Some(tools) => json!({"messages": self.messages, "tools": tools}),
        };
        files::write(path, |file| writeln!(file, "{value:#}"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_can_be_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chat.json");
        let mut messages = Messages::default();
        messages.push("user", "Why is the sky blue?\n");
        messages.save(&path).unwrap();
        assert_eq!(Messages::load(&path).unwrap(), messages);
        messages.tools = Some(json!([{"name": "f"}]));
        messages.save(&path).unwrap();
        assert_eq!(Messages::load(&path).unwrap(), messages);
    }

    #[test]
    fn each_wrong_shape_is_named() {
        let refused = |value: Value| Messages::from_json(value).unwrap_err();
        assert_eq!(refused(json!(1)), "holds no array of messages");
        assert_eq!(refused(json!([])), "holds no message");
        assert_eq!(refused(json!([{"role": "user"}, 1])), "has a message 1 that is not an object");
        assert_eq!(refused(json!([{"content": ""}])), "has a message 0 without a role");
        assert_eq!(
            refused(json!({"messages": [{"role": "user"}], "tools": 1})),
            "has tools that are not an array"
        );
    }
}
