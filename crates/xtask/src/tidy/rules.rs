//! One function a rule. Each gets every text, and gives what is wrong.

use super::circles::no_circles_across_folders;
use super::{File, Problem};

/// A house rule.
type Rule = fn(&[File]) -> Vec<Problem>;

/// All of them.
pub const ALL: [Rule; 10] = [
    wgpu_in_gpu_only,
    scheduler_without_a_device,
    architecture_in_few_places,
    readmes,
    no_enable_in_shaders,
    arrows_point_down,
    no_circles_across_folders,
    short_files,
    no_places_of_one_machine,
    no_orphan_kernels,
];

/// Here the rules themselves spell what they forbid.
const RULES: &str = "crates/xtask/src/tidy/";

/// Most lines of a source file.
const LONGEST: usize = 600;

/// Crates from the bottom up: each may use those of lower rows only.
const ROWS: [&[&str]; 10] = [
    &["base"],
    &["formats", "tokenizer", "gpu"],
    &["graph"],
    &["ops"],
    &["models"],
    &["runtime"],
    &["grammar", "train", "bench"],
    &["api", "rag", "convert"],
    &["llm", "web"],
    &["tests"],
];

/// `graph`, `ops`, … see buffers and kernels, never the library beneath.
fn wgpu_in_gpu_only(files: &[File]) -> Vec<Problem> {
    const WHAT: &str = "wgpu is named outside crates/gpu: add what is missing to wisp-gpu's API";
    let others = files.iter().filter(|file| !file.under(&["crates/gpu/", RULES]));
    let named = |file: &File, line: &str| match file.is(".rs") {
        true => ["wgpu::", "use wgpu", "extern crate wgpu"].iter().any(|word| line.contains(word)),
        // The root's Cargo.toml keeps the version for all.
        false => file.is("/Cargo.toml") && line.trim_start().starts_with("wgpu"),
    };
    lines(others, WHAT, named)
}

/// What the next step computes is decided by data alone, so that it can be tried without one.
fn scheduler_without_a_device(files: &[File]) -> Vec<Problem> {
    const WHAT: &str = "the scheduler is data in and data out: whatever waits or names a device \
                        belongs into crates/runtime/src/engine";
    const FOLDERS: [&str; 2] = ["crates/runtime/src/schedule/", "crates/runtime/src/state/"];
    let scheduler = files.iter().filter(|file| file.under(&FOLDERS));
    lines(scheduler, WHAT, |_, line| line.contains("wisp_gpu") || line.contains("async "))
}

/// The web is a matter of few files; everything else is written once.
fn architecture_in_few_places(files: &[File]) -> Vec<Problem> {
    const WHAT: &str = "target_arch is asked for outside crates/gpu, crates/formats/src/source and \
                        web: hide the difference there";
    // lib.rs: the re-export of a source that the web lacks.
    const FEW: [&str; 5] =
        ["crates/gpu/", "crates/formats/src/source", "crates/formats/src/lib.rs", "web/", RULES];
    let others = files.iter().filter(|file| file.is(".rs") && !file.under(&FEW));
    lines(others, WHAT, |_, line| line.contains("target_arch"))
}

/// What lives in a folder, and what must not.
fn readmes(files: &[File]) -> Vec<Problem> {
    let mut folders = vec!["native".to_string(), "shaders".into(), "tests".into()];
    let crates = files.iter().filter(|file| file.under(&["crates/"]) && file.is("/Cargo.toml"));
    folders.extend(crates.filter_map(|file| {
        let folder = file.path.strip_suffix("/Cargo.toml")?;
        (folder.matches('/').count() == 1).then(|| folder.to_string())
    }));
    let lacks = |folder: &String| {
        let readme = format!("{folder}/README.md");
        !files.iter().any(|file| file.path == readme)
    };
    let missing = folders.into_iter().filter(lacks);
    missing
        .map(|folder| {
            Problem(format!(
                "{folder}/README.md:1: there is no such file: say what lives in the folder and \
                 what must not"
            ))
        })
        .collect()
}

/// naga rejects some of these directives, and browsers demand them: the linker writes them.
fn no_enable_in_shaders(files: &[File]) -> Vec<Problem> {
    const WHAT: &str = "an `enable` directive: leave it to the linker, which knows the target";
    let shaders = files.iter().filter(|file| file.is(".wgsl"));
    lines(shaders, WHAT, |_, line| line.trim_start().starts_with("enable "))
}

/// base → formats, tokenizer, gpu → graph → ops → models → runtime → native.
fn arrows_point_down(files: &[File]) -> Vec<Problem> {
    let row = |name: &str| ROWS.iter().position(|row| row.contains(&name));
    let mut problems = Vec::new();
    for file in files.iter().filter(|file| file.is("/Cargo.toml")) {
        let name = file.lines().find_map(|(_, line)| {
            line.strip_prefix("name = \"wisp-").and_then(|rest| rest.strip_suffix('"'))
        });
        let Some(ours) = name.and_then(row) else { continue };
        for (number, line) in file.lines() {
            let Some(rest) = line.strip_prefix("wisp-") else { continue };
            let used = rest.split(['.', ' ', '=']).next().unwrap_or(rest);
            if row(used).is_none_or(|used| used >= ours) {
                problems.push(file.problem(
                    number,
                    &format!(
                        "wisp-{used} does not lie below wisp-{}: dependencies go one way",
                        name.unwrap_or_default()
                    ),
                ));
            }
        }
    }
    problems
}

/// A file that nobody can read in one sitting is two files.
fn short_files(files: &[File]) -> Vec<Problem> {
    let long =
        |file: &&File| (file.is(".rs") || file.is(".wgsl")) && file.text.lines().count() > LONGEST;
    let files = files.iter().filter(long);
    files
        .map(|file| {
            let count = file.text.lines().count();
            file.problem(
                LONGEST + 1,
                &format!("{count} lines, but {LONGEST} are the most: split it"),
            )
        })
        .collect()
}

/// What works here only, and hosts that only the model store may know. (The chat page's list of
/// models is data for those who host it, and no text that is read here; a test of the store holds
/// the two together.)
fn no_places_of_one_machine(files: &[File]) -> Vec<Problem> {
    const PLACES: [&str; 4] = ["/work/", "/tmp/", "/home/", "/root/"];
    const HOSTS: [&str; 5] =
        ["huggingface.co", "pypi.org", "pythonhosted.org", "crates.io", "npmjs."];
    let others: Vec<&File> =
        files.iter().filter(|file| !file.under(&["native/src/store/", RULES])).collect();
    let begins = |line: &str, place: &str| {
        line.match_indices(place).any(|(at, _)| {
            let before = line.get(..at).and_then(|before| before.chars().next_back());
            // Not the middle of a longer path or address.
            !before.is_some_and(|c| c.is_alphanumeric() || "._-~}".contains(c))
        })
    };
    let places =
        lines(others.iter().copied(), "a path of one machine: find it at run time", |_, line| {
            PLACES.iter().any(|place| begins(line, place))
        });
    // Pages for people may lead them somewhere.
    let code = others.iter().copied().filter(|file| !file.is(".md"));
    let hosts = lines(code, "a host by its name: only native/src/store knows hosts", |_, line| {
        HOSTS.iter().any(|host| line.contains(host))
    });
    places.into_iter().chain(hosts).collect()
}

/// A shader that no operation links is dead, or not tested.
fn no_orphan_kernels(files: &[File]) -> Vec<Problem> {
    let users: Vec<&File> = files
        .iter()
        .filter(|file| {
            (file.under(&["crates/"]) && file.is(".rs") && !file.under(&["crates/xtask/"]))
                || (file.under(&["shaders/"]) && file.is(".wgsl"))
        })
        .collect();
    let mut problems = Vec::new();
    for file in files.iter().filter(|file| file.under(&["shaders/"]) && file.is(".wgsl")) {
        let stem = file.path.strip_prefix("shaders/").and_then(|path| path.strip_suffix(".wgsl"));
        let stem = stem.unwrap_or_default();
        let names = match stem.split_once('/') {
            // `weight/q8_0`, or `weight/{}` with a format's name put in.
            Some((folder, _)) => vec![stem.to_string(), format!("\"{folder}/{{")],
            None => vec![format!("\"{stem}\"")],
        };
        let used = |user: &&File| {
            user.path != file.path && names.iter().any(|name| user.text.contains(name))
        };
        if !users.iter().any(used) {
            problems.push(file.problem(1, "no operation links this shader: use it or delete it"));
        }
    }
    problems
}

/// A problem for each line of code for which `broken` says so.
fn lines<'a>(
    files: impl Iterator<Item = &'a File>,
    what: &str,
    broken: impl Fn(&File, &str) -> bool,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    for file in files {
        let found = file.code().filter(|(_, line)| broken(file, line));
        problems.extend(found.map(|(number, _)| file.problem(number, what)));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File { path: path.into(), text: text.into() }
    }

    fn shown(rule: Rule, files: &[File]) -> Vec<String> {
        let where_only =
            |problem: Problem| problem.0.splitn(3, ':').take(2).collect::<Vec<_>>().join(":");
        rule(files).into_iter().map(where_only).collect()
    }

    #[test]
    fn wgpu_is_found_in_code_not_in_comments() {
        let files = [
            file("crates/gpu/src/a.rs", "use wgpu::Device;"),
            file("crates/ops/src/a.rs", "// wgpu::Device\nlet a = wgpu::Device;"),
            file("crates/ops/Cargo.toml", "[dependencies]\nwgpu.workspace = true"),
            file("Cargo.toml", "wgpu = \"30\""),
        ];
        assert_eq!(
            shown(wgpu_in_gpu_only, &files),
            ["crates/ops/src/a.rs:2", "crates/ops/Cargo.toml:2"]
        );
    }

    #[test]
    fn the_scheduler_names_no_device_and_never_waits() {
        let (device, wait) = ("use wisp_gpu::Gpu;", "pub async fn next_step() {}");
        let files = [
            file("crates/runtime/src/engine/runner.rs", device),
            file("crates/runtime/src/schedule/mod.rs", device),
            file("crates/runtime/src/state/a.rs", wait),
        ];
        assert_eq!(
            shown(scheduler_without_a_device, &files),
            ["crates/runtime/src/schedule/mod.rs:1", "crates/runtime/src/state/a.rs:1"]
        );
    }

    #[test]
    fn the_architecture_is_asked_for_in_few_places() {
        let text = "#[cfg(not(target_arch = \"wasm32\"))]";
        let files = [
            file("crates/formats/src/source/file.rs", text),
            file("crates/runtime/src/a.rs", text),
        ];
        assert_eq!(shown(architecture_in_few_places, &files), ["crates/runtime/src/a.rs:1"]);
    }

    #[test]
    fn folders_without_a_readme_are_named() {
        let files = [
            file("crates/a/Cargo.toml", ""),
            file("crates/b/Cargo.toml", ""),
            file("crates/b/README.md", ""),
            file("native/README.md", ""),
            file("shaders/README.md", ""),
        ];
        assert_eq!(shown(readmes, &files), ["tests/README.md:1", "crates/a/README.md:1"]);
    }

    #[test]
    fn enable_is_the_linkers() {
        let files = [file("shaders/a.wgsl", "// enable f16\n  enable f16;\nlet enabled = 1;")];
        assert_eq!(shown(no_enable_in_shaders, &files), ["shaders/a.wgsl:2"]);
    }

    #[test]
    fn dependencies_go_down_only() {
        let files = [
            file(
                "crates/ops/Cargo.toml",
                "name = \"wisp-ops\"\nwisp-base = 1\nwisp-models.workspace = true",
            ),
            file("crates/gpu/Cargo.toml", "name = \"wisp-gpu\"\nwisp-formats = 1"),
            file("native/Cargo.toml", "name = \"wisp-llm\"\nwisp-runtime = 1"),
        ];
        assert_eq!(
            shown(arrows_point_down, &files),
            ["crates/ops/Cargo.toml:3", "crates/gpu/Cargo.toml:2"]
        );
    }

    #[test]
    fn long_files_are_named() {
        let files = [file("a.rs", &"\n".repeat(601)), file("b.rs", &"\n".repeat(600))];
        assert_eq!(shown(short_files, &files), ["a.rs:601"]);
    }

    #[test]
    fn places_of_one_machine_are_found() {
        let files = [
            file("a.py", "open('/tmp/x')\nweb/home/page\n~/.wisp/home/x"),
            file("a.md", "see huggingface.co\nand /home/me"),
            file("b.rs", "let host = \"pypi.org\";"),
            file("native/src/store/source.rs", "pypi.org"),
        ];
        assert_eq!(shown(no_places_of_one_machine, &files), ["a.py:1", "a.md:2", "b.rs:1"]);
    }

    #[test]
    fn shaders_that_nothing_links_are_named() {
        let files = [
            file("shaders/a.wgsl", "//!import lib/b"),
            file("shaders/lib/b.wgsl", ""),
            file("shaders/weight/c.wgsl", ""),
            file("shaders/d.wgsl", ""),
            file("crates/ops/src/a.rs", "Kernel::new(\"a\").link(format!(\"weight/{}\", x))"),
        ];
        assert_eq!(shown(no_orphan_kernels, &files), ["shaders/d.wgsl:1"]);
    }
}
