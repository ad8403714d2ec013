//! Links every kernel and writes it as WGSL and SPIR-V, for `cargo xtask drivers`, which gives
//! them to real drivers' compilers. No device is needed.
//!
//! `kernels FOLDER` writes NNNNN.wgsl and NNNNN.spv, and index.tsv with a line for each kernel
//! and use: number, adapters, phase, operation, weight format, kernel, bindings, bytes of workgroup
//! memory, model and file type (or test case), links and constants.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use naga::back::spv;
use naga::proc::BoundsCheckPolicy::Unchecked;
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use wisp_base::KvType;
use wisp_convert::{Type, recast};
use wisp_gpu::{Coop, Kernel, Tuning, Variant, link};
use wisp_graph::{Dispatch, PAGE, PlanKey, Target, lower};
use wisp_ops::cases;
use wisp_runtime::Shape;

/// Models whose plans are linked.
const MODELS: [&str; 6] =
    ["llama-3.1-8b", "llama-3.2-1b", "qwen3-4b", "qwen3-30b-a3b", "gpt-oss-20b", "gemma-3-4b"];

/// File types, as `wisp quantize` takes them.
const TYPES: [&str; 5] = ["q4_0", "q4_k_m", "q8_0", "f16", "mxfp4"];

/// Phases: tokens, and whether each is of a sequence of its own.
const PHASES: [(&str, usize, bool); 3] =
    [("decode", 1, true), ("decode of 8", 8, true), ("prefill", 512, false)];

/// Positions of a sequence.
const CONTEXT: usize = 1024;

/// What lowering asks of an adapter, as its driver says it.
struct Adapter {
    name: &'static str,
    /// Threads in the smallest subgroup.
    subgroup: u32,
    coop: Option<Coop>,
    workgroup_memory: u32,
    /// Storage buffers of a kernel.
    max_bindings: u32,
}

/// The adapters of the drivers that `cargo xtask drivers` asks, by vendor; of DX12; and the least
/// that a browser has.
const ADAPTERS: [Adapter; 7] = [
    Adapter {
        name: "amd",
        subgroup: 32,
        coop: Some(Coop { size: 16, subgroup: 32, largest: 64, from_vectors: true }),
        workgroup_memory: 64 << 10,
        max_bindings: 16,
    },
    Adapter {
        name: "amd rdna2",
        subgroup: 32,
        coop: None,
        workgroup_memory: 64 << 10,
        max_bindings: 16,
    },
    Adapter {
        name: "nvidia",
        subgroup: 32,
        coop: Some(Coop { size: 16, subgroup: 32, largest: 32, from_vectors: true }),
        workgroup_memory: 48 << 10,
        max_bindings: 16,
    },
    Adapter {
        name: "apple",
        subgroup: 32,
        coop: None,
        workgroup_memory: 32 << 10,
        max_bindings: 16,
    },
    Adapter {
        name: "adreno",
        subgroup: 64,
        coop: None,
        workgroup_memory: 32 << 10,
        max_bindings: 16,
    },
    Adapter {
        name: "dx12",
        subgroup: 32,
        coop: None,
        workgroup_memory: 32 << 10,
        max_bindings: 16,
    },
    Adapter {
        name: "browser",
        subgroup: 32,
        coop: None,
        workgroup_memory: 16 << 10,
        max_bindings: 8,
    },
];

impl Adapter {
    fn target(&self, variant: Variant, kv: KvType, tuning: Tuning) -> Target {
        Target {
            kv,
            max_binding: (1 << 32) - 4,
            subgroup: self.subgroup,
            max_bindings: self.max_bindings,
            coop: Coop::used(self.coop, variant, &tuning),
            workgroup_memory: self.workgroup_memory,
            pages_per_sequence: CONTEXT / PAGE,
            ..Target::least(variant, tuning)
        }
    }
}

/// Where a kernel is used: phase, operation, what of.
type Use = (&'static str, String, String);

/// Every kernel once, with its uses and the adapters of each.
#[derive(Default)]
struct Kernels(BTreeMap<Kernel, BTreeMap<Use, BTreeSet<&'static str>>>);

impl Kernels {
    fn add(&mut self, adapter: &Adapter, phase: &'static str, of: &str, dispatches: Vec<Dispatch>) {
        for dispatch in dispatches {
            let uses = self.0.entry(dispatch.kernel).or_default();
            let of_it = (phase, dispatch.label.to_string(), of.to_owned());
            uses.entry(of_it).or_default().insert(adapter.name);
        }
    }

    /// What models run.
    fn plans(&mut self) {
        for (model, name) in MODELS.iter().flat_map(|model| TYPES.map(|name| (model, name))) {
            let mut checkpoint = Shape::find(model).unwrap().checkpoint().unwrap();
            recast(&mut checkpoint, Type::parse(name).unwrap(), None).unwrap();
            let decoder = wisp_models::read(&checkpoint).unwrap();
            let tape = decoder.tape(&checkpoint, CONTEXT, None).unwrap().tape;
            for (phase, tokens, decode) in PHASES {
                let outputs = if decode { tokens } else { 1 };
                let key = PlanKey { tokens, outputs, decode, sample: true };
                for adapter in &ADAPTERS {
                    let target = adapter.target(Variant::ALL[0], KvType::F16, Tuning::GPU);
                    let plan = lower(&tape, &target, key).unwrap();
                    self.add(adapter, phase, &format!("{model} {name}"), plan.dispatches);
                }
            }
        }
    }

    /// What the tests and the self-check run.
    fn cases(&mut self) {
        let mut packed = Tuning::GPU;
        packed.matvec.packed = true;
        for case in cases().unwrap() {
            for variant in Variant::ALL {
                for adapter in &ADAPTERS {
                    for tuning in [Tuning::GPU, packed] {
                        let mut target = adapter.target(variant, case.kv, tuning);
                        target.max_binding = case.max_binding.unwrap_or(target.max_binding);
                        for (_, key) in &case.steps {
                            let plan = lower(&case.tape, &target, *key).unwrap();
                            self.add(adapter, "case", &case.name, plan.dispatches);
                        }
                    }
                }
            }
        }
    }
}

/// SPIR-V as wgpu 30 makes it for a shader that it trusts (`wgpu_hal::vulkan`, `naga_options`).
fn spirv(module: &naga::Module, info: &ModuleInfo) -> Vec<u8> {
    let options = spv::Options {
        lang_version: (1, 6),
        flags: spv::WriterFlags::LABEL_VARYINGS | spv::WriterFlags::FORCE_POINT_SIZE,
        bounds_check_policies: naga::proc::BoundsCheckPolicies {
            index: Unchecked,
            buffer: Unchecked,
            image_load: Unchecked,
            binding_array: Unchecked,
        },
        zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
        force_loop_bounding: false,
        emit_int_div_checks: false,
        ..Default::default()
    };
    let main = spv::PipelineOptions {
        shader_stage: naga::ShaderStage::Compute,
        entry_point: "main".into(),
    };
    let words = spv::write_vec(module, info, &options, Some(&main)).unwrap();
    words.into_iter().flat_map(u32::to_le_bytes).collect()
}

fn main() {
    let folder = PathBuf::from(std::env::args().nth(1).expect("kernels FOLDER"));
    std::fs::create_dir_all(&folder).unwrap();
    let mut kernels = Kernels::default();
    kernels.plans();
    kernels.cases();
    let mut validator = Validator::new(ValidationFlags::all(), Capabilities::all());
    validator
        .subgroup_stages(naga::valid::ShaderStages::all())
        .subgroup_operations(naga::valid::SubgroupOperationSet::all());
    let mut index = String::new();
    for (number, (kernel, uses)) in kernels.0.iter().enumerate() {
        let linked = link(kernel).unwrap();
        let source = &linked.source;
        let module = naga::front::wgsl::parse_str(source)
            .unwrap_or_else(|error| panic!("{}", error.emit_to_string(source)));
        let info = validator
            .validate(&module)
            .unwrap_or_else(|error| panic!("{}", error.emit_to_string(source)));
        let file = |ending| folder.join(format!("{number:05}.{ending}"));
        std::fs::write(file("wgsl"), source).unwrap();
        std::fs::write(file("spv"), spirv(&module, &info)).unwrap();

        let memory: u32 = module
            .global_variables
            .iter()
            .filter(|(_, variable)| variable.space == naga::AddressSpace::WorkGroup)
            .map(|(_, variable)| module.types[variable.ty].inner.size(module.to_ctx()))
            .sum();
        let format = kernel.links.get("weight").and_then(|file| file.strip_prefix("weight/"));
        let bindings: Vec<_> = linked.bindings.iter().map(|b| b.index.to_string()).collect();
        let links = kernel.links.iter().map(|(interface, file)| format!("{interface}={file}"));
        let constants = kernel.constants.iter().map(|(name, value)| format!("{name}={value}"));
        let chosen: Vec<_> = links.chain(constants).collect();
        for ((phase, operation, of), adapters) in uses {
            let adapters = adapters.iter().copied().collect::<Vec<_>>().join(",");
            let fields = [
                &format!("{number:05}"),
                &adapters,
                *phase,
                operation,
                format.unwrap_or("-"),
                kernel.name,
                &bindings.join(","),
                &memory.to_string(),
                of,
                &chosen.join(" "),
            ];
            writeln!(index, "{}", fields.join("\t")).unwrap();
        }
    }
    std::fs::write(folder.join("index.tsv"), index).unwrap();
    println!("{} kernels", kernels.0.len());
}
