//! An answer on its way to JavaScript.

use js_sys::Function;
use wasm_bindgen::JsValue;
use wisp_api::ResponseWriter;
use wisp_base::Error;
use wisp_runtime::{Answer, Event};

use crate::error::{kind, sentence};

/// What a request's callback is called with: an event's name, its text, and an error's kind.
pub struct Listener(pub Function);

impl Listener {
    /// Whether it took the event: what a callback throws says that nobody listens.
    pub fn tell(&self, name: &str, text: &str, kind: &str) -> bool {
        self.0.call3(&JsValue::UNDEFINED, &name.into(), &text.into(), &kind.into()).is_ok()
    }

    fn json(&self, text: &str) -> bool {
        self.tell("json", text, "")
    }
}

/// Tells `listener` of an answer as `writer` writes it, to its end, of which `ended` is told first.
pub async fn follow(
    mut answer: Answer,
    mut writer: ResponseWriter<'_>,
    listener: Listener,
    ended: impl FnOnce(),
) {
    let mut listens = writer.start().is_none_or(|text| listener.json(&text));
    while let Some(event) = answer.next().await {
        let heard = match event {
            Event::Done(done) => {
                ended();
                let prompt_tokens = answer.prompt_tokens();
                let texts = match &done {
                    Ok(completion) => writer
                        .end(completion, prompt_tokens)
                        .map_err(|_| (kind(&Error::Cancelled), "the request was cancelled".into())),
                    Err(error) => Err((kind(error), why(error))),
                };
                match texts {
                    Ok(texts) => {
                        texts.iter().all(|text| listener.json(text));
                        listener.tell("done", "", "");
                    }
                    Err((kind, message)) => {
                        listener.tell("error", &message, kind);
                    }
                }
                return;
            }
            _ if !listens => continue,
            Event::Piece(piece) => writer.piece(&piece).is_none_or(|text| listener.json(&text)),
            Event::DeviceLost(message) => listener.tell("lost", &message, ""),
            Event::DeviceRestored => listener.tell("restored", "", ""),
        };
        if !heard {
            listens = false;
            answer.canceller().cancel();
        }
    }
}

/// Without an answer: what else cancels requests is an engine that is unloaded.
fn why(error: &Error) -> String {
    match error {
        Error::Cancelled => "the engine was unloaded while it answered".into(),
        error => sentence(error),
    }
}
