//! The `tojson` filter, which writes what Python's `json.dumps` does.

use super::{measure, repr};
use minijinja::value::{Kwargs, Rest, ValueKind};
use minijinja::{Error, ErrorKind, State, Value};
use std::fmt::Write;

/// `tojson(ensure_ascii=false, indent=none, separators=none, sort_keys=false)`
pub(super) fn filter(
    state: &State,
    value: &Value,
    given: Rest<Value>,
    named: Kwargs,
) -> Result<Value, Error> {
    let arg = |index: usize, name: &str| -> Result<Option<Value>, Error> {
        let value = match given.get(index) {
            Some(value) => Some(value.clone()),
            None => named.get(name)?,
        };
        Ok(value.filter(|value: &Value| !value.is_none() && !value.is_undefined()))
    };
    let indent = arg(1, "indent")?.map(indent).transpose()?;
    let (between, after_key) = match arg(2, "separators")? {
        Some(pair) => {
            (pair.get_item_by_index(0)?.to_string(), pair.get_item_by_index(1)?.to_string())
        }
        None if indent.is_some() => (",".to_string(), ": ".to_string()),
        None => (", ".to_string(), ": ".to_string()),
    };
    let mut writer = Writer {
        state,
        out: String::new(),
        charged: 0,
        indent,
        between,
        after_key,
        ascii: arg(0, "ensure_ascii")?.is_some_and(|value| value.is_true()),
        sort: arg(3, "sort_keys")?.is_some_and(|value| value.is_true()),
    };
    named.assert_all_used()?;
    writer.value(value, 0)?;
    Ok(Value::from_safe_string(writer.out))
}

/// One level of indentation: as many spaces, or the text itself.
fn indent(value: Value) -> Result<String, Error> {
    if let Some(text) = value.as_str() {
        return Ok(text.to_string());
    }
    let spaces = i64::try_from(value)?.clamp(0, 1000);
    Ok(" ".repeat(usize::try_from(spaces).unwrap_or(0)))
}

struct Writer<'a> {
    state: &'a State<'a, 'a>,
    out: String,
    /// How much of `out` has been paid for in fuel.
    charged: usize,
    indent: Option<String>,
    between: String,
    after_key: String,
    ascii: bool,
    sort: bool,
}

impl Writer<'_> {
    fn value(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        // A value may hold another many times: what is written can be far more than there is.
        let written = self.out.len() - self.charged;
        self.charged = self.out.len();
        self.state.consume_fuel(1 + written as u64 / 64)?;
        measure::check_depth(depth)?;
        match value.kind() {
            ValueKind::None => self.out.push_str("null"),
            ValueKind::Bool => self.out.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number if value.is_integer() => self.write(value),
            ValueKind::Number => self.float(f64::try_from(value.clone())?),
            ValueKind::String => self.text(value.as_str().unwrap_or_default()),
            ValueKind::Seq | ValueKind::Iterable => self.list(value, depth)?,
            ValueKind::Map => self.map(value, depth)?,
            kind => {
                let what = format!("tojson cannot write a value of the kind '{kind}'");
                return Err(Error::new(ErrorKind::BadSerialization, what));
            }
        }
        Ok(())
    }

    fn list(&mut self, list: &Value, depth: usize) -> Result<(), Error> {
        self.out.push('[');
        let mut any = false;
        for item in list.try_iter()? {
            self.item(any, depth + 1);
            self.value(&item, depth + 1)?;
            any = true;
        }
        self.close(any, depth, ']');
        Ok(())
    }

    fn map(&mut self, map: &Value, depth: usize) -> Result<(), Error> {
        let mut keys: Vec<Value> = map.try_iter()?.collect();
        if self.sort {
            keys.sort();
        }
        self.out.push('{');
        for (index, key) in keys.iter().enumerate() {
            self.item(index > 0, depth + 1);
            match key.kind() {
                ValueKind::String => self.text(key.as_str().unwrap_or_default()),
                ValueKind::None => self.out.push_str("\"null\""),
                ValueKind::Bool => self.write(if key.is_true() { "\"true\"" } else { "\"false\"" }),
                _ => self.text(&key.to_string()),
            }
            let after_key = self.after_key.clone();
            self.out.push_str(&after_key);
            self.value(&map.get_item(key)?, depth + 1)?;
        }
        self.close(!keys.is_empty(), depth, '}');
        Ok(())
    }

    /// What comes before an item: a separator after another one, a new line if indented.
    fn item(&mut self, after: bool, depth: usize) {
        if after {
            self.out.push_str(&self.between);
        }
        self.line(depth);
    }

    fn close(&mut self, any: bool, depth: usize, bracket: char) {
        if any {
            self.line(depth);
        }
        self.out.push(bracket);
    }

    fn line(&mut self, depth: usize) {
        if let Some(indent) = &self.indent {
            self.out.push('\n');
            (0..depth).for_each(|_| self.out.push_str(indent));
        }
    }

    fn write(&mut self, value: impl std::fmt::Display) {
        // Writing to a string cannot fail.
        let _ = write!(self.out, "{value}");
    }

    fn text(&mut self, text: &str) {
        self.out.push('"');
        for c in text.chars() {
            match c {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                '\u{8}' => self.out.push_str("\\b"),
                '\u{c}' => self.out.push_str("\\f"),
                c if c < ' ' || self.ascii && !matches!(c, ' '..='~' | '\u{7f}') => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        self.write(format_args!("\\u{unit:04x}"));
                    }
                }
                c => self.out.push(c),
            }
        }
        self.out.push('"');
    }

    fn float(&mut self, number: f64) {
        if number.is_finite() {
            repr::float(&mut self.out, number);
        } else {
            let sign = if number < 0.0 { "-" } else { "" };
            self.write(format_args!("{sign}{}", if number.is_nan() { "NaN" } else { "Infinity" }));
        }
    }
}
