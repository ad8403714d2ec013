//! Adapters and devices: choosing one, asking it for all it has, and hearing
//! of it when it runs out of memory or goes away.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use futures_channel::oneshot;
use wisp_base::{Error, Result, Setting};

use crate::caps::{Caps, Off};
use crate::coop::Coop;
use crate::kernel::Pipeline;
use crate::link::{Kernel, Replaced};
use crate::memory;
use crate::pipeline_cache::PipelineCache;
use crate::signal::sent;
use crate::tuning::Tuning;

/// What is known of an adapter before it is opened.
#[derive(Debug, Clone)]
pub struct AdapterFacts {
    /// Its number in [`adapters`].
    pub index: usize,
    /// Its name.
    pub name: String,
    /// Who made it and its generation, as a browser calls them; empty elsewhere.
    pub vendor: String,
    /// See `vendor`.
    pub architecture: String,
    /// vulkan, metal, dx12, …
    pub backend: String,
    /// Driver name and version.
    pub driver: String,
    /// discrete, integrated, virtual, cpu or other.
    pub kind: &'static str,
    /// What compiles shaders on DX12: dxc, or fxc where there is no `dxcompiler.dll`.
    pub shader_compiler: Option<&'static str>,
    /// What it can do.
    pub caps: Caps,
    /// Timestamp queries.
    pub timestamps: bool,
    /// Threads in a subgroup, least and most.
    pub subgroup_size: (u32, u32),
    /// Bytes a storage binding at most.
    pub max_binding: u64,
    /// Bytes per buffer at most.
    pub max_buffer: u64,
    /// Bytes of workgroup memory.
    pub max_workgroup_memory: u32,
    /// Threads per workgroup at most.
    pub max_threads: u32,
    /// Storage bindings per kernel at most.
    pub max_bindings: u32,
    /// Bytes of memory that a model may take, where its API tells.
    pub memory: Option<u64>,
}

/// Which submission of its device it is, from 1 on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubmissionIndex(u64);

/// An opened device. Clones share it.
#[derive(Debug, Clone)]
pub struct Gpu(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Its only device is this one.
    instance: wgpu::Instance,
    device: wgpu::Device,
    queue: wgpu::Queue,
    /// Submissions so far.
    submitted: AtomicU64,
    facts: AdapterFacts,
    off: Off,
    tuning: Tuning,
    lost: Arc<Mutex<Option<String>>>,
    pipelines: Mutex<HashMap<Kernel, Arc<Pipeline>>>,
    replaced: Mutex<Replaced>,
    kept: OnceLock<PipelineCache>,
    /// See `bounds.rs`.
    notes: OnceLock<wgpu::Buffer>,
    allocated: AtomicU64,
    /// Bytes of buffers at most.
    most_allocated: AtomicU64,
}

/// In a browser, memory on the device is free when a garbage collector happens to come
/// by, unless the device is destroyed. Elsewhere, pipelines are kept.
impl Drop for Inner {
    fn drop(&mut self) {
        if cfg!(target_arch = "wasm32") {
            self.device.destroy();
        } else if let Some(kept) = self.kept.get() {
            kept.save();
        }
    }
}

/// Every adapter that wgpu reaches here, software ones last.
pub async fn adapters() -> Vec<AdapterFacts> {
    let (_instance, found) = enumerate().await;
    found.iter().enumerate().map(|(index, adapter)| facts(adapter, index)).collect()
}

async fn enumerate() -> (wgpu::Instance, Vec<wgpu::Adapter>) {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = wgpu::Backends::PRIMARY;
    let instance = wgpu::Instance::new(descriptor);
    if cfg!(target_arch = "wasm32") {
        // A browser shows one adapter, chosen by this wish.
        let wish = wgpu::RequestAdapterOptions {
            power_preference: wgpu::PowerPreference::HighPerformance,
            ..Default::default()
        };
        let found = instance.request_adapter(&wish).await.into_iter().collect();
        return (instance, found);
    }
    let mut found = instance.enumerate_adapters(wgpu::Backends::PRIMARY).await;
    found.sort_by_key(|adapter| match adapter.get_info().device_type {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    });
    (instance, found)
}

fn facts(adapter: &wgpu::Adapter, index: usize) -> AdapterFacts {
    let info = adapter.get_info();
    let features = adapter.features();
    let limits = adapter.limits();
    AdapterFacts {
        index,
        name: info.name,
        vendor: String::new(),
        architecture: String::new(),
        backend: info.backend.to_string(),
        driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
        kind: match info.device_type {
            wgpu::DeviceType::DiscreteGpu => "discrete",
            wgpu::DeviceType::IntegratedGpu => "integrated",
            wgpu::DeviceType::VirtualGpu => "virtual",
            wgpu::DeviceType::Cpu => "cpu",
            wgpu::DeviceType::Other => "other",
        },
        // wgpu doesn't tell. FXC ends at shader model 5.1, which has no subgroups; adapters with a
        // later one have them.
        shader_compiler: (info.backend == wgpu::Backend::Dx12)
            .then(|| if features.contains(wgpu::Features::SUBGROUP) { "dxc" } else { "fxc" }),
        caps: Caps {
            subgroups: features.contains(wgpu::Features::SUBGROUP),
            f16: features.contains(wgpu::Features::SHADER_F16),
            dot: true,
            coop: Coop::of(adapter),
        },
        timestamps: features.contains(wgpu::Features::TIMESTAMP_QUERY),
        subgroup_size: (info.subgroup_min_size, info.subgroup_max_size),
        max_binding: limits.max_storage_buffer_binding_size,
        max_buffer: limits.max_buffer_size,
        max_workgroup_memory: limits.max_compute_workgroup_storage_size,
        max_threads: limits.max_compute_invocations_per_workgroup,
        max_bindings: limits.max_storage_buffers_per_shader_stage,
        memory: memory::offered(adapter, info.device_type == wgpu::DeviceType::Cpu),
    }
}

impl Gpu {
    /// Opens the adapter that `select` names (its number in [`adapters`], else part
    /// of its name; the first one for `None`), without what `off` switches off.
    pub async fn open(select: Option<&str>, off: Off) -> Result<Self> {
        let (instance, found) = enumerate().await;
        if found.is_empty() {
            return Err(Error::device(if cfg!(target_arch = "wasm32") {
                "this browser gives no GPU to this page: it has no WebGPU, or has it switched off, \
                 or its GPU is blocked (its page about:gpu tells which)"
            } else {
                "no GPU driver was found: install one (a software one does: on Debian and Ubuntu \
                 `apt-get install mesa-vulkan-drivers`), then try again"
            }));
        }
        let names: Vec<_> = found.iter().map(|adapter| adapter.get_info().name).collect();
        let index = select.map_or(Some(0), |text| named(&names, text));
        let index = index.ok_or_else(|| {
            let names: Vec<_> =
                names.iter().enumerate().map(|(i, name)| format!("{i} ({name})")).collect();
            let (wanted, names) = (select.unwrap_or_default(), names.join(", "));
            Error::device(format!("{wanted}: no such adapter; there is {names}"))
                .about(Setting::Device)
        })?;
        Self::from_adapter(instance, &found[index], index, off).await
    }

    async fn from_adapter(
        instance: wgpu::Instance,
        adapter: &wgpu::Adapter,
        index: usize,
        off: Off,
    ) -> Result<Self> {
        let mut facts = facts(adapter, index);
        facts.caps.subgroups &= !off.subgroups;
        facts.caps.f16 &= !off.f16;
        facts.caps.dot &= !off.dot;
        let (f16, subgroups) = (facts.caps.f16, facts.caps.subgroups);
        facts.caps.coop = facts.caps.coop.filter(|coop| !off.coop && f16 && coop.runs(subgroups));
        let mut features = wgpu::Features::empty();
        features.set(wgpu::Features::SUBGROUP, facts.caps.subgroups);
        features.set(wgpu::Features::SHADER_F16, facts.caps.f16);
        features.set(wgpu::Features::TIMESTAMP_QUERY, facts.timestamps);
        let coop = facts.caps.coop.is_some();
        features.set(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX, coop);
        features |= adapter.features() & wgpu::Features::PIPELINE_CACHE;
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("wisp"),
            required_features: features,
            required_limits: adapter.limits(),
            experimental_features: if coop { Coop::leave() } else { Default::default() },
            memory_hints: wgpu::MemoryHints::MemoryUsage,
            ..Default::default()
        };
        let (device, queue) = crate::open::open(adapter, &descriptor)
            .await
            .map_err(|e| Error::device(format!("{} cannot be opened: {e}", facts.name)))?;
        #[cfg(target_arch = "wasm32")]
        crate::browser::complete(&mut facts, &device, off);
        let lost = Arc::new(Mutex::new(None));
        let shared = lost.clone();
        device.set_device_lost_callback(move |reason, message| {
            if let Ok(mut lost) = shared.lock() {
                lost.get_or_insert_with(|| match reason {
                    wgpu::DeviceLostReason::Destroyed => "it was destroyed".to_owned(),
                    _ => message,
                });
            }
        });
        let shared = lost.clone();
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            if let Ok(mut lost) = shared.lock() {
                lost.get_or_insert_with(|| error.to_string());
            }
        }));
        let tuning = if facts.kind == "cpu" { Tuning::CPU } else { Tuning::GPU };
        Ok(Self(Arc::new(Inner {
            instance,
            device,
            queue,
            submitted: AtomicU64::default(),
            facts,
            off,
            tuning,
            lost,
            pipelines: Mutex::default(),
            replaced: Mutex::default(),
            kept: OnceLock::new(),
            notes: OnceLock::new(),
            allocated: AtomicU64::default(),
            most_allocated: AtomicU64::new(u64::MAX),
        })))
    }

    pub(crate) fn device(&self) -> &wgpu::Device {
        &self.0.device
    }

    pub(crate) fn queue(&self) -> &wgpu::Queue {
        &self.0.queue
    }

    pub(crate) fn pipelines(&self) -> MutexGuard<'_, HashMap<Kernel, Arc<Pipeline>>> {
        self.0.pipelines.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Forgets compiled kernels: those in use live on with their users.
    pub fn forget_pipelines(&self) {
        self.pipelines().clear();
    }

    pub(crate) fn kept(&self) -> Option<&PipelineCache> {
        self.0.kept.get()
    }

    /// The first call counts: a device has one cache.
    pub(crate) fn keep(&self, kept: PipelineCache) {
        let _ = self.0.kept.set(kept);
    }

    /// Where kernels note indices beyond their bindings, if a test asked for that.
    pub(crate) fn notes(&self) -> &OnceLock<wgpu::Buffer> {
        &self.0.notes
    }

    /// Files of `shaders/` with other texts, on this device.
    pub(crate) fn replaced(&self) -> MutexGuard<'_, Replaced> {
        self.0.replaced.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Links `text` instead of a file of `shaders/` from now on: how tests plant a
    /// wrong kernel.
    pub fn replace_shader(&self, file: &'static str, text: &'static str) {
        self.replaced().insert(file, text);
    }

    /// The adapter, with the capabilities that are in use.
    pub fn facts(&self) -> &AdapterFacts {
        &self.0.facts
    }

    /// What the caller switched off.
    pub fn off(&self) -> Off {
        self.0.off
    }

    /// Kernel parameters for this adapter.
    pub fn tuning(&self) -> Tuning {
        self.0.tuning
    }

    /// Bytes of all buffers made so far, less those that a read was over with: what a model
    /// took is the difference between before and after.
    pub fn allocated(&self) -> u64 {
        self.0.allocated.load(Ordering::Relaxed)
    }

    pub(crate) fn count_allocated(&self, bytes: u64) {
        self.0.allocated.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn count_freed(&self, bytes: u64) {
        self.0.allocated.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// One storage buffer, zeroed. Allocate inside [`Gpu::catch`].
    pub fn buffer(&self, label: &str, bytes: u64) -> wgpu::Buffer {
        let size = bytes.next_multiple_of(16).max(16);
        self.count_allocated(size);
        self.device().create_buffer(&wgpu::BufferDescriptor {
            label: Some(label),
            size,
            usage: wgpu::BufferUsages::STORAGE
                | wgpu::BufferUsages::COPY_DST
                | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        })
    }

    /// Gives a buffer's memory back, once what was submitted is done with it.
    pub fn release(&self, buffer: &wgpu::Buffer) {
        self.count_freed(buffer.size());
        buffer.destroy();
    }

    /// Runs `work` and reports what the device had against it: no memory left,
    /// something invalid, an internal error.
    pub async fn catch<T>(&self, work: impl FnOnce() -> T) -> Result<T> {
        self.check()?;
        let device = self.device();
        let memory = device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let validation = device.push_error_scope(wgpu::ErrorFilter::Validation);
        let internal = device.push_error_scope(wgpu::ErrorFilter::Internal);
        let before = self.allocated();
        let value = work();
        // Pops take effect at once, in reverse order; only then may we wait.
        let (internal, validation, memory) = (internal.pop(), validation.pop(), memory.pop());
        let other = match internal.await {
            Some(error) => Some(error),
            None => validation.await,
        };
        let mut memory = memory.await.map(|error| error.to_string());
        if self.allocated() > self.0.most_allocated.load(Ordering::Relaxed) {
            memory.get_or_insert_with(|| "more than the test allows".to_owned());
        }
        if let Some(error) = memory {
            self.count_freed(self.allocated().saturating_sub(before));
            let after = format!(" or close other programs ({error})");
            let error = Error::memory(format!("{} has no memory left", self.facts().name));
            return Err(error.hint("give a smaller ", Setting::Ctx, after));
        }
        match other {
            Some(error) => Err(Error::device(error.to_string())),
            None => Ok(value),
        }
    }

    /// # Errors
    /// The device was lost or reported an error that nobody asked about.
    pub fn check(&self) -> Result<()> {
        let lost = self.0.lost.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match &*lost {
            Some(why) => Err(Error::device(format!("the GPU {} failed: {why}", self.facts().name))),
            None => Ok(()),
        }
    }

    /// Writes bytes (a multiple of 4, at a multiple of 4) before the next submission.
    pub fn write(&self, buffer: &wgpu::Buffer, offset: u64, bytes: &[u8]) {
        self.queue().write_buffer(buffer, offset, bytes);
    }

    /// A new command encoder.
    pub fn encoder(&self) -> wgpu::CommandEncoder {
        self.device().create_command_encoder(&wgpu::CommandEncoderDescriptor { label: None })
    }

    /// A compute pass without timestamps.
    pub fn pass<'a>(&self, encoder: &'a mut wgpu::CommandEncoder) -> wgpu::ComputePass<'a> {
        encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default())
    }

    /// Hands recorded work to the device.
    ///
    /// # Errors
    /// The device was lost.
    pub fn submit(&self, encoder: wgpu::CommandEncoder) -> Result<SubmissionIndex> {
        self.submit_all(Some(encoder.finish()))
    }

    fn submit_all(&self, commands: Option<wgpu::CommandBuffer>) -> Result<SubmissionIndex> {
        self.queue().submit(commands);
        let index = self.0.submitted.fetch_add(1, Ordering::Relaxed) + 1;
        self.check()?;
        Ok(SubmissionIndex(index))
    }

    /// Whether nothing was submitted after it.
    pub(crate) fn is_newest(&self, submission: SubmissionIndex) -> bool {
        self.0.submitted.load(Ordering::Relaxed) == submission.0
    }

    pub(crate) fn instance(&self) -> &wgpu::Instance {
        &self.0.instance
    }

    /// Waits until the device has taken all that was written and done all that was
    /// submitted: the memory that held it on its way is free again.
    ///
    /// # Errors
    /// The device was lost.
    pub async fn flush(&self) -> Result<()> {
        let submission = self.submit_all(None)?;
        let (sender, done) = oneshot::channel();
        self.queue().on_submitted_work_done(move || {
            // Nobody may wait for it any more.
            let _ = sender.send(());
        });
        sent(done, self, submission).await?;
        self.check()
    }

    /// From now on no more memory is left than so many bytes of buffers. For tests of what
    /// becomes of requests then.
    pub fn limit_memory(&self, bytes: u64) {
        self.0.most_allocated.store(bytes, Ordering::Relaxed);
    }

    /// Destroys the device, as a driver reset would. For tests of recovery.
    pub fn destroy(&self) {
        self.device().destroy();
    }
}

/// The adapter that `text` means: the one with that number, else the first with that in its
/// name, in any case. So 4090 is a name where there are fewer adapters.
fn named(names: &[String], text: &str) -> Option<usize> {
    let number = text.parse::<usize>().ok().filter(|number| *number < names.len());
    let text = text.to_lowercase();
    let part = || names.iter().position(|name| name.to_lowercase().contains(&text));
    number.or_else(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_adapter_is_named_by_its_number_or_by_part_of_its_name() {
        let names = ["NVIDIA GeForce RTX 4090", "AMD Radeon RX 7900 XTX", "llvmpipe (LLVM 15)"];
        let names = names.map(str::to_owned);
        for (text, index) in [
            ("0", Some(0)),
            ("2", Some(2)),
            ("4090", Some(0)),
            ("7900", Some(1)),
            ("15", Some(2)),
            ("radeon rx", Some(1)),
            ("LLVM", Some(2)),
            ("3", None),
            ("5090", None),
            ("-1", None),
        ] {
            assert_eq!(named(&names, text), index, "{text}");
        }
    }
}
