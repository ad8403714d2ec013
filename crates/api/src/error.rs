//! What a client is told when its request is not answered.

use serde::Serialize;
use wisp_base::{Error, SettingName};

/// A request that is not answered.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// The path of the field that is wrong, `messages[2].content` say, if it is one.
    pub param: Option<String>,
    /// What is wrong with it.
    pub error: Error,
}

impl Refusal {
    /// `field` has a wrong value.
    pub(crate) fn input(field: &str, message: impl Into<String>) -> Self {
        Self { param: Some(field.to_owned()), error: Error::input(message) }
    }

    /// `field` asks for what this version does not do.
    pub(crate) fn unsupported(field: &str, message: impl Into<String>) -> Self {
        Self { param: Some(field.to_owned()), error: Error::unsupported(message) }
    }

    /// A body that is no JSON.
    pub(crate) fn json(why: &serde_json::Error) -> Self {
        Error::input(format!("the body is not JSON: {why}")).into()
    }

    /// HTTP's status.
    pub fn status(&self) -> u16 {
        match self.error {
            Error::Input(_) | Error::Unsupported(_) => 400,
            Error::Memory(_) | Error::Device(_) => 503,
            Error::Io(_) => 500,
            // As nginx has it: the client closed the request.
            Error::Cancelled => 499,
        }
    }

    /// As JSON; `name`: what the front calls settings.
    pub fn body(&self, name: SettingName) -> ErrorBody {
        let is_theirs = matches!(self.error, Error::Input(_) | Error::Unsupported(_));
        ErrorBody {
            error: ErrorObject {
                message: self.error.worded(name),
                kind: if is_theirs { "invalid_request_error" } else { "server_error" },
                param: self.param.clone(),
                code: match self.error {
                    Error::Unsupported(_) => Some("unsupported"),
                    _ => None,
                },
            },
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self { param: None, error }
    }
}

/// `{"error": {"message": …, "type": …, "param": …, "code": …}}`
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ErrorBody {
    error: ErrorObject,
}

impl ErrorBody {
    /// What is wrong.
    pub fn message(&self) -> &str {
        &self.error.message
    }

    /// Of what is not in the request's body. `kind` and `code`: OpenAI's names.
    pub fn new(message: String, kind: &'static str, code: &'static str) -> Self {
        Self { error: ErrorObject { message, kind, param: None, code: Some(code) } }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct ErrorObject {
    message: String,
    #[serde(rename = "type")]
    kind: &'static str,
    param: Option<String>,
    code: Option<&'static str>,
}
