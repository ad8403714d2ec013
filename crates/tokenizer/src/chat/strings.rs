//! Methods of Python's `str`.

use super::arguments::{Arguments, pay_bytes, wrong};
use super::repr::{is_decimal, is_printable};
use super::{format, repr};
use minijinja::value::Tuple;
use minijinja::{Error, State, Value};
use std::ops::Range;

/// None if there is no such method.
pub(super) fn method(
    state: &State,
    text: &str,
    name: &str,
    args: &[Value],
) -> Result<Option<Value>, Error> {
    let given = |names: &[&str]| Arguments::of(args, names);
    // Without arguments.
    let plain: Option<fn(&str) -> Value> = match name {
        "upper" => Some(|text| text.to_uppercase().into()),
        "lower" => Some(|text| text.to_lowercase().into()),
        "casefold" => Some(|text| text.to_lowercase().to_uppercase().to_lowercase().into()),
        "swapcase" => Some(|text| swapped(text).into()),
        "title" => Some(|text| titled(text).into()),
        "capitalize" => Some(|text| capitalized(text).into()),
        "islower" => Some(|text| is_case(text, char::is_lowercase, char::is_uppercase).into()),
        "isupper" => Some(|text| is_case(text, char::is_uppercase, char::is_lowercase).into()),
        "istitle" => Some(|text| (text.chars().any(is_cased) && titled(text) == text).into()),
        "isspace" => Some(|text| all(text, is_space).into()),
        "isdecimal" => Some(|text| all(text, is_decimal).into()),
        "isdigit" => Some(|text| all(text, |c| is_decimal(c) || SMALL_DIGITS.contains(c)).into()),
        "isnumeric" => Some(|text| all(text, char::is_numeric).into()),
        "isalpha" => Some(|text| all(text, char::is_alphabetic).into()),
        "isalnum" => Some(|text| all(text, char::is_alphanumeric).into()),
        "isascii" => Some(|text| text.is_ascii().into()),
        "isprintable" => Some(|text| text.chars().all(is_printable).into()),
        "isidentifier" => Some(|text| {
            let is_name = all(text, |c| c == '_' || c.is_alphanumeric());
            (is_name && !text.starts_with(char::is_numeric)).into()
        }),
        _ => None,
    };
    if let Some(run) = plain {
        given(&[])?;
        return Ok(Some(run(text)));
    }
    Ok(Some(match name {
        "strip" | "lstrip" | "rstrip" => {
            let args = given(&["chars"])?;
            let chars: Option<Vec<char>> = args.text(0)?.map(|chars| chars.chars().collect());
            let is_taken = |c| chars.as_ref().map_or_else(|| is_space(c), |all| all.contains(&c));
            let text = if name == "rstrip" { text } else { text.trim_start_matches(is_taken) };
            Value::from(if name == "lstrip" { text } else { text.trim_end_matches(is_taken) })
        }
        "split" | "rsplit" => {
            let args = given(&["sep", "maxsplit"])?;
            let most = args.number(1)?.and_then(|most| usize::try_from(most).ok());
            split(text, args.text(0)?, most.unwrap_or(usize::MAX), name == "rsplit")?
        }
        "splitlines" => {
            let args = given(&["keepends"])?;
            lines(text, args.is_true(0)).into_iter().map(Value::from).collect()
        }
        "partition" | "rpartition" => {
            let args = given(&["sep"])?;
            let separator = not_empty(args.needed_text(0)?)?;
            let (cut, lost) = match name {
                "partition" => (text.split_once(separator), [text, "", ""]),
                _ => (text.rsplit_once(separator), ["", "", text]),
            };
            let parts = cut.map_or(lost, |(before, after)| [before, separator, after]);
            Value::from(Tuple::from(parts.map(Value::from)))
        }
        "removeprefix" => {
            let args = given(&["prefix"])?;
            Value::from(text.strip_prefix(args.needed_text(0)?).unwrap_or(text))
        }
        "removesuffix" => {
            let args = given(&["suffix"])?;
            Value::from(text.strip_suffix(args.needed_text(0)?).unwrap_or(text))
        }
        "replace" => {
            let args = given(&["old", "new", "count"])?;
            let (old, new) = (args.needed_text(0)?, args.needed_text(1)?);
            let most = args.number(2)?.and_then(|most| usize::try_from(most).ok());
            let most = most.unwrap_or(usize::MAX).min(text.len() / old.len().max(1) + 1);
            pay_bytes(state, most.saturating_mul(new.len().saturating_sub(old.len())))?;
            Value::from(text.replacen(old, new, most))
        }
        "startswith" | "endswith" => {
            let args = given(&["prefix", "start", "end"])?;
            let part = &text[part(text, args.number(1)?, args.number(2)?).unwrap_or(0..0)];
            let is_there = |wanted: &Value| match (name, wanted.as_str()) {
                (_, None) => Err(wrong(format!("{name} needs a text or a tuple of texts"))),
                ("startswith", Some(wanted)) => Ok(part.starts_with(wanted)),
                (_, Some(wanted)) => Ok(part.ends_with(wanted)),
            };
            let wanted = args.needed(0)?;
            Value::from(match wanted.as_str() {
                Some(_) => is_there(wanted)?,
                None => wanted
                    .try_iter()?
                    .try_fold(false, |found, one| Ok::<_, Error>(found || is_there(&one)?))?,
            })
        }
        "find" | "rfind" | "index" | "rindex" | "count" => {
            let args = given(&["sub", "start", "end"])?;
            let wanted = args.needed_text(0)?;
            let range = part(text, args.number(1)?, args.number(2)?);
            if name == "count" {
                return Ok(Some(Value::from(match range {
                    None => 0,
                    Some(range) => text[range].matches(wanted).count(),
                })));
            }
            let found = range.and_then(|range| {
                let place = if name.starts_with('r') {
                    text[range.clone()].rfind(wanted)
                } else {
                    text[range.clone()].find(wanted)
                };
                place.map(|at| text[..range.start + at].chars().count())
            });
            match found {
                Some(at) => Value::from(at),
                None if name.ends_with("find") => Value::from(-1),
                None => return Err(wrong("substring not found")),
            }
        }
        "join" => {
            let args = given(&["iterable"])?;
            let mut joined = String::new();
            for (index, item) in args.needed(0)?.try_iter()?.enumerate() {
                // The separator is there many times, and was paid for once.
                pay_bytes(state, 64 * usize::from(index % 8 == 0) + text.len())?;
                joined.push_str(if index > 0 { text } else { "" });
                joined.push_str(&repr::display(&item)?);
            }
            Value::from(joined)
        }
        "ljust" | "rjust" | "center" => {
            let args = given(&["width", "fillchar"])?;
            let fill = args.text(1)?.unwrap_or(" ");
            let width = args.size(0, 0)?;
            args.needed(0)?;
            let missing = width.saturating_sub(text.chars().count());
            let left = match name {
                "ljust" => 0,
                "rjust" => missing,
                // As CPython rounds.
                _ => missing / 2 + (missing & width & 1),
            };
            Value::from(padded(state, text, fill, left, missing - left)?)
        }
        "zfill" => {
            let args = given(&["width"])?;
            args.needed(0)?;
            let missing = args.size(0, 0)?.saturating_sub(text.chars().count());
            let (sign, digits) = text.split_at(usize::from(text.starts_with(['+', '-'])));
            Value::from(format!("{sign}{}", padded(state, digits, "0", missing, 0)?))
        }
        "expandtabs" => {
            let args = given(&["tabsize"])?;
            expanded(state, text, args.size(0, 8)?)?.into()
        }
        "translate" => {
            let args = given(&["table"])?;
            translated(text, args.needed(0)?)?.into()
        }
        "format" => format::text(state, text, args)?.into(),
        "format_map" => {
            let args = given(&["mapping"])?;
            format::of_map(state, text, args.needed(0)?)?.into()
        }
        _ => return Ok(None),
    }))
}

/// `fill` so often on either side.
pub(super) fn padded(
    state: &State,
    text: &str,
    fill: &str,
    left: usize,
    right: usize,
) -> Result<String, Error> {
    if fill.chars().count() != 1 {
        return Err(wrong("the fill character must be exactly one character long"));
    }
    pay_bytes(state, (left + right).saturating_mul(fill.len()))?;
    Ok([&fill.repeat(left), text, &fill.repeat(right)].concat())
}

/// Python's white space.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

/// Digits that are not decimal: above and below the line, and in circles.
const SMALL_DIGITS: &str = "²³¹⁰⁴⁵⁶⁷⁸⁹₀₁₂₃₄₅₆₇₈₉①②③④⑤⑥⑦⑧⑨";

fn is_cased(c: char) -> bool {
    c.is_lowercase() || c.is_uppercase()
}

/// Some there, and all so.
fn all(text: &str, is: impl Fn(char) -> bool) -> bool {
    !text.is_empty() && text.chars().all(is)
}

fn is_case(text: &str, is: fn(char) -> bool, is_not: fn(char) -> bool) -> bool {
    text.chars().any(is) && !text.chars().any(is_not)
}

fn swapped(text: &str) -> String {
    let swap = |c: char| -> String {
        if c.is_uppercase() { c.to_lowercase().collect() } else { c.to_uppercase().collect() }
    };
    text.chars().map(swap).collect()
}

/// Every letter that does not follow one is a capital.
fn titled(text: &str) -> String {
    let mut titled = String::with_capacity(text.len());
    let mut in_word = false;
    for c in text.chars() {
        if in_word {
            titled.extend(c.to_lowercase())
        } else {
            capital(&mut titled, c)
        }
        in_word = is_cased(c);
    }
    titled
}

fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    let mut capitalized = String::with_capacity(text.len());
    chars.next().into_iter().for_each(|c| capital(&mut capitalized, c));
    capitalized + &chars.as_str().to_lowercase()
}

/// Of a letter that becomes several, only the first is a capital.
fn capital(out: &mut String, c: char) {
    let mut upper = c.to_uppercase();
    out.extend(upper.next());
    upper.for_each(|c| out.extend(c.to_lowercase()));
}

/// Which items of `len` a slice has.
pub(super) fn bounds(len: usize, start: Option<i64>, end: Option<i64>) -> Range<usize> {
    let place = |at: i64| match usize::try_from(at) {
        Ok(at) => at.min(len),
        Err(_) => len.saturating_sub(usize::try_from(at.unsigned_abs()).unwrap_or(len)),
    };
    start.map_or(0, place)..end.map_or(len, place)
}

/// The bytes of the characters from `start` to `end`; None if there is no such place.
fn part(text: &str, start: Option<i64>, end: Option<i64>) -> Option<Range<usize>> {
    if start.is_none() && end.is_none() {
        return Some(0..text.len());
    }
    let len = text.chars().count();
    let is_beyond = start.is_some_and(|start| usize::try_from(start).is_ok_and(|at| at > len));
    let Range { start, end } = bounds(len, start, end);
    let byte = |at| text.char_indices().nth(at).map_or(text.len(), |(byte, _)| byte);
    (!is_beyond && start <= end).then(|| byte(start)..byte(end))
}

/// At most `most` cuts, from the end if `reverse`; at white space where there is no separator.
fn split(text: &str, separator: Option<&str>, most: usize, reverse: bool) -> Result<Value, Error> {
    let mut parts: Vec<&str> = Vec::new();
    match (separator.map(not_empty).transpose()?, reverse) {
        (Some(separator), false) => parts.extend(text.splitn(most.saturating_add(1), separator)),
        (Some(separator), true) => parts.extend(text.rsplitn(most.saturating_add(1), separator)),
        (None, false) => {
            let mut rest = text.trim_start_matches(is_space);
            while !rest.is_empty() {
                let end = if parts.len() < most { rest.find(is_space) } else { None };
                let (part, after) = rest.split_at(end.unwrap_or(rest.len()));
                parts.push(part);
                rest = after.trim_start_matches(is_space);
            }
        }
        (None, true) => {
            let mut rest = text.trim_end_matches(is_space);
            while !rest.is_empty() {
                let space = if parts.len() < most { rest.rfind(is_space) } else { None };
                let width = |at| rest[at..].chars().next().map_or(0, char::len_utf8);
                let (before, part) = rest.split_at(space.map_or(0, |at| at + width(at)));
                parts.push(part);
                rest = before.trim_end_matches(is_space);
            }
        }
    }
    if reverse {
        parts.reverse();
    }
    Ok(parts.into_iter().map(Value::from).collect())
}

/// The lines, at all that Python takes for an end of one.
pub(super) fn lines(text: &str, keep_ends: bool) -> Vec<&str> {
    const ENDS: [char; 10] =
        ['\n', '\r', '\x0b', '\x0c', '\x1c', '\x1d', '\x1e', '\u{85}', '\u{2028}', '\u{2029}'];
    let mut lines = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(ENDS).unwrap_or(rest.len());
        let width = match &rest[end..] {
            after if after.starts_with("\r\n") => 2,
            after => after.chars().next().map_or(0, char::len_utf8),
        };
        lines.push(&rest[..end + if keep_ends { width } else { 0 }]);
        rest = &rest[end + width..];
    }
    lines
}

fn expanded(state: &State, text: &str, size: usize) -> Result<String, Error> {
    pay_bytes(state, text.matches('\t').count().saturating_mul(size))?;
    let mut expanded = String::with_capacity(text.len());
    let mut column = 0;
    for c in text.chars() {
        let spaces = if size == 0 { 0 } else { size - column % size };
        match c {
            '\t' => expanded.push_str(&" ".repeat(spaces)),
            c => expanded.push(c),
        }
        column = match c {
            '\n' | '\r' => 0,
            '\t' => column + spaces,
            _ => column + 1,
        };
    }
    Ok(expanded)
}

/// `table` has a text, a number or None for numbers of characters.
fn translated(text: &str, table: &Value) -> Result<String, Error> {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let to = table.get_item(&Value::from(u32::from(c)))?;
        match to.as_str() {
            Some(text) => out.push_str(text),
            None if to.is_none() => {}
            None if to.is_undefined() => out.push(c),
            None => out.extend(u32::try_from(to).ok().and_then(char::from_u32)),
        }
    }
    Ok(out)
}

fn not_empty(separator: &str) -> Result<&str, Error> {
    if separator.is_empty() {
        return Err(wrong("empty separator"));
    }
    Ok(separator)
}
