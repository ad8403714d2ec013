//! What a model takes on a device, known before anything is loaded.

/// Bytes by purpose.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Weights as they lie on the device.
    pub weights: u64,
    /// KV cache for `ctx` tokens.
    pub kv: u64,
    /// Activations, sampling state, step data, staging.
    pub scratch: u64,
    /// The context that this is for, in tokens.
    pub ctx: usize,
}

impl MemoryPlan {
    /// All of it.
    pub fn total(&self) -> u64 {
        self.weights + self.kv + self.scratch
    }
}
