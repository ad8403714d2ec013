//! No circle of files crosses a folder: who reads one file of a circle must read all of them, and
//! the folders between them say nothing. Files of one folder may need each other: a module and its
//! parts, a type and what it is made of.
//!
//! A file uses another if it names something of it, in a `use` or by its path, also where that is
//! re-exported elsewhere. A `mod.rs` that only declares and re-exports its parts uses none of them.
//! What only tests compile does not count.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::tokens::{Token, tokens};
use super::{File, Problem};

/// See the module.
pub fn no_circles_across_folders(files: &[File]) -> Vec<Problem> {
    let root = |file: &&File| file.is("/src/lib.rs") || file.is("/src/main.rs");
    files.iter().filter(root).flat_map(|root| circles(files, root)).collect()
}

/// A module's path from the crate's root.
type Path<'a> = Vec<&'a str>;

/// What a file says of others.
struct Module<'a> {
    file: &'a File,
    /// Its own folder, where it is the root of one; else the one that it lies in.
    folder: &'a str,
    /// Names that `use` brings: the path behind each.
    names: BTreeMap<&'a str, Path<'a>>,
    /// Paths that it needs, with their lines.
    used: Vec<(Path<'a>, usize)>,
}

/// Files of a crate that use each other around a folder's edge.
fn circles(files: &[File], root: &File) -> Vec<Problem> {
    let source = root.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let of_crate = files.iter().filter(|file| file.under(&[&format!("{source}/")]));
    let rust: Vec<&File> = of_crate.filter(|file| file.is(".rs")).collect();
    let paths: BTreeMap<Path<'_>, &File> =
        rust.iter().map(|file| (module_path(source, file), *file)).collect();
    let modules: BTreeMap<&Path<'_>, Module<'_>> =
        paths.iter().map(|(path, file)| (path, Module::read(path, file, &paths))).collect();
    let edges: BTreeMap<&Path<'_>, BTreeMap<&Path<'_>, usize>> =
        modules.iter().map(|(path, module)| (*path, uses(path, module, &modules))).collect();
    let mut problems = Vec::new();
    let mut told = BTreeSet::new();
    for (from, to, line) in
        edges.iter().flat_map(|(from, used)| used.iter().map(move |(to, line)| (*from, *to, *line)))
    {
        let (Some(one), Some(other)) = (modules.get(from), modules.get(to)) else { continue };
        if one.folder == other.folder || told.contains(from) && told.contains(to) {
            continue;
        }
        let Some(back) = shortest(&edges, to, from) else { continue };
        told.extend(back.iter().copied());
        let name = |path: &&Path<'_>| {
            let file = modules.get(*path).map_or("", |module| &module.file.path);
            file.strip_prefix(source).unwrap_or(file).trim_start_matches('/').to_owned()
        };
        let circle: Vec<String> = std::iter::once(&from).chain(&back).map(name).collect();
        problems.push(one.file.problem(
            line,
            &format!(
                "a circle of files crosses folders, {}: move what they share below them",
                circle.join(" → ")
            ),
        ));
    }
    problems
}

/// `a/b/mod.rs` and `a/b.rs` are `a::b`; the crate's root has no name.
fn module_path<'a>(source: &str, file: &'a File) -> Path<'a> {
    let inside = file.path.strip_prefix(source).unwrap_or(&file.path).trim_start_matches('/');
    let stem = inside.strip_suffix(".rs").unwrap_or(inside);
    let mut path: Path<'a> = stem.split('/').collect();
    if path.last() == Some(&"mod") || matches!(*path, ["lib" | "main"]) {
        path.pop();
    }
    path
}

impl<'a> Module<'a> {
    fn read(path: &Path<'a>, file: &'a File, all: &BTreeMap<Path<'a>, &'a File>) -> Self {
        let has_parts = all.keys().any(|other| other.len() > path.len() && other.starts_with(path));
        let folder = match has_parts && !path.is_empty() && !file.is("/mod.rs") {
            true => file.path.strip_suffix(".rs").unwrap_or(&file.path),
            false => file.path.rsplit_once('/').map_or("", |(folder, _)| folder),
        };
        let is_part = |name: &str| all.contains_key(&[path.as_slice(), &[name]].concat());
        let mut module = Self { file, folder, names: BTreeMap::new(), used: Vec::new() };
        let all = tokens(&file.text);
        let mut code: Vec<Token<'a>> = Vec::new();
        // Re-exports: the name, the path behind it, the line.
        let mut passed_on: Vec<(&str, Path<'a>, usize)> = Vec::new();
        let mut at = 0;
        while let Some((token, line)) = all.get(at).copied() {
            if token != "use" {
                code.push((token, line));
                at += 1;
                continue;
            }
            let public = matches!(code.last(), Some(("pub" | ")", _)));
            let end = all.iter().skip(at).position(|(token, _)| *token == ";");
            let end = end.map_or(all.len(), |length| at + length);
            for (name, path) in tree(all.get(at + 1..end).unwrap_or(&[])) {
                let own = path.first().is_some_and(|first| *first == "self" || is_part(first));
                if public && own {
                    passed_on.push((name, path.clone(), line));
                } else {
                    module.used.push((path.clone(), line));
                }
                module.names.insert(name, path);
            }
            at = end + 1;
        }
        let uses = |name: &str| code.iter().any(|(token, _)| *token == name);
        let needed = passed_on.into_iter().filter(|(name, ..)| uses(name));
        module.used.extend(needed.map(|(_, path, line)| (path, line)));
        module.used.extend(written_out(&code, is_part));
        module
    }
}

/// The paths of a `use`, each with the name that it brings.
fn tree<'a>(tokens: &[Token<'a>]) -> Vec<(&'a str, Path<'a>)> {
    let words: Path<'a> = tokens.iter().map(|(token, _)| *token).collect();
    let Some(open) = words.iter().position(|token| *token == "{") else {
        let (path, name) = match words.iter().position(|token| *token == "as") {
            Some(at) => (words.get(..at), words.get(at + 1)),
            None => (words.get(..), words.last()),
        };
        let path: Path<'a> =
            path.unwrap_or(&[]).iter().copied().filter(|token| *token != "::").collect();
        return name.map(|name| (*name, path)).into_iter().collect();
    };
    let prefix: Path<'a> =
        words.iter().take(open).copied().filter(|token| *token != "::").collect();
    let close = words.iter().rposition(|token| *token == "}").unwrap_or(words.len());
    let (mut depth, mut all) = (0, Vec::new());
    let inside = tokens.get(open + 1..close).unwrap_or(&[]);
    let parts = inside.split(|(token, _)| {
        depth += i32::from(*token == "{") - i32::from(*token == "}");
        depth == 0 && *token == ","
    });
    for part in parts.filter(|part| !part.is_empty()) {
        for (name, rest) in tree(part) {
            let own = rest == ["self"];
            let rest = if own { Vec::new() } else { rest };
            let name = if own { prefix.last().copied().unwrap_or(name) } else { name };
            all.push((name, [prefix.clone(), rest].concat()));
        }
    }
    all
}

/// Paths in code that begin at a module of the crate.
fn written_out<'a>(code: &[Token<'a>], is_part: impl Fn(&str) -> bool) -> Vec<(Path<'a>, usize)> {
    let token = |at: usize| code.get(at).map(|(token, _)| *token);
    let mut paths = Vec::new();
    let mut at = 0;
    while let Some((first, line)) = code.get(at).copied() {
        let begins = matches!(first, "crate" | "self" | "super") || is_part(first);
        let inside = at.checked_sub(1).and_then(token) == Some("::");
        let mut path = vec![first];
        at += 1;
        if !begins || inside {
            continue;
        }
        while token(at) == Some("::") {
            path.extend(token(at + 1));
            at += 2;
        }
        if path.len() > 1 {
            paths.push((path, line));
        }
    }
    paths
}

/// The modules that `module` uses, each with the first line that says so.
fn uses<'m, 'a>(
    at: &'m Path<'a>,
    module: &Module<'a>,
    all: &BTreeMap<&'m Path<'a>, Module<'a>>,
) -> BTreeMap<&'m Path<'a>, usize> {
    let mut used = BTreeMap::new();
    for (path, line) in &module.used {
        if let Some(found) = resolve(at, path, all, 0).filter(|found| *found != at) {
            let first = used.entry(found).or_insert(*line);
            *first = (*first).min(*line);
        }
    }
    used
}

/// The module in which what `path` names is written, seen from module `at`.
fn resolve<'m, 'a>(
    at: &Path<'a>,
    path: &[&'a str],
    all: &BTreeMap<&'m Path<'a>, Module<'a>>,
    depth: usize,
) -> Option<&'m Path<'a>> {
    // A `use` may pass on what another one does.
    const DEEPEST: usize = 8;
    let mut here = at.clone();
    let mut rest = path;
    match rest.first()? {
        &"crate" => (here, rest) = (Vec::new(), rest.get(1..)?),
        &"self" => rest = rest.get(1..)?,
        &"super" => {
            while let Some(after) = rest.strip_prefix(&["super"]) {
                here.pop();
                rest = after;
            }
        }
        first => {
            let part = [at.as_slice(), &[*first]].concat();
            let named = all.get(at)?.names.get(first).is_some_and(|to| to.first() != Some(first));
            if !all.contains_key(&part) && !named {
                return None;
            }
        }
    }
    while let Some(first) = rest.first() {
        let part = [here.as_slice(), &[*first]].concat();
        let names = &all.get(&here)?.names;
        if all.contains_key(&part) {
            here = part;
            rest = rest.get(1..)?;
        } else if let Some(to) = names.get(first).filter(|to| depth < DEEPEST && *to != rest) {
            let whole = [to.as_slice(), rest.get(1..)?].concat();
            return resolve(&here, &whole, all, depth + 1);
        } else {
            break;
        }
    }
    all.get_key_value(&here).map(|(path, _)| *path)
}

/// The shortest way from one module to another, both included.
fn shortest<'m, 'a>(
    edges: &BTreeMap<&'m Path<'a>, BTreeMap<&'m Path<'a>, usize>>,
    from: &'m Path<'a>,
    to: &'m Path<'a>,
) -> Option<Vec<&'m Path<'a>>> {
    let mut before: BTreeMap<&Path<'_>, &'m Path<'a>> = BTreeMap::new();
    let mut next = VecDeque::from([from]);
    while let Some(at) = next.pop_front() {
        if at == to {
            let mut way = vec![at];
            while let Some(at) = way.last().filter(|at| **at != from) {
                way.push(before.get(*at)?);
            }
            way.reverse();
            return Some(way);
        }
        for used in edges.get(at)?.keys() {
            if *used != from && !before.contains_key(*used) {
                before.insert(used, at);
                next.push_back(used);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let file = |(path, text): &(&str, &str)| File {
            path: format!("crates/a/src/{path}"),
            text: (*text).into(),
        };
        let files: Vec<File> = files.iter().map(file).collect();
        no_circles_across_folders(&files).into_iter().map(|problem| problem.0).collect()
    }

    #[test]
    fn a_circle_across_folders_is_told_once_with_its_files() {
        let files = [
            ("lib.rs", "mod a;\nmod b;\nmod d;"),
            ("a.rs", "\nuse crate::b::c::C;"),
            ("b/mod.rs", "pub mod c;"),
            ("b/c.rs", "fn c() -> crate::d::D { }"),
            ("d.rs", "use super::a::{self, A};"),
        ];
        assert_eq!(
            found(&files),
            [
                "crates/a/src/a.rs:2: a circle of files crosses folders, a.rs → b/c.rs → d.rs → a.rs: \
              move what they share below them"
            ]
        );
    }

    #[test]
    fn files_of_one_folder_may_need_each_other() {
        let files = [
            ("lib.rs", "mod a;\nmod b;"),
            ("a/mod.rs", "mod c; use c::C;"),
            ("a/c.rs", "use super::A;"),
            ("b.rs", "mod d; fn b() { d::d() }"),
            ("b/d.rs", "use super::B;"),
        ];
        assert_eq!(found(&files), [""; 0]);
    }

    #[test]
    fn re_exports_lead_to_the_file_and_are_no_use_of_it() {
        let uses_c = "use crate::C;";
        let root = "mod a; mod b; pub use b::{C as D, C};";
        let back = ("b/c.rs", "use crate::a::A; pub struct C;");
        let files =
            [("lib.rs", root), ("a.rs", uses_c), ("b/mod.rs", "mod c; pub use c::C;"), back];
        assert_eq!(found(&files).len(), 1);
        let files = [("lib.rs", root), ("a.rs", ""), ("b/mod.rs", "mod c; pub use c::C;"), back];
        assert_eq!(found(&files), [""; 0]);
        // A root that is used, and itself uses what it re-exports.
        let root = "mod b; pub use b::C; struct A(C);";
        let back = ("b/c.rs", "use crate::A; pub struct C;");
        let files = [("lib.rs", root), ("b/mod.rs", "mod c; pub use c::C;"), back];
        assert_eq!(found(&files).len(), 1);
    }

    #[test]
    fn tests_and_other_crates_do_not_count() {
        let files = [
            ("lib.rs", "mod a;\nmod b;"),
            ("a.rs", "use crate::b::B; use other::b::a;"),
            ("b/mod.rs", "use other::a; #[cfg(test)] mod tests { use crate::a::A; }"),
        ];
        assert_eq!(found(&files), [""; 0]);
    }
}
