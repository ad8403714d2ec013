//! What a busy engine shows of itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Numbers that go on while the engine works. Clones show the same engine, from any thread.
#[derive(Debug, Clone, Default)]
pub struct Activity(Arc<Numbers>);

#[derive(Debug, Default)]
struct Numbers {
    steps: AtomicU64,
    free_pages: AtomicUsize,
}

impl Activity {
    /// Steps that were submitted so far.
    pub fn steps(&self) -> u64 {
        self.0.steps.load(Ordering::Relaxed)
    }

    /// Pages of the KV cache that no sequence holds.
    pub fn free_pages(&self) -> usize {
        self.0.free_pages.load(Ordering::Relaxed)
    }

    pub(crate) fn count_step(&self) {
        self.0.steps.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn show_free_pages(&self, pages: usize) {
        self.0.free_pages.store(pages, Ordering::Relaxed);
    }
}
