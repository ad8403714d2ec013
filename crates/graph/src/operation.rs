//! What an operation must say of itself. One file each in `ops/src`.

use wisp_base::Result;

use crate::cpu::CpuNode;
use crate::lower::{Lower, Tail};
use crate::tape::{Resource, Value};

/// What a dispatch moves and computes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// Bytes that must be read or written, each counted once.
    pub bytes: u64,
    /// Floating-point operations (a multiply-add is two).
    pub flops: u64,
}

impl std::ops::AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.flops += other.flops;
    }
}

/// One kind of operation with its settings.
pub trait Operation: std::fmt::Debug + Send + Sync {
    /// The name of its file.
    fn name(&self) -> &'static str;

    /// What it makes of these inputs; `None` where it only changes resources.
    ///
    /// # Errors
    /// They do not fit together.
    fn infer(&self, inputs: &[&Value], resources: &[&Resource]) -> Result<Option<Value>>;

    /// The input whose buffer the output takes over.
    fn in_place(&self) -> Option<usize> {
        None
    }

    /// Whether input `at` may come as a [`crate::Prologue`] when a step has one token.
    fn takes_prologue(&self, _at: usize) -> bool {
        false
    }

    /// What a product whose result only this operation takes may do in its place, if it can
    /// on this target. `lower` is at this operation.
    fn tail(&self, _lower: &Lower<'_>) -> Option<Tail> {
        None
    }

    /// The definition: `[rows, cols]` of the output, computed in plain loops.
    ///
    /// # Errors
    /// A step or resource that it cannot be computed with.
    fn cpu(&self, node: &mut CpuNode<'_>) -> Result<Vec<f32>>;

    /// Adds its dispatches.
    ///
    /// # Errors
    /// Sizes that the adapter or the kernels do not allow.
    fn gpu(&self, lower: &mut Lower<'_>) -> Result<()>;
}
