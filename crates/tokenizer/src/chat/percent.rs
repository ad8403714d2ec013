//! Python's `%`: the remainder of numbers, and texts with places for values.

use super::arguments::{pay_bytes, wrong};
use super::format::sizes;
use super::{measure, repr};
use minijinja::formatting::{FormatStyle, format as format_one};
use minijinja::value::ValueKind;
use minijinja::{Error, State, Value};

/// `left % right`
pub(super) fn operator(state: &State, left: &Value, right: &Value) -> Result<Value, Error> {
    if let Some(format) = left.as_str() {
        measure::pay(state, right)?;
        let (args, is_one) = match right.is_tuple() {
            true => (right.try_iter()?.collect(), false),
            false => (vec![right.clone()], true),
        };
        return text(state, format, &args, is_one && right.kind() != ValueKind::Map);
    }
    let (left, right) = (plain(left), plain(right));
    if left.is_integer() && right.is_integer() {
        let (left, right) = (i128::try_from(left)?, i128::try_from(right)?);
        let rest = left.checked_rem(right).ok_or_else(|| wrong("division by zero"))?;
        // The sign is that of the divisor.
        let is_off = rest != 0 && (rest < 0) != (right < 0);
        return Ok(Value::from(if is_off { rest + right } else { rest }));
    }
    let (left, right) = (f64::try_from(left)?, f64::try_from(right)?);
    if right == 0.0 {
        return Err(wrong("division by zero"));
    }
    let rest = left % right;
    Ok(Value::from(if rest != 0.0 && (rest < 0.0) != (right < 0.0) { rest + right } else { rest }))
}

/// A bool as the number that it is in Python.
fn plain(value: &Value) -> Value {
    match value.kind() {
        ValueKind::Bool => Value::from(i64::from(value.is_true())),
        _ => value.clone(),
    }
}

/// A format with its values; all of `args` must be used if `strict`, or if there are several.
pub(super) fn text(
    state: &State,
    format: &str,
    args: &[Value],
    strict: bool,
) -> Result<Value, Error> {
    let mut out = String::new();
    let mut used = 0;
    let mut next = || {
        used += 1;
        args.get(used - 1).cloned().ok_or_else(|| wrong("not enough arguments for format string"))
    };
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let mut key = None;
        if let Some(after) = rest.strip_prefix('(') {
            let (name, after) = after.split_once(')').ok_or_else(|| wrong("incomplete format"))?;
            (key, rest) = (Some(name), after);
        }
        let mut spec = String::from("%");
        let conversion = loop {
            let c = rest.chars().next().ok_or_else(|| wrong("incomplete format"))?;
            rest = &rest[c.len_utf8()..];
            match c {
                '*' => {
                    let number = i64::try_from(next()?)?;
                    spec.push_str(&number.to_string());
                }
                '#' | '-' | '+' | ' ' | '.' | '0'..='9' => spec.push(c),
                'h' | 'l' | 'L' => {}
                c => break c,
            }
        };
        if conversion == '%' {
            out.push('%');
            continue;
        }
        pay_bytes(state, sizes(&spec))?;
        let value = match key {
            Some(key) => {
                let map = args.first().filter(|map| map.kind() == ValueKind::Map);
                let map = map.ok_or_else(|| wrong("format requires a mapping"))?;
                let value = map.get_item(&Value::from(key))?;
                if value.is_undefined() {
                    return Err(wrong(format!("the mapping has no {key:?}")));
                }
                value
            }
            None => next()?,
        };
        let (conversion, value) = match conversion {
            's' => ('s', Value::from(repr::display(&value)?)),
            'r' => ('s', Value::from(repr::of(&value)?)),
            'a' => ('s', Value::from(repr::ascii(&repr::of(&value)?))),
            'd' | 'i' | 'u' => ('d', whole(plain(&value))?),
            'e' | 'E' | 'f' | 'F' | 'g' | 'G' => {
                (conversion, Value::from(f64::try_from(plain(&value))?))
            }
            c => (c, plain(&value)),
        };
        spec.push(conversion);
        out.push_str(&format_one(FormatStyle::Printf, &spec, &[value])?);
    }
    out.push_str(rest);
    if used < args.len() && (strict || args.len() > 1) {
        return Err(wrong("not all arguments converted during string formatting"));
    }
    Ok(Value::from(out))
}

/// What `%d` writes of a number.
fn whole(value: Value) -> Result<Value, Error> {
    if value.kind() != ValueKind::Number {
        return Err(wrong("%d needs a number"));
    }
    if value.is_integer() {
        return Ok(value);
    }
    Ok(Value::from(f64::try_from(value)?.trunc() as i128))
}
