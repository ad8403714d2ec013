//! How products with matrices are cut into workgroups: `matvec.wgsl` for a few rows of x,
//! `matmul.wgsl` for many.

use wisp_base::Format;
use wisp_gpu::{Kernel, shader_defines};
use wisp_graph::{Bind, Lower};

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

/// Whether products with matrices of `format` are packed: it is tuned so, and its codes are
/// integers of 8 bits.
fn packed(lower: &Lower<'_>, format: Format) -> bool {
    lower.target.tuning.matvec.packed && shader_defines(&weight_file(format), "packed8")
}

/// Lets a product read input 0: as it is stored, or by the prologue that stands for it.
pub(crate) fn link_x(
    lower: &Lower<'_>,
    kernel: Kernel,
    binds: &mut Vec<(&'static str, Bind)>,
) -> Kernel {
    let Some(prologue) = lower.prologue(0) else {
        binds.push(("x", lower.bind_input(0)));
        let stride4 = lower.input(0).stride() as u64 / 4;
        return kernel.link("input", "input/plain").set("X_STRIDE4", stride4);
    };
    prologue.link(kernel, "input", binds)
}

/// A product by `matvec.wgsl`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Matvec {
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
    /// Rows of x a tile (a power of two), with matrices of `format`, where there are `most`.
    pub(crate) fn tokens(lower: &Lower<'_>, format: Format, most: u32) -> u32 {
        Self::most_tokens(lower, format).min(most.next_power_of_two())
    }

    fn most_tokens(lower: &Lower<'_>, format: Format) -> u32 {
        let tuning = lower.target.tuning.matvec;
        if packed(lower, format) {
            // What the workgroup holds of x must fit 16 KiB.
            return tuning.tokens.min((128 / lower.lanes(tuning.lanes)).max(1));
        }
        // Where x should be shared and cannot be, loads of it are what a row costs.
        if tuning.share_x && Self::share(lower, format) == 1 { 2 } else { tuning.tokens }
    }

    /// Threads that load x together: a whole subgroup, if it divides the block's quadruples
    /// of numbers. Packed, a workgroup loads it once.
    fn share(lower: &Lower<'_>, format: Format) -> u32 {
        let tuning = lower.target.tuning.matvec;
        let fours = format.gpu_block() as u32 / 4;
        let subgroup = lower.lanes(u32::MAX);
        let alone = lower.lanes(tuning.lanes) == 1 && !packed(lower, format);
        if tuning.share_x && alone && fours.is_multiple_of(subgroup) { subgroup } else { 1 }
    }

    /// Rows of W a thread, for a tile of so many rows of x.
    pub(crate) fn rows(lower: &Lower<'_>, tokens: u32) -> u32 {
        let tuning = lower.target.tuning.matvec;
        if tokens > 1 { tuning.rows_for_many } else { tuning.rows }
    }

    /// For `rows` rows of a matrix of `format`, and up to `tiles` tiles of `tokens` rows of x
    /// (a power of two).
    pub(crate) fn new(
        lower: &Lower<'_>,
        format: Format,
        rows: usize,
        tokens: u32,
        tiles: u32,
    ) -> Self {
        let tuning = lower.target.tuning.matvec;
        let lanes = lower.lanes(tuning.lanes);
        let share = Self::share(lower, format);
        let rows_each = Self::rows(lower, tokens);
        let groups = |threads: u32| (rows as u32).div_ceil(threads / lanes * rows_each);
        let mut threads = tuning.threads;
        while groups(threads).saturating_mul(tiles) < tuning.groups
            && threads > lanes.max(share).max(8)
        {
            threads /= 2;
        }
        Self { threads, lanes, rows: rows_each, share, tokens, groups: groups(threads) }
    }

    /// The kernel, without what is to be done with the results.
    pub(crate) fn kernel(&self, lower: &Lower<'_>, format: Format, cols: usize) -> Kernel {
        let kernel = match packed(lower, format) {
            true => kernel(lower, "matvec", format, cols)
                .link("product", PACKED)
                .set("SPAN", lower.lanes(4)),
            false => kernel(lower, "matvec", format, cols).link("product", "product/float"),
        };
        kernel
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

/// A product by `matmul.wgsl`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Matmul {
    /// Threads along the rows of x.
    tx: u32,
    /// Workgroups along the rows of W.
    pub(crate) groups: u32,
}

impl Matmul {
    /// Rows of x a tile: no more than hold `most`, if that is less than the tuning has.
    pub(crate) fn tile(lower: &Lower<'_>, most: u32) -> u32 {
        let tuning = lower.target.tuning.matmul;
        let tx = most.div_ceil(tuning.tokens).next_power_of_two().min(tuning.token_threads);
        tx * tuning.tokens
    }

    /// For `rows` rows of a matrix, in tiles of [`Self::tile`] rows of x.
    pub(crate) fn new(lower: &Lower<'_>, rows: usize, tile: u32) -> Self {
        let tuning = lower.target.tuning.matmul;
        let tx = tile / tuning.tokens;
        let groups = (rows as u32).div_ceil(tuning.threads / tx * tuning.rows);
        Self { tx, groups }
    }

    /// The kernel, without what is to be done with the results.
    pub(crate) fn kernel(&self, lower: &Lower<'_>, format: Format, cols: usize) -> Kernel {
        let tuning = lower.target.tuning.matmul;
        kernel(lower, "matmul", format, cols)
            .set("THREADS", tuning.threads)
            .set("TX", self.tx)
            .set("TOKENS", tuning.tokens)
            .set("ROWS", tuning.rows)
    }

    /// Workgroups for so many tiles of rows of x.
    pub(crate) fn groups(&self, tiles: u32) -> [u32; 3] {
        [self.groups, tiles, 1]
    }
}
