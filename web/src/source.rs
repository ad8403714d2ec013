//! A model's bytes from JavaScript: a cached file, ranges of a URL, a picked file.

use js_sys::{Promise, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use wisp_base::{Error, Result};
use wisp_formats::{LocalFuture, Source, in_bounds};

use crate::error::message;

#[wasm_bindgen]
extern "C" {
    /// Any object with these properties.
    #[wasm_bindgen(typescript_type = "WasmSource")]
    pub type WasmSource;

    #[wasm_bindgen(method, getter, structural)]
    fn name(this: &WasmSource) -> String;

    #[wasm_bindgen(method, getter, structural)]
    fn size(this: &WasmSource) -> f64;

    #[wasm_bindgen(method, structural, catch)]
    fn read(this: &WasmSource, offset: f64, length: f64) -> Result<Promise, JsValue>;
}

/// [`WasmSource`] as the engine reads it.
pub struct JsSource {
    object: WasmSource,
    name: String,
    len: u64,
}

impl JsSource {
    pub fn new(object: WasmSource) -> Self {
        Self { name: object.name(), len: object.size() as u64, object }
    }

    async fn fill(&self, offset: u64, into: &mut [u8]) -> Result<()> {
        let length = into.len();
        in_bounds(self, offset, length)?;
        let cannot = |thrown: JsValue| Error::Io(message(&thrown).into());
        let promise = self.object.read(offset as f64, length as f64).map_err(cannot)?;
        let bytes = JsFuture::from(promise).await.map_err(cannot)?;
        match bytes.dyn_into::<Uint8Array>() {
            Ok(bytes) if bytes.length() as usize == length => {
                bytes.copy_to(into);
                Ok(())
            }
            _ => Err(Error::input(format!(
                "{}: the source did not give the {length} bytes at byte {offset} that it was asked \
                 for",
                self.name
            ))),
        }
    }
}

impl Source for JsSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> u64 {
        self.len
    }

    fn read<'a>(&'a self, offset: u64, into: &'a mut [u8]) -> LocalFuture<'a, Result<()>> {
        Box::pin(self.fill(offset, into))
    }
}
