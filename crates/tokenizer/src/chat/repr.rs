//! Values as Python's `str` and `repr` write them.

use super::measure;
use super::python::View;
use minijinja::value::ValueKind;
use minijinja::{Error, Value};
use regex_automata::meta::Regex;
use std::sync::LazyLock;

/// Python's `str`: for values that minijinja writes otherwise, and none else.
pub(super) fn text(value: &Value) -> Result<Option<String>, Error> {
    let is_ours = match value.kind() {
        ValueKind::Number => !value.is_integer(),
        ValueKind::Map | ValueKind::Seq => true,
        ValueKind::Iterable => value.len().is_some(),
        _ => false,
    };
    if !is_ours {
        return Ok(None);
    }
    let mut out = String::new();
    write(&mut out, value, 0)?;
    Ok(Some(out))
}

/// Python's `str` of any value. What it takes must have been paid for.
pub(super) fn display(value: &Value) -> Result<String, Error> {
    match value.as_str() {
        Some(text) => Ok(text.to_string()),
        None => Ok(text(value)?.unwrap_or_else(|| value.to_string())),
    }
}

/// Python's `repr` of any value. What it takes must have been paid for.
pub(super) fn of(value: &Value) -> Result<String, Error> {
    let mut out = String::new();
    write(&mut out, value, 0)?;
    Ok(out)
}

/// What is not ASCII in escapes.
pub(super) fn ascii(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if c.is_ascii() { out.push(c) } else { out.push_str(&escape(c)) }
    }
    out
}

fn escape(c: char) -> String {
    match u32::from(c) {
        code @ ..=0xff => format!("\\x{code:02x}"),
        code @ ..=0xffff => format!("\\u{code:04x}"),
        code => format!("\\U{code:08x}"),
    }
}

/// `repr`. What it takes must have been paid for.
fn write(out: &mut String, value: &Value, depth: usize) -> Result<(), Error> {
    measure::check_depth(depth)?;
    match value.kind() {
        ValueKind::Number if !value.is_integer() => float(out, f64::try_from(value.clone())?),
        ValueKind::String => quoted(out, value.as_str().unwrap_or_default()),
        ValueKind::Map => {
            out.push('{');
            for (index, key) in value.try_iter()?.enumerate() {
                out.push_str(if index > 0 { ", " } else { "" });
                write(out, &key, depth + 1)?;
                out.push_str(": ");
                write(out, &value.get_item(&key)?, depth + 1)?;
            }
            out.push('}');
        }
        ValueKind::Seq | ValueKind::Iterable if value.len().is_some() => {
            let view = value.downcast_object_ref::<View>().map(|view| view.name);
            let (open, close) = match (value.is_tuple(), view) {
                (true, _) => ("(", ")"),
                (false, None) => ("[", "]"),
                (false, Some(_)) => ("([", "])"),
            };
            out.push_str(view.unwrap_or_default());
            out.push_str(open);
            for (index, item) in value.try_iter()?.enumerate() {
                out.push_str(if index > 0 { ", " } else { "" });
                write(out, &item, depth + 1)?;
            }
            if value.is_tuple() && value.len() == Some(1) {
                out.push(',');
            }
            out.push_str(close);
        }
        ValueKind::Undefined => out.push_str("Undefined"),
        _ => out.push_str(&value.to_string()),
    }
    Ok(())
}

/// The shortest digits that give the number back, with an exponent where it is below 1e-4 or
/// not below 1e16.
pub(super) fn float(out: &mut String, number: f64) {
    let size = number.abs();
    if number.is_nan() {
        out.push_str("nan");
    } else if number.is_infinite() {
        out.push_str(if number > 0.0 { "inf" } else { "-inf" });
    } else if size == 0.0 || (1e-4..1e16).contains(&size) {
        out.push_str(&format!("{number:?}"));
    } else {
        let text = format!("{number:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, exponent) = match exponent.strip_prefix('-') {
            Some(exponent) => ('-', exponent),
            None => ('+', exponent),
        };
        out.push_str(&format!("{digits}e{sign}{exponent:0>2}"));
    }
}

/// Single quotes, unless there are some inside and no double ones.
fn quoted(out: &mut String, text: &str) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => out.extend(['\\', c]),
            ' '..='~' => out.push(c),
            c if is_printable(c) => out.push(c),
            c => out.push_str(&escape(c)),
        }
    }
    out.push(quote);
}

/// Neither of the categories "other" and "separator", but for the space itself.
pub(super) fn is_printable(c: char) -> bool {
    static HIDDEN: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"[\p{C}\p{Z}]").ok());
    c == ' ' || !is_of(&HIDDEN, c)
}

/// A digit that stands for a power of ten.
pub(super) fn is_decimal(c: char) -> bool {
    static DECIMAL: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\p{Nd}").ok());
    is_of(&DECIMAL, c)
}

fn is_of(class: &Option<Regex>, c: char) -> bool {
    class.as_ref().is_some_and(|class| class.is_match(c.encode_utf8(&mut [0; 4]).as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::{float, quoted};

    #[test]
    fn floats_and_texts_are_those_of_python() {
        let mut out = String::new();
        for number in [1.0, 1e16, -1e-7, 0.0001, 123_456.5, f64::NEG_INFINITY, 1.5e300] {
            float(&mut out, number);
            out.push(' ');
        }
        assert_eq!(out, "1.0 1e+16 -1e-07 0.0001 123456.5 -inf 1.5e+300 ");
        let mut out = String::new();
        for text in ["it's", "\"it's\"", "a\n\u{7f}é\u{a0}\u{2028}\u{200d}👩\u{e000}\\"] {
            quoted(&mut out, text);
        }
        let want = r#""it's"'"it\'s"''a\n\x7fé\xa0\u2028\u200d👩\ue000\\'"#;
        assert_eq!(out, want);
    }
}
