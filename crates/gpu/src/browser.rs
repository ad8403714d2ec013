//! What only the opened device of a browser tells.

use js_sys::Reflect;
use wasm_bindgen::JsValue;

use crate::caps::Off;
use crate::device::AdapterFacts;

/// Adds to `facts` what wgpu leaves out.
///
/// wgpu cannot ask for subgroups (gfx-rs/wgpu issue 10146). The page may have wrapped
/// `GPUAdapter.prototype.requestDevice` to do so: then the device has them.
pub(crate) fn complete(facts: &mut AdapterFacts, device: &wgpu::Device, off: Off) {
    let Some(device) = device.as_webgpu() else { return };
    facts.caps.subgroups =
        !off.subgroups && facts.subgroup_size.0 > 0 && device.features().has("subgroups");
    let device: &JsValue = device.as_ref();
    let info = Reflect::get(device, &"adapterInfo".into()).unwrap_or_default();
    // Older browsers do not have all of it.
    let text = |name: &str| {
        let value = Reflect::get(&info, &name.into()).ok();
        value.and_then(|value| value.as_string()).unwrap_or_default()
    };
    facts.vendor = text("vendor");
    facts.architecture = text("architecture");
    if facts.name.is_empty() {
        facts.name = format!("{} {}", facts.vendor, facts.architecture).trim().to_owned();
    }
    if facts.name.is_empty() {
        "a GPU without a name".clone_into(&mut facts.name);
    }
}
