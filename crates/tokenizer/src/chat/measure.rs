//! Fuel for values before they are written as text.
//!
//! minijinja asks for fuel once a list or dictionary has been written. A value
//! that holds another twice, which holds another twice, and so on, would fill the
//! memory before that; so its size is counted, and paid for, first.

use super::repr;
use minijinja::value::{StringInput, ValueKind};
use minijinja::{Error, ErrorKind, Output, State, Value};

/// Deeper values are not written: each level takes stack.
pub(super) const DEPTH: usize = 128;

/// Pays for writing `value`.
pub(super) fn pay(state: &State, value: &Value) -> Result<(), Error> {
    nested(state, value, 0)
}

fn nested(state: &State, value: &Value, depth: usize) -> Result<(), Error> {
    let is_map = match value.kind() {
        ValueKind::Map => true,
        // An iterator of unknown length is not written item by item.
        ValueKind::Seq | ValueKind::Iterable if value.len().is_some() => false,
        _ => return state.consume_fuel(1 + value.as_str().map_or(0, str::len) as u64 / 64),
    };
    state.consume_fuel(1)?;
    check_depth(depth)?;
    for item in value.try_iter()? {
        if is_map {
            nested(state, &value.get_item(&item)?, depth + 1)?;
        }
        nested(state, &item, depth + 1)?;
    }
    Ok(())
}

pub(super) fn check_depth(depth: usize) -> Result<(), Error> {
    if depth <= DEPTH {
        return Ok(());
    }
    let what = format!("it writes a value that is nested more than {DEPTH} deep");
    Err(Error::new(ErrorKind::InvalidOperation, what))
}

/// What `{{ … }}` does.
pub(super) fn write(out: &mut Output, state: &mut State, value: &Value) -> Result<(), Error> {
    if value.as_object().is_some() {
        pay(state, value)?;
    }
    match repr::text(value)? {
        Some(text) => out.write_str(&text).map_err(Error::from),
        None => minijinja::escape_formatter(out, state, value),
    }
}

/// The `string` filter.
pub(super) fn string(state: &State, value: &Value) -> Result<Value, Error> {
    pay(state, value)?;
    if let Some(text) = repr::text(value)? {
        return Ok(Value::from(text));
    }
    let text = StringInput::new(state, value)?;
    Ok(Value::from(text.as_str()))
}
