//! How `matmul_coop.wgsl` cuts a product.

use wisp_gpu::{Coop, Kernel, MatmulTuning};

/// A workgroup's tile: parts of fragments, along tokens and rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cut {
    coop: Coop,
    parts: [u32; 2],
    /// Of a part.
    fragments: [u32; 2],
}

impl Cut {
    /// For tiles of `tile` tokens, a multiple of [`Self::least`].
    pub(crate) fn of(coop: Coop, tuning: &MatmulTuning, tile: u32) -> Self {
        let along = tile.div_ceil(tuning.coop_tokens).next_power_of_two();
        let parts = [along, Self::across(coop, tuning)];
        let fragments = [tile / along, tuning.coop_rows].map(|numbers| numbers / coop.size);
        Self { coop, parts, fragments }
    }

    /// Tokens of a tile at least.
    pub(crate) fn least(coop: Coop) -> u32 {
        coop.size
    }

    /// Tokens of a tile at most.
    pub(crate) fn most(coop: Coop, tuning: &MatmulTuning) -> u32 {
        tuning.coop_tokens * (tuning.coop_subgroups / Self::across(coop, tuning)).max(1)
    }

    /// Parts along the rows: the largest subgroup takes as many.
    fn across(coop: Coop, tuning: &MatmulTuning) -> u32 {
        2.min(tuning.coop_subgroups).max(coop.spread())
    }

    /// Tokens and rows.
    pub(crate) fn tile(&self) -> [u32; 2] {
        [0, 1].map(|at| self.parts[at] * self.fragments[at] * self.coop.size)
    }

    pub(crate) fn threads(&self) -> u32 {
        self.parts[0] * self.parts[1] * self.coop.subgroup
    }

    /// Workgroup memory: 40 columns of f16 of both tiles, a fragment of each subgroup of f32.
    pub(crate) fn bytes(&self) -> u32 {
        let [tokens, rows] = self.tile();
        80 * (tokens + rows) + 4 * self.parts[0] * self.parts[1] * self.coop.size.pow(2)
    }

    /// What the kernel must know of it.
    pub(crate) fn set(&self, kernel: Kernel) -> Kernel {
        kernel
            .link("fragment", self.coop.fragment_file())
            .link("element", self.coop.element_file())
            .link("subgroups", self.coop.subgroups_file())
            .set("SUBGROUP", self.coop.subgroup)
            .set("SPREAD", self.coop.spread())
            .set("PARTS_T", self.parts[0])
            .set("PARTS_R", self.parts[1])
            .set("FRAGMENTS_T", self.fragments[0])
            .set("FRAGMENTS_R", self.fragments[1])
    }
}
