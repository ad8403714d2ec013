//! Requests that are not answered, as a client is told.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use wisp_api::{ErrorBody, Protocol, Refusal};
use wisp_base::Error;

use crate::out;

/// A request that is not answered.
#[derive(Debug)]
pub struct Failure {
    status: StatusCode,
    body: ErrorBody,
    /// Seconds until it is worth another try.
    retry_after: Option<u32>,
}

impl Failure {
    /// `code`: OpenAI's name for it, or ours.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        let kind = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "authentication_error",
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
            _ if status.is_client_error() => "invalid_request_error",
            _ => "server_error",
        };
        Self { status, body: ErrorBody::new(message.into(), kind, code), retry_after: None }
    }

    /// It may be worth another try in so many seconds.
    pub fn retry_after(self, seconds: u32) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// As JSON.
    pub fn json(&self, protocol: Protocol) -> String {
        protocol.error(self.status.as_u16(), &self.body)
    }

    /// As a client of that protocol is told.
    pub fn response(self, protocol: Protocol) -> Response {
        let mut response = (self.status, JSON, self.json(protocol)).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let status = StatusCode::from_u16(refusal.status());
        Self {
            status: status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            body: refusal.body(|setting| Some(out::flag(setting))),
            retry_after: None,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Refusal::from(error).into()
    }
}

/// The header of a body of JSON.
pub const JSON: [(header::HeaderName, &str); 1] = [(header::CONTENT_TYPE, "application/json")];
