//! The protocols that a server speaks, and how each sends the texts of an answer.

use serde_json::json;

use crate::error::ErrorBody;

/// Whose clients ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// OpenAI's.
    OpenAi,
    /// Anthropic's.
    Anthropic,
    /// Ollama's.
    Ollama,
}

/// How the texts of an answer follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Server-sent events, the last of which is `[DONE]`.
    Events,
    /// Server-sent events with the names that the texts have as their `type`.
    NamedEvents,
    /// A line each.
    Lines,
}

impl Protocol {
    /// The protocol of a path.
    pub fn of(path: &str) -> Self {
        match path {
            path if path.starts_with("/api/") => Self::Ollama,
            path if path.starts_with("/v1/messages") => Self::Anthropic,
            _ => Self::OpenAi,
        }
    }

    /// How it streams.
    pub fn framing(self) -> Framing {
        match self {
            Self::OpenAi => Framing::Events,
            Self::Anthropic => Framing::NamedEvents,
            Self::Ollama => Framing::Lines,
        }
    }

    /// What a client is told whose request is not answered, with HTTP's status.
    pub fn error(self, status: u16, body: &ErrorBody) -> String {
        let message = body.message();
        match self {
            // Its keys are names: it can always be written.
            Self::OpenAi => serde_json::to_string(body).unwrap_or_default(),
            Self::Anthropic => {
                let kind = match status {
                    401 => "authentication_error",
                    403 => "permission_error",
                    404 => "not_found_error",
                    413 => "request_too_large",
                    429 => "rate_limit_error",
                    503 => "overloaded_error",
                    400..500 => "invalid_request_error",
                    _ => "api_error",
                };
                json!({"type": "error", "error": {"type": kind, "message": message}}).to_string()
            }
            Self::Ollama => json!({"error": message}).to_string(),
        }
    }
}
