//! Errors as JavaScript sees them: an `Error` with a `kind`.

use js_sys::Reflect;
use wasm_bindgen::JsValue;
use wisp_base::{Error, Setting};

/// The `kind` for code that reacts.
pub fn kind(error: &Error) -> &'static str {
    match error {
        Error::Input(_) => "input",
        Error::Unsupported(_) => "unsupported",
        Error::Memory(_) => "memory",
        Error::Device(_) => "device",
        Error::Io(_) => "io",
        Error::Cancelled => "cancelled",
    }
}

/// The option of `load` that sets it.
fn option(setting: Setting) -> Option<&'static str> {
    match setting {
        Setting::Ctx => Some("contextLength"),
        Setting::Kv => Some("kv"),
        Setting::Caps => Some("caps"),
        // A browser chooses the adapter; the others are for measuring.
        Setting::Device | Setting::Tuning | Setting::Ops => None,
    }
}

/// The sentence, with the names that a web developer knows.
pub fn sentence(error: &Error) -> String {
    error.worded(option)
}

/// As an exception or a rejection.
pub fn thrown(error: Error) -> JsValue {
    with_kind(kind(&error), &sentence(&error))
}

/// An `Error` of any kind.
pub fn with_kind(kind: &str, message: &str) -> JsValue {
    let error: JsValue = js_sys::Error::new(message).into();
    // An object that was just made takes properties.
    let _ = Reflect::set(&error, &"kind".into(), &kind.into());
    error
}

/// The message of whatever JavaScript threw.
pub fn message(thrown: &JsValue) -> String {
    let message = Reflect::get(thrown, &"message".into()).ok().and_then(|text| text.as_string());
    message.or_else(|| thrown.as_string()).unwrap_or_else(|| format!("{thrown:?}"))
}
