//! The shader linker. A kernel says `//!import weight`; a [`Kernel`] says which
//! file stands for `weight`, and which values the `const`s of the files take.
//! The rules are in `shaders/README.md`.
//!
//! Our own rather than the `wesl` crate: interfaces chosen by the caller and
//! constants set by name are all that is needed, in ~150 lines that cost the
//! browser nothing, and every line of the result knows the file it came from.

use std::collections::BTreeMap;

use wisp_base::{Error, Result};

use crate::unroll::unroll;

static FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/shaders.rs"));

/// The names of all shader files: `matvec`, `weight/q4_1`, …
pub fn shader_names() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|(name, _)| *name)
}

/// Whether a shader file defines a function: what it offers beyond its interface.
pub fn shader_defines(file: &str, function: &str) -> bool {
    let defines = |text: &str| {
        let names = text.lines().filter_map(|line| line.strip_prefix("fn ")?.split('(').next());
        names.into_iter().any(|name| name == function)
    };
    FILES.iter().any(|(name, text)| *name == file && defines(text))
}

/// Changes with any change of any shader: what a self-check of kernels is good for.
pub fn shaders_hash() -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    FILES.hash(&mut hasher);
    hasher.finish()
}

/// A kernel by name, with what is to be linked into it. Equal kernels are one pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kernel {
    /// A file directly under `shaders/`.
    pub name: &'static str,
    /// Interface → file.
    pub links: BTreeMap<&'static str, String>,
    /// `const` → WGSL expression.
    pub constants: BTreeMap<&'static str, String>,
}

impl Kernel {
    /// A kernel with nothing chosen yet.
    pub fn new(name: &'static str) -> Self {
        Self { name, links: BTreeMap::new(), constants: BTreeMap::new() }
    }

    /// Lets `file` stand for `interface`.
    pub fn link(mut self, interface: &'static str, file: impl Into<String>) -> Self {
        self.links.insert(interface, file.into());
        self
    }

    /// Sets `const name: u32`.
    pub fn set(mut self, name: &'static str, value: impl Into<u64>) -> Self {
        self.constants.insert(name, format!("{}u", value.into()));
        self
    }

    /// Sets `const name: f32`, exactly.
    pub fn set_f32(mut self, name: &'static str, value: f32) -> Self {
        self.constants.insert(name, wgsl_f32(value));
        self
    }

    /// Sets `const name: bool`.
    pub fn set_bool(mut self, name: &'static str, value: bool) -> Self {
        self.constants.insert(name, value.to_string());
        self
    }
}

/// A finite f32 in WGSL: as many digits as tell it from its neighbours.
pub fn wgsl_f32(value: f32) -> String {
    format!("{value:e}f")
}

/// A linked shader: its text, what it binds, and where each line came from.
#[derive(Debug, Clone)]
pub struct Linked {
    /// WGSL.
    pub source: String,
    /// Declared storage bindings.
    pub bindings: Vec<Declared>,
    /// For each line of `source`: file and line (1-based) it was taken from.
    lines: Vec<(&'static str, usize)>,
}

/// One `var<storage, …>` of a linked shader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    /// `@binding(…)`.
    pub index: u32,
    /// The variable's name: what callers bind by.
    pub name: String,
    /// `read_write` rather than `read`.
    pub writes: bool,
}

impl Linked {
    /// The files that were joined.
    pub fn files(&self) -> impl Iterator<Item = &'static str> {
        self.lines.iter().map(|(file, _)| *file)
    }

    /// `shaders/weight/q4_1.wgsl:12` for line 30 (1-based) of the linked text.
    pub fn origin(&self, line: usize) -> String {
        match self.lines.get(line.wrapping_sub(1)) {
            Some((file, at)) => format!("shaders/{file}.wgsl:{at}"),
            None => format!("linked line {line}"),
        }
    }
}

/// Joins a kernel and all that it imports into one WGSL text.
///
/// # Errors
/// Names the file and line of an import without a file, and a constant that
/// no linked file declares.
pub fn link(kernel: &Kernel) -> Result<Linked> {
    link_replacing(kernel, &Replaced::new())
}

/// Files and the texts that stand for theirs.
pub(crate) type Replaced = BTreeMap<&'static str, &'static str>;

/// [`link`], with other texts for some files.
pub(crate) fn link_replacing(kernel: &Kernel, replaced: &Replaced) -> Result<Linked> {
    let mut linker =
        Linker { kernel, replaced, seen: Vec::new(), out: Vec::new(), unset: Vec::new() };
    linker.unset = kernel.constants.keys().copied().collect();
    linker.include(kernel.name, kernel.name, 0)?;
    if let Some(name) = linker.unset.first() {
        return Err(Error::device(format!(
            "shader {}: no linked file declares `const {name}`",
            kernel.name
        )));
    }
    let mut source = String::new();
    let mut lines = Vec::new();
    const COOP: &str = "enable wgpu_cooperative_matrix;\n";
    // Browsers demand the second; naga has the functions, but not this directive.
    let directives = [
        ("scalar/f16", "enable f16;\n", true),
        ("reduce/subgroup", "enable subgroups;\n", cfg!(target_arch = "wasm32")),
        ("fragment/8", COOP, true),
        ("fragment/16", COOP, true),
    ];
    let mut fragments = false;
    for (file, directive, known) in directives {
        if known && linker.seen.contains(&file) {
            fragments |= directive == COOP;
            source.push_str(directive);
            lines.push((kernel.name, 0));
        }
    }
    // Native compilers unroll by themselves, and take longer over what is written out; but
    // fragments have no place other than registers.
    let out =
        if cfg!(target_arch = "wasm32") || fragments { unroll(linker.out)? } else { linker.out };
    for (file, at, text) in &out {
        source.push_str(text);
        source.push('\n');
        lines.push((*file, *at));
    }
    let bindings = source.lines().filter_map(declared).collect();
    Ok(Linked { source, bindings, lines })
}

struct Linker<'a> {
    kernel: &'a Kernel,
    replaced: &'a Replaced,
    seen: Vec<&'static str>,
    out: Vec<(&'static str, usize, String)>,
    unset: Vec<&'static str>,
}

impl Linker<'_> {
    fn include(&mut self, file: &str, from: &str, line: usize) -> Result<()> {
        let Some((name, text)) = FILES.iter().find(|(name, _)| *name == file) else {
            return Err(Error::device(format!(
                "shaders/{from}.wgsl:{line}: nothing is linked for `{file}`"
            )));
        };
        if self.seen.contains(name) {
            return Ok(());
        }
        self.seen.push(name);
        let text = self.replaced.get(name).unwrap_or(text);
        for (index, text) in text.lines().enumerate() {
            if let Some(import) = text.strip_prefix("//!import ") {
                let import = import.trim();
                let file = self.kernel.links.get(import).map_or(import, String::as_str).to_owned();
                self.include(&file, name, index + 1)?;
            } else {
                let text = self.constant(text).unwrap_or_else(|| text.to_owned());
                self.out.push((name, index + 1, text));
            }
        }
        Ok(())
    }

    /// `const NAME: type = default;` with the value that the kernel sets.
    fn constant(&mut self, text: &str) -> Option<String> {
        let (name, rest) = text.strip_prefix("const ")?.split_once(':')?;
        let (kind, _) = rest.split_once('=')?;
        let value = self.kernel.constants.get(name)?;
        self.unset.retain(|unset| *unset != name);
        Some(format!("const {name}:{kind}= {value};"))
    }
}

/// Reads `@group(0) @binding(3) var<storage, read_write> name: …`.
fn declared(line: &str) -> Option<Declared> {
    let rest = line.trim_start().strip_prefix("@group(0) @binding(")?;
    let (index, rest) = rest.split_once(')')?;
    let (access, rest) = rest.trim_start().strip_prefix("var<storage,")?.split_once('>')?;
    let (name, _) = rest.split_once(':')?;
    Some(Declared {
        index: index.parse().ok()?,
        name: name.trim().to_owned(),
        writes: access.trim() == "read_write",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_link_names_the_line_that_asked() {
        let error = link(&Kernel::new("matvec")).unwrap_err().to_string();
        assert!(error.starts_with("shaders/matvec.wgsl:"), "{error}");
        assert!(error.contains("nothing is linked for `"), "{error}");
    }

    #[test]
    fn bindings_are_read_from_declarations() {
        let line = "@group(0) @binding(11) var<storage, read_write> keys: array<u32>;";
        let found = declared(line).unwrap();
        assert_eq!((found.index, found.name.as_str(), found.writes), (11, "keys", true));
        assert!(declared("// @group(0)").is_none());
    }
}
