//! An engine and its driver: one task that works while there are requests, and that
//! sets up a new device when the old one goes.

use std::cell::{Cell, Ref, RefCell};
use std::ops::ControlFlow;
use std::rc::{Rc, Weak};

use js_sys::{Function, Promise, Reflect};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use wisp_base::{Error, Result};
use wisp_gpu::Gpu;
use wisp_runtime::{Activity, Cancel, Engine, Queue, Request};
use wisp_tokenizer::Tokenizer;

use crate::panic::{self, Waiting};
use crate::source::JsSource;
use crate::stop::Stop;
use crate::trap;
use crate::values::{Event, Info, to_js};

/// A browser that has lost its GPU process needs a moment to start another.
const RESTORE_AFTER_MS: [i32; 4] = [0, 500, 2000, 5000];

/// A device that fails again within so many steps has not been restored.
const STEPS_OF_A_GOOD_DEVICE: u64 = 4;

/// One model, and the requests that wait for it.
pub struct Session {
    /// `None` while the driver has it, and once it is unloaded.
    engine: RefCell<Option<Engine>>,
    queue: Queue<'static>,
    requests: RefCell<Vec<Live>>,
    next: Cell<u32>,
    shown: RefCell<Shown>,
    tokenizer: Result<Rc<Tokenizer>>,
    source: JsSource,
    unloaded: Stop,
    /// Its device's memory must not stay behind a module that has ended.
    _waiting: Waiting,
}

/// A request that has not ended.
struct Live {
    id: u32,
    on_event: Function,
    cancel: Cancel,
    _waiting: Waiting,
}

/// What can be asked while the engine is busy.
struct Shown {
    gpu: Gpu,
    activity: Activity,
    pages: usize,
    info: Info,
}

impl Shown {
    fn of(engine: &Engine) -> Self {
        Self {
            gpu: engine.gpu().clone(),
            activity: engine.activity(),
            pages: engine.pages().1,
            info: engine.into(),
        }
    }
}

impl Session {
    pub fn new(engine: Engine, source: JsSource) -> Rc<Self> {
        Rc::new_cyclic(|session: &Weak<Self>| Self {
            _waiting: Self::destroyed_at_end(session.clone()),
            shown: RefCell::new(Shown::of(&engine)),
            tokenizer: engine.shared_tokenizer(),
            engine: RefCell::new(Some(engine)),
            queue: Queue::new(),
            requests: RefCell::default(),
            next: Cell::new(0),
            source,
            unloaded: Stop::default(),
        })
    }

    fn destroyed_at_end(session: Weak<Self>) -> Waiting {
        panic::waiting(move |_, _| {
            if let Some(shown) = session.upgrade().as_ref().and_then(|s| s.shown.try_borrow().ok())
            {
                shown.gpu.destroy();
            }
        })
    }

    pub fn tokenizer(&self) -> Result<Rc<Tokenizer>> {
        self.tokenizer.clone()
    }

    pub fn gpu(&self) -> Gpu {
        self.shown.borrow().gpu.clone()
    }

    pub fn info(&self) -> Ref<'_, Info> {
        Ref::map(self.shown.borrow(), |shown| &shown.info)
    }

    /// With the number of pages in all.
    pub fn activity(&self) -> (Activity, usize) {
        let shown = self.shown.borrow();
        (shown.activity.clone(), shown.pages)
    }

    pub fn requests(&self) -> usize {
        self.requests.borrow().len()
    }

    pub fn submit(self: &Rc<Self>, request: Request, on_event: Function) -> Result<u32> {
        if self.unloaded.is_stopped() {
            return Err(unloaded());
        }
        let id = self.next.get();
        self.next.set(id.wrapping_add(1));
        let prompt_tokens = request.prompt.len();
        let cancel = request.cancel.clone();
        let on_end = on_event.clone();
        let _waiting = panic::waiting(move |kind, message| {
            let _ = tell(&on_end, &Event::Error { kind, message: message.to_owned() });
        });
        self.requests.borrow_mut().push(Live { id, on_event, cancel, _waiting });
        let session = Rc::downgrade(self);
        self.queue.push(request, move |event| {
            let Some(session) = session.upgrade() else { return ControlFlow::Break(()) };
            let ended = matches!(event, wisp_runtime::Event::Done(_));
            // None: it was told of its end already.
            let on_event = session.on_event(id);
            if ended {
                session.requests.borrow_mut().retain(|live| live.id != id);
            }
            let told = on_event.map(|told| tell(&told, &Event::of(event, prompt_tokens)));
            match told {
                Some(Ok(_)) => ControlFlow::Continue(()),
                _ => ControlFlow::Break(()),
            }
        });
        self.wake();
        Ok(id)
    }

    pub fn cancel(&self, id: u32) {
        if let Some(live) = self.requests.borrow().iter().find(|live| live.id == id) {
            live.cancel.cancel();
        }
    }

    fn on_event(&self, id: u32) -> Option<Function> {
        let requests = self.requests.borrow();
        requests.iter().find(|live| live.id == id).map(|live| live.on_event.clone())
    }

    /// All memory on the device back. Nothing waits for the driver: it ends by itself.
    pub fn unload(&self) {
        if self.unloaded.is_stopped() {
            return;
        }
        self.unloaded.stop();
        self.gpu().destroy();
        drop(self.engine.take());
        let message = "the engine was unloaded while it answered".to_owned();
        let cancelled = Event::Error { kind: "cancelled", message };
        for live in std::mem::take(&mut *self.requests.borrow_mut()) {
            let _ = tell(&live.on_event, &cancelled);
        }
        self.queue.fail(&Error::Cancelled);
    }

    /// Has the driver work, unless it does already.
    fn wake(self: &Rc<Self>) {
        let Some(engine) = self.engine.take() else { return };
        let session = self.clone();
        spawn_local(trap::guarded_future(Box::pin(async move {
            if let Some(engine) = session.unloaded.unless_stopped(session.drive(engine)).await {
                session.engine.replace(Some(engine));
                // Whoever heard of a failure may have asked again at once.
                if !session.queue.is_empty() {
                    session.wake();
                }
            }
        })));
    }

    async fn drive(&self, mut engine: Engine) -> Engine {
        let mut in_vain = 0;
        while let Err(error) = engine.serve(&self.queue).await {
            if engine.activity().steps() >= STEPS_OF_A_GOOD_DEVICE {
                in_vain = 0;
            }
            in_vain += 1;
            let restored = match &error {
                Error::Device(_) if in_vain < RESTORE_AFTER_MS.len() => {
                    self.tell_all(&Event::Lost { message: error.to_string() });
                    self.restore(&mut engine).await
                }
                _ => Err(error),
            };
            match restored {
                Ok(()) => self.tell_all(&Event::Restored),
                Err(error) => {
                    self.queue.fail(&error);
                    break;
                }
            }
        }
        engine
    }

    /// A new device with the weights on it.
    async fn restore(&self, engine: &mut Engine) -> Result<()> {
        let mut result = Ok(());
        for after in RESTORE_AFTER_MS {
            sleep(after).await;
            result = engine.restore(&self.source, &mut |_| ()).await;
            match &result {
                Ok(()) => {
                    self.shown.replace(Shown::of(engine));
                    break;
                }
                // What is wrong with the file, or does not fit, will not mend itself.
                Err(Error::Device(_) | Error::Io(_)) => {}
                Err(_) => break,
            }
        }
        result
    }

    fn tell_all(&self, event: &Event) {
        let all: Vec<_> = self.requests.borrow().iter().map(|live| live.on_event.clone()).collect();
        for on_event in all {
            let _ = tell(&on_event, event);
        }
    }
}

/// What a callback throws is its own; here it only says that nobody listens.
fn tell(on_event: &Function, event: &Event) -> std::result::Result<JsValue, JsValue> {
    on_event.call1(&JsValue::UNDEFINED, &to_js(event)?)
}

fn unloaded() -> Error {
    Error::input("the engine was unloaded: load the model again")
}

async fn sleep(ms: i32) {
    let timer = Promise::new(&mut |resolve, _| {
        // Every page and every kind of worker has it.
        let set = Reflect::get(&js_sys::global(), &"setTimeout".into());
        if let Some(set) = set.ok().and_then(|set| set.dyn_into::<Function>().ok()) {
            let _ = set.call2(&JsValue::UNDEFINED, &resolve, &ms.into());
        }
    });
    let _ = JsFuture::from(timer).await;
}
