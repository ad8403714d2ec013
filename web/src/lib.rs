//! The engine in a browser: what JavaScript sees of `wisp-runtime`. The npm package
//! (`ts/`) is the only caller; `ts/src/wasm-types.ts` has the types.
#![cfg(target_arch = "wasm32")]

mod answer;
mod engine;
mod error;
mod panic;
mod promise;
mod session;
mod source;
mod stop;
mod trap;
mod values;

use wasm_bindgen::prelude::*;

use crate::error::thrown;
use crate::source::{JsSource, WasmSource};
use crate::values::{Memory, engine_options, to_js};

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r#"
/** Bytes by range: exactly `length` bytes, or a rejection. */
export interface WasmSource {
  readonly name: string;
  readonly size: number;
  read(offset: number, length: number): Promise<Uint8Array>;
}
"#;

#[wasm_bindgen(start)]
fn start() {
    panic::install();
}

/// What a model would take, from its header alone: no device is opened.
#[wasm_bindgen(js_name = planMemory, unchecked_return_type = "Promise<any>")]
pub fn plan_memory(source: WasmSource, options: JsValue) -> Result<js_sys::Promise, JsValue> {
    trap::guarded(|| {
        let options = engine_options(&options)?;
        Ok(promise::of(async move {
            let source = JsSource::new(source);
            let plan = async {
                let mut checkpoint = wisp_runtime::open(&source).await?;
                checkpoint.metadata.forget("tokenizer.");
                wisp_runtime::plan_memory(&checkpoint, &options)
            };
            to_js(&Memory::from(plan.await.map_err(thrown)?))
        }))
    })
}

/// Whether an allocation failed since this was last asked: JavaScript, too, allocates for
/// what it passes.
#[wasm_bindgen(js_name = allocationFailed)]
pub fn allocation_failed() -> bool {
    trap::allocation_failed()
}

/// Bytes of wasm's memory. It never shrinks: this is also the most there ever was.
#[wasm_bindgen(js_name = heapBytes)]
pub fn heap_bytes() -> f64 {
    const PAGE: usize = 64 << 10;
    (core::arch::wasm32::memory_size(0) * PAGE) as f64
}
