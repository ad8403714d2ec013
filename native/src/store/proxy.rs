//! Which proxy a request goes through: what curl takes from the same variables.

use super::http;
use std::net::IpAddr;
use ureq::Proxy;
use wisp_base::{Error, Result};

/// The proxies of this machine, as the environment names them.
#[derive(Debug, Default)]
pub struct Proxies {
    http: Option<String>,
    https: Option<String>,
    all: Option<String>,
    /// Hosts that are asked directly.
    none: String,
}

impl Proxies {
    /// `http_proxy`, `https_proxy`, `all_proxy`, `no_proxy`: an empty one is none. In capitals
    /// too, but `HTTP_PROXY`: a web server sets that from a header of a request.
    pub fn from_env() -> Self {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
        let one = |name: &str| variable(name).filter(|value| !value.is_empty());
        let either = |name: &str| one(name).or_else(|| one(&name.to_uppercase()));
        Self {
            http: one("http_proxy"),
            https: either("https_proxy"),
            all: either("all_proxy"),
            none: either("no_proxy").unwrap_or_default(),
        }
    }

    /// The proxy for a URL, if there is one for it.
    ///
    /// # Errors
    /// What the variable holds is no proxy that can be used.
    pub fn of(&self, url: &str) -> Result<Option<Proxy>> {
        let Some(address) = self.address(url) else { return Ok(None) };
        let unusable = |why: &str| {
            Error::input(format!(
                "the proxy {} {why}: set http_proxy or https_proxy to an address like \
                 http://proxy.example:8080, or name {} in no_proxy",
                without_password(address),
                http::host(url)
            ))
        };
        if address.to_ascii_lowercase().starts_with("socks") {
            return Err(unusable("is a SOCKS proxy, which wisp does not speak"));
        }
        Proxy::new(address).map(Some).map_err(|_| unusable("is not an address"))
    }

    fn address(&self, url: &str) -> Option<&str> {
        let by_scheme = if url.starts_with("https:") { &self.https } else { &self.http };
        let address = by_scheme.as_ref().or(self.all.as_ref())?;
        (!is_listed(&self.none, http::name(url))).then_some(address)
    }
}

/// A proxy's address may hold its password.
fn without_password(address: &str) -> &str {
    address.rsplit('@').next().unwrap_or(address)
}

/// Is the host in a `no_proxy` list? A name stands for itself and for all names below it, an
/// address for itself or, with `/bits`, for a network.
fn is_listed(list: &str, host: &str) -> bool {
    if list.trim() == "*" {
        return true;
    }
    let plain = |text: &str| text.trim_matches(['[', ']']).to_ascii_lowercase();
    let host = plain(host);
    let host = host.strip_suffix('.').unwrap_or(&host);
    let address: Option<IpAddr> = host.parse().ok();
    list.split([',', ' ']).filter(|entry| !entry.is_empty()).any(|entry| match address {
        Some(address) => is_in(address, entry),
        None => {
            let entry = plain(entry);
            let entry = entry.strip_prefix('.').unwrap_or(&entry);
            let entry = entry.strip_suffix('.').unwrap_or(entry);
            let above = host.strip_suffix(entry);
            !entry.is_empty() && above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
        }
    })
}

/// Is an address the one of the entry, or of its network (`10.0.0.0/8`)?
fn is_in(address: IpAddr, entry: &str) -> bool {
    let (network, bits) = entry.split_once('/').map_or((entry, None), |(a, b)| (a, Some(b)));
    let Ok(network) = network.trim_matches(['[', ']']).parse::<IpAddr>() else { return false };
    let (one, two, width) = match (address, network) {
        (IpAddr::V4(one), IpAddr::V4(two)) => {
            (u128::from(u32::from(one)), u128::from(u32::from(two)), 32)
        }
        (IpAddr::V6(one), IpAddr::V6(two)) => (u128::from(one), u128::from(two), 128),
        _ => return false,
    };
    let bits = match bits.map(str::parse::<u32>) {
        None => width,
        Some(Ok(bits)) if bits <= width => bits,
        Some(_) => return false,
    };
    // All bits of a network of none: no shift is that wide.
    (one ^ two).checked_shr(width - bits).unwrap_or(0) == 0
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn proxies(variables: &'static [(&'static str, &'static str)]) -> Proxies {
        let find = |name: &str| variables.iter().find(|(known, _)| *known == name);
        Proxies::from_variables(|name| find(name).map(|(_, value)| (*value).into()))
    }

    #[test]
    fn each_scheme_has_its_own_proxy() {
        let both = proxies(&[("http_proxy", "http://one:1"), ("HTTPS_PROXY", "http://two:2")]);
        assert_eq!(both.address("http://localhost/"), Some("http://one:1"));
        assert_eq!(both.address("https://a.example/"), Some("http://two:2"));
        let https = proxies(&[("https_proxy", "http://two:2"), ("HTTP_PROXY", "http://cgi:3")]);
        assert_eq!(https.address("http://localhost/"), None);
        let all = proxies(&[("all_proxy", "http://all:4"), ("https_proxy", "")]);
        assert_eq!(all.address("http://localhost/"), Some("http://all:4"));
        assert_eq!(all.address("https://a.example/"), Some("http://all:4"));
    }

    #[test]
    fn what_no_proxy_lists_is_asked_directly() {
        for (list, host, listed) in [
            ("*", "a.example", true),
            ("a.example", "a.example", true),
            (".a.example", "a.example", true),
            ("b, A.Example", "x.a.example", true),
            ("a.example", "xa.example", false),
            ("a.example.", "a.example", true),
            ("", "a.example", false),
            (",", "a.example", false),
            ("a.example:80", "a.example", false),
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.0/8", "127.9.9.9", true),
            ("10.0.0.0/8", "127.0.0.1", false),
            ("0.0.0.0/0", "127.0.0.1", true),
            ("10.0.0.0/33", "10.0.0.0", false),
            ("0.1", "10.0.0.1", false),
            ("::1", "[::1]", true),
            ("[::1]", "[::1]", true),
            ("fe80::/10", "fe80::9", true),
            ("::/0", "127.0.0.1", false),
        ] {
            assert_eq!(is_listed(list, host), listed, "{list} {host}");
        }
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_named_without_its_password() {
        for (address, why) in [
            ("socks5://me:secret@socks:1080", "the proxy socks:1080 is a SOCKS proxy"),
            ("http://me:secret@:bad port", "is not an address"),
        ] {
            let proxies = Proxies { all: Some(address.into()), ..Proxies::default() };
            let sentence = proxies.of("https://a.example/m").unwrap_err().to_string();
            assert!(sentence.contains(why) && !sentence.contains("secret"), "{sentence}");
        }
    }
}
