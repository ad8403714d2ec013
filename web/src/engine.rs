//! The class `Engine`: one loaded model.

use std::sync::Arc;

use js_sys::{Function, Promise, Uint32Array};
use wasm_bindgen::prelude::*;
use web_sys::AbortSignal;
use wisp_api::{Endpoint, GenerationRequest, Head};
use wisp_base::Error;
use wisp_runtime::SelfCheckResults;
use wisp_tokenizer::Tokenizer;

use crate::error::thrown;
use crate::session::Session;
use crate::source::{JsSource, WasmSource};
use crate::stop::unless_aborted;
use crate::values::{Check, Info, Pages, Phase, Stats, engine_options, to_js};
use crate::{panic, promise, trap};

/// What to say where rendering trapped: its deep recursion is all that could have.
const TEMPLATE_FAILED: &str = "the model's chat template made the template engine fail: it is \
                               damaged or hostile";

/// For requests that have none: any that JavaScript's numbers can be.
fn seed() -> u64 {
    const KINDS: f64 = (1u64 << 53) as f64;
    (js_sys::Math::random() * KINDS) as u64
}

/// One loaded model on one device.
#[wasm_bindgen]
pub struct Engine(Session, Option<SelfCheckResults>);

#[wasm_bindgen]
impl Engine {
    /// Opens the adapter, checks the kernels and loads the weights. Aborting `signal`
    /// gives back at once all that the load has taken.
    #[wasm_bindgen(unchecked_return_type = "Promise<Engine>")]
    pub fn load(
        source: WasmSource,
        options: JsValue,
        on_progress: Function,
        signal: Option<AbortSignal>,
    ) -> Result<Promise, JsValue> {
        trap::guarded(|| {
            let options = engine_options(&options)?;
            Ok(promise::of(async move {
                let source = JsSource::new(source);
                let mut progress = |progress| {
                    if let Ok(phase) = to_js(&Phase::from(progress)) {
                        // What a listener throws is not the load's concern.
                        let _ = on_progress.call1(&JsValue::UNDEFINED, &phase);
                    }
                };
                let results = options.self_check_results.clone();
                let load = Session::load(source, options, &mut progress);
                let session = unless_aborted(signal.as_ref(), load).await;
                let session = session.unwrap_or(Err(Error::Cancelled)).map_err(thrown)?;
                Ok(Self(session, results))
            }))
        })
    }

    /// Adapter, kernels, memory and model.
    #[wasm_bindgen(unchecked_return_type = "any")]
    pub fn info(&self) -> Result<JsValue, JsValue> {
        trap::guarded(|| to_js(&Info::of(&self.0.handle)))
    }

    /// The self-check's results, to be given to the next load.
    #[wasm_bindgen(js_name = selfCheckResults)]
    pub fn self_check_results(&self) -> String {
        self.1.as_ref().map(SelfCheckResults::text).unwrap_or_default()
    }

    /// What it does now.
    #[wasm_bindgen(unchecked_return_type = "any")]
    pub fn stats(&self) -> Result<JsValue, JsValue> {
        trap::guarded(|| {
            let (activity, info) = (self.0.handle.activity(), self.0.handle.info());
            to_js(&Stats {
                pages: Pages { free: activity.free_pages(), total: info.pages },
                heap_bytes: crate::heap_bytes(),
                steps: activity.steps(),
                requests: self.0.requests(),
            })
        })
    }

    /// Token ids of a text.
    pub fn tokenize(
        &self,
        text: &str,
        add_special: bool,
        parse_special: bool,
    ) -> Result<Uint32Array, JsValue> {
        trap::guarded(|| {
            let ids = self.tokenizer()?.encode(text.as_bytes(), add_special, parse_special);
            Ok(Uint32Array::from(ids.map_err(thrown)?.as_slice()))
        })
    }

    /// The text of token ids, that of control tokens too.
    pub fn detokenize(&self, tokens: &[u32]) -> Result<String, JsValue> {
        trap::guarded(|| self.tokenizer()?.decode(tokens, true).map_err(thrown))
    }

    /// Starts a request in OpenAI's shape: `endpoint` is `chat/completions` or `completions`,
    /// `body` its JSON, `unique` becomes part of the answer's id. Gives the request's number.
    /// `on_event` is called until it is told `done` or `error`; a callback that throws cancels
    /// the request.
    pub fn submit(
        &self,
        endpoint: &str,
        body: &str,
        unique: &str,
        on_event: Function,
    ) -> Result<u32, JsValue> {
        trap::guarded(|| {
            let endpoint = Endpoint::of(endpoint)
                .ok_or_else(|| thrown(Error::input(format!("there is no {endpoint}"))))?;
            let GenerationRequest { request, form, .. } =
                GenerationRequest::read(endpoint, body, seed())
                    .map_err(|refusal| thrown(refusal.error))?;
            let tokenizer = self.tokenizer()?;
            // A conversation is rendered here.
            let answer = match trap::caught(|| self.0.handle.submit(request)) {
                Ok(answer) => answer.map_err(thrown)?,
                Err(trap) if trap.out_of_memory => return Err(panic::end(&trap)),
                // A template that recurses without end leaves no stack.
                Err(_) => {
                    panic::check()?;
                    return Err(thrown(Error::input(TEMPLATE_FAILED)));
                }
            };
            let head = Head {
                id: endpoint.id(unique),
                created: (js_sys::Date::now() / 1000.0) as u64,
                model: self.0.handle.info().name.clone(),
            };
            Ok(self.0.follow(answer, form, head, tokenizer, on_event))
        })
    }

    /// Ends a request within a step; one that has ended already is left alone.
    pub fn cancel(&self, id: u32) -> Result<(), JsValue> {
        panic::check()?;
        self.0.cancel(id);
        Ok(())
    }

    /// Every kernel on this adapter, beside its definition.
    #[wasm_bindgen(js_name = selfCheck, unchecked_return_type = "Promise<any>")]
    pub fn self_check(&self) -> Result<Promise, JsValue> {
        panic::check()?;
        let gpu = self.0.handle.gpu();
        Ok(promise::of(async move {
            let reports = wisp_runtime::self_check(&gpu, true).await.map_err(thrown)?;
            to_js(&reports.into_iter().map(Check::from).collect::<Vec<_>>())
        }))
    }

    /// As if the driver had reset. For tests.
    #[wasm_bindgen(js_name = destroyDevice)]
    pub fn destroy_device(&self) -> Result<(), JsValue> {
        panic::check()?;
        self.0.handle.gpu().destroy();
        Ok(())
    }

    /// Gives back all memory on the device. Requests under way end with an error.
    pub fn unload(&self) -> Result<(), JsValue> {
        // A module that has ended has given it back.
        match panic::check() {
            Err(_) => Ok(()),
            Ok(()) => trap::guarded(|| {
                self.0.handle.unload();
                Ok(())
            }),
        }
    }
}

impl Engine {
    fn tokenizer(&self) -> Result<Arc<Tokenizer>, JsValue> {
        panic::check()?;
        self.0.handle.tokenizer().map_err(thrown)
    }
}

/// Whoever forgets `unload` gets the memory back when JavaScript forgets the engine.
impl Drop for Engine {
    fn drop(&mut self) {
        if panic::check().is_ok() {
            self.0.handle.unload();
        }
    }
}
