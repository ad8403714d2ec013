//! The person's token for the model hub, kept where the hub's own tools keep it.

use std::path::PathBuf;
use wisp_base::{Error, Result};

/// Variables that hold a token, in the order to look.
const VARIABLES: [&str; 2] = ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"];

/// What lets a person have gated and private models.
#[derive(Clone)]
pub struct Token {
    text: String,
    /// Where it was found, for messages.
    pub place: String,
}

impl std::fmt::Debug for Token {
    /// Without the token: it is a secret.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Token").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Token {
    /// Of the environment, else of the file that `hf auth login` writes.
    ///
    /// # Errors
    /// What is there cannot be a token.
    pub fn find() -> Result<Option<Self>> {
        Self::find_with(&|name| std::env::var(name).ok().filter(|value| !value.trim().is_empty()))
    }

    fn find_with(variable: &dyn Fn(&str) -> Option<String>) -> Result<Option<Self>> {
        for name in VARIABLES {
            if let Some(text) = variable(name) {
                return Self::new(&text, name.into()).map(Some);
            }
        }
        // As the hub's own library reads it.
        let off = variable("HF_HUB_DISABLE_IMPLICIT_TOKEN");
        let off = off.is_some_and(|value| {
            ["1", "on", "yes", "true"].contains(&value.trim().to_ascii_lowercase().as_str())
        });
        let Some(path) = file(variable).filter(|_| !off) else { return Ok(None) };
        match std::fs::read_to_string(&path) {
            Ok(text) if text.trim().is_empty() => Ok(None),
            Ok(text) => Self::new(&text, path.display().to_string()).map(Some),
            // Most people have none.
            Err(_) => Ok(None),
        }
    }

    fn new(text: &str, place: String) -> Result<Self> {
        let text = text.trim();
        if !text.chars().all(|c| c.is_ascii_graphic()) {
            return Err(Error::input(format!(
                "{place} does not hold a token: it has characters that no token has"
            )));
        }
        Ok(Self { text: text.into(), place })
    }

    /// The value of an `Authorization` header.
    pub fn header(&self) -> String {
        format!("Bearer {}", self.text)
    }
}

/// Where the hub's tools keep the token.
fn file(variable: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    if let Some(path) = variable("HF_TOKEN_PATH") {
        return Some(path.into());
    }
    if let Some(home) = variable("HF_HOME") {
        return Some(PathBuf::from(home).join("token"));
    }
    let cache = match variable("XDG_CACHE_HOME") {
        Some(cache) => PathBuf::from(cache),
        // On every platform: the hub's tools know no other.
        None => directories::BaseDirs::new()?.home_dir().join(".cache"),
    };
    Some(cache.join("huggingface").join("token"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_found_where_the_hubs_tools_keep_them() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("token"), "hf_file\n").unwrap();
        let folder = home.path().to_str().unwrap();
        let find = |variables: &[(&str, &str)]| {
            let value = |name: &str| {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            };
            Token::find_with(&value)
        };
        let header = |variables: &[(&str, &str)]| find(variables).unwrap().unwrap().header();
        assert_eq!(header(&[("HF_TOKEN", " hf_a\n")]), "Bearer hf_a");
        assert_eq!(header(&[("HUGGING_FACE_HUB_TOKEN", "hf_b")]), "Bearer hf_b");
        assert_eq!(header(&[("HF_TOKEN", "a"), ("HUGGING_FACE_HUB_TOKEN", "b")]), "Bearer a");
        assert_eq!(header(&[("HF_HOME", folder)]), "Bearer hf_file");
        assert_eq!(header(&[("HF_HOME", folder), ("HF_TOKEN", "a")]), "Bearer a");
        let path = home.path().join("token");
        assert_eq!(header(&[("HF_TOKEN_PATH", path.to_str().unwrap())]), "Bearer hf_file");
        assert!(find(&[("XDG_CACHE_HOME", folder)]).unwrap().is_none());
        let off = [("HF_HOME", folder), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")];
        assert!(find(&off).unwrap().is_none());
        let why = find(&[("HF_TOKEN", "hf_a\r\nx: y")]).unwrap_err().to_string();
        assert_eq!(why, "HF_TOKEN does not hold a token: it has characters that no token has");
        assert!(!format!("{:?}", find(&[("HF_TOKEN", "hf_a")]).unwrap()).contains("hf_a"));
    }
}
