//! From tokens to the text that may be shown: whole characters, and nothing that
//! might yet become a stop text.

use wisp_base::Result;
use wisp_tokenizer::{Stream, Tokenizer};

pub struct Text<'a> {
    /// None for a model without tokenizer: no text, no stop texts.
    stream: Option<Stream<'a>>,
    stops: Vec<String>,
    /// Certain, but perhaps the start of a stop text.
    held: String,
}

impl<'a> Text<'a> {
    /// After the tokens of `answer`, whose text was shown already.
    pub fn new(tokenizer: Option<&'a Tokenizer>, stops: &[String], answer: &[u32]) -> Result<Self> {
        let stops = stops.iter().filter(|stop| !stop.is_empty()).cloned().collect();
        let stream = tokenizer.map(Tokenizer::stream);
        let mut text = Self { stream, stops, held: String::new() };
        for token in answer {
            text.push(*token)?;
        }
        Ok(text)
    }

    /// The text to show now, and whether a stop text has come.
    pub fn push(&mut self, token: u32) -> Result<(String, bool)> {
        let Some(stream) = &mut self.stream else { return Ok((String::new(), false)) };
        self.held.push_str(&stream.push(token)?);
        Ok(self.take())
    }

    /// What is left to show at the end.
    pub fn finish(&mut self) -> (String, bool) {
        if let Some(stream) = &mut self.stream {
            self.held.push_str(&stream.finish());
        }
        let (mut text, stopped) = self.take();
        if !stopped {
            text.push_str(&self.held);
        }
        self.held.clear();
        (text, stopped)
    }

    fn take(&mut self) -> (String, bool) {
        let found = self.stops.iter().filter_map(|stop| self.held.find(stop.as_str())).min();
        let end = found.unwrap_or_else(|| self.held.len() - self.undecided());
        let rest = self.held.split_off(end);
        let text = std::mem::replace(&mut self.held, rest);
        if found.is_some() {
            self.held.clear();
        }
        (text, found.is_some())
    }

    /// Bytes at the end of `held` that begin a stop text.
    fn undecided(&self) -> usize {
        let starts = |at: &usize| {
            let end = &self.held[*at..];
            self.stops.iter().any(|stop| stop.starts_with(end))
        };
        let mut ends = self.held.char_indices().map(|(at, _)| at);
        ends.find(starts).map_or(0, |at| self.held.len() - at)
    }
}
