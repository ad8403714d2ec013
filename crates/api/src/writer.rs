//! Answers as the JSON that clients read.

use wisp_base::Error;
use wisp_runtime::{Completion, FinishReason, Piece};
use wisp_tokenizer::Tokenizer;

use crate::generation::{Endpoint, ResponseForm};
use crate::logprobs::{Logprobs, TokenLogprob};
use crate::response::{Choice, Head, Message, Response, Usage};

/// Writes one answer in the shape of a protocol.
pub trait Writer: Send {
    /// What comes before all pieces.
    fn start(&mut self) -> Vec<String>;

    /// What comes with a piece, if anything does.
    fn piece(&mut self, piece: &Piece) -> Option<String>;

    /// What comes behind all pieces.
    ///
    /// # Errors
    /// The answer was cancelled.
    fn end(
        self: Box<Self>,
        completion: &Completion,
        prompt_tokens: usize,
    ) -> wisp_base::Result<Vec<String>>;
}

impl Writer for ResponseWriter<'_> {
    fn start(&mut self) -> Vec<String> {
        Vec::from_iter(ResponseWriter::start(self))
    }

    fn piece(&mut self, piece: &Piece) -> Option<String> {
        ResponseWriter::piece(self, piece)
    }

    fn end(
        self: Box<Self>,
        completion: &Completion,
        prompt_tokens: usize,
    ) -> wisp_base::Result<Vec<String>> {
        ResponseWriter::end(*self, completion, prompt_tokens)
    }
}

/// Writes one answer: chunks where the request asked for a stream, else one text at the end.
pub struct ResponseWriter<'a> {
    head: Head,
    tokenizer: &'a Tokenizer,
    form: ResponseForm,
    /// Those so far, where a whole answer is to have them.
    logprobs: Option<Logprobs>,
    /// Characters so far.
    offset: usize,
}

impl<'a> ResponseWriter<'a> {
    /// For an answer that is to look like `form`.
    pub fn new(head: Head, tokenizer: &'a Tokenizer, form: ResponseForm) -> Self {
        let logprobs = form.logprobs.then(|| Logprobs::of(form.endpoint));
        Self { head, tokenizer, form, logprobs, offset: 0 }
    }

    /// What comes before all pieces.
    pub fn start(&self) -> Option<String> {
        let first = Message { refusal: None, ..Message::whole(String::new()) };
        let choice = Choice { delta: Some(first), ..Choice::default() };
        let starts = self.form.stream && self.form.endpoint == Endpoint::Chat;
        starts.then(|| self.response(Some(choice)).json())
    }

    /// What comes with a piece; nothing with half a character, or what may become a stop text.
    pub fn piece(&mut self, piece: &Piece) -> Option<String> {
        let at = self.offset;
        self.offset += piece.text.chars().count();
        let logprob = TokenLogprob::of(self.tokenizer, piece);
        if !self.form.stream {
            if let Some((all, one)) = self.logprobs.as_mut().zip(logprob) {
                all.push(one, at);
            }
            return None;
        }
        if piece.text.is_empty() && logprob.is_none() {
            return None;
        }
        let logprobs = logprob.map(|one| {
            let mut logprobs = Logprobs::of(self.form.endpoint);
            logprobs.push(one, at);
            logprobs
        });
        let choice = Choice { logprobs, ..self.choice(Some(piece.text.clone())) };
        Some(self.response(Some(choice)).json())
    }

    /// What comes behind all pieces.
    ///
    /// # Errors
    /// It was cancelled.
    pub fn end(
        mut self,
        completion: &Completion,
        prompt_tokens: usize,
    ) -> wisp_base::Result<Vec<String>> {
        let reason = completion.finish;
        if reason == FinishReason::Cancelled {
            return Err(Error::Cancelled);
        }
        let usage = Usage::of(completion, prompt_tokens);
        let text = (!self.form.stream).then(|| completion.text.clone());
        let choice = Choice {
            logprobs: self.logprobs.take().filter(|_| !self.form.stream),
            finish_reason: Some(reason.name()),
            ..self.choice(text)
        };
        let mut last = self.response(Some(choice));
        last.timings = Some(completion.timings.into());
        if !self.form.stream {
            last.usage = Some(Some(usage));
            return Ok(vec![last.json()]);
        }
        let mut texts = vec![last.json()];
        if self.form.include_usage {
            let counts = Response { usage: Some(Some(usage)), ..self.response(None) };
            texts.push(counts.json());
        }
        Ok(texts)
    }

    /// `text`, if there is any, where the endpoint has it.
    fn choice(&self, text: Option<String>) -> Choice {
        match (self.form.endpoint, self.form.stream) {
            (Endpoint::Completions, _) => {
                Choice { text: Some(text.unwrap_or_default()), ..Choice::default() }
            }
            (Endpoint::Chat, true) => Choice {
                delta: Some(Message { content: text, ..Message::default() }),
                ..Choice::default()
            },
            (Endpoint::Chat, false) => Choice {
                message: Some(Message::whole(text.unwrap_or_default())),
                ..Choice::default()
            },
        }
    }

    fn response(&self, choice: Option<Choice>) -> Response {
        let Head { id, created, model } = self.head.clone();
        let object = match (self.form.endpoint, self.form.stream) {
            (Endpoint::Completions, _) => "text_completion",
            (Endpoint::Chat, true) => "chat.completion.chunk",
            (Endpoint::Chat, false) => "chat.completion",
        };
        let usage = (self.form.stream && self.form.include_usage).then_some(None);
        Response {
            id,
            object,
            created,
            model,
            choices: Vec::from_iter(choice),
            usage,
            timings: None,
        }
    }
}
