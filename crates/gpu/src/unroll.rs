//! Loops written out. A line `//!unroll` before `for (var i = 0u; i < COUNT; i++) {` lets
//! the linker repeat the body, with `i` a constant in each copy. Compilers keep arrays in
//! registers only where every index is known, and not all of them unroll (those of
//! browsers do not): an array in memory costs a load a lane.

use wisp_base::{Error, Result};

/// A line of a linked shader: the file and line (1-based) it came from, its text.
pub(crate) type Line = (&'static str, usize, String);

const MARK: &str = "//!unroll";

/// Most copies of one body: more is a mistake.
const MOST: u32 = 64;

/// Writes out every marked loop, inner ones first.
///
/// # Errors
/// A mark before anything but such a loop, or a bound that is not known.
pub(crate) fn unroll(lines: Vec<Line>) -> Result<Vec<Line>> {
    if !lines.iter().any(|(.., text)| text.trim() == MARK) {
        return Ok(lines);
    }
    let constants = Constants::of(&lines);
    let mut out = Vec::with_capacity(4 * lines.len());
    repeat(&lines, &constants, &mut out)?;
    Ok(out)
}

fn repeat(lines: &[Line], constants: &Constants<'_>, out: &mut Vec<Line>) -> Result<()> {
    let mut rest = lines;
    while let Some((line, after)) = rest.split_first() {
        rest = after;
        if line.2.trim() != MARK {
            out.push(line.clone());
            continue;
        }
        let (file, at, _) = line;
        let wrong = |what: &str| Error::device(format!("shaders/{file}.wgsl:{at}: {what}"));
        let header = after.first().map(|(.., text)| text.as_str()).unwrap_or_default();
        let (name, bound) =
            header_of(header).ok_or_else(|| wrong("//!unroll stands before no loop it knows"))?;
        let count = constants.value(bound, 0).filter(|count| *count <= MOST).ok_or_else(|| {
            wrong(&format!("{bound}, the end of a loop to unroll, is not known or above {MOST}"))
        })?;
        let end = end_of(after).ok_or_else(|| wrong("the loop to unroll has no end"))?;
        let (body, behind) = (&after[1..end], &after[end..]);
        let indent = &header[..header.len() - header.trim_start().len()];
        for copy in 0..count {
            let first = &after[0];
            out.push((first.0, first.1, format!("{indent}{{ const {name} = {copy}u;")));
            repeat(body, constants, out)?;
            out.push(behind[0].clone());
        }
        rest = &behind[1..];
    }
    Ok(())
}

/// Name and bound of `for (var NAME = 0u; NAME < BOUND; NAME++) {`.
fn header_of(text: &str) -> Option<(&str, &str)> {
    let (name, rest) = text.trim().strip_prefix("for (var ")?.split_once(" = 0u; ")?;
    let rest = rest.strip_prefix(name)?.strip_prefix(" < ")?;
    let (bound, step) = rest.split_once("; ")?;
    (step.strip_prefix(name)? == "++) {").then_some((name, bound))
}

/// Which line closes the brace that the first one opens.
fn end_of(lines: &[Line]) -> Option<usize> {
    let mut depth = 0i32;
    for (at, (.., text)) in lines.iter().enumerate() {
        let code = text.split("//").next().unwrap_or_default();
        depth += code.matches('{').count() as i32 - code.matches('}').count() as i32;
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

/// The `const NAME: u32 = …;` of a shader.
struct Constants<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Constants<'a> {
    fn of(lines: &'a [Line]) -> Self {
        let constant = |(.., text): &'a Line| {
            let (name, rest) = text.strip_prefix("const ")?.split_once(':')?;
            let (_, value) = rest.split_once('=')?;
            Some((name, value.split(';').next()?.trim()))
        };
        Self(lines.iter().filter_map(constant).collect())
    }

    /// Numbers and names joined by `*` and `/`, from left to right.
    fn value(&self, text: &str, depth: usize) -> Option<u32> {
        let mut words = text.split_whitespace();
        let mut value = self.word(words.next()?, depth)?;
        while let Some(operator) = words.next() {
            let next = self.word(words.next()?, depth)?;
            value = match operator {
                "*" => value.checked_mul(next)?,
                "/" => value.checked_div(next)?,
                _ => return None,
            };
        }
        Some(value)
    }

    fn word(&self, word: &str, depth: usize) -> Option<u32> {
        if let Some(number) = word.strip_suffix('u').and_then(|digits| digits.parse().ok()) {
            return Some(number);
        }
        let (_, value) = self.0.iter().find(|(name, _)| *name == word)?;
        if depth > 8 { None } else { self.value(value, depth + 1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<Line> {
        text.lines().enumerate().map(|(at, line)| ("test", at + 1, line.to_owned())).collect()
    }

    #[test]
    fn nested_loops_are_written_out_with_their_counters_constant() {
        let text = "const A: u32 = 4u;\nconst B: u32 = A / 2u;\n//!unroll\n\
                    for (var i = 0u; i < B; i++) {\n    //!unroll\n    \
                    for (var j = 0u; j < 1u; j++) {\n        f(i, j);\n    }\n}\nend";
        let out = unroll(lines(text)).unwrap();
        let text: Vec<_> = out.iter().map(|(.., text)| text.trim()).collect();
        let copy = |i| [format!("{{ const i = {i}u;"), "{ const j = 0u;".into(), "f(i, j);".into()];
        let [a, b, c] = copy(0);
        let [d, e, f] = copy(1);
        let want = [
            "const A: u32 = 4u;",
            "const B: u32 = A / 2u;",
            &a,
            &b,
            &c,
            "}",
            "}",
            &d,
            &e,
            &f,
            "}",
            "}",
            "end",
        ];
        assert_eq!(text, want);
        assert_eq!(out[4].1, 7, "lines keep their origin");
    }

    #[test]
    fn what_cannot_be_unrolled_is_named() {
        for text in ["//!unroll\nlet a = 1u;", "//!unroll\nfor (var i = 0u; i < n; i++) {\n}"] {
            let error = unroll(lines(text)).unwrap_err().to_string();
            assert!(error.starts_with("shaders/test.wgsl:1: "), "{error}");
        }
    }
}
