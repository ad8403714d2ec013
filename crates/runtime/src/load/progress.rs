//! What whoever waits for a load is told.

/// Where a load stands, for a progress bar.
#[derive(Debug, Clone)]
pub enum Progress {
    /// Kernel parameters are being measured on this adapter.
    Tuning,
    /// Kernels that were compared with their definitions on this adapter, of all that need it.
    Checking {
        /// Cases done.
        done: usize,
        /// Cases in all.
        total: usize,
    },
    /// The model's kernels that are compiled, of all that requests mostly need.
    Compiling {
        /// Kernels done.
        done: usize,
        /// Kernels in all.
        total: usize,
    },
    /// Weights on the device so far, of all, in bytes of the file.
    Weights {
        /// Bytes done.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
    /// Something the person should know (a smaller context, a safer kernel variant).
    Note(String),
}
