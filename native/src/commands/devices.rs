//! `wisp devices`: the adapters of this machine.

use crate::args::{Devices, Global};
use crate::engine;
use crate::out::{self, Outcome};
use crate::progress;
use pollster::block_on;
use serde_json::{Value, json};
use wisp_base::Error;
use wisp_runtime::DeviceReport;

/// Runs the command.
pub fn run(global: &Global, args: &Devices) -> Outcome {
    let waiting = progress::spinner(if args.check { "checking kernels" } else { "measuring" });
    let found = block_on(wisp_runtime::devices(&engine::options(global), args.check));
    waiting.finish_and_clear();
    let found = found?;
    if args.json {
        out::json(&json!({ "devices": found.iter().map(object).collect::<Vec<_>>() }))?;
    } else {
        for device in &found {
            out::text(&table(device))?;
        }
    }
    let checks = || found.iter().flat_map(|device| &device.checks);
    let (all, wrong) = (checks().count(), checks().filter(|check| !check.passed).count());
    if wrong > 0 {
        return Err(Error::device(format!(
            "{wrong} of {all} kernel checks failed: wisp will use safer variants there; update \
             the graphics driver"
        ))
        .into());
    }
    Ok(())
}

fn object(device: &DeviceReport) -> Value {
    let checks = device.checks.iter().map(|check| {
        json!({
            "case": check.case, "variant": check.variant, "error": check.error,
            "bound": check.bound, "passed": check.passed,
        })
    });
    json!({
        "index": device.index,
        "name": device.name,
        "backend": device.backend,
        "driver": device.driver,
        "kind": device.kind,
        "shader_compiler": device.shader_compiler,
        "features": map(&device.features),
        "limits": map(&device.limits),
        "copy_gb_per_s": out::finite(device.copy_gb_per_s),
        "checks": checks.collect::<Vec<_>>(),
    })
}

fn map<T: Clone + Into<Value>>(pairs: &[(String, T)]) -> Value {
    Value::Object(pairs.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect())
}

fn table(device: &DeviceReport) -> String {
    let DeviceReport { index, name, backend, driver, kind, copy_gb_per_s, .. } = device;
    let names = |has: bool| {
        let names = device.features.iter().filter(|(_, offered)| *offered == has);
        let names: Vec<&str> = names.map(|(name, _)| name.as_str()).collect();
        if names.is_empty() { "none".into() } else { names.join(", ") }
    };
    let mut text = format!(
        "{index}  {name} ({kind}, {backend}, {driver})\n   has         {}\n   lacks       {}\n   \
         copy        {copy_gb_per_s:.1} GB/s\n",
        names(true),
        names(false)
    );
    if let Some(compiler) = device.shader_compiler {
        let slow = if compiler == "fxc" {
            ": some 8 s a kernel, and no subgroups or f16; with \
            dxcompiler.dll beside wisp.exe it would be dxc"
        } else {
            ""
        };
        text.push_str(&format!("   compiler    {compiler}{slow}\n"));
    }
    for (name, value) in &device.limits {
        text.push_str(&format!("   {name:<11} {value}\n"));
    }
    text.push_str(&format!("   --tune      {}\n", device.tuning));
    for check in &device.checks {
        let verdict = if check.passed { "ok" } else { "WRONG" };
        text.push_str(&format!(
            "   {verdict:<5} {:<40} {:<16} error {:.1e} of {:.1e}\n",
            check.case, check.variant, check.error, check.bound
        ));
    }
    text
}
