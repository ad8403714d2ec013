//! HTTP: one request, its answer's head, and its body as a stream.

use super::proxy::Proxies;
use super::token::Token;
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

/// Redirects that are followed one behind the other.
const REDIRECTS: usize = 10;
/// The model hub, where tokens come from.
pub const HUB: &str = "https://huggingface.co";

/// A client with its connections.
pub struct Http {
    agent: Agent,
    proxies: Proxies,
    /// Goes to the hub alone.
    token: Option<Token>,
    /// The hub's address: [`HUB`], or one that stands for it.
    hub: String,
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
    /// What identifies the file, strongly (`"…"`) or weakly (`W/"…"`).
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

impl Answer {
    /// What identifies these bytes in an `If-Range`: a strong validator.
    pub fn validator(&self) -> Option<&str> {
        self.etag.as_deref().filter(|etag| !is_weak(etag))
    }

    /// Does the server say that the file is another one than `validator` is of?
    pub fn is_of_another(&self, validator: &str) -> bool {
        let tag = |etag: &str| etag.strip_prefix("W/").unwrap_or(etag).to_owned();
        self.etag.as_deref().is_some_and(|etag| tag(etag) != tag(validator))
    }
}

fn is_weak(etag: &str) -> bool {
    etag.starts_with("W/")
}

impl Http {
    /// A client that trusts the system's certificates and asks no hub.
    pub fn new() -> Self {
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .accept_encoding("identity")
            .user_agent(concat!("wisp/", env!("CARGO_PKG_VERSION")))
            .proxy(None)
            // They are followed here: token and proxy go by the host that is asked.
            .max_redirects(0)
            .max_redirects_will_error(false)
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
        let agent = config.build().new_agent();
        Self { agent, proxies: Proxies::default(), token: None, hub: HUB.into() }
    }

    /// With the proxies of the environment and, for the hub at this address, a token.
    pub fn usual(hub: &str, token: Option<Token>) -> Self {
        Self { proxies: Proxies::from_env(), token, hub: hub.into(), ..Self::new() }
    }

    /// Asks for a file.
    pub fn get(&self, ask: &Ask<'_>) -> Result<Answer, Failure> {
        let mut headers = Vec::new();
        if ask.from > 0 {
            headers.push(("range", format!("bytes={}-", ask.from)));
            if let Some(etag) = ask.if_range {
                headers.push(("if-range", etag.to_owned()));
            }
        }
        let (url, response) = self.follow(Method::Get, ask.url, &headers)?;
        let headers = response.headers();
        let etag = text(headers, "etag").map(String::from);
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
                        host(&url)
                    )));
                };
                Ok(Answer { from, total, etag, body: reader(response) })
            }
            status => Err(self.refused(&url, status)),
        }
    }

    /// A small text of a media type.
    pub fn text(&self, url: &str, media: &str) -> Result<String, Failure> {
        const MOST: u64 = 16 << 20;
        let headers = [("accept", media.to_owned())];
        let (url, mut response) = self.follow(Method::Get, url, &headers)?;
        match response.status().as_u16() {
            200 => response.body_mut().with_config().limit(MOST).read_to_string(),
            status => return Err(self.refused(&url, status)),
        }
        .map_err(|error| failed(&url, &error))
    }

    /// The head of the first answer that is no redirect within the host: the hub puts a file's
    /// length and checksum there, when it redirects to where the file lies.
    pub fn head(&self, url: &str) -> Result<HeaderMap, Failure> {
        let (url, response) = self.follow(Method::Head, url, &[])?;
        match response.status().as_u16() {
            200..=399 => Ok(response.headers().clone()),
            status => Err(self.refused(&url, status)),
        }
    }

    /// Asks, and follows redirects; gives the URL that answered, too.
    fn follow(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, String)],
    ) -> Result<(String, Response<Body>), Failure> {
        let mut url = url.to_owned();
        let mut secure = must_be_secure(&url)?;
        for _ in 0..=REDIRECTS {
            let response = self.once(method, &url, headers, secure)?;
            let to = text(response.headers(), "location");
            let to = to.filter(|_| matches!(response.status().as_u16(), 301..=303 | 307 | 308));
            let Some(to) = to.map(|to| joined(&url, to)) else { return Ok((url, response)) };
            if method == Method::Head && host(&to) != host(&url) {
                return Ok((url, response));
            }
            let unencrypted = || {
                Failure::Final(format!("{} leads to an address that is not encrypted", host(&url)))
            };
            // What began with encryption goes on with it.
            secure |= must_be_secure(&to).map_err(|_| unencrypted())?;
            if secure && !to.starts_with("https://") {
                return Err(unencrypted());
            }
            url = to;
        }
        Err(Failure::Final(format!("{} leads from address to address without end", host(&url))))
    }

    /// One request. The token goes only to the hub.
    fn once(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, String)],
        secure: bool,
    ) -> Result<Response<Body>, Failure> {
        let proxy = self.proxies.of(url).map_err(|why| Failure::Final(why.to_string()))?;
        let request = match method {
            Method::Get => self.agent.get(url),
            Method::Head => self.agent.head(url),
        };
        let mut request = request.config().https_only(secure).proxy(proxy).build();
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        if let Some(token) = self.token.as_ref().filter(|_| self.is_hub(url)) {
            request = request.header("authorization", token.header());
        }
        request.call().map_err(|error| failed(url, &error))
    }

    /// Is it the hub that an address leads to? By scheme, name and port.
    fn is_hub(&self, url: &str) -> bool {
        let below = |base: &str| {
            let rest = url.get(..base.len()).filter(|start| start.eq_ignore_ascii_case(base));
            rest.is_some() && url.get(base.len()..).is_some_and(|rest| rest.starts_with('/'))
        };
        below(HUB) || below(&self.hub)
    }

    fn refused(&self, url: &str, status: u16) -> Failure {
        let host = host(url);
        match status {
            404 => Failure::Final(format!("{host} has no such file (HTTP 404)")),
            401 | 403 => Failure::Final(format!(
                "{host}: access denied (HTTP {status}){}",
                if self.is_hub(url) { self.how_to_get_access() } else { String::new() }
            )),
            416 => Failure::Stale(format!("{host} has no such part of the file (HTTP 416)")),
            408 | 429 | 500.. => Failure::Passing(format!("{host} failed (HTTP {status})")),
            _ => Failure::Final(format!("{host} refused (HTTP {status})")),
        }
    }

    /// What to do where the hub denies access.
    fn how_to_get_access(&self) -> String {
        match &self.token {
            None => format!(
                "; if the repository's name is right, it is gated or private: accept the licence \
                 on its page, make a token at {HUB}/settings/tokens, and set HF_TOKEN to it"
            ),
            Some(token) => format!(
                " with the token of {}; accept the licence on the repository's page, or make a \
                 token that may read it at {HUB}/settings/tokens",
                token.place
            ),
        }
    }
}

/// What is asked for: all of a file, or what is said of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Get,
    Head,
}

/// Where a redirect from `url` leads.
fn joined(url: &str, to: &str) -> String {
    let to = to.split('#').next().unwrap_or(to);
    let scheme = to.split_once("://").map(|(scheme, _)| scheme);
    if scheme.is_some_and(|scheme| scheme.chars().all(|c| c.is_ascii_alphanumeric())) {
        // Schemes and names are the same in any case.
        let (scheme, rest) = to.split_once(':').unwrap_or_default();
        return format!("{}:{rest}", scheme.to_ascii_lowercase());
    }
    let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
    let path = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (host, path) = rest.split_at(path);
    let path = path.split(['?', '#']).next().unwrap_or_default();
    if let Some(rest) = to.strip_prefix("//") {
        format!("{scheme}://{rest}")
    } else if to.starts_with('/') {
        format!("{scheme}://{host}{to}")
    } else if to.starts_with('?') {
        format!("{scheme}://{host}{path}{to}")
    } else {
        let folder = path.rfind('/').and_then(|last| path.get(..=last)).unwrap_or("/");
        format!("{scheme}://{host}{folder}{to}")
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

/// As [`host`], without the port.
pub fn name(url: &str) -> &str {
    let host = host(url);
    // Colons within brackets are an address's own.
    let port = host.rfind(':').filter(|at| host.rfind(']').is_none_or(|end| end < *at));
    port.and_then(|port| host.get(..port)).unwrap_or(host)
}

/// May the address be asked for without encryption? Only on this machine.
fn must_be_secure(url: &str) -> Result<bool, Failure> {
    if url.starts_with("https://") {
        return Ok(true);
    }
    if url.starts_with("http://") && ["localhost", "127.0.0.1", "[::1]"].contains(&name(url)) {
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
    fn the_token_goes_to_the_hub_alone() {
        let http = Http { hub: "http://127.0.0.1:80".into(), ..Http::new() };
        for (url, hub) in [
            ("https://huggingface.co/a/b", true),
            ("https://HuggingFace.co/a/b", true),
            ("http://127.0.0.1:80/a", true),
            ("http://127.0.0.1:8080/a", false),
            ("http://huggingface.co/a", false),
            ("https://huggingface.co.example/a", false),
            ("https://huggingface.co@example.org/a", false),
            ("https://huggingface.co:444/a", false),
            ("https://cdn.huggingface.co/a", false),
        ] {
            assert_eq!(http.is_hub(url), hub, "{url}");
        }
    }

    #[test]
    fn redirects_are_joined_to_where_they_stand() {
        for (to, url) in [
            ("HTTPS://b.example/x", "https://b.example/x"),
            ("//b.example/x", "https://b.example/x"),
            ("/x?y#z", "https://a.example/x?y"),
            ("x", "https://a.example/m/x"),
            ("?x=1", "https://a.example/m/n?x=1"),
            ("/c?to=http://d.example", "https://a.example/c?to=http://d.example"),
        ] {
            assert_eq!(joined("https://a.example/m/n?o", to), url, "{to}");
        }
        assert_eq!(joined("https://a.example", "x"), "https://a.example/x");
    }

    #[test]
    fn names_have_no_port() {
        for (url, known) in [
            ("http://localhost:80/a:b", "localhost"),
            ("http://[::1]:80/", "[::1]"),
            ("http://[::1]/", "[::1]"),
            ("https://a.example", "a.example"),
        ] {
            assert_eq!(name(url), known);
        }
    }

    #[test]
    fn content_ranges_are_read() {
        assert_eq!(content_range("bytes 100-199/200"), Some((100, Some(200))));
        assert_eq!(content_range("bytes 100-199/*"), Some((100, None)));
        assert_eq!(content_range("lines 1-2/3"), None);
    }
}
