//! How products with matrices are cut into workgroups: `matvec.wgsl` for a few rows of x,
//! `matmul.wgsl` for many.

use wisp_base::quant::{repacked_words, table};
use wisp_base::{Format, Result};
use wisp_gpu::{Kernel, Scalar, shader_defines};
use wisp_graph::{Bind, Kind, Lower, Weight};

use crate::coop;

/// `GRID_X` of `shaders/lib/grid.wgsl`.
const GRID_X: u32 = 32768;

/// Workgroups for a one-dimensional grid, folded over x and y: `shaders/lib/grid.wgsl`.
pub(crate) fn fold(groups: u32) -> (u32, u32) {
    if groups <= GRID_X { (groups, 1) } else { (GRID_X, groups.div_ceil(GRID_X)) }
}

/// The file that reads a format.
pub(crate) fn weight_file(format: Format) -> String {
    format!("weight/{}", format.name().to_lowercase())
}

/// A kernel that multiplies with rows of `cols` weights of `format`.
pub(crate) fn kernel(lower: &Lower<'_>, name: &'static str, format: Format, cols: usize) -> Kernel {
    lower.kernel(name).link("weight", weight_file(format)).set("COLS", cols as u64)
}

/// The interface `product` in integers of 8 bits.
pub(crate) const PACKED: &str = "product/packed";

fn product(lower: &Lower<'_>, format: Format) -> Product {
    let tuning = lower.target.tuning.matvec;
    if tuning.packed && shader_defines(&weight_file(format), "packed8") {
        Product::Packed
    } else if tuning.share_x {
        Product::Float
    } else {
        Product::Staged
    }
}

/// Bytes of x that a workgroup holds at most: two of them fit WebGPU's guarantee.
const STAGE_BYTES: u32 = 8 << 10;

/// How a workgroup holds x in its memory, and how many bytes a number then takes: what a
/// link computes is no activation of 16 bits.
fn stage(lower: &Lower<'_>) -> (&'static str, u32) {
    match (lower.target.variant.scalar, lower.input_link()) {
        (Scalar::F16, None) => ("stage/f16", 2),
        _ => ("stage/f32", 4),
    }
}

/// Blocks of x that a workgroup can hold for one turn of its threads.
fn held_blocks(lower: &Lower<'_>, format: Format) -> u32 {
    match product(lower, format) {
        Product::Packed => 128, // of 36 bytes
        _ => STAGE_BYTES / (format.gpu_block() as u32 * stage(lower).1),
    }
}

/// Lets a product read input 0: as it is stored, or as it is computed on the way in.
pub(crate) fn link_x(
    lower: &Lower<'_>,
    kernel: Kernel,
    binds: &mut Vec<(&'static str, Bind)>,
) -> Kernel {
    if let Some(link) = lower.input_link() {
        return link.onto(kernel, binds);
    }
    binds.push(("x", lower.bind_input(0)));
    let stride4 = lower.input(0).stride() as u64 / 4;
    kernel.link("input", "input/plain").set("X_STRIDE4", stride4)
}

/// Lets a product hand its results on: to the operation behind it, or as numbers of `kind` to a
/// value.
pub(crate) fn link_y(
    lower: &Lower<'_>,
    kernel: Kernel,
    kind: Kind,
    binds: &mut Vec<(&'static str, Bind)>,
) -> Result<Kernel> {
    if let Some(link) = lower.output_link() {
        return Ok(link.onto(kernel, binds));
    }
    binds.push(("y", lower.bind_output()?));
    let file = match kind {
        Kind::Activation => "output/store",
        Kind::Residual | Kind::Logits => "output/store_f32",
    };
    Ok(kernel.link("output", file).set("Y_STRIDE", lower.output()?.stride() as u64))
}

/// Bytes that a result of `kind` moves, or what is done with it.
pub(crate) fn result_bytes(lower: &Lower<'_>, kind: Kind) -> u64 {
    lower.output_link().map_or_else(|| lower.bytes(kind, 1), |link| link.bytes)
}

/// Whether a product with `w` has no more storage buffers than the adapter, with `own` of its own
/// beside the matrix, input and output.
pub(crate) fn fits(lower: &Lower<'_>, w: &Weight, own: &[&'static str]) -> bool {
    let parts = [true, repacked_words(w.format, 1, w.cols).1 > 0, !table(w.format).is_empty()];
    let mut names: Vec<&str> = own.to_vec();
    let links = [(lower.input_link(), "x"), (lower.output_link(), "y")];
    for (link, stored) in links {
        match link {
            Some(link) => names.extend(link.binds.iter().map(|(name, _)| *name)),
            None => names.push(stored),
        }
    }
    names.sort_unstable();
    names.dedup();
    let all = names.len() + parts.into_iter().filter(|there| *there).count();
    all <= lower.target.max_bindings as usize
}

/// What `matvec.wgsl` makes of x and W: `shaders/product`.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Product {
    /// Each thread has its own numbers of x, or those that its subgroup loads together.
    Float,
    /// A workgroup holds x in its memory.
    Staged,
    /// As integers of 8 bits.
    Packed,
}

/// A product by `matvec.wgsl`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Matvec {
    product: Product,
    threads: u32,
    lanes: u32,
    rows: u32,
    share: u32,
    /// Rows of x a tile.
    tokens: u32,
    /// Workgroups along the rows of W.
    groups: u32,
}

impl Matvec {
    /// Rows of x a tile (a power of two), with matrices of `format`, where there are `most` and a
    /// thread has a multiple of `together` rows of W.
    pub(crate) fn tokens(lower: &Lower<'_>, format: Format, most: u32, together: u32) -> u32 {
        let mut tuning = lower.target.tuning.matvec;
        if !tuning.rows_for_many.is_multiple_of(together) {
            // More rows of W with as many of x would not fit its registers.
            tuning.tokens = (tuning.tokens / 2).max(1);
        }
        let each = match product(lower, format) {
            // Where x should be shared and cannot be, loads of it are what a row costs.
            Product::Float if Self::share(lower, format) == 1 => 2,
            Product::Float => tuning.tokens,
            Product::Staged | Product::Packed => tuning.tokens.min(held_blocks(lower, format)),
        };
        each.min(most.next_power_of_two())
    }

    /// Threads that load x together: a whole subgroup, if it divides the block's quadruples
    /// of numbers.
    fn share(lower: &Lower<'_>, format: Format) -> u32 {
        let fours = format.gpu_block() as u32 / 4;
        let subgroup = lower.lanes(u32::MAX);
        let alone = lower.lanes(lower.target.tuning.matvec.lanes) == 1;
        if alone && fours.is_multiple_of(subgroup) { subgroup } else { 1 }
    }

    /// For a matrix of `format` with so many rows and columns, and up to `tiles` tiles of `tokens`
    /// rows of x (a power of two). A thread has a multiple of `together` rows (a power of two).
    pub(crate) fn new(
        lower: &Lower<'_>,
        format: Format,
        [rows, cols]: [usize; 2],
        (tokens, tiles): (u32, u32),
        together: u32,
    ) -> Self {
        let tuning = lower.target.tuning.matvec;
        let product = product(lower, format);
        let share = if product == Product::Float { Self::share(lower, format) } else { 1 };
        let each = if tokens > 1 { tuning.rows_for_many } else { tuning.rows };
        let each = each.next_multiple_of(together);
        let mut lanes = lower.lanes(tuning.lanes);
        if product != Product::Float {
            let blocks = cols.div_ceil(format.gpu_block()) as u32;
            let most = (held_blocks(lower, format) / tokens).min(tuning.threads);
            // Bytes of one block of each row.
            let block = format.bytes(rows * cols) as u64 / u64::from(blocks) * u64::from(tiles);
            while block * u64::from(lanes) < u64::from(tuning.in_flight)
                && lanes < blocks
                && lower.lanes(2 * lanes) > lanes
            {
                lanes *= 2;
            }
            lanes = lanes.min(most.max(1));
        }
        let groups = |threads: u32| (rows as u32).div_ceil(threads / lanes * each);
        let mut threads = tuning.threads;
        while groups(threads).saturating_mul(tiles) < tuning.groups
            && threads > lanes.max(share).max(8)
        {
            threads /= 2;
        }
        Self { product, threads, lanes, rows: each, share, tokens, groups: groups(threads) }
    }

    /// The kernel, without what is to be done with the results: for `matrices` of `cols`
    /// columns in a row of x.
    pub(crate) fn kernel(
        &self,
        lower: &Lower<'_>,
        format: Format,
        cols: usize,
        matrices: usize,
    ) -> Kernel {
        let kernel = kernel(lower, "matvec", format, cols);
        let kernel = match self.product {
            Product::Float => kernel.link("product", "product/float"),
            Product::Staged => {
                let blocks = (cols.div_ceil(format.gpu_block()) * matrices) as u32;
                let held = held_blocks(lower, format);
                let most = (held / self.tokens / self.lanes * self.lanes).max(self.lanes);
                let stretch = blocks.div_ceil(blocks.div_ceil(most)).next_multiple_of(self.lanes);
                kernel
                    .link("product", "product/staged")
                    .link("stage", stage(lower).0)
                    .set("STRETCH", stretch)
            }
            Product::Packed => kernel.link("product", PACKED).set("SPAN", lower.lanes(4)),
        };
        kernel
            .set_bool("AHEAD", self.product != Product::Float)
            .set("THREADS", self.threads)
            .set("LANES", self.lanes)
            .set("ROWS", self.rows)
            .set("TOKENS", self.tokens)
            .set("SHARE", self.share)
    }

    /// Workgroups for so many tiles of rows of x.
    pub(crate) fn groups(&self, tiles: u32) -> [u32; 3] {
        let (x, y) = fold(self.groups);
        [x, y, tiles]
    }
}

/// A product by `matmul.wgsl`, or by `matmul_coop.wgsl` where there are cooperative matrices.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Matmul {
    cut: Cut,
    /// Rows of x and of W a workgroup.
    tile: [u32; 2],
    /// Workgroups along the rows of W.
    groups: u32,
}

#[derive(Debug, Clone, Copy)]
enum Cut {
    Plain {
        threads: u32,
        /// Threads along the rows of x.
        tx: u32,
    },
    Coop(coop::Cut),
}

/// Columns that both tiles hold at a time, in eights.
const STEP_EIGHTS: u32 = 4;

/// Threads of a workgroup at least, where the tuning has as many: subgroups of all adapters
/// are full then.
const FEWEST_THREADS: u32 = 64;

/// Rows of x a thread at least, as long as there are enough threads.
const FEWEST_TOKENS: u32 = 4;

impl Matmul {
    /// Rows of x a tile, for products with `rows` rows of W: no more than hold `most`, if that
    /// is less than the tuning has, and fewer where there are too few tiles for the adapter.
    pub(crate) fn tile(lower: &Lower<'_>, most: u32, rows: usize) -> u32 {
        let tuning = lower.target.tuning.matmul;
        let (least, largest, busy, groups) = match lower.coop() {
            // A subgroup has so much to do that half as many workgroups are enough.
            Some(coop) => (
                coop::Cut::least(coop),
                coop::Cut::most(coop, &tuning),
                tuning.coop_tokens,
                tuning.groups / 2,
            ),
            None => {
                let along = tuning.token_threads;
                (8, (tuning.tokens * along).max(8), FEWEST_TOKENS * along, tuning.groups)
            }
        };
        let mut tile = most.next_power_of_two().clamp(least, largest);
        loop {
            let product = Self::new(lower, rows, tile);
            let few = product.groups.saturating_mul(most.div_ceil(tile)) < groups;
            let large = product.bytes() > lower.target.workgroup_memory;
            if !(few && tile > busy || large && tile > least) {
                return tile;
            }
            tile /= 2;
        }
    }

    /// For `rows` rows of a matrix, in tiles of [`Self::tile`] rows of x.
    pub(crate) fn new(lower: &Lower<'_>, rows: usize, tile: u32) -> Self {
        let tuning = lower.target.tuning.matmul;
        let made =
            |cut, tile: [u32; 2]| Self { cut, tile, groups: (rows as u32).div_ceil(tile[1]) };
        if let Some(coop) = lower.coop() {
            let cut = coop::Cut::of(coop, &tuning, tile);
            return made(Cut::Coop(cut), cut.tile());
        }
        // Smaller tiles have the same rows of W: first fewer rows of x a thread, then fewer
        // threads.
        let mut along = tuning.threads / tuning.token_threads;
        while plain_bytes([tile, along * tuning.rows]) > lower.target.workgroup_memory && along > 8
        {
            along /= 2;
        }
        let least = FEWEST_THREADS.min(tuning.threads).div_ceil(along);
        let fewest = FEWEST_TOKENS.min(tuning.tokens);
        let tokens = (tile / tuning.token_threads).clamp(fewest, tuning.tokens);
        let tx = (tile / tokens).max(least).min(tile);
        made(Cut::Plain { threads: along * tx, tx }, [tile, along * tuning.rows])
    }

    /// Workgroup memory.
    fn bytes(&self) -> u32 {
        match self.cut {
            Cut::Plain { .. } => plain_bytes(self.tile),
            Cut::Coop(cut) => cut.bytes(),
        }
    }

    /// The kernel, without what is to be done with the results.
    pub(crate) fn kernel(&self, lower: &Lower<'_>, format: Format, cols: usize) -> Kernel {
        let [tokens, rows] = self.tile;
        let (kernel, threads) = match self.cut {
            Cut::Plain { threads, tx } => {
                let kernel = kernel(lower, "matmul", format, cols)
                    .set("THREADS", threads)
                    .set("TX", tx)
                    .set("TOKENS", tokens / tx)
                    .set("ROWS", rows / (threads / tx));
                (kernel, threads)
            }
            Cut::Coop(cut) => (cut.set(kernel(lower, "matmul_coop", format, cols)), cut.threads()),
        };
        // What a thread loads: eights of both tiles, of W as many of one block as there are.
        let w_each = (STEP_EIGHTS * rows).div_ceil(threads);
        let w_eights = (format.gpu_block() as u32 / 8).min(1 << w_each.min(STEP_EIGHTS).ilog2());
        kernel
            .set("X_LOADS", (STEP_EIGHTS * tokens).div_ceil(threads))
            .set("W_LOADS", w_each.div_ceil(w_eights))
            .set("W_EIGHTS", w_eights)
    }

    /// Workgroups for so many tiles of rows of x.
    pub(crate) fn groups(&self, tiles: u32) -> [u32; 3] {
        [self.groups, tiles, 1]
    }
}

/// Workgroup memory for two tiles of f32.
fn plain_bytes([tokens, rows]: [u32; 2]) -> u32 {
    32 * STEP_EIGHTS * (tokens + rows)
}
