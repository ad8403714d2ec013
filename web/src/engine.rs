//! The class `Engine`: one loaded model.

use std::rc::Rc;

use js_sys::{Function, JSON, Promise, Uint8Array, Uint32Array};
use serde_json::Value as Json;
use wasm_bindgen::prelude::*;
use web_sys::AbortSignal;
use wisp_base::Error;
use wisp_runtime::Verdicts;
use wisp_tokenizer::Tokenizer;

use crate::error::{message, thrown};
use crate::session::Session;
use crate::source::{JsSource, WasmSource};
use crate::stop::Stop;
use crate::values::{Check, LoadOptions, Pages, Phase, Request, Stats, from_js, to_js};
use crate::{panic, promise, trap};

/// What to say where rendering trapped: its deep recursion is all that could have.
const TEMPLATE_FAILED: &str = "the model's chat template made the template engine fail: it is \
                               damaged or hostile";

/// One loaded model on one device.
#[wasm_bindgen]
pub struct Engine(Rc<Session>, Option<Verdicts>);

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
            let options = from_js::<LoadOptions>("the options", options)?.engine_options()?;
            Ok(promise::of(async move {
                let source = JsSource::new(source);
                let mut progress = |progress| {
                    if let Ok(phase) = to_js(&Phase::from(progress)) {
                        // What a listener throws is not the load's concern.
                        let _ = on_progress.call1(&JsValue::UNDEFINED, &phase);
                    }
                };
                let load = wisp_runtime::Engine::load(&source, &options, &mut progress);
                let engine = Stop::on(signal.as_ref()).unless_stopped(load).await;
                let engine = engine.unwrap_or(Err(Error::Cancelled)).map_err(thrown)?;
                Ok(Self(Session::new(engine, source), options.verdicts))
            }))
        })
    }

    /// Adapter, kernels, memory and model.
    #[wasm_bindgen(unchecked_return_type = "any")]
    pub fn info(&self) -> Result<JsValue, JsValue> {
        trap::guarded(|| to_js(&*self.0.info()))
    }

    /// The self-check's verdicts, to be given to the next load.
    pub fn verdicts(&self) -> String {
        self.1.as_ref().map(Verdicts::text).unwrap_or_default()
    }

    /// What it does now.
    #[wasm_bindgen(unchecked_return_type = "any")]
    pub fn stats(&self) -> Result<JsValue, JsValue> {
        trap::guarded(|| {
            let (activity, total) = self.0.activity();
            to_js(&Stats {
                pages: Pages { free: activity.free_pages(), total },
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

    /// The bytes of one token.
    #[wasm_bindgen(js_name = tokenText)]
    pub fn token_text(&self, token: u32) -> Result<Uint8Array, JsValue> {
        trap::guarded(|| {
            let tokenizer = self.tokenizer()?;
            let bytes = match tokenizer.is_control(token) {
                true => tokenizer.token_text(token).map(|text| text.as_bytes().to_vec()),
                false => tokenizer.token_bytes(token),
            };
            let bytes = bytes.ok_or_else(|| {
                thrown(Error::input(format!("token {token} is not in the vocabulary")))
            })?;
            Ok(Uint8Array::from(bytes.as_slice()))
        })
    }

    /// A conversation by the model's template.
    #[wasm_bindgen(js_name = renderChat)]
    pub fn render_chat(
        &self,
        #[wasm_bindgen(unchecked_param_type = "unknown[]")] messages: JsValue,
        #[wasm_bindgen(unchecked_param_type = "unknown[] | undefined")] tools: JsValue,
        add_generation_prompt: bool,
    ) -> Result<String, JsValue> {
        trap::guarded(|| {
            let tokenizer = self.tokenizer()?;
            let messages = json("messages", &messages)?.unwrap_or(Json::Null);
            let tools = json("tools", &tools)?;
            let rendered = trap::caught(|| {
                tokenizer.chat()?.render(&messages, tools.as_ref(), add_generation_prompt)
            });
            match rendered {
                Ok(rendered) => rendered.map_err(thrown),
                Err(trap) if trap.out_of_memory => Err(panic::end(&trap)),
                // A template that recurses without end leaves no stack.
                Err(_) => {
                    panic::check()?;
                    Err(thrown(Error::input(TEMPLATE_FAILED)))
                }
            }
        })
    }

    /// Starts a request and gives its id. `on_event` is called until it is told `done`
    /// or `error`; a callback that throws cancels the request.
    pub fn submit(
        &self,
        #[wasm_bindgen(unchecked_param_type = "any")] request: JsValue,
        on_event: Function,
    ) -> Result<u32, JsValue> {
        trap::guarded(|| {
            let request = from_js::<Request>("the request", request)?;
            self.0.submit(request.into(), on_event).map_err(thrown)
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
        let gpu = self.0.gpu();
        Ok(promise::of(async move {
            let reports = wisp_runtime::self_check(&gpu, true).await.map_err(thrown)?;
            to_js(&reports.into_iter().map(Check::from).collect::<Vec<_>>())
        }))
    }

    /// As if the driver had reset. For tests.
    #[wasm_bindgen(js_name = destroyDevice)]
    pub fn destroy_device(&self) -> Result<(), JsValue> {
        panic::check()?;
        self.0.gpu().destroy();
        Ok(())
    }

    /// Gives back all memory on the device. Requests under way end with an error.
    pub fn unload(&self) -> Result<(), JsValue> {
        // A module that has ended has given it back.
        match panic::check() {
            Err(_) => Ok(()),
            Ok(()) => trap::guarded(|| {
                self.0.unload();
                Ok(())
            }),
        }
    }
}

impl Engine {
    fn tokenizer(&self) -> Result<Rc<Tokenizer>, JsValue> {
        panic::check()?;
        self.0.tokenizer().map_err(thrown)
    }
}

/// Whoever forgets `unload` gets the memory back when JavaScript forgets the engine.
impl Drop for Engine {
    fn drop(&mut self) {
        if panic::check().is_ok() {
            self.0.unload();
        }
    }
}

/// As `JSON.stringify` sees a value; `None` for undefined.
fn json(what: &str, value: &JsValue) -> Result<Option<Json>, JsValue> {
    let wrong = |why: String| thrown(Error::input(format!("{what}: {why}")));
    if value.is_undefined() || value.is_null() {
        return Ok(None);
    }
    let text = JSON::stringify(value).map_err(|why| wrong(message(&why)))?;
    let text = text.as_string().unwrap_or_default();
    serde_json::from_str(&text).map(Some).map_err(|why| wrong(why.to_string()))
}
