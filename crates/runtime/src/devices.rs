//! The adapters of this machine, for `wisp devices`.

use wisp_base::{Error, Result};

use crate::options::EngineOptions;

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
    /// What of subgroups, f16, … it offers: (name, has it).
    pub features: Vec<(String, bool)>,
    /// The limits that matter to Wisp: (name, value).
    pub limits: Vec<(String, u64)>,
    /// Measured device-to-device copy bandwidth in GB/s (10⁹ bytes read + written a second).
    pub copy_gb_per_s: f64,
    /// With `check`: one line a kernel variant.
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
pub async fn devices(_options: &EngineOptions, _check: bool) -> Result<Vec<DeviceReport>> {
    Err(Error::unsupported("not yet"))
}
