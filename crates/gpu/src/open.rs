//! Opening a device. On Vulkan without robust buffer access, which wgpu always switches on:
//! drivers that honour it check the bounds of every load (NVIDIA's NVK: 42 % more instructions
//! in the product gate·up; Apple's Honeykrisp: 60 %). Our kernels need no check; see
//! `trusted` in `kernel.rs`.

use wgpu::{Adapter, Device, DeviceDescriptor, Queue};

/// Device and queue, or why there are none.
pub(crate) async fn open(
    adapter: &Adapter,
    descriptor: &DeviceDescriptor<'_>,
) -> Result<(Device, Queue), String> {
    #[cfg(any(target_os = "linux", target_os = "windows", target_os = "android"))]
    if let Some(opened) = vulkan::open(adapter, descriptor) {
        return opened;
    }
    adapter.request_device(descriptor).await.map_err(|error| error.to_string())
}

/// wgpu-hal's `Adapter::open`, with one feature less.
#[cfg(any(target_os = "linux", target_os = "windows", target_os = "android"))]
mod vulkan {
    use std::ffi::CStr;

    use ash::{ext, vk};
    use wgpu::hal::vulkan::{Adapter, Api};
    use wgpu::{Device, DeviceDescriptor, Features, Queue};

    /// The only family of queues that wgpu uses.
    const FAMILY: u32 = 0;

    /// `None`: the adapter is none of Vulkan's.
    #[allow(unsafe_code)]
    pub(super) fn open(
        adapter: &wgpu::Adapter,
        descriptor: &DeviceDescriptor<'_>,
    ) -> Option<Result<(Device, Queue), String>> {
        let DeviceDescriptor { required_features, required_limits, memory_hints, .. } = descriptor;
        // SAFETY: it is asked for what wgpu itself would ask it, and outlives the device's
        // creation; nothing of it is destroyed here.
        let hal = unsafe { adapter.as_hal::<Api>() }?;
        let opened = with_create_info(&hal, *required_features, |info, extensions| {
            let instance = hal.shared_instance().raw_instance();
            // SAFETY: all that `info` points to outlives the call; the adapter has the
            // extensions and features in it, since wgpu-hal chose them for this adapter.
            let raw = unsafe { instance.create_device(hal.raw_physical_device(), info, None) };
            let raw = raw.map_err(|error| error.to_string())?;
            // SAFETY: `raw` was just made from this adapter, with this family, these extensions,
            // and the features that wgpu-hal wants but for robust buffer access. That one guards
            // shaders that leave their bindings; ours do not, and are compiled without wgpu's own
            // checks on every backend. Nobody else owns `raw`.
            let opened = unsafe {
                hal.device_from_raw(
                    raw,
                    None,
                    extensions,
                    *required_features,
                    required_limits,
                    memory_hints,
                    FAMILY,
                    0,
                )
            };
            opened.map_err(|error| error.to_string())
        });
        let made = opened.and_then(|opened| {
            // SAFETY: `opened` was made from this adapter, with the features of `descriptor`.
            let made = unsafe { adapter.create_device_from_hal(opened, descriptor) };
            made.map_err(|error| error.to_string())
        });
        Some(made)
    }

    /// What a device is created by, and its extensions.
    fn with_create_info<T>(
        adapter: &Adapter,
        features: Features,
        create: impl FnOnce(&vk::DeviceCreateInfo<'_>, &[&'static CStr]) -> T,
    ) -> T {
        let mut extensions = adapter.required_device_extensions(features);
        // wgpu-hal asks for this extension's features where the extension is listed.
        extensions.retain(|name| *name != ext::robustness2::NAME);
        let mut chosen = adapter.physical_device_features(&extensions, features);
        let core = chosen.get_core().robust_buffer_access(false);
        let queues = [vk::DeviceQueueCreateInfo::default()
            .queue_family_index(FAMILY)
            .queue_priorities(&[1.0])];
        let names: Vec<_> = extensions.iter().map(|name| name.as_ptr()).collect();
        let info = vk::DeviceCreateInfo::default()
            .queue_create_infos(&queues)
            .enabled_extension_names(&names);
        let info = chosen.add_to_device_create(info).enabled_features(&core);
        create(&info, &extensions)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        #[allow(unsafe_code)]
        fn devices_are_created_without_robust_buffer_access() {
            let descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
            let instance = wgpu::Instance::new(descriptor);
            let all = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::VULKAN));
            for adapter in all {
                // SAFETY: the adapter is only asked what wgpu asks it.
                let hal = unsafe { adapter.as_hal::<Api>() }.unwrap();
                let features = adapter.features() & Features::SHADER_F16;
                let usual = hal.required_device_extensions(features);
                with_create_info(&hal, features, |info, extensions| {
                    // SAFETY: `info` points to features that live as long as this call.
                    let core = unsafe { &*info.p_enabled_features };
                    assert_eq!(core.robust_buffer_access, vk::FALSE);
                    let mut next = info.p_next.cast::<vk::BaseInStructure<'_>>();
                    // SAFETY: as above; every structure of the chain begins like that.
                    while let Some(found) = unsafe { next.as_ref() } {
                        let kind = vk::StructureType::PHYSICAL_DEVICE_ROBUSTNESS_2_FEATURES_EXT;
                        assert_ne!(found.s_type, kind);
                        next = found.p_next;
                    }
                    // Nothing else is missing.
                    let mut lost = usual.iter().filter(|name| !extensions.contains(name));
                    assert!(lost.all(|name| *name == ext::robustness2::NAME));
                });
            }
        }
    }
}
