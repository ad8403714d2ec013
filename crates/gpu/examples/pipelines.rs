//! Compiles SPIR-V by the first Vulkan device and prints what its compiler says of each kernel,
//! for `cargo xtask drivers`. Nothing is dispatched, so a driver on a stubbed kernel driver will do.
//!
//! `pipelines [--robust] [--assembly] [--subgroup N] FOLDER`; standard input has a line for each
//! kernel, its number and bindings, separated by a tab. A line `device`, then for each kernel
//! `begin NUMBER`, then `done` with statistics, `name=value`, or `failed` with the reason; with
//! assembly, its text follows, between `begin-text` and `end-text`. A compiler that takes longer
//! than two minutes for a kernel ends the program, as one that crashes does.
#![allow(unsafe_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::ffi::{CStr, c_char};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use ash::{khr, vk};

/// Extensions that kernels need or that tell of them, asked for where the device has them.
const EXTENSIONS: [&CStr; 2] =
    [khr::cooperative_matrix::NAME, khr::pipeline_executable_properties::NAME];

struct Options {
    robust: bool,
    assembly: bool,
    subgroup: u32,
    folder: PathBuf,
}

struct Compiler {
    device: ash::Device,
    executables: khr::pipeline_executable_properties::Device,
    options: Options,
}

fn main() {
    let options = options();
    // SAFETY: the loader's library is not unloaded while anything of it is in use.
    let entry = unsafe { ash::Entry::load() }.expect("no Vulkan loader");
    let app = vk::ApplicationInfo::default().api_version(vk::API_VERSION_1_3);
    let asked = vk::InstanceCreateInfo::default().application_info(&app);
    // SAFETY: `asked` outlives the call.
    let instance = unsafe { entry.create_instance(&asked, None) }.expect("no Vulkan instance");
    let compiler = Compiler::open(&instance, options);
    std::thread::spawn(watch);
    let mut line = String::new();
    while std::io::stdin().read_line(&mut line).expect("cannot read stdin") > 0 {
        let (number, bindings) = line.trim_end_matches('\n').split_once('\t').expect("NUMBER\t…");
        // Out before the compiler has its turn, for it may crash.
        println!("begin {number}");
        std::io::stdout().flush().unwrap();
        BEGUN.fetch_add(1, Ordering::Relaxed);
        let bindings: Vec<u32> =
            bindings.split(',').filter(|b| !b.is_empty()).map(|b| b.parse().unwrap()).collect();
        if let Err(result) = compiler.compile(number, &bindings) {
            println!("failed\t{result:?}");
        }
        line.clear();
    }
}

/// Kernels that were begun.
static BEGUN: AtomicU32 = AtomicU32::new(0);

/// Ends the program where one kernel takes too long.
fn watch() {
    let mut seen = 0;
    loop {
        std::thread::sleep(Duration::from_secs(120));
        let begun = BEGUN.load(Ordering::Relaxed);
        if begun == seen {
            std::process::exit(3);
        }
        seen = begun;
    }
}

fn options() -> Options {
    let mut options =
        Options { robust: false, assembly: false, subgroup: 0, folder: PathBuf::new() };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--robust" => options.robust = true,
            "--assembly" => options.assembly = true,
            "--subgroup" => options.subgroup = args.next().unwrap().parse().unwrap(),
            folder => options.folder = folder.into(),
        }
    }
    options
}

impl Compiler {
    /// The first device, with all that it can do; robust buffer access only if asked for.
    fn open(instance: &ash::Instance, options: Options) -> Self {
        // SAFETY: the instance is alive.
        let physical = unsafe { instance.enumerate_physical_devices() }.expect("no device");
        let physical = *physical.first().expect("no device");
        let mut subgroups = vk::PhysicalDeviceSubgroupSizeControlProperties::default();
        let mut driver = vk::PhysicalDeviceDriverProperties::default();
        let mut properties = vk::PhysicalDeviceProperties2::default()
            .push_next(&mut subgroups)
            .push_next(&mut driver);
        // SAFETY: each structure of the chain is one that Vulkan 1.3 knows.
        unsafe { instance.get_physical_device_properties2(physical, &mut properties) };
        let properties = properties.properties;
        let name = text(&properties.device_name);
        let info = text(&driver.driver_info);
        let (least, most) = (subgroups.min_subgroup_size, subgroups.max_subgroup_size);
        let memory = properties.limits.max_compute_shared_memory_size;
        println!("device\t{name}\t{info}\t{least}\t{most}\t{memory}");

        // SAFETY: the device is of this instance.
        let has = unsafe { instance.enumerate_device_extension_properties(physical) }.unwrap();
        let has = |name: &CStr| {
            has.iter().any(|found| found.extension_name_as_c_str().is_ok_and(|found| found == name))
        };
        let mut names: Vec<*const c_char> =
            EXTENSIONS.iter().filter(|name| has(name)).map(|name| name.as_ptr()).collect();
        let mut coop = vk::PhysicalDeviceCooperativeMatrixFeaturesKHR::default();
        let mut executables = vk::PhysicalDevicePipelineExecutablePropertiesFeaturesKHR::default();
        let mut robustness = vk::PhysicalDeviceRobustness2FeaturesEXT::default();
        let mut f11 = vk::PhysicalDeviceVulkan11Features::default();
        let mut f12 = vk::PhysicalDeviceVulkan12Features::default();
        let mut f13 = vk::PhysicalDeviceVulkan13Features::default();
        let mut features = vk::PhysicalDeviceFeatures2::default()
            .push_next(&mut f11)
            .push_next(&mut f12)
            .push_next(&mut f13);
        if has(khr::cooperative_matrix::NAME) {
            features = features.push_next(&mut coop);
        }
        if has(khr::pipeline_executable_properties::NAME) {
            features = features.push_next(&mut executables);
        }
        if options.robust && has(ash::ext::robustness2::NAME) {
            names.push(ash::ext::robustness2::NAME.as_ptr());
            features = features.push_next(&mut robustness);
        }
        // SAFETY: the chain is of structures that this device knows.
        unsafe { instance.get_physical_device_features2(physical, &mut features) };
        features.features.robust_buffer_access = options.robust.into();
        let queues = [vk::DeviceQueueCreateInfo::default().queue_priorities(&[1.0])];
        let asked = vk::DeviceCreateInfo::default()
            .queue_create_infos(&queues)
            .enabled_extension_names(&names)
            .push_next(&mut features);
        // SAFETY: features and extensions are those that the device says it has.
        let device = unsafe { instance.create_device(physical, &asked, None) }.expect("no device");
        let executables = khr::pipeline_executable_properties::Device::new(instance, &device);
        Self { device, executables, options }
    }

    /// Compiles a kernel and prints what became of it.
    fn compile(&self, number: &str, bindings: &[u32]) -> Result<(), vk::Result> {
        let words = words(&self.options.folder.join(format!("{number}.spv")));
        let device = &self.device;
        let bindings: Vec<_> = bindings
            .iter()
            .map(|at| {
                vk::DescriptorSetLayoutBinding::default()
                    .binding(*at)
                    .descriptor_type(vk::DescriptorType::STORAGE_BUFFER)
                    .descriptor_count(1)
                    .stage_flags(vk::ShaderStageFlags::COMPUTE)
            })
            .collect();
        let asked = vk::DescriptorSetLayoutCreateInfo::default().bindings(&bindings);
        // SAFETY: what a call is given outlives it, here and below; naga has validated the module.
        let set = unsafe { device.create_descriptor_set_layout(&asked, None) }?;
        let sets = [set];
        let asked = vk::PipelineLayoutCreateInfo::default().set_layouts(&sets);
        // SAFETY: as above.
        let layout = unsafe { device.create_pipeline_layout(&asked, None) }?;
        let asked = vk::ShaderModuleCreateInfo::default().code(&words);
        // SAFETY: as above.
        let module = unsafe { device.create_shader_module(&asked, None) }?;
        let mut subgroup = vk::PipelineShaderStageRequiredSubgroupSizeCreateInfo::default()
            .required_subgroup_size(self.options.subgroup);
        let mut stage = vk::PipelineShaderStageCreateInfo::default()
            .stage(vk::ShaderStageFlags::COMPUTE)
            .module(module)
            .name(c"main");
        if self.options.subgroup > 0 {
            stage = stage.push_next(&mut subgroup);
        }
        let mut flags = vk::PipelineCreateFlags::CAPTURE_STATISTICS_KHR;
        if self.options.assembly {
            flags |= vk::PipelineCreateFlags::CAPTURE_INTERNAL_REPRESENTATIONS_KHR;
        }
        let asked =
            [vk::ComputePipelineCreateInfo::default().stage(stage).layout(layout).flags(flags)];
        let start = Instant::now();
        // SAFETY: as above.
        let made =
            unsafe { device.create_compute_pipelines(vk::PipelineCache::null(), &asked, None) };
        let seconds = start.elapsed().as_secs_f64();
        let pipeline = made.map_err(|(_, result)| result)?[0];
        self.print(pipeline, seconds)?;
        // SAFETY: nothing was submitted, and nobody else has these.
        unsafe {
            device.destroy_pipeline(pipeline, None);
            device.destroy_shader_module(module, None);
            device.destroy_pipeline_layout(layout, None);
            device.destroy_descriptor_set_layout(set, None);
        }
        Ok(())
    }

    fn print(&self, pipeline: vk::Pipeline, seconds: f64) -> Result<(), vk::Result> {
        let all = &self.executables;
        let asked = vk::PipelineInfoKHR::default().pipeline(pipeline);
        // SAFETY: the pipeline was made with the flags for it.
        let found = unsafe { all.get_pipeline_executable_properties(&asked) }?;
        for (at, properties) in found.iter().enumerate() {
            print!("done\tseconds={seconds:.3}\tsubgroup={}", properties.subgroup_size);
            let asked = vk::PipelineExecutableInfoKHR::default()
                .pipeline(pipeline)
                .executable_index(at as u32);
            // SAFETY: as above.
            for of in unsafe { all.get_pipeline_executable_statistics(&asked) }? {
                // SAFETY: the format says which field of the union it is.
                let value = unsafe {
                    match of.format {
                        vk::PipelineExecutableStatisticFormatKHR::FLOAT64 => of.value.f64,
                        vk::PipelineExecutableStatisticFormatKHR::INT64 => of.value.i64 as f64,
                        _ => of.value.u64 as f64,
                    }
                };
                print!("\t{}={value}", text(&of.name));
            }
            println!();
            if self.options.assembly {
                // SAFETY: as above.
                let parts = unsafe { self.representations(&asked) }?;
                // Machine code is the last of them.
                if let Some((name, text)) = parts.last() {
                    println!("begin-text {name}\n{}\nend-text", text.trim_end());
                }
            }
        }
        Ok(())
    }

    /// The compiler's texts by name: its own languages, the last one machine code.
    ///
    /// # Safety
    /// The pipeline captured them.
    unsafe fn representations(
        &self,
        asked: &vk::PipelineExecutableInfoKHR<'_>,
    ) -> Result<Vec<(String, String)>, vk::Result> {
        let get = self.executables.fp().get_pipeline_executable_internal_representations_khr;
        let handle = self.executables.device();
        let mut count = 0;
        // SAFETY: first the number of texts, then their lengths, then the texts, each with
        // memory for them.
        unsafe {
            get(handle, asked, &mut count, std::ptr::null_mut()).result()?;
            let mut parts =
                vec![vk::PipelineExecutableInternalRepresentationKHR::default(); count as usize];
            get(handle, asked, &mut count, parts.as_mut_ptr()).result()?;
            let mut texts: Vec<_> = parts.iter().map(|part| vec![0u8; part.data_size]).collect();
            for (part, text) in parts.iter_mut().zip(&mut texts) {
                part.p_data = text.as_mut_ptr().cast();
            }
            get(handle, asked, &mut count, parts.as_mut_ptr()).result()?;
            let named = parts.iter().zip(&texts).map(|(part, bytes)| {
                let bytes = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
                (text(&part.name), String::from_utf8_lossy(bytes).into_owned())
            });
            Ok(named.collect())
        }
    }
}

/// The words of a SPIR-V file.
fn words(path: &Path) -> Vec<u32> {
    let mut file = std::fs::File::open(path).unwrap_or_else(|_| panic!("no {}", path.display()));
    ash::util::read_spv(&mut file).expect("no SPIR-V")
}

/// A text of fixed length, up to its end.
fn text(chars: &[c_char]) -> String {
    let bytes: Vec<u8> = chars.iter().map(|c| *c as u8).take_while(|byte| *byte != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}
