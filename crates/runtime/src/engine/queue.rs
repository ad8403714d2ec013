//! Requests on their way: what waits for the engine, and who is to be told of what becomes of it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::rc::Rc;

use web_time::Instant;
use wisp_base::{Error, Result};

use crate::request::{Completion, FinishReason, Request, Timings};
use crate::schedule::Sequence;

/// A piece of an answer, as it arrives.
#[derive(Debug, Clone)]
pub struct Piece {
    /// The new token; `None` where the end sets free what might have begun a stop text.
    pub token: Option<u32>,
    /// Text that became certain with it; may be empty.
    pub text: String,
    /// Where the request asked for them.
    pub logprobs: Option<Logprobs>,
}

/// How likely a token was, after bias and penalties, before temperature.
#[derive(Debug, Clone, PartialEq)]
pub struct Logprobs {
    /// ln p of the token that was drawn.
    pub logprob: f32,
    /// The likeliest tokens with their ln p, the best first.
    pub top: Vec<(u32, f32)>,
}

/// What a request's sink is told.
#[derive(Debug, Clone)]
pub enum Event {
    /// A token, and the text that became certain.
    Piece(Piece),
    /// The device failed, as the sentence says; a [`Driver`](crate::Driver) opens another, on
    /// which the request goes on.
    DeviceLost(String),
    /// The other device is ready.
    DeviceRestored,
    /// The end; nothing comes after it.
    Done(Result<Completion>),
}

/// Hears of one request, and may break it off: then it hears only of the end.
pub(crate) type Sink<'a> = Box<dyn FnMut(Event) -> ControlFlow<()> + 'a>;

/// Who asked for what, and what was told so far.
pub(crate) struct Client<'a> {
    pub request: Request,
    /// The answer's text so far, as it was shown.
    shown: String,
    /// Accepted draft tokens.
    pub accepted_drafts: usize,
    sink: Sink<'a>,
    /// The sink wants no more pieces.
    broken_off: bool,
    started: Option<Instant>,
    first: Option<Instant>,
    last: Option<Instant>,
}

impl Client<'_> {
    /// Work on the request begins, perhaps once more.
    pub fn start(&mut self) {
        self.started.get_or_insert_with(Instant::now);
    }

    /// A token has come.
    pub fn tick(&mut self) {
        let now = Instant::now();
        self.first.get_or_insert(now);
        self.last = Some(now);
    }

    /// Tells the sink of a piece, unless it has broken off.
    pub fn tell(&mut self, piece: Piece) -> ControlFlow<()> {
        if self.broken_off {
            return ControlFlow::Break(());
        }
        self.shown.push_str(&piece.text);
        let flow = (self.sink)(Event::Piece(piece));
        self.broken_off = flow.is_break();
        flow
    }
}

impl Sequence<Client<'_>> {
    /// Tells the sink of the end. `stop`: the stop text that was it.
    pub fn finish(mut self, finish: FinishReason, stop: Option<String>) {
        let ms = |from: Option<Instant>, to: Option<Instant>| {
            from.zip(to).map_or(0.0, |(from, to)| (to - from).as_secs_f64() * 1000.0)
        };
        let tokens = self.tokens.split_off(self.prompt);
        let client = &mut self.client;
        let timings = Timings {
            prefill_ms: ms(client.started, client.first),
            prefill_tokens: self.computed,
            decode_ms: ms(client.first, client.last),
            decode_tokens: tokens.len().saturating_sub(1),
            accepted_draft_tokens: client.accepted_drafts,
        };
        let text = std::mem::take(&mut client.shown);
        let _ = (client.sink)(Event::Done(Ok(Completion { tokens, text, finish, stop, timings })));
    }

    /// Tells the sink what went wrong.
    pub fn fail(mut self, error: Error) {
        let _ = (self.client.sink)(Event::Done(Err(error)));
    }
}

/// Requests that wait for [`Engine::serve`](crate::Engine::serve). Clones are the same
/// queue: more may be pushed while it is served, from sinks too.
#[derive(Clone, Default)]
pub struct Queue<'a> {
    waiting: Rc<RefCell<VecDeque<Sequence<Client<'a>>>>>,
    inlet: Option<Rc<Inlet<'a>>>,
}

/// Gives a request that came from elsewhere, if there is one.
type Inlet<'a> = dyn Fn() -> Option<(Request, Sink<'a>)> + 'a;

impl<'a> Queue<'a> {
    /// Nothing waits.
    pub fn new() -> Self {
        Self::default()
    }

    /// One that also takes what `inlet` gives, before every step: requests of other threads.
    pub(crate) fn fed_by(inlet: impl Fn() -> Option<(Request, Sink<'a>)> + 'a) -> Self {
        Self { inlet: Some(Rc::new(inlet)), ..Self::default() }
    }

    fn take_in(&self) {
        let next = || self.inlet.as_ref().and_then(|inlet| inlet());
        while let Some((request, sink)) = next() {
            self.add(request, sink);
        }
    }

    /// Adds a request. `sink` hears each piece, and the end. `Break` cancels: after it, only
    /// the end is told.
    pub fn push(&self, request: Request, sink: impl FnMut(Event) -> ControlFlow<()> + 'a) {
        self.add(request, Box::new(sink));
    }

    fn add(&self, request: Request, sink: Sink<'a>) {
        let (prompt, cancel) = (request.prompt.clone(), request.cancel.clone());
        let (max_tokens, wants_logits) = (request.max_tokens, request.logprobs.is_some());
        let client = Client {
            request,
            shown: String::new(),
            accepted_drafts: 0,
            sink,
            broken_off: false,
            started: None,
            first: None,
            last: None,
        };
        let mut sequence = Sequence::new(prompt, max_tokens, cancel, client);
        sequence.wants_logits = wants_logits;
        self.waiting.borrow_mut().push_back(sequence);
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.take_in();
        self.waiting.borrow().is_empty()
    }

    /// Ends all that waits with an error: a device that cannot be replaced, say.
    pub fn fail(&self, error: &Error) {
        // A sink may push another request: that one is not meant.
        let waiting = self.waiting.take();
        waiting.into_iter().for_each(|sequence| sequence.fail(error.clone()));
    }

    /// Tells all that waits of a device that was lost or restored.
    pub(crate) fn tell_all(&self, event: &Event) {
        // Not borrowed meanwhile: a sink may push another request.
        let mut told = self.waiting.take();
        for sequence in &mut told {
            let client = &mut sequence.client;
            if !client.broken_off {
                client.broken_off = (client.sink)(event.clone()).is_break();
            }
        }
        let mut waiting = self.waiting.borrow_mut();
        let pushed = std::mem::replace(&mut *waiting, told);
        waiting.extend(pushed);
    }

    /// The first in line.
    pub(crate) fn pop(&self) -> Option<Sequence<Client<'a>>> {
        self.take_in();
        self.waiting.borrow_mut().pop_front()
    }

    /// Back to the front: it was before all others.
    pub(crate) fn put_back(&self, sequence: Sequence<Client<'a>>) {
        self.waiting.borrow_mut().push_front(sequence);
    }
}

impl std::fmt::Debug for Queue<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Queue of {}", self.waiting.borrow().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request {
        Request { prompt: vec![1], max_tokens: 3, ..Request::default() }
    }

    #[test]
    fn who_broke_off_hears_of_the_end_alone() {
        let told = RefCell::new(Vec::new());
        let queue = Queue::new();
        queue.push(request(), |event| {
            told.borrow_mut().push(matches!(event, Event::Done(_)));
            ControlFlow::Break(())
        });
        let mut sequence = queue.pop().unwrap();
        let piece = || Piece { token: Some(1), text: "a".into(), logprobs: None };
        assert!(sequence.client.tell(piece()).is_break());
        assert!(sequence.client.tell(piece()).is_break());
        assert_eq!(sequence.client.shown, "a");
        sequence.finish(FinishReason::Cancelled, None);
        assert_eq!(*told.borrow(), [false, true]);
    }

    #[test]
    fn what_a_sink_pushes_when_it_fails_waits_for_its_own_turn() {
        let queue = Queue::new();
        let again = queue.clone();
        queue.push(request(), move |_| {
            again.push(request(), |_| ControlFlow::Continue(()));
            ControlFlow::Continue(())
        });
        queue.fail(&Error::device("gone"));
        assert!(!queue.is_empty());
    }
}
