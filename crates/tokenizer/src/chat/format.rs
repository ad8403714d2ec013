//! Python's `str.format`.

use super::arguments::{pay_bytes, wrong};
use super::repr;
use minijinja::formatting::{FormatStyle, format as format_one};
use minijinja::value::{Kwargs, Rest, ValueKind, from_args};
use minijinja::{Error, State, Value};

/// `text.format(args…)`
pub(super) fn text(state: &State, text: &str, args: &[Value]) -> Result<String, Error> {
    let (given, named): (Rest<Value>, Kwargs) = from_args(args)?;
    let of_name = |name: &str| named.peek::<Value>(name).ok();
    Format { state, given: &given, named: &of_name, next: 0 }.run(text, 0)
}

/// `text.format_map(map)`
pub(super) fn of_map(state: &State, text: &str, map: &Value) -> Result<String, Error> {
    let of_name = |name: &str| map.get_item(&Value::from(name)).ok().filter(|v| !v.is_undefined());
    Format { state, given: &[], named: &of_name, next: 0 }.run(text, 0)
}

struct Format<'a> {
    state: &'a State<'a, 'a>,
    given: &'a [Value],
    named: &'a dyn Fn(&str) -> Option<Value>,
    /// The argument that `{}` takes.
    next: usize,
}

impl Format<'_> {
    /// `depth` is 1 within a field's own format.
    fn run(&mut self, text: &str, depth: usize) -> Result<String, Error> {
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            out.push_str(&rest[..at]);
            let after = &rest[at + 1..];
            let brace = &rest[at..=at];
            if depth == 0 && after.starts_with(brace) {
                out.push_str(brace);
                rest = &after[1..];
            } else if brace == "{" && depth < 2 {
                let end =
                    closing(after).ok_or_else(|| wrong("expected '}' before end of string"))?;
                out.push_str(&self.field(&after[..end], depth)?);
                rest = &after[end + 1..];
            } else {
                return Err(wrong(format!("single '{brace}' encountered in format string")));
            }
        }
        out.push_str(rest);
        Ok(out)
    }

    fn field(&mut self, field: &str, depth: usize) -> Result<String, Error> {
        let end = field.find([':', '!']).unwrap_or(field.len());
        let value = self.value(&field[..end])?;
        let (conversion, spec) = match &field[end..] {
            "" => (None, ""),
            rest if rest.starts_with('!') => {
                let (letter, spec) = rest[1..].split_once(':').unwrap_or((&rest[1..], ""));
                (Some(letter), spec)
            }
            rest => (None, &rest[1..]),
        };
        let value = match conversion {
            Some("r") => Value::from(repr::of(&value)?),
            Some("a") => Value::from(repr::ascii(&repr::of(&value)?)),
            Some("s") => Value::from(repr::display(&value)?),
            Some(_) => return Err(wrong("unknown conversion in format string")),
            None => value,
        };
        let spec = self.run(spec, depth + 1)?;
        if spec.is_empty() {
            return repr::display(&value);
        }
        pay_bytes(self.state, sizes(&spec))?;
        let one = |spec: &str, value| {
            format_one(FormatStyle::StrFormat, &format!("{{:{spec}}}"), &[value])
        };
        match (spec.strip_suffix('%'), value.kind()) {
            (Some(spec), _) => {
                let share = f64::try_from(value)? * 100.0;
                Ok(one(&format!("{spec}f"), Value::from(share))? + "%")
            }
            (None, ValueKind::String | ValueKind::Number | ValueKind::Bool) => one(&spec, value),
            _ => Err(wrong(format!("a {} cannot be formatted with {spec:?}", value.kind()))),
        }
    }

    /// `name.attribute[key]`, with a number or nothing for the name.
    fn value(&mut self, path: &str) -> Result<Value, Error> {
        let missing = || wrong(format!("format has no argument {path:?}"));
        let end = path.find(['.', '[']).unwrap_or(path.len());
        let mut value = match &path[..end] {
            "" => {
                self.next += 1;
                self.given.get(self.next - 1).cloned()
            }
            name => match name.parse::<usize>() {
                Ok(at) => self.given.get(at).cloned(),
                Err(_) => (self.named)(name),
            },
        }
        .ok_or_else(missing)?;
        let mut rest = &path[end..];
        while !rest.is_empty() {
            let is_item = rest.starts_with('[');
            let (step, after) = if is_item {
                rest[1..].split_once(']').ok_or_else(missing)?
            } else {
                let end = rest[1..].find(['.', '[']).map_or(rest.len(), |end| end + 1);
                (&rest[1..end], &rest[end..])
            };
            value = match step.parse::<usize>() {
                Ok(at) if is_item => value.get_item(&Value::from(at))?,
                _ => value.get_attr(step)?,
            };
            rest = after;
        }
        Ok(value)
    }
}

/// All numbers of a field's format together: at least as many characters as it may write.
pub(super) fn sizes(spec: &str) -> usize {
    let numbers = spec.split(|c: char| !c.is_ascii_digit()).filter(|text| !text.is_empty());
    let sizes = numbers.map(|number| number.parse().unwrap_or(usize::MAX));
    sizes.fold(0, usize::saturating_add)
}

/// Where the field ends that `text` is in.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => return Some(at),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}
