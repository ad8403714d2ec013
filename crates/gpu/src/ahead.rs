//! Compiling many kernels at once, where there are threads.

use crate::device::Gpu;
use crate::link::Kernel;

#[cfg(not(target_arch = "wasm32"))]
impl Gpu {
    /// Compiles those of `kernels` that are not compiled yet, in as many threads as there
    /// are processors: [`Gpu::pipeline`] then finds them. Errors are left to it as well: a
    /// kernel that fails here fails there again, and is told in the order of its callers.
    pub fn compile_ahead<'a>(&self, kernels: impl Iterator<Item = &'a Kernel>) {
        use std::sync::atomic::{AtomicUsize, Ordering};

        let mut missing: Vec<&Kernel> = Vec::new();
        {
            let compiled = self.pipelines();
            let mut seen = std::collections::HashSet::new();
            missing.extend(
                kernels.filter(|kernel| !compiled.contains_key(kernel) && seen.insert(*kernel)),
            );
        }
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = threads.min(missing.len());
        if threads < 2 {
            return;
        }
        let next = AtomicUsize::new(0);
        let work = || {
            while let Some(kernel) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
                // Error scopes are a thread's own, so each thread waits for its own.
                if pollster::block_on(self.pipeline(kernel)).is_err() {
                    next.store(missing.len(), Ordering::Relaxed);
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..threads {
                // Where no thread is to be had, there are fewer.
                let _ = std::thread::Builder::new().spawn_scoped(scope, work);
            }
            work();
        });
    }
}

#[cfg(target_arch = "wasm32")]
impl Gpu {
    /// A browser's page has one thread: nothing is done ahead.
    pub fn compile_ahead<'a>(&self, _: impl Iterator<Item = &'a Kernel>) {}
}
