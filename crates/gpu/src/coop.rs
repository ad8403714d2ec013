//! Cooperative matrices: which an adapter has, of those that a kernel is written for.

use crate::caps::{NATIVE, Scalar, Variant};
use crate::tuning::Tuning;

/// Matrices that a subgroup holds and multiplies together, on hardware made for it where
/// there is some: `size` × `size`, products of f16, sums in f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Coop {
    /// Rows and columns: 8 or 16.
    pub size: u32,
    /// Threads of the smallest subgroup, a power of two.
    pub subgroup: u32,
    /// Threads of the largest one: which size a kernel has is not known before it runs.
    pub largest: u32,
    /// Whether they can be read from arrays of vectors, not of numbers only.
    pub from_vectors: bool,
}

impl Coop {
    /// `coop`, if kernels of this variant, cut like that, use it: it multiplies f16, so that
    /// activations must be f16.
    pub fn used(coop: Option<Self>, variant: Variant, tuning: &Tuning) -> Option<Self> {
        let used = NATIVE && variant.scalar == Scalar::F16 && tuning.matmul.coop;
        coop.filter(|_| used)
    }

    /// The file under `shaders/fragment/`.
    pub fn fragment_file(self) -> &'static str {
        if self.size == 16 { "fragment/16" } else { "fragment/8" }
    }

    /// How many times as many threads the largest subgroup has.
    pub fn spread(self) -> u32 {
        self.largest / self.subgroup
    }

    /// The file under `shaders/subgroups/`.
    pub fn subgroups_file(self) -> &'static str {
        if self.spread() == 1 { "subgroups/fixed" } else { "subgroups/varying" }
    }

    /// Whether a device with subgroup operations, or without, can run kernels with them: only
    /// with those does a kernel know its subgroups.
    pub(crate) fn runs(self, subgroups: bool) -> bool {
        subgroups || self.spread() == 1
    }

    /// The file under `shaders/element/`.
    pub fn element_file(self) -> &'static str {
        if self.from_vectors { "element/vec4" } else { "element/scalar" }
    }

    /// The largest that `adapter` has, if it says how many threads hold one.
    pub(crate) fn of(adapter: &wgpu::Adapter) -> Option<Self> {
        if !NATIVE {
            return None;
        }
        let needs = wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX | wgpu::Features::SHADER_F16;
        if !adapter.features().contains(needs) {
            return None;
        }
        let info = adapter.get_info();
        // Metal tells neither; its compiler takes numbers only, and subgroups are of 32 threads
        // on every GPU that has such matrices.
        let metal = info.backend == wgpu::Backend::Metal;
        let (subgroup, largest) = match (info.subgroup_min_size, info.subgroup_max_size) {
            _ if metal => (32, 32),
            // A part of the work of the largest must be whole for the smallest, and not too small.
            (least, most) if least.is_power_of_two() && [least, 2 * least].contains(&most) => {
                (least, most)
            }
            _ => return None,
        };
        let square = |properties: &wgpu::CooperativeMatrixProperties| {
            let [m, n, k] = [properties.m_size, properties.n_size, properties.k_size];
            let types = (properties.ab_type, properties.cr_type);
            let (half, full) = (wgpu::CooperativeScalarType::F16, wgpu::CooperativeScalarType::F32);
            (m == n && n == k && [8, 16].contains(&m) && types == (half, full)).then_some(m)
        };
        let sizes = adapter.cooperative_matrix_properties();
        let size = sizes.iter().filter_map(square).max()?;
        Some(Self { size, subgroup, largest, from_vectors: !metal })
    }

    /// wgpu's opt-in for experimental features.
    #[allow(unsafe_code)]
    pub(crate) fn leave() -> wgpu::ExperimentalFeatures {
        // SAFETY: wgpu's own code for them may have faults. One kernel uses them, tests and
        // the self-check compare it with its definition, and `--caps coop=off` does without.
        unsafe { wgpu::ExperimentalFeatures::enabled() }
    }
}
