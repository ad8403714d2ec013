//! Requests on their way: what waits, and all of a request that must outlive the
//! device that works on it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::rc::Rc;

use web_time::Instant;
use wisp_base::{Error, Result};

use crate::options::{Completion, FinishReason, Request, Timings};

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
    /// The end; nothing comes after it.
    Done(Result<Completion>),
}

/// Hears of one request, and may break it off: then it hears only of the end.
type Sink<'a> = Box<dyn FnMut(Event) -> ControlFlow<()> + 'a>;

/// A request, and how far it is. Device and cache may go: a job goes on from its tokens.
pub(crate) struct Job<'a> {
    pub request: Request,
    /// Prompt, then the answer so far.
    pub tokens: Vec<u32>,
    /// The answer's text so far, as it was shown.
    pub shown: String,
    /// Prompt tokens that were computed, not found in the cache.
    pub computed: usize,
    /// Tokens that came by a guess.
    pub guessed: usize,
    /// Where there were too few pages for it: how often pages had been given back by then.
    pub no_room: Option<u64>,
    sink: Sink<'a>,
    /// The sink wants no more pieces.
    broken_off: bool,
    started: Option<Instant>,
    first: Option<Instant>,
    last: Option<Instant>,
}

impl Job<'_> {
    /// The answer so far.
    pub fn answer(&self) -> &[u32] {
        &self.tokens[self.request.prompt.len()..]
    }

    /// Tokens of the answer so far.
    pub fn answered(&self) -> usize {
        self.answer().len()
    }

    /// The most tokens that are fed for it, in a context of `ctx`: the last one drawn is not.
    pub fn reach(&self, ctx: usize) -> usize {
        let Request { prompt, max_tokens, .. } = &self.request;
        prompt.len().saturating_add(max_tokens.saturating_sub(1)).min(ctx)
    }

    pub fn is_cancelled(&self) -> bool {
        self.request.cancel.is_cancelled()
    }

    /// Work on it begins, perhaps once more.
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

    /// Tells the sink of the end.
    pub fn end(mut self, finish: FinishReason) {
        let ms = |from: Option<Instant>, to: Option<Instant>| {
            from.zip(to).map_or(0.0, |(from, to)| (to - from).as_secs_f64() * 1000.0)
        };
        let tokens = self.tokens.split_off(self.request.prompt.len());
        let timings = Timings {
            prefill_ms: ms(self.started, self.first),
            prefill_tokens: self.computed,
            decode_ms: ms(self.first, self.last),
            decode_tokens: tokens.len().saturating_sub(1),
            guessed_tokens: self.guessed,
        };
        let text = std::mem::take(&mut self.shown);
        let _ = (self.sink)(Event::Done(Ok(Completion { tokens, text, finish, timings })));
    }

    /// Tells the sink what went wrong.
    pub fn fail(mut self, error: Error) {
        let _ = (self.sink)(Event::Done(Err(error)));
    }
}

/// What may become of a job that waits.
#[derive(Clone, Copy)]
pub(crate) enum Turn {
    /// It goes on.
    Take,
    /// It waits a little; those behind it may go first.
    Skip,
    /// It waits, and so does everyone behind it.
    Stop,
}

/// Requests that wait for [`Engine::serve`](crate::Engine::serve). Clones are the same
/// queue: more may be pushed while it is served, from sinks too.
#[derive(Clone, Default)]
pub struct Queue<'a>(Rc<RefCell<VecDeque<Job<'a>>>>);

impl<'a> Queue<'a> {
    /// Nothing waits.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a request. `sink` hears each piece, and the end. `Break` cancels: after it, only
    /// the end is told.
    pub fn push(&self, request: Request, sink: impl FnMut(Event) -> ControlFlow<()> + 'a) {
        let job = Job {
            tokens: request.prompt.clone(),
            request,
            shown: String::new(),
            computed: 0,
            guessed: 0,
            no_room: None,
            sink: Box::new(sink),
            broken_off: false,
            started: None,
            first: None,
            last: None,
        };
        self.0.borrow_mut().push_back(job);
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    /// Ends all that waits with an error: a device that cannot be replaced, say.
    pub fn fail(&self, error: &Error) {
        // A sink may push another request: that one is not meant.
        let jobs = self.0.take();
        jobs.into_iter().for_each(|job| job.fail(error.clone()));
    }

    /// Ends what was cancelled before its turn came.
    pub(crate) fn end_cancelled(&self) {
        loop {
            let at = self.0.borrow().iter().position(Job::is_cancelled);
            let Some(job) = at.and_then(|at| self.0.borrow_mut().remove(at)) else { return };
            job.end(FinishReason::Cancelled);
        }
    }

    /// The first job whose turn it is.
    pub(crate) fn pop(&self, mut turn: impl FnMut(&Job<'a>) -> Turn) -> Option<Job<'a>> {
        let turns = |(at, job): (usize, &Job<'a>)| match turn(job) {
            Turn::Take => Some(Some(at)),
            Turn::Skip => None,
            Turn::Stop => Some(None),
        };
        let at = self.0.borrow().iter().enumerate().find_map(turns).flatten();
        at.and_then(|at| self.0.borrow_mut().remove(at))
    }

    /// Back to the front: its turn was before that of all others.
    pub(crate) fn put_back(&self, job: Job<'a>) {
        self.0.borrow_mut().push_front(job);
    }
}

impl std::fmt::Debug for Queue<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Queue of {}", self.0.borrow().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request {
        Request { prompt: vec![1], max_tokens: 3, ..Request::default() }
    }

    #[test]
    fn what_is_cancelled_while_it_waits_ends_at_once_and_the_rest_keeps_its_order() {
        let told = RefCell::new(Vec::new());
        let queue = Queue::new();
        let cancelled = request();
        for (name, request) in [("a", request()), ("b", cancelled.clone()), ("c", request())] {
            let told = &told;
            queue.push(request, move |event| {
                if let Event::Done(done) = event {
                    told.borrow_mut().push((name, done.map(|d| d.finish).ok()));
                }
                ControlFlow::Continue(())
            });
        }
        cancelled.cancel.cancel();
        queue.end_cancelled();
        assert_eq!(*told.borrow(), [("b", Some(FinishReason::Cancelled))]);
        queue.fail(&Error::device("gone"));
        assert_eq!(told.borrow()[1..], [("a", None), ("c", None)]);
        assert!(queue.is_empty());
    }

    #[test]
    fn who_broke_off_hears_of_the_end_alone() {
        let told = RefCell::new(Vec::new());
        let queue = Queue::new();
        queue.push(request(), |event| {
            told.borrow_mut().push(matches!(event, Event::Done(_)));
            ControlFlow::Break(())
        });
        let mut job = queue.pop(|_| Turn::Take).unwrap();
        let piece = || Piece { token: Some(1), text: "a".into(), logprobs: None };
        assert!(job.tell(piece()).is_break());
        assert!(job.tell(piece()).is_break());
        assert_eq!(job.shown, "a");
        job.end(FinishReason::Cancelled);
        assert_eq!(*told.borrow(), [false, true]);
    }

    #[test]
    fn one_that_waits_a_little_is_passed_and_one_without_room_is_not() {
        let queue = Queue::new();
        for prompt in 0..3 {
            let request = Request { prompt: vec![prompt], ..request() };
            queue.push(request, |_| ControlFlow::Continue(()));
        }
        let first = |job: &Job<'_>| job.tokens[0] == 0;
        let or_take = |other| move |job: &Job<'_>| if first(job) { other } else { Turn::Take };
        assert!(queue.pop(or_take(Turn::Stop)).is_none());
        assert_eq!(queue.pop(or_take(Turn::Skip)).unwrap().tokens, [1]);
        assert_eq!(queue.pop(|_| Turn::Take).unwrap().tokens, [0]);
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
