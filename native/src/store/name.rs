//! What a person types for a model that is to be downloaded.

use super::catalog::{self, Known};
use sha2::{Digest, Sha256};
use wisp_base::{Error, Result};

/// Something that the store can bring.
#[derive(Debug)]
pub enum Spec {
    /// A name of the catalogue.
    Known(&'static Known),
    /// `hf:owner/repo/path/file.gguf`
    Hub(HubFile),
    /// An address.
    Url(String),
}

/// A file on the model hub.
#[derive(Debug, PartialEq, Eq)]
pub struct HubFile {
    /// `owner/repo`
    pub repo: String,
    /// A path inside the repository.
    pub file: String,
}

impl Spec {
    /// `None` for what is neither a known name nor an address.
    pub fn parse(text: &str) -> Result<Option<Self>> {
        if let Some(rest) = text.strip_prefix("hf:") {
            return hub_file(rest).map(|file| Some(Self::Hub(file))).ok_or_else(|| {
                Error::input(format!(
                    "{text} is not the address of a file on the hub: give hf:OWNER/REPO/FILE.gguf"
                ))
            });
        }
        if is_address(text) {
            return Ok(Some(Self::Url(text.into())));
        }
        Ok(catalog::known(text).map(Self::Known))
    }

    /// The name of its file in the store, without ending.
    pub fn key(&self) -> String {
        match self {
            Self::Known(known) => known.name.into(),
            Self::Hub(HubFile { repo, file }) => {
                let file = file.strip_suffix(".gguf").unwrap_or(file);
                format!("{repo}/{file}").replace('/', "--")
            }
            Self::Url(url) => {
                let path = url.split(['?', '#']).next().unwrap_or_default();
                let last = path.rsplit('/').next().unwrap_or_default();
                let stem = last.strip_suffix(".gguf").unwrap_or(last);
                let plain = |c: char| if is_plain_char(c) { c } else { '_' };
                let stem: String = stem.chars().map(plain).take(80).collect();
                // Files of one name on two servers are two models.
                let hash = hex(&Sha256::digest(url.as_bytes()));
                let stem = stem.trim_start_matches('.');
                format!("{stem}-{}", hash.get(..8).unwrap_or(&hash))
            }
        }
    }
}

fn hub_file(text: &str) -> Option<HubFile> {
    let parts: Vec<&str> = text.split('/').collect();
    let [owner, repo, file @ ..] = parts.as_slice() else { return None };
    let last = file.last()?;
    if !parts.iter().all(|part| is_plain(part)) || !last.ends_with(".gguf") {
        return None;
    }
    Some(HubFile { repo: format!("{owner}/{repo}"), file: file.join("/") })
}

/// `hf:…` or a URL.
pub fn is_address(text: &str) -> bool {
    ["hf:", "https://", "http://"].iter().any(|scheme| text.starts_with(scheme))
}

/// Did the person mean a file?
pub fn is_path(text: &str) -> bool {
    text.contains(['/', '\\']) || text.ends_with(".gguf") || text.ends_with(".safetensors")
}

/// One part of a path that leads nowhere else: letters, digits, `.`, `-`, `_`,
/// and neither hidden nor `..`.
pub fn is_plain(text: &str) -> bool {
    !text.is_empty() && !text.starts_with('.') && text.chars().all(is_plain_char)
}

fn is_plain_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || ".-_".contains(c)
}

/// Bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_out_of_the_store_are_refused() {
        for bad in [
            "hf:a/b/../../c.gguf",
            "hf:../b/c.gguf",
            "hf:a/b",
            "hf:a/b/c.bin",
            "hf:",
            "hf:a//c.gguf",
            "hf:a/b/.c.gguf",
            "hf:a/b/c d.gguf",
            "hf:a\\b/c/d.gguf",
            "hf:a/b/c%2f.gguf",
        ] {
            assert!(Spec::parse(bad).is_err(), "{bad}");
        }
        let good = Spec::parse("hf:a/b/q4/c.gguf").unwrap().unwrap();
        assert_eq!(good.key(), "a--b--q4--c");
    }

    #[test]
    fn urls_get_plain_keys_of_their_own() {
        let key = |url: &str| Spec::parse(url).unwrap().unwrap().key();
        let one = key("https://example.org/a/%2e%2e/..m$del.gguf?x=/../y");
        assert!(is_plain(&one) && one.starts_with("m_del-"), "{one}");
        assert_ne!(key("https://a.example/m.gguf"), key("https://b.example/m.gguf"));
        assert!(is_plain(&key("https://a.example/")));
    }
}
