//! Well-known GPUs by their published figures.
//!
//! Sources, by column:
//! - bandwidth, f32 rate, cores: the vendors' datasheets (NVIDIA H100, A100 80GB; the Ampere GA102,
//!   Ada AD102 and Blackwell RTX whitepapers; AMD's product pages of the RX 7900 XTX and RX 9070 XT;
//!   Intel ARK, Arc A770 16GB; Apple's pages of MacBook Pro 2023 and of M4). The f32 rates of Apple
//!   are cores × 128 lanes × 2 × clock (Turner, philipturner/metal-benchmarks; Hübner et al. 2025,
//!   arXiv 2502.05317).
//! - threads, registers and workgroups a core holds: CUDA C++ Programming Guide, compute
//!   capabilities 8.0, 8.6, 8.9, 9.0, 12.0; AMD's RDNA 3 and RDNA 4 ISA guides (16 waves of 32 and
//!   1536 vector registers a lane for each of two SIMDs); Intel's oneAPI GPU optimization guide,
//!   Xe-HPG (16 vector engines × 8 threads × 128 registers of 8 lanes); metal-benchmarks (Apple).
//! - latency of memory and L2 without load. H100, A100, RTX 4090: 478.8, 466.3 and 541.5 cycles, L2
//!   263.0, 261.5 and 273.0, at 1755, 1410 and 2520 MHz (Luo et al. 2024, arXiv 2402.13499). The
//!   others are approximate: Jarmusch et al. 2025 (arXiv 2507.10789) on an RTX 5080 for the RTX
//!   5090; plots by Chips and Cheese for the RTX 3090 (2021), RX 7900 XTX (2023), Arc A770 (2022)
//!   and Apple (M1, 2022). No figure is known to us for the RX 9070 XT: it has its predecessor's.
//!   Where a kernel is limited by bandwidth, they do not count.
//! - subgroup: the smallest size that wgpu reports, since kernels are linked for it.

use wisp_base::{Error, Result};

/// A GPU as its vendor describes it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GpuSpec {
    /// What `--on` takes.
    pub name: &'static str,
    /// GB/s of its memory.
    pub bandwidth: f64,
    /// f32 TFLOP/s, a multiply-add being two.
    pub tflops: f64,
    /// Streaming multiprocessors, compute units, Xe cores.
    pub cores: u32,
    /// Threads resident per core at most.
    pub threads: u32,
    /// 32-bit registers per core.
    pub registers: u32,
    /// Workgroups resident per core at most.
    pub groups: u32,
    /// Nanoseconds of a load that memory answers, without load.
    pub memory_ns: f64,
    /// Nanoseconds of a load that L2 answers.
    pub l2_ns: f64,
    /// Threads in the smallest subgroup.
    pub subgroup: u32,
    /// Bytes of workgroup memory a workgroup may have.
    pub workgroup_memory: u32,
}

/// The fastest memory first.
pub const GPUS: [GpuSpec; 10] = [
    GpuSpec {
        name: "H100 SXM",
        bandwidth: 3350.0,
        tflops: 66.9,
        cores: 132,
        threads: 2048,
        registers: 65_536,
        groups: 32,
        memory_ns: 273.0,
        l2_ns: 150.0,
        subgroup: 32,
        workgroup_memory: 48 << 10,
    },
    GpuSpec {
        name: "A100 80GB",
        bandwidth: 2039.0,
        tflops: 19.5,
        cores: 108,
        threads: 2048,
        registers: 65_536,
        groups: 32,
        memory_ns: 331.0,
        l2_ns: 185.0,
        subgroup: 32,
        workgroup_memory: 48 << 10,
    },
    GpuSpec {
        name: "RTX 5090",
        bandwidth: 1792.0,
        tflops: 104.8,
        cores: 170,
        threads: 1536,
        registers: 65_536,
        groups: 24,
        memory_ns: 335.0,
        l2_ns: 140.0,
        subgroup: 32,
        workgroup_memory: 48 << 10,
    },
    GpuSpec {
        name: "RTX 4090",
        bandwidth: 1008.0,
        tflops: 82.6,
        cores: 128,
        threads: 1536,
        registers: 65_536,
        groups: 24,
        memory_ns: 215.0,
        l2_ns: 108.0,
        subgroup: 32,
        workgroup_memory: 48 << 10,
    },
    GpuSpec {
        name: "RX 7900 XTX",
        bandwidth: 960.0,
        tflops: 61.4,
        cores: 96,
        threads: 1024,
        registers: 98_304,
        groups: 32,
        memory_ns: 250.0,
        l2_ns: 100.0,
        subgroup: 32,
        workgroup_memory: 64 << 10,
    },
    GpuSpec {
        name: "RTX 3090",
        bandwidth: 936.0,
        tflops: 35.6,
        cores: 82,
        threads: 1536,
        registers: 65_536,
        groups: 16,
        memory_ns: 270.0,
        l2_ns: 140.0,
        subgroup: 32,
        workgroup_memory: 48 << 10,
    },
    GpuSpec {
        name: "RX 9070 XT",
        bandwidth: 640.0,
        tflops: 48.7,
        cores: 64,
        threads: 1024,
        registers: 98_304,
        groups: 32,
        memory_ns: 250.0,
        l2_ns: 100.0,
        subgroup: 32,
        workgroup_memory: 64 << 10,
    },
    GpuSpec {
        name: "Arc A770",
        bandwidth: 560.0,
        tflops: 17.2,
        cores: 32,
        threads: 1024,
        registers: 131_072,
        groups: 128,
        memory_ns: 350.0,
        l2_ns: 150.0,
        subgroup: 8,
        workgroup_memory: 64 << 10,
    },
    GpuSpec {
        name: "M2 Max",
        bandwidth: 400.0,
        tflops: 13.6,
        cores: 38,
        threads: 3072,
        registers: 53_248,
        groups: 128,
        memory_ns: 350.0,
        l2_ns: 150.0,
        subgroup: 4,
        workgroup_memory: 32 << 10,
    },
    GpuSpec {
        name: "M4",
        bandwidth: 120.0,
        tflops: 4.26,
        cores: 10,
        threads: 3072,
        registers: 53_248,
        groups: 128,
        memory_ns: 350.0,
        l2_ns: 150.0,
        subgroup: 4,
        workgroup_memory: 32 << 10,
    },
];

impl GpuSpec {
    /// By its name, or by a part of it that no other has.
    ///
    /// # Errors
    /// None, or several: the names.
    pub fn find(name: &str) -> Result<Self> {
        let same = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
        if let Some(gpu) = GPUS.into_iter().find(|gpu| same(gpu.name, name)) {
            return Ok(gpu);
        }
        let squeezed = |text: &str| text.to_lowercase().replace([' ', '-', '_'], "");
        let part = squeezed(name);
        let mut found = GPUS.into_iter().filter(|gpu| squeezed(gpu.name).contains(&part));
        match (found.next(), found.next()) {
            (Some(gpu), None) if !part.is_empty() => Ok(gpu),
            _ => {
                let names = GPUS.map(|gpu| gpu.name).join(", ");
                Err(Error::input(format!("no GPU {name:?} is described here; there are {names}")))
            }
        }
    }

    /// The GPU that an adapter of this name is, if it is described here.
    pub fn of_adapter(name: &str) -> Option<Self> {
        // "NVIDIA GeForce RTX 4090", "NVIDIA H100 80GB HBM3", "Apple M2 Max".
        let words: Vec<&str> = name.split([' ', '-']).collect();
        let has = |gpu: &GpuSpec| {
            let own: Vec<&str> = gpu.name.split(' ').collect();
            words.windows(own.len()).any(|at| at == own)
                || (gpu.name == "H100 SXM" && words.contains(&"H100") && words.contains(&"HBM3"))
                || (gpu.name == "A100 80GB" && words.contains(&"A100") && words.contains(&"80GB"))
        };
        // A laptop's GPU of the same name is another one, and so is an M4 Pro.
        let other = ["Laptop", "Pro", "Ultra", "D", "Mobile"];
        let max = words.contains(&"Max");
        let found = GPUS.into_iter().find(has)?;
        let differs =
            words.iter().any(|word| other.contains(word)) || max != found.name.contains("Max");
        (!differs).then_some(found)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_sane_and_names_differ() {
        for (at, gpu) in GPUS.iter().enumerate() {
            assert!(GPUS[..at].iter().all(|other| other.name != gpu.name), "{}", gpu.name);
            assert!(at == 0 || GPUS[at - 1].bandwidth >= gpu.bandwidth, "{}", gpu.name);
            assert!((100.0..10_000.0).contains(&gpu.bandwidth), "{}", gpu.name);
            // From 5 operations a byte (A100) to 100.
            let per_byte = gpu.tflops * 1000.0 / gpu.bandwidth;
            assert!((5.0..100.0).contains(&per_byte), "{}: {per_byte}", gpu.name);
            // A clock between 1 and 3 GHz, of 64, 128 or (two at once) 256 lanes.
            let lanes_ghz = gpu.tflops * 1000.0 / 2.0 / f64::from(gpu.cores);
            let clocks = [64.0, 128.0, 256.0].map(|lanes| lanes_ghz / lanes);
            assert!(clocks.iter().any(|ghz| (1.0..3.0).contains(ghz)), "{}: {clocks:?}", gpu.name);
            assert!(gpu.l2_ns > 0.0 && gpu.l2_ns < gpu.memory_ns && gpu.memory_ns < 1000.0);
            assert!(gpu.threads.is_multiple_of(gpu.subgroup) && gpu.registers >= 16 * gpu.threads);
            assert!(gpu.groups >= 16 && gpu.subgroup.is_power_of_two());
        }
    }

    #[test]
    fn names_are_found_by_a_part_that_is_theirs() {
        for (typed, name) in [
            ("H100", "H100 SXM"),
            ("rtx 4090", "RTX 4090"),
            ("7900xtx", "RX 7900 XTX"),
            ("m4", "M4"),
            ("m2-max", "M2 Max"),
        ] {
            assert_eq!(GpuSpec::find(typed).unwrap().name, name);
        }
        for typed in ["", "RTX", "GTX 1080"] {
            let error = GpuSpec::find(typed).unwrap_err().to_string();
            assert!(error.contains("there are H100 SXM, A100 80GB, RTX 5090"), "{error}");
        }
    }

    #[test]
    fn adapters_are_known_by_their_drivers_names() {
        let of = |name| GpuSpec::of_adapter(name).map(|gpu| gpu.name);
        assert_eq!(of("NVIDIA GeForce RTX 4090"), Some("RTX 4090"));
        assert_eq!(of("NVIDIA H100 80GB HBM3"), Some("H100 SXM"));
        assert_eq!(of("NVIDIA A100-SXM4-80GB"), Some("A100 80GB"));
        assert_eq!(of("AMD Radeon RX 7900 XTX (RADV NAVI31)"), Some("RX 7900 XTX"));
        assert_eq!(of("Apple M4"), Some("M4"));
        for other in [
            "NVIDIA GeForce RTX 4090 Laptop GPU",
            "NVIDIA H100 PCIe",
            "Apple M4 Pro",
            "Apple M4 Max",
            "Apple M2",
            "llvmpipe (LLVM 15.0.6, 256 bits)",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
    }
}
