//! What the threads of a dispatch wait for: a count by hand for each kernel that matters, from its
//! constants. Whoever changes how a kernel loads changes its numbers here.

use wisp_base::Format;
use wisp_gpu::Kernel;
use wisp_graph::{Cost, Counts, Dispatch, PAGE};

/// Loads that a thread has in flight where no branch and no loop of unknown length keeps the
/// compiler from asking for them together.
const LOADS_IN_FLIGHT: f64 = 8.0;

/// Of loads that follow each other through lines of a cache, those that are the first of a line:
/// the others are answered by the core's own cache, in a fraction of the time.
const FIRST_OF_LINE: f64 = 0.25;

/// Registers of a thread, as RADV and NVK compile the kernels for one row of x.
const MATVEC_REGISTERS: u32 = 72;
const ATTENTION_REGISTERS: u32 = 96;
const OTHER_REGISTERS: u32 = 32;

/// What unpacking a weight of a block takes, in f32 operations: `shaders/README.md` counts 87
/// instructions for 32 weights, 32 of them conversions at a quarter of the rate. That makes
/// 55 + 4·32 = 183 slots of a multiply-add, 11.4 operations per weight, 2 of which are the product.
const UNPACK: f64 = 9.4;

/// The same for packed products: 39 instructions for 32 weights.
const UNPACK_PACKED: f64 = 0.4;

/// Bytes that a thread of any other kernel asks for before it waits: a vec4.
const OTHER_BYTES: f64 = 16.0;

/// How a dispatch runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Launch {
    /// Workgroups.
    pub groups: f64,
    /// Threads per workgroup.
    pub threads: f64,
    /// 32-bit registers per thread.
    pub registers: u32,
    /// How often a thread waits for memory; what it loads between two waits is in flight together.
    pub memory_waits: f64,
    /// How often it waits for what a cache holds.
    pub cache_waits: f64,
    /// Bytes that workgroups read of what others read too: from caches.
    pub cache_bytes: f64,
    /// f32 operations, unpacking included.
    pub operations: f64,
    /// What is computed over what counts: attention computes whole pages of keys.
    pub padded: f64,
}

impl Launch {
    /// Of a dispatch at a step of these counts, which costs `cost`.
    pub fn of(dispatch: &Dispatch, counts: &Counts, cost: Cost) -> Self {
        let kernel = &dispatch.kernel;
        let [x, y, z] = (dispatch.groups)(counts).map(f64::from);
        let launch = Self {
            groups: x * y * z,
            threads: constant(kernel, "THREADS", 64.0),
            registers: OTHER_REGISTERS,
            memory_waits: 1.0,
            // The step's words, and the place that results are added to.
            cache_waits: 2.0,
            cache_bytes: 0.0,
            operations: cost.flops as f64,
            padded: 1.0,
        };
        match kernel.name {
            "matvec" => launch.matvec(kernel, counts),
            "attention_decode" => launch.attention(kernel, counts),
            "gated_delta" => {
                // A state that threads hold whole, then the token's keys and values.
                let held = constant(kernel, "COLS", 1.0) * constant(kernel, "ROWS4", 1.0);
                Self {
                    registers: OTHER_REGISTERS + 4 * held as u32,
                    memory_waits: (held / LOADS_IN_FLIGHT).ceil() + 1.0,
                    ..launch
                }
            }
            _ => {
                let own = cost.bytes as f64 / (launch.groups * launch.threads);
                Self { memory_waits: (own / OTHER_BYTES).max(1.0), ..launch }
            }
        }
    }

    fn matvec(self, kernel: &Kernel, counts: &Counts) -> Self {
        let format = format(kernel);
        let block = format.map_or(1, Format::gpu_block) as f64;
        let blocks = (constant(kernel, "COLS", 1.0) / block).ceil();
        let blocks = blocks * constant(kernel, "MATRICES", 1.0);
        let turns = (blocks / constant(kernel, "LANES", 1.0)).ceil();
        // Blocks of the next turn may be on their way while those of one are waited for.
        let in_flight = if constant(kernel, "AHEAD", 0.0) > 0.0 { 2.0 } else { 1.0 };
        let cols = blocks * block;
        let link = |name| kernel.links.get(name).map_or("", String::as_str);
        // How often x is waited for, and how many fours of it a thread loads each time: its own
        // in every turn, or its share of what the workgroup holds.
        let (times, fours) = match constant(kernel, "STRETCH", 0.0) {
            0.0 => (turns, block / 4.0 / constant(kernel, "SHARE", 1.0)),
            stretch => ((blocks / stretch).ceil(), (stretch * block / 4.0 / self.threads).ceil()),
        };
        // Bytes of x per column, and waits each time: fours are merged out of all splits, some of
        // which are loaded at once, one four after another.
        let (bytes, waits) = match link("input") {
            "input/rms_norm" => (8.0, (fours / LOADS_IN_FLIGHT).ceil()),
            "input/merge" => {
                let splits = f64::from(counts.splits);
                let loads = (splits / constant(kernel, "AT_ONCE", 1.0)).ceil() * fours;
                (4.0 * splits, (loads * FIRST_OF_LINE).max(1.0))
            }
            _ => (2.0, (fours / LOADS_IN_FLIGHT).ceil()),
        };
        let rows = constant(kernel, "TOKENS", 1.0);
        let unpack = match link("product") {
            "product/packed" => UNPACK_PACKED,
            _ if format.is_some_and(|format| format.block() > 1) => UNPACK,
            _ => 0.0,
        };
        Self {
            registers: MATVEC_REGISTERS,
            memory_waits: (turns / in_flight).ceil(),
            cache_waits: self.cache_waits + times * waits,
            cache_bytes: self.groups * cols * bytes * rows,
            operations: self.operations * (1.0 + unpack / 2.0 / rows),
            ..self
        }
    }

    fn attention(self, kernel: &Kernel, counts: &Counts) -> Self {
        let of = |name: &str| constant(kernel, name, 1.0);
        let threads = self.threads;
        let keys = counts.keys as f64 / f64::from(counts.tokens.max(1));
        let keys = match constant(kernel, "WINDOW", 0.0) {
            0.0 => keys,
            window => keys.min(window),
        };
        let pages = (keys / PAGE as f64).ceil();
        let own = (pages / f64::from(counts.splits.max(1))).ceil() * PAGE as f64;
        let turns = (own / of("KEYS")).ceil();
        // Scores: lanes share a key's fours. Threads of the first block of rows read from memory
        // what those of later ones find in caches.
        let lanes = of("KEY_LANES");
        let blocks = of("ROWS") / of("ROWS_EACH");
        let slots = of("KEYS") / of("KEYS_EACH") * lanes;
        let fours = of("HEAD_DIM") / 4.0 / lanes * of("KEYS_EACH");
        let k = fours / LOADS_IN_FLIGHT.max(of("KEYS_EACH"));
        // Sums of values: groups of threads have keys of their own.
        let groups = of("KEY_GROUPS");
        let parts = (of("VALUE_DIM") / 4.0 / of("VALUES_EACH")).ceil() * groups;
        let v = of("KEYS") / groups / of("IN_FLIGHT");
        let first = k * (slots / threads).ceil() + v * (parts / threads).ceil();
        let all = k * (blocks * slots / threads).ceil() + v * (blocks * parts / threads).ceil();
        Self {
            registers: ATTENTION_REGISTERS,
            memory_waits: turns * first,
            // And the page table.
            cache_waits: self.cache_waits + turns * (all - first + 1.0),
            padded: pages * PAGE as f64 / keys,
            ..self
        }
    }
}

/// A constant as the operation set it; `true` is 1.
pub fn constant(kernel: &Kernel, name: &str, default: f64) -> f64 {
    match kernel.constants.get(name).map(String::as_str) {
        Some("true") => 1.0,
        Some("false") => 0.0,
        Some(text) => text.trim_end_matches('u').parse().unwrap_or(default),
        None => default,
    }
}

/// The format of the weights that a kernel reads.
pub fn format(kernel: &Kernel) -> Option<Format> {
    let name = kernel.links.get("weight")?.strip_prefix("weight/")?;
    Format::from_name(name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn dispatch(kernel: Kernel, groups: [u32; 3], cost: Cost) -> Dispatch {
        let (groups, cost) = (Arc::new(move |_: &Counts| groups), Arc::new(move |_: &Counts| cost));
        Dispatch { kernel, binds: Vec::new(), groups, cost, label: "test" }
    }

    fn counts(keys: u64, splits: u32) -> Counts {
        Counts { tokens: 1, outputs: 1, splits, tiles: 1, runs: 1, drafts: 0, keys }
    }

    /// 4096 × 4096 of Q4_0 by 16 lanes, 4 rows per thread.
    fn matvec(extra: &[(&'static str, u32)], input: &str) -> Launch {
        let constants: [(&str, u32); 4] =
            [("COLS", 4096), ("LANES", 16), ("ROWS", 4), ("THREADS", 64)];
        let kernel = Kernel::new("matvec").link("weight", "weight/q4_0").link("input", input);
        let all = constants.iter().chain(extra);
        let kernel = all.fold(kernel, |kernel, (name, value)| kernel.set(name, *value));
        let cost = Cost { bytes: 4096 * 4096 / 32 * 18, flops: 2 * 4096 * 4096 };
        Launch::of(&dispatch(kernel, [256, 1, 1], cost), &counts(1024, 8), cost)
    }

    #[test]
    fn a_thread_of_matvec_waits_once_a_turn() {
        let launch = matvec(&[], "input/plain");
        // 128 blocks in a row are 8 turns of 16 lanes.
        assert_eq!((launch.groups, launch.threads, launch.memory_waits), (256.0, 64.0, 8.0));
        // x in each of them, the step's words, the result's place.
        assert_eq!(launch.cache_waits, 10.0);
        // A thread has 4 blocks of 18 bytes in flight.
        let bytes = (4096 * 4096 / 32 * 18) as f64;
        assert_eq!(bytes / launch.memory_waits / (256.0 * 64.0), 72.0);
        assert_eq!(launch.cache_bytes, 256.0 * 4096.0 * 2.0);
        // 2 operations and 9.4 for unpacking.
        let per_weight = launch.operations / (4096.0 * 4096.0);
        assert!((per_weight - 11.4).abs() < 1e-9, "{per_weight}");
        // x and gain in f32; out of 8 splits, 2 waits each for 8 fours.
        assert_eq!(matvec(&[], "input/rms_norm").cache_bytes, 256.0 * 4096.0 * 8.0);
        assert_eq!(matvec(&[], "input/merge").cache_waits, 2.0 + 8.0 * 16.0);
    }

    #[test]
    fn decode_waits_for_each_value() {
        let of: [(&str, u32); 5] =
            [("THREADS", 64), ("ROWS", 4), ("KEYS", 32), ("HEAD_DIM", 128), ("VALUE_DIM", 128)];
        let kernel = Kernel::new("attention_decode").link("kv", "kv/f16");
        let kernel = of.iter().fold(kernel, |kernel, (name, value)| kernel.set(name, *value));
        let cost = Cost { bytes: 1024 * 4096, flops: 1 };
        let dispatch = dispatch(kernel, [8, 8, 1], cost);
        let launch = Launch::of(&dispatch, &counts(1024, 8), cost);
        // 4 pages a split: 32 fours of a key, 8 at a time, and 32 values, one at a time. Two rows
        // of four come first, the others find both in caches.
        assert_eq!(launch.memory_waits, 4.0 * (4.0 + 32.0));
        assert_eq!(launch.cache_waits, 2.0 + 4.0 * (4.0 + 32.0 + 1.0));
        assert_eq!(launch.padded, 1.0);
        assert_eq!(Launch::of(&dispatch, &counts(40, 1), cost).padded, 64.0 / 40.0);
        // A window of 100 positions is 4 pages, one of 20 a page.
        let waits = |window: u32| {
            let mut windowed = dispatch.clone();
            windowed.kernel = windowed.kernel.set("WINDOW", window);
            Launch::of(&windowed, &counts(1024, 2), cost).memory_waits
        };
        assert_eq!((waits(100), waits(20)), (2.0 * 36.0, 36.0));
    }

    #[test]
    fn other_kernels_load_a_vec4_at_a_time() {
        let cost = Cost { bytes: 1 << 20, flops: 7 };
        let kernel = Kernel::new("sample_prepare").set("THREADS", 256u32);
        let launch = Launch::of(&dispatch(kernel, [64, 1, 1], cost), &counts(1, 1), cost);
        // 64 bytes per thread.
        assert_eq!((launch.memory_waits, launch.operations), (4.0, 7.0));
    }
}
