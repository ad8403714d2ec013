//! From tokens to the text that may be shown: whole characters, and nothing that
//! might yet become a stop text.

use std::ops::Range;

use wisp_base::Result;
use wisp_tokenizer::{Stream, Tokenizer};

pub struct Text<'a> {
    /// None for a model without tokenizer: no text, no stop texts.
    stream: Option<(&'a Tokenizer, Stream<'a>)>,
    stops: Vec<String>,
    held: Held,
    /// The stop text that came.
    stop: Option<usize>,
}

impl<'a> Text<'a> {
    /// After the tokens of `answer`, whose text was shown already.
    pub fn new(tokenizer: Option<&'a Tokenizer>, stops: &[String], answer: &[u32]) -> Result<Self> {
        let stops = stops.iter().filter(|stop| !stop.is_empty()).cloned().collect();
        let stream = tokenizer.map(|tokenizer| (tokenizer, tokenizer.stream()));
        let mut text = Self { stream, stops, held: Held::default(), stop: None };
        for token in answer {
            text.push(*token)?;
        }
        Ok(text)
    }

    /// The text to show now, and whether a stop text has come. Stop texts are looked for in
    /// the text as it is shown, and in the text with its control tokens.
    pub fn push(&mut self, token: u32) -> Result<(String, bool)> {
        let Some((tokenizer, stream)) = &mut self.stream else { return Ok((String::new(), false)) };
        self.held.text.push_str(&stream.push(token)?);
        if !self.stops.is_empty() && tokenizer.is_control(token) {
            self.held.hide(tokenizer.token_text(token).unwrap_or_default());
        }
        Ok(self.take())
    }

    /// The stop text that has come, if one has.
    pub fn stop(&self) -> Option<&str> {
        self.stop.and_then(|at| self.stops.get(at)).map(String::as_str)
    }

    fn take(&mut self) -> (String, bool) {
        let (text, stop) = self.held.take(&self.stops);
        self.stop = self.stop.or(stop);
        (text, stop.is_some())
    }

    /// What is left to show at the end.
    pub fn finish(&mut self) -> (String, bool) {
        if let Some((_, stream)) = &mut self.stream {
            self.held.text.push_str(&stream.finish());
        }
        let (mut text, stopped) = self.take();
        if !stopped {
            text.push_str(&self.held.shown());
        }
        self.held = Held::default();
        (text, stopped)
    }
}

/// Text that is certain, but perhaps the start of a stop text.
#[derive(Default)]
struct Held {
    /// With the texts of control tokens.
    text: String,
    /// Where these are, in order: they are not shown.
    hidden: Vec<Range<usize>>,
}

impl Held {
    /// Adds a control token's text.
    fn hide(&mut self, text: &str) {
        let start = self.text.len();
        self.text.push_str(text);
        if !text.is_empty() {
            self.hidden.push(start..self.text.len());
        }
    }

    /// Without the control tokens.
    fn shown(&self) -> String {
        let mut shown = self.text.clone();
        self.hidden.iter().rev().for_each(|range| shown.replace_range(range.clone(), ""));
        shown
    }

    /// Where the byte `at` of [`Self::shown`] lies in the whole text.
    fn in_whole(&self, at: usize) -> usize {
        self.hidden
            .iter()
            .fold(at, |at, range| at + if range.start <= at { range.len() } else { 0 })
    }

    /// Takes out what can be shown now, and the stop text that ends it.
    fn take(&mut self, stops: &[String]) -> (String, Option<usize>) {
        let mut found = first(&self.text, stops);
        let mut undecided = start_of_any(&self.text, stops);
        if !self.hidden.is_empty() {
            let shown = self.shown();
            let also = first(&shown, stops).map(|(at, stop)| (self.in_whole(at), stop));
            found = found.into_iter().chain(also).min();
            let also = start_of_any(&shown, stops).map(|at| self.in_whole(at));
            undecided = undecided.into_iter().chain(also).min();
        }
        let end = found.map(|(at, _)| at).or(undecided).unwrap_or(self.text.len());
        // Of a control token all is held back or nothing.
        let within = |range: &&Range<usize>| range.start < end && end < range.end;
        let end = self.hidden.iter().find(within).map_or(end, |range| range.start);
        let rest = self.text.split_off(end);
        let now = Self {
            text: std::mem::replace(&mut self.text, rest),
            hidden: self.hidden.extract_if(.., |range| range.end <= end).collect(),
        };
        self.hidden.iter_mut().for_each(|range| *range = range.start - end..range.end - end);
        if found.is_some() {
            *self = Self::default();
        }
        (now.shown(), found.map(|(_, stop)| stop))
    }
}

/// Where the first stop text begins, and which it is.
fn first(text: &str, stops: &[String]) -> Option<(usize, usize)> {
    let places = stops.iter().enumerate();
    places.filter_map(|(stop, words)| Some((text.find(words.as_str())?, stop))).min()
}

/// Where the end of `text` begins that a stop text may begin with.
fn start_of_any(text: &str, stops: &[String]) -> Option<usize> {
    let mut starts = text.char_indices().map(|(at, _)| at);
    starts.find(|at| stops.iter().any(|stop| stop.starts_with(&text[*at..])))
}

#[cfg(test)]
mod tests {
    use super::Held;

    /// What is shown of `parts` (control tokens in the second place of a pair) piece by piece,
    /// and whether a stop text came.
    fn shown(parts: &[(&str, &str)], stops: &[&str]) -> (Vec<String>, bool) {
        let stops: Vec<_> = stops.iter().map(|stop| stop.to_string()).collect();
        let mut held = Held::default();
        let mut pieces = Vec::new();
        for (text, control) in parts {
            held.text.push_str(text);
            held.hide(control);
            let (piece, stopped) = held.take(&stops);
            pieces.push(piece);
            if stopped.is_some() {
                return (pieces, true);
            }
        }
        pieces.push(held.shown());
        (pieces, false)
    }

    #[test]
    fn a_control_token_is_found_and_not_shown() {
        let parts = [("a", ""), ("b", "<s>"), ("c", "")];
        let check = |stops: &[&str], pieces: &[&str], stopped| {
            let want = (pieces.iter().map(|piece| piece.to_string()).collect(), stopped);
            assert_eq!(shown(&parts, stops), want, "{stops:?}");
        };
        check(&["<s>"], &["a", "b"], true);
        check(&["ab<s>"], &["", ""], true);
        check(&["b<s>c"], &["a", "", ""], true);
        check(&["<s>c"], &["a", "b", ""], true);
        // As it is shown, too: no one sees the control token.
        check(&["bc"], &["a", "", ""], true);
        check(&["abc"], &["", "", ""], true);
        check(&["s>c"], &["a", "b", ""], true);
        check(&["s>"], &["a", "b"], true);
        // What only might have been one is shown in the end.
        check(&["<s>d"], &["a", "b", "c", ""], false);
        check(&["c!"], &["a", "b", "", "c"], false);
        check(&["bc!", "<s>c!"], &["a", "", "", "bc"], false);
        check(&[], &["a", "b", "c", ""], false);
    }

    #[test]
    fn the_first_of_two_counts() {
        let parts = [("one two", "<x>"), ("three", "")];
        assert_eq!(shown(&parts, &["<x>", "two"]), (vec!["one ".into()], true));
        assert_eq!(shown(&parts, &["two<x>", "<x>"]), (vec!["one ".into()], true));
    }
}
