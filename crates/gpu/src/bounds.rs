//! For tests: kernels that note every index beyond the end of a binding. What is read there
//! may change no result, and so be seen by no comparison; but devices are opened without
//! checks (`open.rs`), and there it may be no memory at all.

use crate::device::Gpu;
use crate::kernel::Binding;
#[cfg(not(target_arch = "wasm32"))]
use crate::link::Declared;
use crate::link::Linked;

/// The variable that they are noted in, a bit for each binding.
#[cfg(not(target_arch = "wasm32"))]
const NOTES: &str = "beyond_bounds";

/// Its number, which is none of a shader's own.
#[cfg(not(target_arch = "wasm32"))]
const BINDING: u32 = 15;

/// Every kernel's `main` has these parameters. Stores within it would take compilers much
/// longer than this one.
#[cfg(not(target_arch = "wasm32"))]
const MAIN: &str = "
var<private> beyond: u32;
@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    watched_main(group, thread);
    if beyond != 0u { beyond_bounds[0] = beyond; }
}
";

#[cfg(not(target_arch = "wasm32"))]
impl Gpu {
    /// From now on kernels note indices beyond their bindings.
    pub fn watch_bounds(&self) {
        self.notes().get_or_init(|| self.buffer(NOTES, 4));
        self.forget_pipelines();
    }

    /// Some of the bindings that indices were beyond since the last call, by number.
    ///
    /// # Errors
    /// The device failed.
    pub async fn beyond_bounds(&self) -> wisp_base::Result<Vec<u32>> {
        let Some(notes) = self.notes().get() else { return Ok(Vec::new()) };
        let bytes = self.read(notes, 0, notes.size()).await?;
        self.write(notes, 0, &vec![0; bytes.len()]);
        let noted = bytes.first_chunk().map_or(0, |word| u32::from_le_bytes(*word));
        Ok((0..u32::BITS).filter(|binding| noted >> binding & 1 == 1).collect())
    }

    pub(crate) fn watching(&self) -> Option<Binding<'_>> {
        self.notes().get().map(|notes| Binding::whole(NOTES, notes))
    }

    /// `weight[i]` becomes `weight[at_weight(i)]`, for every storage variable.
    pub(crate) fn watched(&self, mut linked: Linked) -> Linked {
        if self.notes().get().is_none() {
            return linked;
        }
        let names: Vec<_> = linked.bindings.iter().map(|found| found.name.as_str()).collect();
        let lines = linked.source.lines().map(|line| match line {
            "@compute @workgroup_size(THREADS)" => String::new(),
            "fn main(" => "fn watched_main(".to_owned(),
            _ => match line.strip_prefix("    @builtin(").and_then(|rest| rest.split_once(") ")) {
                Some((_, parameter)) => parameter.to_owned(),
                None => watched(line, &names),
            },
        });
        let mut source = lines.collect::<Vec<_>>().join("\n");
        for Declared { index, name, .. } in &linked.bindings {
            let mask = 1u32 << index;
            source.push_str(&format!(
                "\nfn at_{name}(i: u32) -> u32 {{\n    \
                 beyond |= select(0u, {mask}u, i >= arrayLength(&{name}));\n    return i;\n}}"
            ));
        }
        source.push_str(&format!(
            "\n@group(0) @binding({BINDING}) var<storage, read_write> {NOTES}: array<u32>;\n{MAIN}"
        ));
        linked.source = source;
        let name = NOTES.to_owned();
        linked.bindings.push(Declared { index: BINDING, name, writes: true });
        linked
    }
}

/// A browser's own checks cannot be left out.
#[cfg(target_arch = "wasm32")]
impl Gpu {
    pub(crate) fn watching(&self) -> Option<Binding<'_>> {
        None
    }

    pub(crate) fn watched(&self, linked: Linked) -> Linked {
        linked
    }
}

/// A line of WGSL with the indices of these variables watched; without its comment.
#[cfg(not(target_arch = "wasm32"))]
fn watched(line: &str, names: &[&str]) -> String {
    let code = line.split("//").next().unwrap_or_default();
    let mut out = String::new();
    let mut rest = code;
    while let Some(open) = rest.find('[') {
        let (before, after) = (&rest[..open], &rest[open + 1..]);
        let inside = closed(after);
        let word = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
        let name = &before[before.trim_end_matches(word).len()..];
        out.push_str(before);
        let index = watched(&after[..inside], names);
        if names.contains(&name) {
            out.push_str(&format!("[at_{name}({index})]"));
        } else {
            out.push_str(&format!("[{index}]"));
        }
        rest = after.get(inside + 1..).unwrap_or_default();
    }
    out + rest
}

/// Where the bracket that is open at the start of `text` closes.
#[cfg(not(target_arch = "wasm32"))]
fn closed(text: &str) -> usize {
    let mut depth = 1;
    for (at, c) in text.char_indices() {
        depth += i32::from(c == '[') - i32::from(c == ']');
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_index_of_a_storage_variable_is_watched() {
        for (line, want) in [
            ("let a = x[i] + sum_x[i];", "let a = x[at_x(i)] + sum_x[i];"),
            (
                "x[pages[i / 2u] + f(b[1])] = 1.0; // x[i]",
                "x[at_x(pages[at_pages(i / 2u)] + f(b[1]))] = 1.0; ",
            ),
            ("no index", "no index"),
            ("a.x[2]", "a.x[2]"),
        ] {
            assert_eq!(watched(line, &["x", "pages"]), want);
        }
    }
}
