//! Methods of Python's types that templates call.

use super::measure;
use minijinja::value::{ValueKind, from_args};
use minijinja::{Error, ErrorKind, State, Value};
use minijinja_contrib::pycompat::unknown_method_callback;

/// Those of minijinja-contrib, and some that it lacks.
pub(super) fn method(
    state: &mut State,
    value: &Value,
    name: &str,
    args: &[Value],
) -> Result<Value, Error> {
    args.iter().try_for_each(|arg| measure::pay(state, arg))?;
    let ours = match value.as_str() {
        Some(text) if value.kind() == ValueKind::String => of_text(text, name, args)?,
        _ => None,
    };
    match ours {
        Some(value) => Ok(value),
        None => unknown_method_callback(state, value, name, args),
    }
}

/// The test `iterable`: None is not.
pub(super) fn is_iterable(value: &Value) -> bool {
    !value.is_none() && value.try_iter().is_ok()
}

fn of_text(text: &str, name: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    let value = match name {
        "removeprefix" => {
            let (prefix,): (&str,) = from_args(args)?;
            Value::from(text.strip_prefix(prefix).unwrap_or(text))
        }
        "removesuffix" => {
            let (suffix,): (&str,) = from_args(args)?;
            Value::from(text.strip_suffix(suffix).unwrap_or(text))
        }
        "partition" => {
            let (separator,): (&str,) = from_args(args)?;
            match text.split_once(not_empty(separator)?) {
                Some((before, after)) => list(&[before, separator, after]),
                None => list(&[text, "", ""]),
            }
        }
        "rpartition" => {
            let (separator,): (&str,) = from_args(args)?;
            match text.rsplit_once(not_empty(separator)?) {
                Some((before, after)) => list(&[before, separator, after]),
                None => list(&["", "", text]),
            }
        }
        "rsplit" => {
            let (separator, most): (&str, Option<i64>) = from_args(args)?;
            let separator = not_empty(separator)?;
            let most = most.and_then(|most| usize::try_from(most).ok());
            let mut parts: Vec<_> = match most {
                Some(most) => text.rsplitn(most.saturating_add(1), separator).collect(),
                None => text.rsplit(separator).collect(),
            };
            parts.reverse();
            list(&parts)
        }
        "format" if is_wide(text) => {
            let what = format!("it formats with {text:?}, which may write too much");
            return Err(Error::new(ErrorKind::InvalidOperation, what));
        }
        _ => return Ok(None),
    };
    Ok(Some(value))
}

/// Whether `str.format` may pad to more than 9,999 characters, for which minijinja
/// asks no fuel: a long number, or a width that is an argument itself (`{:{}}`).
fn is_wide(format: &str) -> bool {
    let mut digits = 0;
    let mut depth = 0;
    format.replace("{{", "").replace("}}", "").chars().any(|c| {
        digits = if c.is_ascii_digit() { digits + 1 } else { 0 };
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        digits > 4 || depth > 1
    })
}

fn list(parts: &[&str]) -> Value {
    parts.iter().copied().map(Value::from).collect()
}

fn not_empty(separator: &str) -> Result<&str, Error> {
    if separator.is_empty() {
        return Err(Error::new(ErrorKind::InvalidOperation, "empty separator"));
    }
    Ok(separator)
}
