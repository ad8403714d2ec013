//! What fronts hold: the handle of an engine that a driver has, and the answers on their way.

use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};

use futures_channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures_channel::oneshot;
use futures_util::Stream;
use futures_util::future::AbortHandle;
use wisp_base::{Error, Result};
use wisp_gpu::{AdapterFacts, Gpu, Tuning, Variant};
use wisp_models::Embedding;
use wisp_tokenizer::Tokenizer;

use super::{Command, Thread};
use crate::engine::Engine;
use crate::engine::activity::Activity;
use crate::engine::generate::check_tokens;
use crate::engine::queue::{Event, Piece};
use crate::load::memory::MemoryPlan;
use crate::request::Prompt;
use crate::request::{Cancel, Completion, Request};

/// A loaded engine, for any number of callers: clones are the same engine, and natively they may
/// be in any thread.
///
/// What is asked for is done in the order of asking. Requests are answered together, as many at
/// once as there are sequences; [`Self::with`] waits for the requests before it, and those behind
/// it wait for it. When the last handle is dropped, what was asked for is still done, and then
/// the engine ends.
#[derive(Clone)]
pub struct Handle {
    // Before the thread: it ends when there is no sender left.
    commands: UnboundedSender<Command>,
    shared: Arc<Shared>,
    /// Where the driver runs, if it has a thread of its own: the last handle waits for its end.
    _thread: Option<Thread>,
}

/// What a driver shows while it is busy.
pub(super) struct Shared {
    now: RwLock<Now>,
    tokenizer: Result<Arc<Tokenizer>>,
    unloaded: AtomicBool,
    abort: AbortHandle,
}

/// What changes with the device.
#[derive(Clone)]
struct Now {
    gpu: Gpu,
    activity: Activity,
    info: Arc<EngineInfo>,
}

/// What is known of a loaded engine.
#[derive(Debug, Clone)]
pub struct EngineInfo {
    /// What the file calls the model; may be empty.
    pub name: String,
    /// The model's architecture, as the file names it.
    pub architecture: String,
    /// Whether it is an encoder: it gives hidden states, not logits.
    pub is_encoder: bool,
    /// Entries of the vocabulary.
    pub vocab: usize,
    /// What weights, KV cache and scratch take, and the context in tokens.
    pub memory: MemoryPlan,
    /// Pages of the KV cache.
    pub pages: usize,
    /// The adapter.
    pub adapter: AdapterFacts,
    /// The kernels in use.
    pub variant: Variant,
    /// Their parameters.
    pub tuning: Tuning,
}

impl EngineInfo {
    /// The context in tokens.
    pub fn ctx(&self) -> usize {
        self.memory.ctx
    }

    /// The adapter's name and the kernels in use.
    pub fn device_name(&self) -> String {
        format!("{} ({})", self.adapter.name, self.variant)
    }
}

impl From<&Engine> for EngineInfo {
    fn from(engine: &Engine) -> Self {
        Self {
            name: engine.name().to_owned(),
            architecture: engine.architecture().to_owned(),
            is_encoder: engine.is_encoder(),
            vocab: engine.vocab(),
            memory: engine.memory(),
            pages: engine.pages().1,
            adapter: engine.gpu().facts().clone(),
            variant: engine.variant(),
            tuning: engine.tuning(),
        }
    }
}

impl From<&Engine> for Now {
    fn from(engine: &Engine) -> Self {
        let info = Arc::new(engine.into());
        Self { gpu: engine.gpu().clone(), activity: engine.activity(), info }
    }
}

impl Shared {
    pub fn new(engine: &Engine, abort: AbortHandle) -> Self {
        Self {
            now: RwLock::new(engine.into()),
            tokenizer: engine.shared_tokenizer(),
            unloaded: AtomicBool::new(false),
            abort,
        }
    }

    /// After a new device.
    pub fn replace(&self, engine: &Engine) {
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = engine.into();
    }

    pub fn is_unloaded(&self) -> bool {
        self.unloaded.load(Ordering::SeqCst)
    }

    fn now(&self) -> Now {
        self.now.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Handle {
    pub(super) fn new(commands: UnboundedSender<Command>, shared: Arc<Shared>) -> Self {
        Self { commands, shared, _thread: None }
    }

    pub(super) fn in_thread(self, thread: Option<Thread>) -> Self {
        Self { _thread: thread, ..self }
    }

    /// Asks for an answer. The prompt is rendered and tokenized here, by the caller's thread. A
    /// slow reader holds up nobody: events wait for it, as many as the answer has tokens.
    ///
    /// # Errors
    /// A prompt or settings that the model cannot take; an engine that was unloaded.
    pub fn submit<P: Into<Prompt>>(&self, request: Request<P>) -> Result<Answer> {
        let tokenizer = self.shared.tokenizer.as_deref().map_err(Clone::clone);
        let request = request.encoded(tokenizer)?;
        let info = self.info();
        check_tokens(&request.prompt, info.vocab, info.ctx())?;
        request.sampling.check(info.vocab)?;
        let (sender, events) = unbounded();
        let cancel = request.cancel.clone();
        let prompt_tokens = request.prompt.len();
        self.send(Command::Submit(Box::new(request), sender))?;
        Ok(Answer { events, cancel, prompt_tokens, has_ended: false })
    }

    /// Does `work` with the engine, when it is its turn.
    ///
    /// # Errors
    /// An engine that was unloaded, or that has failed meanwhile.
    pub async fn with<T: Send + 'static>(
        &self,
        work: impl AsyncFnOnce(&mut Engine) -> T + Send + 'static,
    ) -> Result<T> {
        let (sender, result) = oneshot::channel();
        self.send(Command::Work(Box::new(move |engine| {
            Box::pin(async move {
                // Nobody may want to know any more.
                let _ = sender.send(work(engine).await);
            })
        })))?;
        result.await.map_err(|_| unloaded())
    }

    /// A vector per text: see [`Engine::embed`]. What a lost device has not done is done once
    /// more on another.
    ///
    /// # Errors
    /// As [`Engine::embed`].
    pub async fn embed(&self, texts: Vec<Vec<u32>>, settings: Embedding) -> Result<Vec<Vec<f32>>> {
        let texts = Arc::new(texts);
        let again = texts.clone();
        let first = self.with(async move |engine| engine.embed(&texts, &settings).await).await?;
        match first {
            Err(Error::Device(_)) => {
                self.with(async move |engine| engine.embed(&again, &settings).await).await?
            }
            done => done,
        }
    }

    /// `-ln p` of each token but the first: see [`Engine::nll`].
    ///
    /// # Errors
    /// As [`Engine::nll`].
    pub async fn nll(&self, tokens: Vec<u32>, cancel: Cancel) -> Result<Vec<f64>> {
        self.with(async move |engine| engine.nll(&tokens, &cancel).await).await?
    }

    fn send(&self, command: Command) -> Result<()> {
        if self.shared.is_unloaded() {
            return Err(unloaded());
        }
        self.commands.unbounded_send(command).map_err(|_| unloaded())
    }

    /// What is known of the engine, at any time. After a lost device the adapter may be another.
    pub fn info(&self) -> Arc<EngineInfo> {
        self.shared.now().info
    }

    /// What it does now.
    pub fn activity(&self) -> Activity {
        self.shared.now().activity
    }

    /// The tokenizer of the file, or the sentence that says why there is none.
    ///
    /// # Errors
    /// The file has none that this version knows.
    pub fn tokenizer(&self) -> Result<Arc<Tokenizer>> {
        self.shared.tokenizer.clone()
    }

    /// The device in use, for what measures it, and for tests that take it away.
    pub fn gpu(&self) -> Gpu {
        self.shared.now().gpu
    }

    /// Gives all memory on the device back, for all handles. Answers under way end with
    /// [`Error::Cancelled`].
    pub fn unload(&self) {
        if !self.shared.unloaded.swap(true, Ordering::SeqCst) {
            self.gpu().destroy();
            self.shared.abort.abort();
        }
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Handle of {:?}", self.info().name)
    }
}

fn unloaded() -> Error {
    Error::input("the engine was unloaded: load the model again")
}

/// The events of a request, a stream that ends behind [`Event::Done`]. Dropping it cancels the
/// request.
#[derive(Debug)]
pub struct Answer {
    events: UnboundedReceiver<Event>,
    cancel: Cancel,
    prompt_tokens: usize,
    has_ended: bool,
}

impl Answer {
    /// How many tokens the prompt has.
    pub fn prompt_tokens(&self) -> usize {
        self.prompt_tokens
    }

    /// Ends the request within a step, from anywhere.
    pub fn canceller(&self) -> Cancel {
        self.cancel.clone()
    }

    /// The next event; `None` behind the last.
    pub async fn next(&mut self) -> Option<Event> {
        std::future::poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    /// The answer as a whole. `on_piece` hears each piece, and may break off.
    ///
    /// # Errors
    /// What went wrong with the request, or a device that could not be replaced.
    pub async fn completion(
        mut self,
        on_piece: &mut dyn FnMut(Piece) -> ControlFlow<()>,
    ) -> Result<Completion> {
        let mut broken_off = false;
        while let Some(event) = self.next().await {
            match event {
                Event::Piece(piece) if !broken_off => {
                    broken_off = on_piece(piece).is_break();
                    if broken_off {
                        self.cancel.cancel();
                    }
                }
                Event::Done(result) => return result,
                Event::Piece(_) | Event::DeviceLost(_) | Event::DeviceRestored => {}
            }
        }
        Err(Error::Cancelled)
    }
}

impl Stream for Answer {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        let event = Pin::new(&mut self.events).poll_next(context);
        // Who is silent was unloaded.
        let event = event.map(|event| event.unwrap_or(Event::Done(Err(Error::Cancelled))));
        self.has_ended = matches!(event, Poll::Ready(Event::Done(_)));
        event.map(Some)
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if !self.has_ended {
            self.cancel.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_and_answers_go_to_any_thread() {
        fn is_shared<T: Send + Sync>() {}
        fn is_sent<T: Send>() {}
        is_shared::<Handle>();
        is_sent::<Answer>();
    }

    fn answer() -> (UnboundedSender<Event>, Answer) {
        let (sender, events) = unbounded();
        let cancel = Cancel::default();
        (sender, Answer { events, cancel, prompt_tokens: 1, has_ended: false })
    }

    #[test]
    fn who_drops_an_answer_cancels_it_unless_it_has_ended() {
        let (_sender, left) = answer();
        let cancel = left.canceller();
        drop(left);
        assert!(cancel.is_cancelled());

        let (sender, mut read) = answer();
        let cancel = read.canceller();
        sender.unbounded_send(Event::Done(Err(Error::memory("full")))).unwrap();
        assert!(matches!(pollster::block_on(read.next()), Some(Event::Done(Err(_)))));
        assert!(pollster::block_on(read.next()).is_none());
        drop(read);
        assert!(!cancel.is_cancelled());
    }

    #[test]
    fn an_answer_of_an_engine_that_is_gone_was_cancelled() {
        let (sender, answer) = answer();
        drop(sender);
        let result = pollster::block_on(answer.completion(&mut |_| ControlFlow::Continue(())));
        assert!(matches!(result, Err(Error::Cancelled)));
    }
}
