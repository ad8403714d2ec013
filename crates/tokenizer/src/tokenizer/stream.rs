//! Decoding token by token, never half a character.

use crate::json::Json;
use crate::tokenizer::Tokenizer;
use wisp_base::Result;

/// Decodes tokens as they come. The pieces that [`push`](Self::push) and
/// [`finish`](Self::finish) give are, together, [`Tokenizer::decode`] without the
/// control tokens.
pub struct Stream<'a> {
    tokenizer: &'a Tokenizer,
    /// Bytes of a character that is not complete.
    pending: Vec<u8>,
    /// Where the tokenizer is not byte-level: the tokens whose text is not certain,
    /// after those that it depends on.
    window: Vec<u32>,
    /// How many of `window` have been printed.
    printed: usize,
    /// Whether text has been given.
    begun: bool,
}

impl<'a> Stream<'a> {
    pub(crate) fn new(tokenizer: &'a Tokenizer) -> Self {
        Self { tokenizer, pending: Vec::new(), window: Vec::new(), printed: 0, begun: false }
    }

    /// Takes the next token and gives the text that became certain: a character of
    /// several tokens comes with its last, a sequence that is not UTF-8 is U+FFFD at
    /// once. A control token gives nothing, nor does an id of the model that no token has.
    ///
    /// # Errors
    /// `id` is not in the vocabulary.
    pub fn push(&mut self, id: u32) -> Result<String> {
        self.tokenizer.check_id(id)?;
        if let Some(json) = self.tokenizer.other_decoder() {
            return self.push_window(json, id);
        }
        self.pending.extend(self.tokenizer.token_bytes(id).unwrap_or_default());
        let mut text = String::new();
        let mut taken = 0;
        for chunk in self.pending.utf8_chunks() {
            text.push_str(chunk.valid());
            taken += chunk.valid().len();
            // Only the last chunk can be the beginning of a character.
            let begins = taken + chunk.invalid().len() == self.pending.len()
                && std::str::from_utf8(chunk.invalid()).is_err_and(|e| e.error_len().is_none());
            if !chunk.invalid().is_empty() && !begins {
                text.push(char::REPLACEMENT_CHARACTER);
                taken += chunk.invalid().len();
            }
        }
        self.pending.drain(..taken);
        if !self.begun && taken > 0 {
            self.begun = true;
            if self.tokenizer.strips_space() && text.starts_with(' ') {
                text.remove(0);
            }
        }
        Ok(text)
    }

    /// Ends the stream: what was held back is U+FFFD. The stream can be used anew.
    pub fn finish(&mut self) -> String {
        if let Some(json) = self.tokenizer.other_decoder() {
            let text = self.uncertain(json).unwrap_or_default();
            self.window.clear();
            self.printed = 0;
            return text;
        }
        let pending = std::mem::take(&mut self.pending);
        self.begun = false;
        String::from_utf8_lossy(&pending).into_owned()
    }

    /// A decoder that is not byte-level may write a token in another way after
    /// others (a space before a word, say): the tokens that were printed last are
    /// decoded along, and what they give is taken off.
    fn push_window(&mut self, json: &Json, id: u32) -> Result<String> {
        if self.tokenizer.is_control(id) || self.tokenizer.token_text(id).is_none() {
            return Ok(String::new());
        }
        self.window.push(id);
        let text = self.uncertain(json)?;
        if text.is_empty() || text.ends_with(char::REPLACEMENT_CHARACTER) {
            return Ok(String::new());
        }
        self.window.drain(..self.printed);
        self.printed = self.window.len();
        Ok(text)
    }

    /// The text of the tokens of `window` that have not been printed.
    fn uncertain(&self, json: &Json) -> Result<String> {
        let before = json.decode(&self.window[..self.printed], false)?;
        let text = json.decode(&self.window, false)?;
        Ok(text.strip_prefix(&*before).unwrap_or_default().to_string())
    }
}
