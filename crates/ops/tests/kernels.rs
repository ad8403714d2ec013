//! Every kernel on every variant: validated without a GPU, then run against its
//! CPU definition.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use naga::valid::{Capabilities, ValidationFlags, Validator};
use wisp_gpu::{Coop, Gpu, Kernel, Off, Reduce, Tuning, Variant, link, shader_names};
use wisp_graph::{Target, lower};
use wisp_ops::cases;
use wisp_ops::check::{Report, is_packed, run, run_for, target, work};

const TUNINGS: [(&str, Tuning); 4] = [
    ("CPU", Tuning::CPU),
    ("GPU", Tuning::GPU),
    ("packed CPU", packed(Tuning::CPU)),
    ("packed GPU", packed(Tuning::GPU)),
];

const fn packed(mut tuning: Tuning) -> Tuning {
    tuning.matvec.packed = true;
    tuning
}

/// Whatever the adapter has here: shapes of fragments, and what they are read from.
const COOPS: [Option<Coop>; 4] = [
    None,
    Some(Coop { size: 8, subgroup: 32, largest: 32, from_vectors: false }),
    Some(Coop { size: 16, subgroup: 32, largest: 32, from_vectors: true }),
    Some(Coop { size: 16, subgroup: 32, largest: 64, from_vectors: true }),
];

/// Links and validates every dispatch of every case; every file must be used.
#[test]
fn all_kernels_are_valid_in_all_variants() {
    let mut used = std::collections::BTreeSet::new();
    let mut known = std::collections::HashSet::new();
    let all = combinations().flat_map(|all| COOPS.map(|coop| (all.clone(), coop)));
    for ((case, variant, (_, tuning)), coop) in all {
        let target = Target {
            kv: case.kv,
            max_binding: case.max_binding.unwrap_or(128 << 20),
            subgroup: 4,
            max_bindings: 16,
            coop,
            workgroup_memory: if coop.is_some() { 32768 } else { 16384 },
            pages_per_sequence: 4,
            ..Target::least(variant, tuning)
        };
        for (_, key) in &case.steps {
            for dispatch in lower(&case.tape, &target, *key).unwrap().dispatches {
                if !known.insert(dispatch.kernel.clone()) {
                    continue;
                }
                let linked = link(&dispatch.kernel).unwrap();
                used.extend(linked.files());
                let name = dispatch.kernel.name;
                let module = naga::front::wgsl::parse_str(&linked.source)
                    .unwrap_or_else(|e| panic!("{name}: {}", e.emit_to_string(&linked.source)));
                let mut validator = Validator::new(ValidationFlags::all(), Capabilities::all());
                if let Err(error) = validator.validate(&module) {
                    panic!("{name} {variant}: {}", error.emit_to_string(&linked.source));
                }
            }
        }
    }
    // It measures an adapter, and is no operation's.
    for name in ["peak", "latency"] {
        used.extend(link(&Kernel::new(name)).unwrap().files());
    }
    let unused: Vec<_> = shader_names().filter(|name| !used.contains(name)).collect();
    assert!(unused.is_empty(), "no case uses {unused:?}");
}

#[test]
fn all_kernels_agree_with_their_definitions_by_subgroups() {
    agree(Reduce::Subgroup, false);
}

#[test]
fn all_kernels_agree_with_their_definitions_in_workgroup_memory() {
    agree(Reduce::Workgroup, false);
}

/// WebGPU guarantees eight storage buffers per kernel: where an adapter has no more, none binds more.
#[test]
fn no_kernel_binds_more_buffers_than_an_adapter_has() {
    let mut known = std::collections::HashSet::new();
    for (case, variant, (_, tuning)) in combinations() {
        let target = Target {
            kv: case.kv,
            pages_per_sequence: 4,
            max_binding: case.max_binding.unwrap_or(128 << 20),
            ..Target::least(variant, tuning)
        };
        for (_, key) in &case.steps {
            for dispatch in lower(&case.tape, &target, *key).unwrap().dispatches {
                if !known.insert(dispatch.kernel.clone()) {
                    continue;
                }
                let source = link(&dispatch.kernel).unwrap().source;
                let module = naga::front::wgsl::parse_str(&source).unwrap();
                let storage = |space| matches!(space, naga::AddressSpace::Storage { .. });
                let globals = module.global_variables.iter();
                let count = globals.filter(|(_, global)| storage(global.space)).count();
                let most = target.max_bindings as usize;
                assert!(count <= most, "{} of {} binds {count}", dispatch.kernel.name, case.name);
            }
        }
    }
}

/// Small tiles for every case, since software takes long to compile large ones; whole ones
/// where there are rows for them. Kernels for subgroups of two sizes run with either size, as if
/// the adapter's own were the smaller or the larger one. Only newer drivers have cooperative
/// matrices: `cargo xtask coop`.
#[test]
fn products_by_cooperative_matrices_agree_with_their_definitions() {
    let gpu = pollster::block_on(Gpu::open(None, Off::default())).unwrap();
    let variant = Variant::best(gpu.facts().caps);
    let (mut failed, mut ran, mut worst) = (Vec::new(), 0, 0.0_f64);
    let small = "matmul.coop_tokens=16,matmul.coop_rows=16";
    let same = |coop: Coop| coop;
    let smaller = |coop: Coop| Coop { largest: 2 * coop.largest, ..coop };
    let larger = |coop: Coop| Coop { subgroup: coop.subgroup / 2, ..coop };
    for (cut, tokens, as_if) in [
        (small, "of ", same as fn(Coop) -> Coop),
        ("", "of 150", same),
        ("matmul.coop_subgroups=1", "of 150", same),
        (small, "of 150", smaller),
        (small, "of 150", larger),
    ] {
        let tuning = Tuning::GPU.with(cut).unwrap();
        for case in cases().unwrap().into_iter().filter(|case| case.name.contains(tokens)) {
            let mut target = target(&gpu, &case, variant, tuning);
            target.coop = target.coop.map(as_if);
            let lowered = case.steps.iter().map(|(_, key)| lower(&case.tape, &target, *key));
            let mut dispatches = lowered.flat_map(|lowered| lowered.unwrap().dispatches);
            if !dispatches.any(|dispatch| dispatch.kernel.name == "matmul_coop") {
                continue;
            }
            let report = pollster::block_on(run_for(&gpu, &case, target)).unwrap();
            ran += 1;
            worst = worst.max(report.error);
            if !report.passed() {
                failed.push(line(&report, cut));
            }
        }
    }
    assert!(failed.is_empty(), "{} of {ran} failed:\n{}", failed.len(), failed.join("\n"));
    println!("{ran} passed on {}; largest error {worst:.1e}", gpu.facts().name);
}

fn line(report: &Report, tuning: &str) -> String {
    let Report { case, variant, error, bound } = report;
    format!("{case}, {variant}, {tuning} tuning: {error:.1e} > {bound:.1e}")
}

#[test]
fn packed_products_agree_with_their_definitions_by_subgroups() {
    agree(Reduce::Subgroup, true);
}

#[test]
fn packed_products_agree_with_their_definitions_in_workgroup_memory() {
    agree(Reduce::Workgroup, true);
}

/// Neither reads nor writes: devices are opened without checks.
#[test]
fn no_kernel_goes_beyond_its_bindings() {
    let gpu = pollster::block_on(Gpu::open(None, Off { coop: true, ..Off::default() })).unwrap();
    gpu.watch_bounds();
    let best = Variant::best(gpu.facts().caps);
    let mut failed = Vec::new();
    for (case, variant, (name, tuning)) in combinations() {
        // Indices are the same in all variants, and a kernel that watches them takes long to
        // compile: as GPUs have it.
        if variant != best || tuning != Tuning::GPU {
            continue;
        }
        pollster::block_on(run(&gpu, &case, variant, tuning)).unwrap();
        gpu.forget_pipelines();
        let bindings = pollster::block_on(gpu.beyond_bounds()).unwrap();
        if !bindings.is_empty() {
            let case = case.name;
            failed.push(format!("{case}, {variant}, {name} tuning: bindings {bindings:?}"));
        }
    }
    assert!(failed.is_empty(), "{} cases:\n{}", failed.len(), failed.join("\n"));
}

/// One that changes no result.
#[test]
fn an_index_beyond_a_binding_is_noted() {
    const CAST: &str = include_str!("../../../shaders/cast.wgsl");
    let right = "let value = x[";
    assert!(CAST.contains(right));
    let wrong = CAST.replace(right, "let beyond = x[arrayLength(&x)]; let value = x[");
    let gpu = pollster::block_on(Gpu::open(None, Off::default())).unwrap();
    gpu.watch_bounds();
    let case = cases().unwrap().into_iter().find(|case| case.name.starts_with("cast")).unwrap();
    let noted = |gpu: &Gpu| {
        let report = run(gpu, &case, Variant::best(gpu.facts().caps), gpu.tuning());
        assert!(pollster::block_on(report).unwrap().passed());
        pollster::block_on(gpu.beyond_bounds()).unwrap()
    };
    assert_eq!(noted(&gpu), []);
    gpu.replace_shader("cast", wrong.leak());
    gpu.forget_pipelines();
    assert_eq!(noted(&gpu), [1]);
    assert_eq!(pollster::block_on(gpu.beyond_bounds()).unwrap(), []);
}

/// Half of the variants, with or without what packing changes; they run side by side.
fn agree(reduce: Reduce, packed: bool) {
    let gpu = pollster::block_on(Gpu::open(None, Off { coop: true, ..Off::default() })).unwrap();
    let mut failed = Vec::new();
    let (mut ran, mut same) = (0, 0);
    let mut done = std::collections::HashSet::new();
    for (case, variant, (name, tuning)) in combinations() {
        if variant.reduce != reduce || !variant.runs_on(gpu.facts().caps) {
            continue;
        }
        let is_packed = || is_packed(&case, &target(&gpu, &case, variant, tuning)).unwrap();
        if tuning.matvec.packed != packed || packed && !is_packed() {
            continue;
        }
        // Another tuning, or the test of subgroups beside this one, may come to the same.
        let work_of = |variant| work(&case, &target(&gpu, &case, variant, tuning)).unwrap();
        let by_subgroups = Variant { reduce: Reduce::Subgroup, ..variant };
        let beside = by_subgroups != variant && by_subgroups.runs_on(gpu.facts().caps);
        let this = work_of(variant);
        if beside && work_of(by_subgroups) == this || !done.insert((format!("{case:?}"), this)) {
            same += 1;
            continue;
        }
        let report = pollster::block_on(run(&gpu, &case, variant, tuning)).unwrap();
        ran += 1;
        gpu.forget_pipelines(); // Thousands of them take gigabytes.
        if !report.passed() {
            failed.push(line(&report, name));
        }
    }
    assert!(failed.is_empty(), "{} of {ran} failed:\n{}", failed.len(), failed.join("\n"));
    println!("{ran} passed on {}, {same} more are the same", gpu.facts().name);
}

fn combinations() -> impl Iterator<Item = (wisp_ops::check::Case, Variant, (&'static str, Tuning))>
{
    // WISP_CASE=text: those with it in their name, while a kernel is being written.
    let wanted = std::env::var("WISP_CASE").unwrap_or_default();
    let all = cases().unwrap().into_iter().filter(move |case| case.name.contains(&wanted));
    all.flat_map(|case| {
        Variant::ALL.into_iter().flat_map(move |variant| {
            let case = case.clone();
            TUNINGS.into_iter().map(move |tuning| (case.clone(), variant, tuning))
        })
    })
}
