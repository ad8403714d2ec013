//! HTTP: one request, its answer's head, and its body as a stream.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;
use ureq::http::{HeaderMap, Response};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body};

/// How long to wait for a host: a machine that is offline should know soon.
const CONNECT: Duration = Duration::from_secs(5);
/// How long to wait for an answer's head, and for each piece of its body.
const ANSWER: Duration = Duration::from_secs(30);

/// A client with its connections.
pub struct Http {
    agent: Agent,
}

/// Why a request gave nothing.
#[derive(Debug)]
pub enum Failure {
    /// Trying again may help.
    Passing(String),
    /// The file has no byte where we wanted to go on.
    Stale(String),
    /// It won't.
    Final(String),
}

impl Failure {
    pub fn why(self) -> String {
        match self {
            Self::Passing(why) | Self::Stale(why) | Self::Final(why) => why,
        }
    }
}

/// The bytes of a file from some position on.
pub struct Answer {
    /// Where the body begins in the file.
    pub from: u64,
    /// The file's length, if the server says.
    pub total: Option<u64>,
    /// What identifies these bytes in an `If-Range`: a strong validator.
    pub etag: Option<String>,
    /// The bytes.
    pub body: Box<dyn Read>,
}

/// What is to be asked for.
pub struct Ask<'a> {
    pub url: &'a str,
    /// Begin here; with a validator, only if it still holds.
    pub from: u64,
    pub if_range: Option<&'a str>,
}

impl Http {
    /// A client that trusts the system's certificates.
    pub fn new() -> Self {
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .accept_encoding("identity")
            .user_agent(concat!("wisp/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(CONNECT))
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(ANSWER))
            .timeout_per_read(Some(ANSWER));
        let found = rustls_native_certs::load_native_certs().certs;
        // A system without any is served by those built in.
        if !found.is_empty() {
            let certificates = found.iter().map(|der| Certificate::from_der(der).to_owned());
            let roots = RootCerts::Specific(Arc::new(certificates.collect()));
            config = config.tls_config(TlsConfig::builder().root_certs(roots).build());
        }
        Self { agent: config.build().new_agent() }
    }

    /// Asks for a file.
    pub fn get(&self, ask: &Ask<'_>) -> Result<Answer, Failure> {
        let mut request =
            self.agent.get(ask.url).config().https_only(must_be_secure(ask.url)?).build();
        if ask.from > 0 {
            request = request.header("range", format!("bytes={}-", ask.from));
            if let Some(etag) = ask.if_range {
                request = request.header("if-range", etag);
            }
        }
        let response = request.call().map_err(|error| failed(ask.url, &error))?;
        let headers = response.headers();
        let etag = text(headers, "etag").filter(|etag| !etag.starts_with("W/")).map(String::from);
        match response.status().as_u16() {
            200 => {
                let total = text(headers, "content-length").and_then(|text| text.parse().ok());
                Ok(Answer { from: 0, total, etag, body: reader(response) })
            }
            206 => {
                let range = text(headers, "content-range").and_then(content_range);
                let Some((from, total)) = range.filter(|(from, _)| *from == ask.from) else {
                    return Err(Failure::Final(format!(
                        "{} sent another part of the file than was asked for",
                        host(ask.url)
                    )));
                };
                Ok(Answer { from, total, etag, body: reader(response) })
            }
            status => Err(refused(ask.url, status)),
        }
    }

    /// A small text of a media type.
    pub fn text(&self, url: &str, media: &str) -> Result<String, Failure> {
        const MOST: u64 = 16 << 20;
        let request = self.agent.get(url).config().https_only(must_be_secure(url)?).build();
        let mut response =
            request.header("accept", media).call().map_err(|error| failed(url, &error))?;
        match response.status().as_u16() {
            200 => response.body_mut().with_config().limit(MOST).read_to_string(),
            status => return Err(refused(url, status)),
        }
        .map_err(|error| failed(url, &error))
    }

    /// The head of the first answer, redirect or not: the hub puts a file's
    /// length and checksum there.
    pub fn head(&self, url: &str) -> Result<HeaderMap, Failure> {
        let request = self.agent.head(url).config().https_only(must_be_secure(url)?);
        let request = request.max_redirects(0).max_redirects_will_error(false).build();
        let response = request.call().map_err(|error| failed(url, &error))?;
        match response.status().as_u16() {
            200..=399 => Ok(response.headers().clone()),
            status => Err(refused(url, status)),
        }
    }
}

/// A header's text.
pub fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// `example.org:8080` of an address, for messages.
pub fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    host.rsplit('@').next().unwrap_or(host)
}

/// May the address be asked for without encryption? Only on this machine.
fn must_be_secure(url: &str) -> Result<bool, Failure> {
    if url.starts_with("https://") {
        return Ok(true);
    }
    let name = host(url);
    let name = name.rsplit_once(':').map_or(name, |(name, _)| name);
    if url.starts_with("http://") && ["localhost", "127.0.0.1", "[::1]"].contains(&name) {
        return Ok(false);
    }
    Err(Failure::Final(format!("{url} is not encrypted: give an https URL")))
}

fn reader(response: Response<Body>) -> Box<dyn Read> {
    Box::new(response.into_body().into_reader())
}

/// `bytes 100-199/200`
fn content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (from, _) = range.split_once('-')?;
    Some((from.trim().parse().ok()?, total.trim().parse().ok()))
}

fn refused(url: &str, status: u16) -> Failure {
    let host = host(url);
    match status {
        404 => Failure::Final(format!("{host} has no such file (HTTP 404)")),
        401 | 403 => Failure::Final(format!("{host} does not let us have it (HTTP {status})")),
        416 => Failure::Stale(format!("{host} has no such part of the file (HTTP 416)")),
        408 | 429 | 500.. => Failure::Passing(format!("{host} failed (HTTP {status})")),
        _ => Failure::Final(format!("{host} refused (HTTP {status})")),
    }
}

fn failed(url: &str, error: &ureq::Error) -> Failure {
    let host = host(url);
    match error {
        ureq::Error::HostNotFound => Failure::Final(format!("{host} cannot be found")),
        ureq::Error::Timeout(ureq::Timeout::Resolve | ureq::Timeout::Connect) => {
            Failure::Final(format!("{host} cannot be reached"))
        }
        ureq::Error::RequireHttpsOnly(_) => {
            Failure::Final(format!("{host} leads to an address that is not encrypted"))
        }
        ureq::Error::Io(cause) if cause.kind() == std::io::ErrorKind::ConnectionRefused => {
            Failure::Final(format!("{host} cannot be reached ({cause})"))
        }
        // What the standard library says when a name has no address.
        ureq::Error::Io(cause) if cause.to_string().contains("lookup address") => {
            Failure::Final(format!("{host} cannot be found"))
        }
        ureq::Error::Io(_) | ureq::Error::Timeout(_) | ureq::Error::Protocol(_) => {
            Failure::Passing(format!("{host} failed ({error})"))
        }
        _ => Failure::Final(format!("{host} failed ({error})")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_may_go_without_encryption() {
        assert!(matches!(must_be_secure("https://example.org/a"), Ok(true)));
        assert!(matches!(must_be_secure("http://localhost:80/a"), Ok(false)));
        assert!(matches!(must_be_secure("http://127.0.0.1:9/a"), Ok(false)));
        for bad in ["http://example.org/a", "http://localhost@example.org/", "ftp://localhost/"] {
            assert!(must_be_secure(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn content_ranges_are_read() {
        assert_eq!(content_range("bytes 100-199/200"), Some((100, Some(200))));
        assert_eq!(content_range("bytes 100-199/*"), Some((100, None)));
        assert_eq!(content_range("lines 1-2/3"), None);
    }
}
