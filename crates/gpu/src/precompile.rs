//! Compiling many kernels at once, where there are threads.

use crate::device::Gpu;
use crate::link::Kernel;

#[cfg(not(target_arch = "wasm32"))]
impl Gpu {
    /// Compiles those of `kernels` that are not compiled yet, in as many threads as there
    /// are processors: [`Gpu::pipeline`] then finds them. Errors are left to it as well: a
    /// kernel that fails here fails there again, and is told in the order of its callers.
    /// `progress` is told now and then how many are compiled.
    pub fn precompile<'a>(
        &self,
        kernels: impl Iterator<Item = &'a Kernel>,
        progress: &mut dyn FnMut(usize),
    ) {
        use std::sync::atomic::{AtomicUsize, Ordering};

        let mut missing: Vec<&Kernel> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        {
            let compiled = self.pipelines();
            missing.extend(
                kernels.filter(|kernel| seen.insert(*kernel) && !compiled.contains_key(kernel)),
            );
        }
        let known = seen.len() - missing.len();
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(known));
        let work = |progress: &mut dyn FnMut(usize)| {
            while let Some(kernel) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
                // Error scopes are a thread's own, so each thread waits for its own.
                if pollster::block_on(self.pipeline(kernel)).is_err() {
                    next.store(missing.len(), Ordering::Relaxed);
                }
                progress(done.fetch_add(1, Ordering::Relaxed) + 1);
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..threads.min(missing.len()) {
                // Where no thread is to be had, there are fewer.
                let _ = std::thread::Builder::new().spawn_scoped(scope, || work(&mut |_| ()));
            }
            work(progress);
        });
    }
}

#[cfg(target_arch = "wasm32")]
impl Gpu {
    /// A browser's page has one thread: nothing is done ahead.
    pub fn precompile<'a>(&self, _: impl Iterator<Item = &'a Kernel>, _: &mut dyn FnMut(usize)) {}
}
