//! What an operation must say of itself. One file each in `ops/src`.

use std::any::Any;

use wisp_base::Result;

use crate::cpu::CpuNode;
use crate::lower::{Link, Lower};
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
pub trait Operation: std::fmt::Debug + Send + Sync + Any {
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

    /// What a product links in order to compute this operation's result where it reads it, if
    /// it can on this target; what it needs before is dispatched. `lower` is at this operation.
    ///
    /// # Errors
    /// As [`Self::gpu`].
    fn as_input(&self, _lower: &mut Lower<'_>) -> Result<Option<Link>> {
        Ok(None)
    }

    /// What a product links in order to do this operation with its results, which are this
    /// operation's input 0, if it can on this target. `lower` is at this operation.
    ///
    /// # Errors
    /// As [`Self::gpu`].
    fn as_output(&self, _lower: &Lower<'_>) -> Result<Option<Link>> {
        Ok(None)
    }

    /// Whether it can be lowered with the links that `lower` has, for input 0 and its output.
    ///
    /// # Errors
    /// As [`Self::gpu`].
    fn takes(&self, _lower: &Lower<'_>) -> Result<bool> {
        Ok(false)
    }

    /// What `product` is called with this operation as its output.
    fn behind(&self, product: &'static str) -> &'static str {
        product
    }
}
