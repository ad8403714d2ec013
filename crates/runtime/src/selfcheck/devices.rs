//! The adapters of this machine, for `wisp devices`.

use wisp_base::{Format, Result};
use wisp_gpu::{Gpu, Off, Variant};
use wisp_graph::Resource;
use wisp_ops::cases;
use wisp_ops::check::{is_packed, run, target};

use crate::options::EngineOptions;
use crate::selfcheck::limits::copy_bandwidth;

/// What `wisp devices` prints of one adapter.
#[derive(Debug, Clone)]
pub struct DeviceReport {
    /// As `--device N` takes it.
    pub index: usize,
    /// The adapter's name.
    pub name: String,
    /// Vulkan, Metal, DX12 …
    pub backend: String,
    /// Driver and version.
    pub driver: String,
    /// discrete, integrated, virtual, cpu, other.
    pub kind: String,
    /// What compiles shaders on DX12: dxc, or fxc.
    pub shader_compiler: Option<&'static str>,
    /// What of subgroups, f16, … it offers: (name, has it).
    pub features: Vec<(String, bool)>,
    /// The limits that matter to Wisp: (name, value).
    pub limits: Vec<(String, u64)>,
    /// Measured device-to-device copy bandwidth in GB/s (10⁹ bytes read + written a second).
    pub copy_gb_per_s: f64,
    /// Parameters of the kernels before any are measured, as `--tune` takes them.
    pub tuning: String,
    /// With `check`: one line per kernel variant.
    pub checks: Vec<CheckReport>,
}

/// One kernel variant against its CPU definition.
#[derive(Debug, Clone)]
pub struct CheckReport {
    /// The op and its case.
    pub case: String,
    /// `subgroup f16`, `workgroup f32`, …
    pub variant: String,
    /// Largest relative L2 error found.
    pub error: f64,
    /// The bound on it.
    pub bound: f64,
    /// `error <= bound` and no guard word was overwritten.
    pub passed: bool,
}

/// Every adapter (or the one that `options.device` names), measured, with `check` also checked.
///
/// # Errors
/// No adapter, or none of that name. An adapter that cannot be opened or measured is
/// left out where others are there.
pub async fn devices(options: &EngineOptions, check: bool) -> Result<Vec<DeviceReport>> {
    let off = Off::parse(&options.caps)?;
    let select = options.device.as_deref();
    let found = wisp_gpu::adapters().await;
    let chosen: Vec<usize> = match select {
        None if found.is_empty() => {
            Gpu::open(None, off).await?; // The sentence that says what to install.
            Vec::new()
        }
        None => (0..found.len()).collect(),
        Some(_) => {
            let gpu = Gpu::open(select, off).await?;
            vec![gpu.facts().index]
        }
    };
    let mut reports = Vec::new();
    for index in chosen {
        let gpu = Gpu::open(Some(&index.to_string()), off).await?;
        reports.push(report(&gpu, index, check).await?);
    }
    Ok(reports)
}

async fn report(gpu: &Gpu, index: usize, check: bool) -> Result<DeviceReport> {
    let facts = gpu.facts();
    let features = [
        ("subgroups", facts.caps.subgroups),
        ("f16", facts.caps.f16),
        ("dot", facts.caps.dot),
        ("coop", facts.caps.coop.is_some()),
        ("timestamps", facts.timestamps),
    ];
    let limits = [
        ("max_binding", facts.max_binding),
        ("max_buffer", facts.max_buffer),
        ("max_workgroup_memory", u64::from(facts.max_workgroup_memory)),
        ("max_threads", u64::from(facts.max_threads)),
        ("max_bindings", u64::from(facts.max_bindings)),
        ("subgroup_min", u64::from(facts.subgroup_size.0)),
        ("subgroup_max", u64::from(facts.subgroup_size.1)),
        ("coop_size", facts.caps.coop.map_or(0, |coop| u64::from(coop.size))),
        ("memory", facts.memory.unwrap_or(0)),
    ];
    let checks = if check { self_check(gpu, false).await? } else { Vec::new() };
    Ok(DeviceReport {
        index,
        name: facts.name.clone(),
        backend: facts.backend.clone(),
        driver: facts.driver.clone(),
        kind: facts.kind.to_owned(),
        shader_compiler: facts.shader_compiler,
        features: features.map(|(name, has)| (name.to_owned(), has)).to_vec(),
        limits: limits.map(|(name, value)| (name.to_owned(), value)).to_vec(),
        copy_gb_per_s: copy_bandwidth(gpu).await? / 1e9,
        tuning: gpu.tuning().to_string(),
        checks,
    })
}

/// Every case of every operation in every variant that the adapter can run, products also
/// packed; or `brief`:
/// most weight formats in one variant only. How a format is read does not depend on the
/// variant, and where compiling is slow its kernels take minutes.
///
/// # Errors
/// The device failed; not: it computed wrongly.
pub async fn self_check(gpu: &Gpu, brief: bool) -> Result<Vec<CheckReport>> {
    const EVERYWHERE: [Format; 3] = [Format::F32, Format::Q8_0, Format::Q4_1];
    let mut checks = Vec::new();
    for case in cases()? {
        let mut weights = case.tape.resources().iter().filter_map(|resource| match resource {
            Resource::Weight(weight) => Some(weight.format),
            _ => None,
        });
        let once = brief && weights.any(|format| !EVERYWHERE.contains(&format));
        let variants = Variant::ALL.into_iter().filter(|v| v.runs_on(gpu.facts().caps));
        let variants = variants.take(if once { 1 } else { usize::MAX });
        let mut runs: Vec<_> = variants.map(|variant| (variant, gpu.tuning())).collect();
        let mut tuning = gpu.tuning();
        tuning.matvec.packed = true;
        let packed = runs.iter().map(|(variant, _)| (*variant, tuning.within(gpu.facts().caps)));
        let packed: Vec<_> = packed.take(if brief { usize::from(!once) } else { 4 }).collect();
        for (variant, tuning) in packed {
            if is_packed(&case, &target(gpu, &case, variant, tuning))? {
                runs.push((variant, tuning));
            }
        }
        for (variant, tuning) in runs {
            let packed = if tuning.matvec.packed { " packed" } else { "" };
            let made = run(gpu, &case, variant, tuning).await;
            gpu.check()?;
            let (error, bound) = match made {
                Ok(report) => (report.error, report.bound),
                Err(_) => (f64::INFINITY, case.bound),
            };
            checks.push(CheckReport {
                case: case.name.clone(),
                variant: format!("{variant}{packed}"),
                error,
                bound,
                passed: error <= bound,
            });
        }
    }
    Ok(checks)
}
