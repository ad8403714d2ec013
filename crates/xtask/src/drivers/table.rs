//! Figures by phase, operation, kernel and format: of all models' kernels the worst.

use super::aco::Loads;
use super::compile::{Compiled, Driver, Figures};
use super::kernels::{CASE, Kernel, Use};
use std::collections::{BTreeMap, BTreeSet};

/// Phases of models, in their order, and what tests alone have.
pub const PHASES: [&str; 4] = ["decode", "decode of 8", "prefill", CASE];

/// What a row is of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Index into [`PHASES`].
    pub phase: usize,
    pub operation: String,
    /// A file under `shaders`.
    pub kernel: String,
    /// Of weights, or `-`.
    pub format: String,
}

impl Key {
    pub fn phase(&self) -> &'static str {
        PHASES[self.phase]
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} | {} | {} | {}", self.phase(), self.operation, self.kernel, self.format)
    }
}

/// The worst of some kernels, figure by figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    pub figures: Figures,
    /// Bytes of workgroup memory.
    pub memory: u32,
    pub kernels: usize,
}

impl Row {
    fn and(self, other: Row) -> Row {
        let (a, b) = (self.figures, other.figures);
        let loads = a.loads.zip(b.loads).map(|(a, b)| {
            // Waits of a kernel that loads nothing say nothing, and its loads are not few.
            let fewer = match (a.first, b.first) {
                (0, _) => b,
                (_, 0) => a,
                _ if a.bytes <= b.bytes => a,
                _ => b,
            };
            Loads { waits: a.waits.max(b.waits), ..fewer }
        });
        let figures = Figures {
            registers: a.registers.max(b.registers),
            spills: a.spills.max(b.spills),
            waves: a.waves.min(b.waves),
            instructions: a.instructions.max(b.instructions),
            loads,
        };
        let memory = self.memory.max(other.memory);
        Row { figures, memory, kernels: self.kernels + other.kernels }
    }
}

/// Rows of one device, without what did not compile.
pub fn rows(adapter: &str, kernels: &[&Kernel], compiled: &[Compiled]) -> BTreeMap<Key, Row> {
    let mut rows: BTreeMap<Key, Row> = BTreeMap::new();
    for (kernel, one) in kernels.iter().zip(compiled) {
        let Ok(figures) = one.figures else { continue };
        let row = Row { figures, memory: kernel.workgroup_memory, kernels: 1 };
        // Tests are there to cover every path, not to be fast.
        for key in keys(adapter, kernel).into_iter().filter(|key| key.phase() != CASE) {
            rows.entry(key).and_modify(|known| *known = known.and(row)).or_insert(row);
        }
    }
    rows
}

/// The rows that a kernel belongs to on an adapter.
pub fn keys(adapter: &str, kernel: &Kernel) -> BTreeSet<Key> {
    let key = |of: &Use| {
        let phase = PHASES.iter().position(|phase| *phase == of.phase)?;
        let (operation, name) = (of.operation.clone(), kernel.name.clone());
        Some(Key { phase, operation, kernel: name, format: kernel.format.clone() })
    };
    kernel.uses_on(adapter).filter_map(key).collect()
}

/// A table of Markdown. All figures but the number of instructions, which changes with the least
/// edit of a kernel, or with it.
pub fn markdown(driver: Driver, rows: &BTreeMap<Key, Row>, instructions: bool) -> String {
    let (registers, waves) = driver.words();
    let mut header: Vec<String> =
        ["phase", "operation", "kernel", "format", "kernels", registers, "spills", waves]
            .map(str::to_owned)
            .into();
    header.push("workgroup memory".into());
    if driver == Driver::Radv {
        header.extend(
            ["loads in flight", "bytes in flight", "waits per iteration"].map(str::to_owned),
        );
    }
    if instructions {
        header.push("instructions".into());
    }
    let dashes = vec!["---".to_owned(); header.len()];
    let mut lines = vec![header, dashes];
    for (key, Row { figures, memory, kernels }) in rows {
        let mut line = vec![
            key.phase().to_owned(),
            key.operation.clone(),
            key.kernel.clone(),
            key.format.clone(),
            kernels.to_string(),
            figures.registers.to_string(),
            figures.spills.to_string(),
            figures.waves.to_string(),
            memory.to_string(),
        ];
        if let Some(loads) = figures.loads {
            line.extend([loads.first, loads.bytes, loads.waits].map(|number| number.to_string()));
        }
        if instructions {
            line.push(figures.instructions.to_string());
        }
        lines.push(line);
    }
    lines.iter().map(|line| format!("| {} |\n", line.join(" | "))).collect()
}

/// The same for a terminal: columns side by side, without bars.
pub fn columns(markdown: &str) -> String {
    let lines: Vec<Vec<&str>> = markdown
        .lines()
        .filter(|line| !line.contains("---"))
        .map(|line| line.trim_matches(['|', ' ']).split(" | ").collect())
        .collect();
    let count = lines.first().map_or(0, Vec::len);
    let width = |column: usize| {
        lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.len()).max()
    };
    let widths: Vec<usize> = (0..count).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for line in &lines {
        for (at, (cell, width)) in line.iter().zip(&widths).enumerate() {
            // Names to the left, numbers to the right.
            let cell =
                if at < 4 { format!("{cell:<width$}  ") } else { format!("{cell:>width$}  ") };
            text.push_str(&cell);
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}
