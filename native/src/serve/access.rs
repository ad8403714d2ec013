//! Who may ask: API keys, names under which the server is known, and pages of other sites.

use std::net::{IpAddr, ToSocketAddrs};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use wisp_api::Protocol;
use wisp_base::{Error, Result};

use super::failure::Failure;
use super::{Phase, Server};
use crate::args::Serve;

/// Paths that need no key and answer while the model is loaded: for what watches the server.
const OPEN: [&str; 1] = ["/health"];

/// What a page of another site may send, once it is allowed.
const METHODS: &str = "GET, POST, OPTIONS";

/// Who may ask.
pub struct Access {
    key: Option<String>,
    /// Names in the header `Host`; any, where there is a key.
    hosts: Vec<String>,
    /// Origins of pages that may ask; `*` is all.
    origins: Vec<String>,
}

impl Access {
    /// As the flags have it.
    ///
    /// # Errors
    /// Everybody on a network could ask.
    pub fn new(args: &Serve) -> Result<Self> {
        let addresses = (args.host.as_str(), args.port)
            .to_socket_addrs()
            .map_err(|cause| Error::io(format!("--host {} has no address", args.host), cause))?;
        let is_local = addresses.map(|address| address.ip()).all(|ip: IpAddr| ip.is_loopback());
        if !is_local && args.api_key.is_none() {
            return Err(Error::input(format!(
                "on --host {} others can reach the server: give an --api-key that they must send, \
                 or leave --host out",
                args.host
            )));
        }
        // What a header can hold, and clients send as it is.
        let plain =
            |key: &String| !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic());
        if !args.api_key.as_ref().is_none_or(plain) {
            let message = "--api-key must be of visible ASCII characters, without spaces";
            return Err(Error::input(message));
        }
        if let Some(origin) = args.cors.iter().find(|o| *o != "*" && !o.contains("://")) {
            return Err(Error::input(format!(
                "--cors {origin} is no origin: give one as https://example.org, or *"
            )));
        }
        let hosts = ["localhost", "127.0.0.1", "[::1]", &args.host].map(str::to_lowercase).into();
        let origins = args.cors.iter().map(|origin| origin.trim_end_matches('/').to_lowercase());
        Ok(Self { key: args.api_key.clone(), hosts, origins: origins.collect() })
    }

    /// Whether a request may be answered.
    fn check(&self, path: &str, headers: &HeaderMap) -> std::result::Result<(), Failure> {
        // All of a name, those that are no text as empty ones.
        let texts = |name| headers.get_all(name).into_iter().map(|v| v.to_str().unwrap_or(""));
        let text = |name| texts(name).next();
        // A page that lets its own name lead here would be of the same origin: its name gives it
        // away (DNS rebinding). It has no key.
        let known = |host: &str| self.hosts.contains(&name_of(host).to_lowercase());
        let is_here = text(header::HOST).is_some() && texts(header::HOST).all(known);
        if self.key.is_none() && !is_here {
            let message = "the header Host does not name this machine: ask it as localhost, or \
                           start it with --api-key";
            return Err(Failure::new(StatusCode::FORBIDDEN, "forbidden_host", message));
        }
        if let Some(origin) = texts(header::ORIGIN).find(|origin| !self.allows(origin)) {
            let message = format!(
                "pages of {} may not ask this server: start it with --cors and their origin",
                shortened(origin)
            );
            return Err(Failure::new(StatusCode::FORBIDDEN, "forbidden_origin", message));
        }
        let Some(key) = self.key.as_ref().filter(|_| !OPEN.contains(&path)) else { return Ok(()) };
        let bearer = text(header::AUTHORIZATION).and_then(|value| value.split_once(' '));
        let bearer = bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let bearer = bearer.map(|(_, key)| key);
        let given = bearer.or(headers.get("x-api-key").and_then(|value| value.to_str().ok()));
        match given {
            Some(given) if is_same(given.trim(), key) => Ok(()),
            _ => {
                let message = "the API key is missing or wrong: send it as `Authorization: Bearer \
                               KEY`";
                Err(Failure::new(StatusCode::UNAUTHORIZED, "invalid_api_key", message))
            }
        }
    }

    /// Whether a page of that origin may ask: those of this machine's own server always.
    fn allows(&self, origin: &str) -> bool {
        let origin = origin.to_lowercase();
        let of_web = |(scheme, _): &(&str, &str)| ["http", "https"].contains(scheme);
        let own = origin.split_once("://").filter(of_web).map(|(_, host)| name_of(host));
        self.origins.iter().any(|known| known == "*" || *known == origin)
            || own.is_some_and(|host| self.hosts.iter().any(|known| known == host))
    }
}

/// `localhost` of `localhost:8080`.
fn name_of(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Compares all bytes, whichever differ first: how long it takes tells nothing of the key.
fn is_same(given: &str, key: &str) -> bool {
    let differ = given.bytes().zip(key.bytes()).fold(0, |differ, (a, b)| differ | (a ^ b));
    given.len() == key.len() && differ == 0
}

/// What a client sent, to be repeated in a message.
fn shortened(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}

/// Lets through who may ask, and counts what they are told.
pub async fn guard(
    State(server): State<Arc<Server>>,
    request: Request<Body>,
    next: Next,
) -> Response {
    let _under_way = server.metrics.asked();
    let path = request.uri().path().to_owned();
    let origin = request.headers().get(header::ORIGIN).cloned();
    let wanted = request.headers().get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    let mut response = match server.access.check(&path, request.headers()) {
        // The browser's question before a page's own: it never has a key.
        Err(_) if request.method() == Method::OPTIONS && is_allowed(&server, origin.as_ref()) => {
            StatusCode::NO_CONTENT.into_response()
        }
        Err(failure) => failure.response(Protocol::of(&path)),
        Ok(()) if request.method() == Method::OPTIONS => StatusCode::NO_CONTENT.into_response(),
        Ok(()) if server.phase() == Phase::Loading && !OPEN.contains(&path.as_str()) => {
            let message = "the model is being loaded: try again in a moment";
            Failure::new(StatusCode::SERVICE_UNAVAILABLE, "loading", message)
                .retry_after(2)
                .response(Protocol::of(&path))
        }
        Ok(()) => next.run(request).await,
    };
    if let Some(origin) = origin.filter(|origin| is_allowed(&server, Some(origin))) {
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::VARY, HeaderValue::from_static("Origin"));
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
        // Clients tell of themselves in headers of their own.
        if let Some(wanted) = wanted {
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, wanted);
        }
    }
    server.metrics.answered(response.status());
    response
}

fn is_allowed(server: &Server, origin: Option<&HeaderValue>) -> bool {
    let origin = origin.and_then(|origin| origin.to_str().ok());
    origin.is_some_and(|origin| server.access.allows(origin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_told_from_its_port() {
        for (host, name) in [
            ("localhost:8080", "localhost"),
            ("localhost", "localhost"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
        ] {
            assert_eq!(name_of(host), name);
        }
    }

    #[test]
    fn keys_are_the_same_only_as_a_whole() {
        assert!(is_same("key", "key"));
        for other in ["", "ke", "keys", "kez"] {
            assert!(!is_same(other, "key"), "{other}");
        }
    }
}
