//! Token ids, on the command line and in files.

use std::path::Path;
use std::str::FromStr;
use wisp_base::{Error, Result};

/// `1, 2, 3`: at least one id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenList(pub Vec<u32>);

impl FromStr for TokenList {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Err("no token ids are given: give at least one, like 1,2,3".into());
        }
        let ids = text.split(',').map(str::trim).map(|item| {
            item.parse().map_err(|_| {
                format!("`{item}` is not a token id: give whole numbers from 0 on, like 1,2,3")
            })
        });
        ids.collect::<Result<_, _>>().map(Self)
    }
}

impl TokenList {
    /// Its ids, each within the vocabulary.
    pub fn within(self, vocab: usize) -> Result<Vec<u32>> {
        within(&self.0, vocab)?;
        Ok(self.0)
    }
}

/// Each id within the vocabulary, else a sentence that names it.
pub fn within(ids: &[u32], vocab: usize) -> Result<()> {
    match ids.iter().find(|id| **id as usize >= vocab) {
        None => Ok(()),
        Some(id) => Err(Error::input(format!(
            "token {id} is not in the model's vocabulary, which has {vocab} (0 to {}): give \
             tokens of this model",
            vocab.saturating_sub(1)
        ))),
    }
}

/// A JSON array of ids.
pub fn from_file(path: &Path) -> Result<TokenList> {
    let name = path.display();
    let text =
        std::fs::read(path).map_err(|cause| Error::io(format!("cannot read {name}"), cause))?;
    let items: Vec<serde_json::Value> = crate::files::from_json(&text).map_err(|cause| {
        Error::input(format!("{name} is not a JSON array of token ids ({cause}): give [1,2,3]"))
    })?;
    let ids = items.iter().enumerate().map(|(index, item)| {
        item.as_u64().and_then(|id| u32::try_from(id).ok()).ok_or_else(|| {
            let shown: String = item.to_string().chars().take(40).collect();
            Error::input(format!(
                "{name}: item {index} is {shown}, not a token id: give whole numbers from 0 on"
            ))
        })
    });
    Ok(TokenList(ids.collect::<Result<_>>()?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_and_bad_items_named() {
        assert_eq!("1, 2 ,3".parse(), Ok(TokenList(vec![1, 2, 3])));
        let refused = |text: &str| text.parse::<TokenList>().unwrap_err();
        assert!(refused(" ").starts_with("no token ids"));
        assert!(refused("1,x,3").starts_with("`x` is not a token id"));
        assert!(refused("1,,3").starts_with("`` is not a token id"));
        assert!(refused("-1").starts_with("`-1` is not"));
        assert!(refused("4294967296").starts_with("`4294967296` is not"));
    }

    #[test]
    fn an_id_past_the_vocabulary_is_named() {
        let error = TokenList(vec![1, 10]).within(10).unwrap_err().to_string();
        assert!(error.contains("token 10 ") && error.contains("which has 10 "), "{error}");
    }
}
