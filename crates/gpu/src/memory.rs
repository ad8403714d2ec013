//! How much memory an adapter offers, where its API tells.

/// Bytes of the adapter's own memory; for an adapter that runs on the processor, of
/// main memory that is free now. `None` where nobody says (Metal, DX12, browsers):
/// there only a failed allocation tells.
pub(crate) fn offered(adapter: &wgpu::Adapter, is_cpu: bool) -> Option<u64> {
    if is_cpu {
        return available();
    }
    vulkan(adapter)
}

/// `MemAvailable` of Linux.
fn available() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// The largest heap that is local to the device.
#[cfg(any(target_os = "linux", target_os = "windows", target_os = "android"))]
#[allow(unsafe_code)]
fn vulkan(adapter: &wgpu::Adapter) -> Option<u64> {
    /// `VK_MEMORY_HEAP_DEVICE_LOCAL_BIT`
    const DEVICE_LOCAL: u32 = 1;
    // SAFETY: the adapter is only asked for its properties, while it is alive.
    unsafe {
        let hal = adapter.as_hal::<wgpu::hal::vulkan::Api>()?;
        let instance = hal.shared_instance().raw_instance();
        let memory = instance.get_physical_device_memory_properties(hal.raw_physical_device());
        let heaps = memory.memory_heaps.iter().take(memory.memory_heap_count as usize);
        heaps.filter(|heap| heap.flags.as_raw() & DEVICE_LOCAL != 0).map(|heap| heap.size).max()
    }
}

#[cfg(not(any(target_os = "linux", target_os = "windows", target_os = "android")))]
fn vulkan(_: &wgpu::Adapter) -> Option<u64> {
    None
}
