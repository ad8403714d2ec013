//! The kernels: `native/examples/kernels.rs` links them, and this reads its list.

use crate::sid;
use crate::step::{Result, cargo, copy, run, target};
use std::collections::BTreeMap;
use std::path::Path;

/// A kernel that was linked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kernel {
    /// Its files' name.
    pub number: String,
    pub uses: Vec<Use>,
    /// A file under `shaders/weight`, or `-`.
    pub format: String,
    /// A file under `shaders`.
    pub name: String,
    /// Comma-separated.
    pub bindings: String,
    /// Bytes.
    pub workgroup_memory: u32,
}

/// Where a kernel is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    pub phase: String,
    pub operation: String,
    /// A model with its file type, or a test.
    pub of: String,
    /// Names of adapters where it is used so.
    pub adapters: Vec<String>,
}

impl Kernel {
    /// Whether an adapter has it; `planned`: in a model's plan, not in a test alone.
    pub fn is_for(&self, adapter: &str, planned: bool) -> bool {
        self.uses_on(adapter).any(|of| !planned || of.phase != CASE)
    }

    /// Its uses on an adapter.
    pub fn uses_on(&self, adapter: &str) -> impl Iterator<Item = &Use> {
        self.uses.iter().filter(move |of| of.adapters.iter().any(|name| name == adapter))
    }
}

/// Phase of what only tests run.
pub const CASE: &str = "case";

/// Builds the linker and the compilers' caller, and links all into the other system's `/wisp`.
pub fn link(sid: &Path) -> Result {
    let programs = ["--example", "kernels", "--example", "pipelines"];
    // With the features that tests have, so that no dependency is compiled anew.
    run(cargo().args(["build", "--release", "--workspace"]).args(programs))?;
    let examples = target().join("release").join("examples");
    let files = sid::files(sid);
    copy(&examples.join("pipelines"), &files)?;
    let kernels = files.join("kernels");
    std::fs::remove_dir_all(&kernels).ok();
    run(std::process::Command::new(examples.join("kernels")).arg(&kernels))
}

/// Those of the list with uses whose line has each word of `filter` in it.
pub fn read(sid: &Path, filter: &str) -> Result<Vec<Kernel>> {
    let path = sid::files(sid).join("kernels").join("index.tsv");
    let text =
        std::fs::read_to_string(&path).map_err(|cause| format!("{}: {cause}", path.display()))?;
    Ok(parse(&text, filter))
}

fn parse(text: &str, filter: &str) -> Vec<Kernel> {
    let mut all: BTreeMap<&str, Kernel> = BTreeMap::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [number, adapters, phase, operation, format, name, bindings, memory, of, ..] =
            fields[..]
        else {
            continue;
        };
        let shown = [phase, operation, format, name, of, number].join(" ");
        if !filter.split_whitespace().all(|word| shown.contains(word)) {
            continue;
        }
        let kernel = all.entry(number).or_insert_with(|| Kernel {
            number: number.into(),
            format: format.into(),
            name: name.into(),
            bindings: bindings.into(),
            workgroup_memory: memory.parse().unwrap_or(0),
            ..Kernel::default()
        });
        let [phase, operation, of] = [phase, operation, of].map(str::to_owned);
        let adapters = adapters.split(',').map(str::to_owned).collect();
        kernel.uses.push(Use { phase, operation, of, adapters });
    }
    all.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_of_a_kernel_are_gathered() {
        let text = "00001\tamd,nvidia\tdecode\tlinear\tq4_0\tmatvec\t0,1\t64\tllama-3.1-8b q4_0\tx\n\
                    00001\tamd,nvidia\tcase\tlinear\tq4_0\tmatvec\t0,1\t64\tlinear of 4 rows\tx\n\
                    00002\tamd\tcase\tlinear\tq8_0\tmatvec\t0,1\t64\tlinear of 4 rows\tx\n";
        let all = parse(text, "");
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].uses[0].adapters, ["amd", "nvidia"]);
        assert!(all[0].is_for("nvidia", true) && !all[1].is_for("nvidia", false));
        assert!(all[1].is_for("amd", false) && !all[1].is_for("amd", true));
        assert_eq!(all[0].workgroup_memory, 64);
        assert_eq!(parse(text, "matvec decode").len(), 1);
    }
}
