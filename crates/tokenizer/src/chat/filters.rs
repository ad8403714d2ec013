//! Jinja's filters where minijinja lacks them, or takes or gives something else.

use super::arguments::{Arguments, pay_bytes, wrong};
use super::strings::{lines, padded};
use super::{measure, percent, repr};
use minijinja::filters as builtin;
use minijinja::value::{Kwargs, Rest, Tuple, ValueKind, ValueOrKwargs, from_args};
use minijinja::{Environment, Error, State, Value};

/// A filter: a value and its arguments.
type Filter = fn(&mut State, &Value, &[Value]) -> Result<Value, Error>;

const FILTERS: [(&str, Filter); 21] = [
    (MODULO, |state, value, args| {
        percent::operator(state, value, Arguments::of(args, &["right"])?.needed(0)?)
    }),
    ("default", default),
    ("d", default),
    ("int", int),
    ("float", float),
    ("dictsort", dictsort),
    ("sort", |state, value, args| {
        const NAMES: [&str; 3] = ["reverse", "case_sensitive", "attribute"];
        builtin::sort(state, value.clone(), Arguments::of(args, &NAMES)?.named(&NAMES))
    }),
    ("unique", |state, value, args| {
        const NAMES: [&str; 2] = ["case_sensitive", "attribute"];
        builtin::unique(state, value.clone(), Arguments::of(args, &NAMES)?.named(&NAMES))
    }),
    ("min", |state, value, args| {
        const NAMES: [&str; 2] = ["case_sensitive", "attribute"];
        builtin::min(state, value.clone(), Arguments::of(args, &NAMES)?.named(&NAMES))
    }),
    ("max", |state, value, args| {
        const NAMES: [&str; 2] = ["case_sensitive", "attribute"];
        builtin::max(state, value.clone(), Arguments::of(args, &NAMES)?.named(&NAMES))
    }),
    ("batch", |state, value, args| {
        let args = Arguments::of(args, &["linecount", "fill_with"])?;
        builtin::batch(state, value.clone(), args.size(0, 0)?, args.value(1).cloned())
    }),
    ("slice", |state, value, args| {
        let args = Arguments::of(args, &["slices", "fill_with"])?;
        builtin::slice(state, value.clone(), args.size(0, 0)?, args.value(1).cloned())
    }),
    ("format", format),
    ("center", |state, value, args| {
        let width = Arguments::of(args, &["width"])?.size(0, 80)?;
        let text = shown(state, value)?;
        let missing = width.saturating_sub(text.chars().count());
        let left = missing / 2 + (missing & width & 1);
        Ok(Value::from(padded(state, &text, " ", left, missing - left)?))
    }),
    ("indent", indent),
    ("truncate", truncate),
    ("wordcount", |state, value, args| {
        Arguments::of(args, &[])?;
        let is_word = |c: char| c == '_' || c.is_alphanumeric();
        let text = shown(state, value)?;
        Ok(text.split(|c| !is_word(c)).filter(|word| !word.is_empty()).count().into())
    }),
    ("escape", |state, value, _| escape(state, value, false)),
    ("e", |state, value, _| escape(state, value, false)),
    ("forceescape", |state, value, _| escape(state, value, true)),
    ("pprint", |state, value, _| {
        measure::pay(state, value)?;
        Ok(Value::from(repr::of(value)?))
    }),
];

/// What the operator `%` is read as (`source.rs`).
pub(super) const MODULO: &str = "__mod__";

/// Puts them in place of minijinja's.
pub(super) fn add(environment: &mut Environment<'static>) {
    for (name, run) in FILTERS {
        let filter = move |state: &mut State, value: &Value, args: Rest<ValueOrKwargs>| {
            run(state, value, &args.into_values())
        };
        environment.add_filter(name, filter);
    }
}

/// The value as text, which is paid for.
fn shown(state: &State, value: &Value) -> Result<String, Error> {
    measure::pay(state, value)?;
    repr::display(value)
}

fn default(_: &mut State, value: &Value, args: &[Value]) -> Result<Value, Error> {
    let args = Arguments::of(args, &["default_value", "boolean"])?;
    let is_missing = value.is_undefined() || (args.is_true(1) && !value.is_true());
    Ok(match is_missing {
        true => args.needed(0).cloned().unwrap_or_else(|_| Value::from("")),
        false => value.clone(),
    })
}

/// The number that a text has, else `default`.
fn int(_: &mut State, value: &Value, args: &[Value]) -> Result<Value, Error> {
    let args = Arguments::of(args, &["default", "base"])?;
    let base = u32::try_from(args.size(1, 10)?).ok().filter(|base| (2..=36).contains(base));
    let base = base.ok_or_else(|| wrong("the base of int is a number from 2 to 36"))?;
    let number = match value.as_str() {
        Some(text) => {
            let text = text.trim().replace('_', "");
            let (sign, digits) = match text.strip_prefix('-') {
                Some(digits) => (-1, digits),
                None => (1, text.strip_prefix('+').unwrap_or(&text)),
            };
            let lower = digits.to_lowercase();
            let prefix = match base {
                2 => "0b",
                8 => "0o",
                16 => "0x",
                _ => "",
            };
            let digits = lower.strip_prefix(prefix).unwrap_or(&lower);
            match i128::from_str_radix(digits, base) {
                Ok(number) if !digits.starts_with(['+', '-']) => Some(sign * number),
                // A fraction is cut off.
                _ => text.parse().ok().filter(|n: &f64| n.is_finite()).map(|n| n.trunc() as i128),
            }
        }
        None if value.kind() == ValueKind::Bool => Some(i128::from(value.is_true())),
        None if value.is_integer() => return Ok(value.clone()),
        None if value.kind() == ValueKind::Number => {
            Some(f64::try_from(value.clone())?.trunc() as i128)
        }
        None => None,
    };
    Ok(match number {
        Some(number) => Value::from(number),
        None => args.needed(0).cloned().unwrap_or_else(|_| Value::from(0)),
    })
}

fn float(_: &mut State, value: &Value, args: &[Value]) -> Result<Value, Error> {
    let args = Arguments::of(args, &["default"])?;
    let number = match value.as_str() {
        Some(text) => text.trim().replace('_', "").parse().ok(),
        None if value.kind() == ValueKind::Bool => Some(f64::from(u8::from(value.is_true()))),
        None => f64::try_from(value.clone()).ok(),
    };
    Ok(match number {
        Some(number) => Value::from(number),
        None => args.needed(0).cloned().unwrap_or_else(|_| Value::from(0.0)),
    })
}

/// Pairs in the order of their keys, or of their values.
fn dictsort(state: &mut State, value: &Value, args: &[Value]) -> Result<Value, Error> {
    let args = Arguments::of(args, &["case_sensitive", "by", "reverse"])?;
    let by_value = match args.text(1)?.unwrap_or("key") {
        "key" => false,
        "value" => true,
        _ => return Err(wrong("dictsort sorts by \"key\" or \"value\"")),
    };
    if value.kind() != ValueKind::Map {
        return Err(wrong("dictsort sorts a dictionary"));
    }
    state.consume_fuel(value.len().unwrap_or(0) as u64)?;
    let lowered = |value: &Value| match value.as_str() {
        Some(text) if !args.is_true(0) => Value::from(text.to_lowercase()),
        _ => value.clone(),
    };
    let mut pairs = Vec::new();
    for key in value.try_iter()? {
        let item = value.get_item(&key)?;
        pairs.push((lowered(if by_value { &item } else { &key }), key, item));
    }
    pairs.sort_by(|(a, ..), (b, ..)| if args.is_true(2) { b.cmp(a) } else { a.cmp(b) });
    Ok(pairs.into_iter().map(|(_, key, item)| Value::from(Tuple::from([key, item]))).collect())
}

fn format(state: &mut State, value: &Value, args: &[Value]) -> Result<Value, Error> {
    let (given, named): (Rest<Value>, Kwargs) = from_args(args)?;
    let names: Vec<_> = named.args().collect();
    if !given.is_empty() && !names.is_empty() {
        return Err(wrong("format takes values by place or by name, not both"));
    }
    let mut values = given.0;
    if !names.is_empty() {
        let pairs = names.into_iter().map(|name| Ok((name, named.peek::<Value>(name)?)));
        values = vec![Value::from_pairs(pairs.collect::<Result<Vec<_>, Error>>()?)];
    }
    values.iter().try_for_each(|value| measure::pay(state, value))?;
    let format = value.as_str().ok_or_else(|| wrong("format needs a text"))?;
    if !value.is_safe() {
        return percent::text(state, format, &values, false);
    }
    for value in values.iter_mut().filter(|value| value.kind() != ValueKind::Number) {
        *value = escape(state, value, false)?;
    }
    let text = percent::text(state, format, &values, false)?;
    Ok(Value::from_safe_string(repr::display(&text)?))
}

/// Further in, by spaces or a text, all lines but the first and empty ones.
fn indent(state: &mut State, value: &Value, args: &[Value]) -> Result<Value, Error> {
    let args = Arguments::of(args, &["width", "first", "blank"])?;
    let margin = match args.value(0).and_then(Value::as_str) {
        Some(margin) => margin.to_string(),
        None => {
            let width = args.size(0, 4)?;
            pay_bytes(state, width)?;
            " ".repeat(width)
        }
    };
    let text = shown(state, value)? + "\n";
    let lines = lines(&text, false);
    pay_bytes(state, lines.len().saturating_mul(margin.len()))?;
    let mut out = String::with_capacity(text.len());
    for (index, line) in lines.into_iter().enumerate() {
        let is_in = match index {
            0 => args.is_true(1),
            _ => args.is_true(2) || !line.is_empty(),
        };
        out.push_str(if index > 0 { "\n" } else { "" });
        out.push_str(if is_in { &margin } else { "" });
        out.push_str(line);
    }
    Ok(Value::from(out))
}

fn truncate(state: &mut State, value: &Value, args: &[Value]) -> Result<Value, Error> {
    let args = Arguments::of(args, &["length", "killwords", "end", "leeway"])?;
    let (length, leeway) = (args.size(0, 255)?, args.size(3, 5)?);
    let end = args.text(2)?.unwrap_or("...");
    let text = shown(state, value)?;
    let most = length.checked_sub(end.chars().count());
    let most = most.ok_or_else(|| wrong("truncate is shorter than what it ends in"))?;
    if text.chars().count() <= length.saturating_add(leeway) {
        return Ok(Value::from(text));
    }
    let cut: String = text.chars().take(most).collect();
    let words = match cut.rfind(' ') {
        Some(at) if !args.is_true(1) => &cut[..at],
        _ => &cut,
    };
    Ok(Value::from(format!("{words}{end}")))
}

/// As MarkupSafe does; what is safe already only if `again`.
fn escape(state: &State, value: &Value, again: bool) -> Result<Value, Error> {
    if value.is_safe() && !again {
        return Ok(value.clone());
    }
    let mut out = String::new();
    for c in shown(state, value)?.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\'' => out.push_str("&#39;"),
            '"' => out.push_str("&#34;"),
            c => out.push(c),
        }
    }
    Ok(Value::from_safe_string(out))
}
