//! Tables of a README that a test writes and checks.

use std::fmt::Write;
use std::path::Path;

/// A row: what must stand there letter by letter, and measured errors behind it.
pub struct Row {
    /// `| a | b |`
    pub facts: String,
    /// Each may be up to eight times what stands there: adapters add up in other orders.
    pub errors: Vec<f64>,
}

/// Compares rows with the table between `<!-- MARK: … -->` and `<!-- /MARK -->` of a
/// README; with `WISP_UPDATE=1` it writes them there.
pub fn check(path: &Path, mark: &str, header: &str, rows: &[Row]) {
    let readme = std::fs::read_to_string(path).unwrap();
    let (front, rest) = readme.split_once(&format!("<!-- {mark}: ")).expect("a begin");
    let (by, rest) = rest.split_once("-->\n").expect("an end of the begin");
    let end = format!("<!-- /{mark} -->");
    let (old, back) = rest.split_once(&end).expect("an end");
    let columns = header.matches('|').count() - 1;
    let mut new = format!("{header}\n|{}\n", "---|".repeat(columns));
    for row in rows {
        let errors = row.errors.iter().map(|error| format!(" {error:.0e} |")).collect::<String>();
        writeln!(new, "{}{errors}", row.facts).unwrap();
    }
    if std::env::var_os("WISP_UPDATE").is_some() {
        let all = format!("{front}<!-- {mark}: {by}-->\n{new}{end}{back}");
        return std::fs::write(path, all).unwrap();
    }
    assert_eq!(old.lines().count(), new.lines().count(), "rows of the table in {path:?}");
    for row in rows {
        let known = old.lines().find_map(|line| line.strip_prefix(&row.facts));
        let known = known.unwrap_or_else(|| panic!("not in {path:?}: {}", row.facts));
        let known = known.split('|').filter_map(|error| error.trim().parse::<f64>().ok());
        for (error, known) in row.errors.iter().zip(known) {
            assert!(*error <= 8.0 * known, "{}: {error:e} is not about {known:e}", row.facts);
        }
    }
}
