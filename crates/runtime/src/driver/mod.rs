//! Who owns the engine: one future that loads it, answers requests from wherever they come,
//! replaces a device that was lost, and ends cleanly. Natively it runs in a thread of its own
//! (`in_thread`), in a browser as a task.
//!
//! A front keeps a [`Handle`] and sees nothing of the engine but what it is told.

mod handle;
#[cfg(feature = "threads")]
mod thread;

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures_util::Stream;
use futures_util::future::{AbortHandle, AbortRegistration, Abortable};
use wisp_base::{Error, Result};
use wisp_formats::LocalFuture;

use crate::engine::Engine;
use crate::engine::queue::{Event, Queue};
use crate::load::progress::Progress;
use crate::request::Request;
use handle::Shared;

pub use handle::{Answer, EngineInfo, Handle};
#[cfg(feature = "threads")]
pub use thread::in_thread;

/// Pauses before each attempt to replace a lost device. A browser that has lost its GPU process
/// needs a moment to start another, and so does a driver that was reset.
const RESTORE_AFTER: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(500), Duration::from_secs(2), Duration::from_secs(5)];

/// A device that fails again within so many steps has not been restored.
const STEPS_OF_A_GOOD_DEVICE: u64 = 4;

/// A thread that is waited for where this is dropped.
type Thread = Arc<dyn Send + Sync>;

/// What else needs the engine, besides requests.
type Work = Box<dyn for<'e> FnOnce(&'e mut Engine) -> LocalFuture<'e, ()> + Send>;

/// What a [`Handle`] asks for, in the order of asking.
enum Command {
    /// A request, and who hears of it.
    Submit(Box<Request>, UnboundedSender<Event>),
    Work(Work),
}

/// What a load tells.
enum LoadEvent {
    Progress(Progress),
    Loaded(Result<Handle>),
}

/// A driver and the other end of its load. [`Driver::run`] does the work.
pub fn driver() -> (Driver, Loading) {
    let (sender, events) = unbounded();
    let (abort, registration) = AbortHandle::new_pair();
    let driver = Driver { events: sender, abort: abort.clone(), registration };
    (driver, Loading { events, abort: Some(abort), thread: None })
}

/// The future that owns an engine, before it has one: until then it may go to another thread.
pub struct Driver {
    events: UnboundedSender<LoadEvent>,
    abort: AbortHandle,
    registration: AbortRegistration,
}

impl Driver {
    /// Loads an engine and works for it until the last [`Handle`] is gone, or until it is
    /// unloaded. An engine with [`Engine::recover_from`] gets another device when its own is
    /// lost. `pause` waits.
    pub async fn run(
        self,
        load: impl AsyncFnOnce(&mut dyn FnMut(Progress)) -> Result<Engine>,
        pause: impl AsyncFn(Duration),
    ) {
        let Self { events, abort, registration } = self;
        let work = async {
            // Nobody listens where the load was given up; then it ends at its next wait.
            let tell = |event| drop(events.unbounded_send(event));
            let engine = match load(&mut |progress| tell(LoadEvent::Progress(progress))).await {
                Ok(engine) => engine,
                Err(error) => return tell(LoadEvent::Loaded(Err(error))),
            };
            let (sender, commands) = unbounded();
            let shared = Arc::new(Shared::new(&engine, abort));
            let handle = Handle::new(sender, shared.clone());
            tell(LoadEvent::Loaded(Ok(handle)));
            Running::new(engine, commands, shared).run(pause).await;
        };
        // Whatever it holds is dropped where it is aborted.
        let _ = Abortable::new(work, registration).await;
    }
}

/// A load under way. Dropping it gives the load up.
pub struct Loading {
    events: UnboundedReceiver<LoadEvent>,
    abort: Option<AbortHandle>,
    /// Where the driver runs, if it has a thread of its own.
    thread: Option<Thread>,
}

impl Loading {
    /// The engine's handle, once it is loaded; `progress` hears where the load stands.
    ///
    /// # Errors
    /// Those of the load.
    pub async fn finished(mut self, progress: &mut dyn FnMut(Progress)) -> Result<Handle> {
        loop {
            match self.events.recv().await {
                Ok(LoadEvent::Progress(event)) => progress(event),
                Ok(LoadEvent::Loaded(loaded)) => {
                    self.abort = None;
                    let thread = self.thread.take();
                    return loaded.map(|handle| handle.in_thread(thread));
                }
                // The driver was dropped, or has panicked.
                Err(_) => return Err(Error::Cancelled),
            }
        }
    }
}

impl Drop for Loading {
    fn drop(&mut self) {
        if let Some(abort) = &self.abort {
            abort.abort();
        }
    }
}

/// An engine at work.
struct Running {
    engine: Engine,
    commands: Rc<RefCell<Commands>>,
    queue: Queue<'static>,
    shared: Arc<Shared>,
}

/// Where commands arrive.
struct Commands {
    receiver: UnboundedReceiver<Command>,
    /// Came after requests that are not answered yet, and before those that are still in the
    /// channel: each waits for what was asked for before it.
    work: Option<Work>,
}

impl Commands {
    /// The next request, if one has come and no work is before it.
    fn next_request(&mut self) -> Option<(Request, UnboundedSender<Event>)> {
        if self.work.is_some() {
            return None;
        }
        match self.receiver.try_recv().ok()? {
            Command::Submit(request, events) => Some((*request, events)),
            Command::Work(work) => {
                self.work = Some(work);
                None
            }
        }
    }
}

/// Passes events on; a request whose events nobody reads any more ends.
fn sink(events: UnboundedSender<Event>) -> impl FnMut(Event) -> ControlFlow<()> {
    move |event| match events.unbounded_send(event) {
        Ok(()) => ControlFlow::Continue(()),
        Err(_) => ControlFlow::Break(()),
    }
}

impl Running {
    fn new(engine: Engine, receiver: UnboundedReceiver<Command>, shared: Arc<Shared>) -> Self {
        let commands = Rc::new(RefCell::new(Commands { receiver, work: None }));
        let from = commands.clone();
        let queue = Queue::fed_by(move || {
            let (request, events) = from.borrow_mut().next_request()?;
            Some((request, Box::new(sink(events)) as _))
        });
        Self { engine, commands, queue, shared }
    }

    async fn run(mut self, pause: impl AsyncFn(Duration)) {
        while let Some(command) = self.next().await {
            match command {
                Command::Submit(request, events) => self.queue.push(*request, sink(events)),
                Command::Work(work) => {
                    work(&mut self.engine).await;
                    if self.engine.gpu().check().is_err() {
                        // Whoever asked next hears of it, if it fails.
                        let _ = self.restore(&pause).await;
                    }
                }
            }
            self.serve(&pause).await;
            if self.shared.is_unloaded() {
                break;
            }
        }
    }

    /// The next command; `None` where no handle is left.
    async fn next(&self) -> Option<Command> {
        std::future::poll_fn(|context| {
            let mut commands = self.commands.borrow_mut();
            match commands.work.take() {
                Some(work) => Poll::Ready(Some(Command::Work(work))),
                None => Pin::new(&mut commands.receiver).poll_next(context),
            }
        })
        .await
    }

    /// Answers what waits, on as many devices as it takes.
    async fn serve(&mut self, pause: &impl AsyncFn(Duration)) {
        let mut in_vain = 0;
        while !self.queue.is_empty()
            && let Err(error) = self.engine.serve(&self.queue).await
        {
            if self.engine.activity().steps() >= STEPS_OF_A_GOOD_DEVICE {
                in_vain = 0;
            }
            in_vain += 1;
            let is_replaceable = matches!(error, Error::Device(_))
                && self.engine.recovery_source().is_some()
                && in_vain < RESTORE_AFTER.len();
            let restored = if self.shared.is_unloaded() {
                Err(Error::Cancelled)
            } else if is_replaceable {
                self.queue.tell_all(&Event::DeviceLost(error.to_string()));
                self.restore(pause).await
            } else {
                Err(error)
            };
            match restored {
                Ok(()) => self.queue.tell_all(&Event::DeviceRestored),
                // Those that came meanwhile find out for themselves.
                Err(error) => return self.queue.fail(&error),
            }
        }
    }

    /// A new device with the weights on it.
    async fn restore(&mut self, pause: &impl AsyncFn(Duration)) -> Result<()> {
        let Some(source) = self.engine.recovery_source() else {
            return self.engine.gpu().check();
        };
        let mut result = Ok(());
        for after in RESTORE_AFTER {
            pause(after).await;
            if self.shared.is_unloaded() {
                return Err(Error::Cancelled);
            }
            result = self.engine.restore(source.as_ref(), &mut |_| ()).await;
            match &result {
                Ok(()) => {
                    self.shared.replace(&self.engine);
                    break;
                }
                // What is wrong with the file, or does not fit, will not mend itself.
                Err(Error::Device(_) | Error::Io(_)) => {}
                Err(_) => break,
            }
        }
        result
    }
}
