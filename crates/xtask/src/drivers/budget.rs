//! Fixed limits of what compilers may make of kernels, and `tests/drivers.md`, which has today's
//! figures and what is over a limit today.

use super::compile::Device;
use super::kernels::CASE;
use super::table::{Key, PHASES, Row, markdown};
use crate::step::{Result, root};
use std::collections::BTreeMap;
use std::fmt::Write as _;

const INTRO: &str = "\
# What drivers' compilers make of the kernels

`cargo xtask drivers` compiles the kernels of six models in five file types (decode of one token,
decode of eight sequences, prefill of 512 tokens, all at a context of 1,024) with each driver, and
needs no GPU. A row has the worst figure of all models. Loads are those of the innermost loop, or
of the whole kernel where there is no loop: loads in flight at the first wait, per thread, and
their bytes; dependent waits (trips to memory one after the other) per iteration.

`cargo xtask drivers --update` rewrites the figures. Without it they are compared with this file
if Mesa's version is the same. The limits always hold, except for what is listed as over them.
`--update` takes lines out of that list, but never adds one: add it by hand.
";

/// Sections of the file.
const MESA: &str = "Mesa: ";
const OVER: &str = "## Over the limits";
const OVER_HEADER: &str = "| device | phase | operation | kernel | format | figure | now | limit |
| --- | --- | --- | --- | --- | --- | --- | --- |
";

/// What was compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    All,
    /// The kernels of models, on all devices: the list's lines of tests stay as they are.
    Plans,
    /// Some devices or kernels.
    Part,
}

/// A limit for some of the kernels.
struct Limit {
    figure: &'static str,
    /// Of which devices: their names begin with it.
    driver: &'static str,
    phase: &'static str,
    /// Kernels, or all if there is none.
    kernels: &'static [&'static str],
    at: At,
}

/// On which side of a number a figure must stay.
#[derive(Clone, Copy)]
enum At {
    Most(u32),
    Least(u32),
}

/// Kernels with which decode reads weights and the cache.
const READERS: &[&str] = &["matvec", "attention_decode"];

/// All limits. Waves: of NVIDIA's 48 warps per SM and AMD's 16 waves per SIMD, where navi21 has
/// two thirds of navi31's registers.
const LIMITS: [Limit; 23] = {
    const fn of(
        figure: &'static str,
        driver: &'static str,
        phase: &'static str,
        kernels: &'static [&'static str],
        at: At,
    ) -> Limit {
        Limit { figure, driver, phase, kernels, at }
    }
    const ONE: &str = PHASES[0];
    const EIGHT: &str = PHASES[1];
    const PROMPT: &str = PHASES[2];
    [
        of("spills", "RADV", ONE, &[], At::Most(0)),
        of("spills", "RADV", EIGHT, &[], At::Most(0)),
        of("spills", "RADV", PROMPT, &[], At::Most(0)),
        of("spills", "NVK", ONE, &[], At::Most(0)),
        of("spills", "NVK", EIGHT, &[], At::Most(0)),
        of("spills", "NVK", PROMPT, &[], At::Most(0)),
        of("spills", "Honeykrisp", ONE, &[], At::Most(0)),
        of("spills", "Turnip", ONE, &[], At::Most(0)),
        of("waves", "RADV navi21", ONE, &[], At::Least(5)),
        of("waves", "RADV navi21", EIGHT, &[], At::Least(5)),
        of("waves", "RADV navi21", PROMPT, &[], At::Least(4)),
        of("waves", "RADV navi31", ONE, &[], At::Least(8)),
        of("waves", "RADV navi31", EIGHT, &[], At::Least(8)),
        of("waves", "RADV navi31", PROMPT, &[], At::Least(4)),
        of("waves", "RADV gfx1201", ONE, &[], At::Least(8)),
        of("waves", "RADV gfx1201", EIGHT, &[], At::Least(8)),
        of("waves", "RADV gfx1201", PROMPT, &[], At::Least(4)),
        of("waves", "NVK", ONE, &[], At::Least(24)),
        of("waves", "NVK", EIGHT, &[], At::Least(16)),
        of("waves", "NVK", PROMPT, &[], At::Least(16)),
        of("loads in flight", "RADV", ONE, READERS, At::Least(4)),
        of("loads in flight", "RADV", EIGHT, READERS, At::Least(4)),
        of("waits per iteration", "RADV", ONE, READERS, At::Most(2)),
    ]
};

impl Limit {
    /// The figure of a row that is over the limit.
    fn broken_by(&self, device: &Device, key: &Key, row: &Row) -> Option<u32> {
        let kernel = self.kernels.is_empty() || self.kernels.contains(&key.kernel.as_str());
        if !device.name.starts_with(self.driver) || self.phase != key.phase() || !kernel {
            return None;
        }
        let figures = row.figures;
        let figure = match self.figure {
            "spills" => figures.spills,
            "waves" => figures.waves,
            // A kernel that loads nothing waits for nothing.
            _ if figures.loads?.first == 0 => return None,
            "loads in flight" => figures.loads?.first,
            _ => figures.loads?.waits,
        };
        let holds = match self.at {
            At::Most(most) => figure <= most,
            At::Least(least) => figure >= least,
        };
        (!holds).then_some(figure)
    }

    fn at(&self) -> String {
        match self.at {
            At::Most(most) => format!("{most} at most"),
            At::Least(least) => format!("{least} at least"),
        }
    }
}

/// Rows of each device.
type Tables = [(Device, BTreeMap<Key, Row>)];

/// What is over a limit: the cells that identify it in the list, and the list's line.
fn over(tables: &Tables) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (device, rows) in tables {
        for (key, row) in rows {
            for limit in &LIMITS {
                if let Some(now) = limit.broken_by(device, key, row) {
                    let (figure, now) = (limit.figure, now.to_string());
                    found.push(line(device.name, key, figure, &now, &limit.at()));
                }
            }
        }
    }
    found
}

/// The cells that identify a line of the list, and the line.
pub fn line(device: &str, key: &Key, figure: &str, now: &str, limit: &str) -> (String, String) {
    let name = format!("| {device} | {key} | {figure} |");
    let line = format!("{name} {now} | {limit} |");
    (name, line)
}

/// The list of a file, its lines by what identifies them.
fn listed(text: &str) -> BTreeMap<String, String> {
    let section = text.split_once(OVER).map_or("", |(_, rest)| rest);
    let section = section.split("\n## ").next().unwrap_or_default();
    let name = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').take(6).collect();
        (cells.len() == 6).then(|| (format!("|{}|", cells.join("|")), line.to_owned()))
    };
    section.lines().filter_map(name).collect()
}

/// The file's text, with those of the list that are known.
fn render(tables: &Tables, mesa: &str, over: &[&String]) -> String {
    let mut text = format!(
        "{INTRO}\n{MESA}{mesa}\n\n## Limits\n\n| figure | devices | phase | kernels | limit |\n| --- | --- | --- | --- | --- |\n"
    );
    for limit in &LIMITS {
        let kernels = match limit.kernels {
            [] => "all".to_owned(),
            some => some.join(", "),
        };
        let Limit { figure, driver, phase, .. } = limit;
        writeln!(text, "| {figure} | {driver} | {phase} | {kernels} | {} |", limit.at()).ok();
    }
    write!(text, "\n{OVER}\n\n{OVER_HEADER}").ok();
    over.iter().for_each(|line| text.push_str(&format!("{line}\n")));
    for (device, rows) in tables {
        write!(text, "\n## {}\n\n{}", device.name, markdown(device.driver, rows, false)).ok();
    }
    text
}

/// Compares with the limits, and with the file unless only a part was compiled. `refused` is
/// what validators refused, by what identifies it, as lines of the list.
pub fn check(
    tables: &Tables,
    mut refused: BTreeMap<String, String>,
    mesa: &str,
    scope: Scope,
    update: bool,
) -> Result {
    let path = root().join("tests").join("drivers.md");
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let known = listed(&text);
    if scope == Scope::Plans {
        let cases = known.iter().filter(|(name, _)| name.contains(&format!("| {CASE} |")));
        refused.extend(cases.map(|(name, line)| (name.clone(), line.clone())));
    }
    let mut over = over(tables);
    over.extend(refused);
    let (old, fresh): (Vec<_>, Vec<_>) =
        over.iter().partition(|(name, _)| known.contains_key(name));
    let old: Vec<&String> = old.into_iter().map(|(_, line)| line).collect();
    if scope != Scope::Part {
        let now = render(tables, mesa, &old);
        if update {
            std::fs::write(&path, &now).map_err(|cause| format!("{}: {cause}", path.display()))?;
        } else if !text.contains(&format!("{MESA}{mesa}\n")) {
            eprintln!("tests/drivers.md is of another Mesa than {mesa}: figures are not compared");
        } else if now != text {
            for line in changes(&text, &now) {
                eprintln!("{line}");
            }
            return Err("the figures are not those of tests/drivers.md: if that is meant, \
                        cargo xtask drivers --update"
                .into());
        }
    }
    if fresh.is_empty() {
        return Ok(());
    }
    eprintln!("over the limits, and not listed under {OVER:?} in tests/drivers.md:");
    fresh.iter().for_each(|(_, line)| eprintln!("{line}"));
    Err(format!("{} figures are over their limits", fresh.len()))
}

/// Lines that one text has and the other has not.
fn changes(old: &str, new: &str) -> Vec<String> {
    // Of each line its section, for rows of two drivers may be the same.
    let lines = |text: &str| {
        let mut section = String::new();
        let mut lines = Vec::new();
        for line in text.lines() {
            if let Some(title) = line.strip_prefix("## ") {
                section = title.to_owned();
            }
            lines.push(format!("{section}: {line}"));
        }
        lines
    };
    let (old, new) = (lines(old), lines(new));
    let gone = old.iter().filter(|line| !new.contains(line)).map(|line| format!("- {line}"));
    let come = new.iter().filter(|line| !old.contains(line)).map(|line| format!("+ {line}"));
    let mut all: Vec<String> = gone.chain(come).collect();
    // A row's old figures above its new ones.
    all.sort_by(|a, b| a[2..].cmp(&b[2..]));
    all
}

#[cfg(test)]
mod tests {
    use super::super::aco::Loads;
    use super::super::compile::{DEVICES, Driver, Figures};
    use super::*;
    use std::collections::BTreeSet;

    fn key(phase: usize, kernel: &str) -> Key {
        let [operation, kernel, format] = ["linear", kernel, "q4_0"].map(str::to_owned);
        Key { phase, operation, kernel, format }
    }

    fn row(spills: u32, waves: u32, first: u32) -> Row {
        let loads = Some(Loads { first, bytes: 16, waits: 1 });
        let figures = Figures { registers: 64, spills, waves, instructions: 9, loads };
        Row { figures, memory: 0, kernels: 1 }
    }

    #[test]
    fn what_is_over_a_limit_is_found_and_read_back() {
        let rows = BTreeMap::from([
            (key(0, "matvec"), row(0, 10, 2)),
            (key(1, "matvec"), row(7, 16, 8)),
            (key(2, "matmul"), row(0, 3, 1)),
        ]);
        let navi31 = DEVICES[1];
        assert_eq!((navi31.name, navi31.driver), ("RADV navi31", Driver::Radv));
        let tables = [(navi31, rows)];
        let over = over(&tables);
        let lines: Vec<&String> = over.iter().map(|(_, line)| line).collect();
        assert_eq!(
            lines,
            [
                "| RADV navi31 | decode | linear | matvec | q4_0 | loads in flight | 2 | 4 at least |",
                "| RADV navi31 | decode of 8 | linear | matvec | q4_0 | spills | 7 | 0 at most |",
                "| RADV navi31 | prefill | linear | matmul | q4_0 | waves | 3 | 4 at least |",
            ]
        );
        let names: BTreeSet<String> = over.iter().map(|(name, _)| name.clone()).collect();
        let listed: BTreeSet<String> =
            listed(&render(&tables, "Mesa 1", &lines)).into_keys().collect();
        assert!(listed.is_superset(&names), "{listed:?}");
    }

    #[test]
    fn changes_are_shown_by_section() {
        let changes =
            changes("## a\n| x | 1 |\n## b\n| x | 1 |\n", "## a\n| x | 1 |\n## b\n| x | 2 |\n");
        assert_eq!(changes, ["- b: | x | 1 |", "+ b: | x | 2 |"]);
    }
}
