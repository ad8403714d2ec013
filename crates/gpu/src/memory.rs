//! How much memory an adapter offers, where its API tells.

/// Bytes that a model may take of the adapter's own memory; for an adapter that runs on the
/// processor, of main memory that is free now. `None` where nobody says (Metal, DX12,
/// browsers): there only a failed allocation tells.
///
/// Not all that is free: drivers round allocations up and keep some for themselves, uploads
/// and the screen need some. A sixteenth is left of what is free now; where the API tells only
/// the size of the memory (Vulkan without `VK_EXT_memory_budget`), an eighth of that.
pub(crate) fn offered(adapter: &wgpu::Adapter, is_cpu: bool) -> Option<u64> {
    if is_cpu {
        return available().map(|free| free - free / 16);
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

/// Of the largest heap that is local to the device.
#[cfg(any(target_os = "linux", target_os = "windows", target_os = "android"))]
#[allow(unsafe_code)]
fn vulkan(adapter: &wgpu::Adapter) -> Option<u64> {
    use ash::vk;

    let mut budget = vk::PhysicalDeviceMemoryBudgetPropertiesEXT::default();
    // SAFETY: the adapter is only asked for its properties, while it is alive, and by calls
    // that its version and extensions have.
    let (memory, has_budget) = unsafe {
        let hal = adapter.as_hal::<wgpu::hal::vulkan::Api>()?;
        let (shared, device) = (hal.shared_instance(), hal.raw_physical_device());
        let instance = shared.raw_instance();
        let extensions = hal.physical_device_capabilities();
        let has_budget = shared.instance_api_version() >= vk::API_VERSION_1_1
            && extensions.supports_extension(ash::ext::memory_budget::NAME);
        let memory = if has_budget {
            let mut asked = vk::PhysicalDeviceMemoryProperties2::default().push_next(&mut budget);
            instance.get_physical_device_memory_properties2(device, &mut asked);
            asked.memory_properties
        } else {
            instance.get_physical_device_memory_properties(device)
        };
        (memory, has_budget)
    };
    let heaps = memory.memory_heaps.iter().take(memory.memory_heap_count as usize).enumerate();
    let local = heaps.filter(|(_, heap)| heap.flags.contains(vk::MemoryHeapFlags::DEVICE_LOCAL));
    let (at, heap) = local.max_by_key(|(_, heap)| heap.size)?;
    Some(if has_budget && budget.heap_budget[at] > 0 {
        let free = budget.heap_budget[at].saturating_sub(budget.heap_usage[at]).min(heap.size);
        free - free / 16
    } else {
        heap.size - heap.size / 8
    })
}

#[cfg(not(any(target_os = "linux", target_os = "windows", target_os = "android")))]
fn vulkan(_: &wgpu::Adapter) -> Option<u64> {
    None
}
