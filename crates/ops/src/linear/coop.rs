//! How `matmul_coop.wgsl` cuts a product.

use wisp_base::Format;
use wisp_gpu::{Coop, Kernel, MatmulTuning};
use wisp_graph::Lower;

use crate::product::kernel;

/// What workgroups, subgroups and steps along the columns take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    coop: Coop,
    /// Subgroups along tokens and rows.
    subgroups: [u32; 2],
    /// Fragments of a subgroup along tokens and rows.
    fragments: [u32; 2],
    /// Columns a step.
    step: u32,
}

impl Cut {
    /// For `most` rows of x in `memory` bytes of workgroup memory; none if it is too little.
    pub(super) fn of(coop: Coop, tuning: &MatmulTuning, most: u32, memory: u32) -> Option<Self> {
        // With few tokens all subgroups go along the rows.
        let along = if most > tuning.coop_tokens { 2.min(tuning.coop_subgroups) } else { 1 };
        let subgroups = [along, tuning.coop_subgroups / along];
        let tokens = most.clamp(1, tuning.coop_tokens).div_ceil(coop.size);
        let fragments = [tokens, tuning.coop_rows / coop.size];
        // Longer steps have fewer barriers, and read longer pieces of a row.
        let cuts = [64, 32].map(|step| Self { coop, subgroups, fragments, step });
        cuts.into_iter().find(|cut| cut.bytes() <= memory)
    }

    /// Tokens and rows of a workgroup.
    pub(super) fn tile(&self) -> [u32; 2] {
        [0, 1].map(|at| self.subgroups[at] * self.fragments[at] * self.coop.size)
    }

    /// Workgroup memory: two tiles of f16, a row of each subgroup's fragments of f32.
    fn bytes(&self) -> u32 {
        let [tokens, rows] = self.tile();
        2 * (tokens + rows) * (self.step + 8) + 4 * self.subgroups[0] * rows * self.coop.size
    }

    /// The kernel, without what is to be done with the results.
    pub(super) fn kernel(&self, lower: &Lower<'_>, format: Format, cols: usize) -> Kernel {
        kernel(lower, "matmul_coop", format, cols)
            .link("fragment", self.coop.fragment_file())
            .link("element", self.coop.element_file())
            .set("SUBGROUP", self.coop.subgroup)
            .set("SUBGROUPS_T", self.subgroups[0])
            .set("SUBGROUPS_R", self.subgroups[1])
            .set("FRAGMENTS_T", self.fragments[0])
            .set("FRAGMENTS_R", self.fragments[1])
            .set("STEP", self.step)
    }
}
