//! A loaded engine as the class `Engine` sees it: its driver's handle, and the callbacks of the
//! requests under way.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use js_sys::{Function, Promise, Reflect};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use wisp_api::{Head, ResponseForm, ResponseWriter};
use wisp_base::Result;
use wisp_formats::Source;
use wisp_runtime::{Answer, Cancel, Engine, EngineOptions, Handle, Progress, driver};
use wisp_tokenizer::Tokenizer;

use crate::answer::{Listener, follow};
use crate::panic::{self, Waiting};
use crate::source::JsSource;
use crate::trap;

/// One model, and the requests that wait for it.
pub struct Session {
    pub handle: Handle,
    requests: Rc<Requests>,
    next: Cell<u32>,
    /// Its device's memory must not stay behind a module that has ended.
    _waiting: Waiting,
}

/// The requests that have not ended, by their ids.
#[derive(Default)]
struct Requests(RefCell<Vec<(u32, Cancel)>>);

impl Requests {
    fn ended(&self, id: u32) {
        self.0.borrow_mut().retain(|(other, _)| *other != id);
    }
}

/// Does `work` by the way; a trap in it ends the module.
fn spawn(work: impl Future<Output = ()> + 'static) {
    spawn_local(trap::guarded_future(Box::pin(work)));
}

impl Session {
    /// Loads a model, and has a task of its own work for it. Dropping the future gives it up.
    pub async fn load(
        source: JsSource,
        options: EngineOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self> {
        let (driver, loading) = driver();
        spawn(driver.run(
            async move |show: &mut dyn FnMut(Progress)| {
                let source: Rc<dyn Source> = Rc::new(source);
                let mut engine = Engine::load(source.as_ref(), &options, show).await?;
                engine.recover_from(source);
                Ok(engine)
            },
            sleep,
        ));
        let handle = loading.finished(progress).await?;
        let at_end = handle.clone();
        Ok(Self {
            _waiting: panic::waiting(move |_, _| at_end.gpu().destroy()),
            handle,
            requests: Rc::default(),
            next: Cell::new(0),
        })
    }

    pub fn requests(&self) -> usize {
        self.requests.0.borrow().len()
    }

    /// Tells `on_event` of the answer, to its end. Gives the request's id.
    pub fn follow(
        &self,
        answer: Answer,
        form: ResponseForm,
        head: Head,
        tokenizer: Arc<Tokenizer>,
        on_event: Function,
    ) -> u32 {
        let id = self.next.get();
        self.next.set(id.wrapping_add(1));
        self.requests.0.borrow_mut().push((id, answer.canceller()));
        let on_end = Listener(on_event.clone());
        let waiting = panic::waiting(move |kind, message| {
            on_end.tell("error", message, kind);
        });
        let requests = self.requests.clone();
        spawn(async move {
            let writer = ResponseWriter::new(head, &tokenizer, form);
            follow(answer, writer, Listener(on_event), || requests.ended(id)).await;
            drop(waiting);
        });
        id
    }

    pub fn cancel(&self, id: u32) {
        if let Some((_, cancel)) = self.requests.0.borrow().iter().find(|(other, _)| *other == id) {
            cancel.cancel();
        }
    }
}

async fn sleep(time: Duration) {
    let timer = Promise::new(&mut |resolve, _| {
        // Every page and every kind of worker has it.
        let set = Reflect::get(&js_sys::global(), &"setTimeout".into());
        if let Some(set) = set.ok().and_then(|set| set.dyn_into::<Function>().ok()) {
            let ms = time.as_millis() as f64;
            let _ = set.call2(&JsValue::UNDEFINED, &resolve, &ms.into());
        }
    });
    let _ = JsFuture::from(timer).await;
}
