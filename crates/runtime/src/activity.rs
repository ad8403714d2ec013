//! What a busy engine shows of itself.

use std::cell::Cell;
use std::rc::Rc;

/// Numbers that go on while the engine works. Clones show the same engine.
#[derive(Debug, Clone, Default)]
pub struct Activity(Rc<Numbers>);

#[derive(Debug, Default)]
struct Numbers {
    steps: Cell<u64>,
    free_pages: Cell<usize>,
}

impl Activity {
    /// Steps that were submitted so far.
    pub fn steps(&self) -> u64 {
        self.0.steps.get()
    }

    /// Pages of the KV cache that no sequence holds.
    pub fn free_pages(&self) -> usize {
        self.0.free_pages.get()
    }

    pub(crate) fn count_step(&self) {
        self.0.steps.set(self.steps() + 1);
    }

    pub(crate) fn show_free_pages(&self, pages: usize) {
        self.0.free_pages.set(pages);
    }
}
