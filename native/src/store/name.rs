//! What a person types for a model that is to be downloaded.

use super::catalog::{self, Known};
use crate::files::is_windows_device;
use sha2::{Digest, Sha256};
use wisp_base::{Error, Result};

/// Something that the store can bring.
#[derive(Debug, Clone)]
pub enum Spec {
    /// A name of the catalogue.
    Known(&'static Known),
    /// `hf:owner/repo/path/file.gguf`
    Hub(HubFile),
    /// An address.
    Url(String),
}

/// A file on the model hub.
#[derive(Debug, Clone, PartialEq, Eq)]
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

    /// The name of its file in the store, without ending; of a split model, of its first file. No
    /// two addresses have one name.
    pub fn key(&self) -> String {
        if let Some(name) = self.split() {
            let whole = self.beside(&format!("{}.gguf", name.stem));
            return format!("{}-00001-of-{:05}", whole.key(), name.count);
        }
        match self {
            Self::Known(known) => known.name.into(),
            Self::Hub(file) => file.plain_key().unwrap_or_else(|| file.hashed_key()),
            Self::Url(url) => {
                let path = url.split(['?', '#']).next().unwrap_or_default();
                let last = path.rsplit('/').next().unwrap_or_default();
                let stem = last.strip_suffix(".gguf").unwrap_or(last);
                let plain = |c: char| if is_plain_char(c) { c } else { '_' };
                let stem: String = stem.chars().map(plain).take(80).collect();
                // Files of one name on two servers are two models.
                let hash = hex(&Sha256::digest(url.as_bytes()));
                let stem = stem.trim_start_matches('.');
                format!("{}-{}", unreserved(stem), hash.get(..8).unwrap_or(&hash))
            }
        }
    }
}

impl HubFile {
    fn address(&self) -> String {
        format!("{}/{}", self.repo, self.file.strip_suffix(".gguf").unwrap_or(&self.file))
    }

    /// Its path with `--` for `/`, where that tells it from all others.
    fn plain_key(&self) -> Option<String> {
        let address = self.address();
        // `x--y` is no `x/y`, and neither is `x-/-y`.
        let is_plain =
            |part: &str| !part.contains("--") && !part.starts_with('-') && !part.ends_with('-');
        let key = address.replace('/', "--");
        let alone = address.split('/').all(is_plain) && !looks_hashed(&key);
        (alone && key.len() <= LONGEST && unreserved(&key) == key).then_some(key)
    }

    /// The beginning of its path with a hash of all of it behind `+`, which no plain key has.
    pub fn hashed_key(&self) -> String {
        let address = self.address();
        let start: String = address.replace('/', "--").chars().take(80).collect();
        let hash = hex(&Sha256::digest(address.as_bytes()));
        format!("{}+{}", unreserved(&start), hash.get(..16).unwrap_or(&hash))
    }
}

/// Longer names do not fit all file systems, with what downloads put behind them.
const LONGEST: usize = 200;

/// Does it end like the key of a URL?
fn looks_hashed(key: &str) -> bool {
    let hash = key.rsplit_once('-').map_or("", |(_, hash)| hash);
    hash.len() == 8 && hash.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c))
}

/// Windows has devices that are called so: they are no files.
fn unreserved(name: &str) -> String {
    if is_windows_device(name) { format!("_{name}") } else { name.into() }
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

/// What a model's file in the store may be called, without ending: see [`Spec::key`].
pub fn is_key(text: &str) -> bool {
    match text.split_once('+') {
        Some((start, hash)) => is_plain(start) && is_plain(hash),
        None => is_plain(text),
    }
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
    fn no_two_addresses_have_one_key() {
        let addresses = [
            "hf:a/b/x/y.gguf",
            "hf:a/b/x--y.gguf",
            "hf:a/b--x/y.gguf",
            "hf:a--b/x/y.gguf",
            "hf:a-/-b/x/y.gguf",
            "hf:a/b/x-/y.gguf",
            "hf:a/b/x/-y.gguf",
            "hf:a/b/x---y.gguf",
            "hf:a/b/m.gguf",
            "hf:a/b/m-0123abcd.gguf",
            "hf:a/b/m.gguf.gguf",
            "https://a.example/a--b--m.gguf",
            "https://a.example/a--b--x--y.gguf",
            "https://b.example/a--b--x--y.gguf",
        ];
        let key = |address: &&str| Spec::parse(address).unwrap().unwrap().key();
        let mut keys: Vec<String> = addresses.iter().map(key).collect();
        assert_eq!(keys[0], "a--b--x--y");
        assert!(keys[1].starts_with("a--b--x--y+") && keys[9].contains('+'), "{keys:?}");
        assert!(keys.iter().all(|key| is_key(key)), "{keys:?}");
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), addresses.len(), "{keys:?}");
    }

    #[test]
    fn names_that_windows_keeps_for_itself_and_long_ones_are_not_used() {
        let key = |address: &str| Spec::parse(address).unwrap().unwrap().key();
        assert!(key("hf:con.x/b/m.gguf").starts_with("_con.x--b--m+"));
        assert!(key("https://a.example/NUL.x.gguf").starts_with("_NUL.x-"));
        assert_eq!(key("hf:con/b/m.gguf"), "con--b--m");
        let long = format!("hf:a/b/{}.gguf", "long".repeat(60));
        assert!(key(&long).len() <= 100 && is_key(&key(&long)), "{}", key(&long));
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
