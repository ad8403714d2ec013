//! Methods of Python's types that templates call. Those that change a list or a dictionary
//! are not there: transformers' sandbox refuses them, too.

use super::arguments::{Arguments, wrong};
use super::{measure, strings};
use minijinja::value::{Enumerator, Object, ObjectRepr, Tuple, ValueKind};
use minijinja::{Error, ErrorKind, State, Value};
use std::sync::Arc;

/// Calls a method that minijinja does not know.
pub(super) fn method(
    state: &mut State,
    value: &Value,
    name: &str,
    args: &[Value],
) -> Result<Value, Error> {
    args.iter().try_for_each(|arg| measure::pay(state, arg))?;
    let found = match (value.kind(), value.as_str()) {
        (ValueKind::String, Some(text)) => strings::method(state, text, name, args)?,
        (ValueKind::Map, _) => of_map(state, value, name, args)?,
        (ValueKind::Seq, _) => of_list(state, value, name, args)?,
        (ValueKind::Number, _) => of_number(value, name, args)?,
        _ => None,
    };
    found.ok_or_else(|| ErrorKind::UnknownMethod.into())
}

/// The test `iterable`: None is not.
pub(super) fn is_iterable(value: &Value) -> bool {
    !value.is_none() && value.try_iter().is_ok()
}

/// The test `sequence`: what has a length and items.
pub(super) fn is_sequence(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Seq | ValueKind::Map | ValueKind::String)
}

/// The test `callable`. What is not defined is, as in Jinja.
pub(super) fn is_callable(value: &Value) -> bool {
    // A macro looks like a dictionary of what is known of it.
    let is_known = |name: &str| value.get_attr(name).is_ok_and(|value| !value.is_undefined());
    matches!(value.kind(), ValueKind::Plain | ValueKind::Undefined)
        || (value.kind() == ValueKind::Map && is_known("arguments") && is_known("caller"))
}

/// The items of a dictionary, as `keys` and its like give them.
#[derive(Debug)]
pub(super) struct View {
    /// What Python prints before them.
    pub name: &'static str,
    items: Vec<Value>,
}

impl Object for View {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Iterable
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.items.clone())
    }
}

fn of_map(state: &State, map: &Value, name: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    let pay = || state.consume_fuel(map.len().unwrap_or(0) as u64 / 8);
    let view = |name, item: fn(Value, Value) -> Value| {
        Arguments::of(args, &[])?;
        pay()?;
        let items = map.try_iter()?.map(|key| Ok(item(key.clone(), map.get_item(&key)?)));
        let items = items.collect::<Result<_, Error>>()?;
        Ok::<_, Error>(Value::from_object(View { name, items }))
    };
    Ok(Some(match name {
        "keys" => view("dict_keys", |key, _| key)?,
        "values" => view("dict_values", |_, value| value)?,
        "items" => view("dict_items", |key, value| Value::from(Tuple::from([key, value])))?,
        "get" => {
            let args = Arguments::of(args, &["key", "default"])?;
            let value = map.get_item(args.needed(0)?)?;
            match value.is_undefined() {
                true => args.needed(1).cloned().unwrap_or_else(|_| Value::from(())),
                false => value,
            }
        }
        "copy" => {
            pay()?;
            let pairs = map.try_iter()?.map(|key| Ok((key.clone(), map.get_item(&key)?)));
            Value::from_pairs(pairs.collect::<Result<Vec<_>, Error>>()?)
        }
        "fromkeys" => {
            let args = Arguments::of(args, &["keys", "value"])?;
            let value = args.value(1).cloned().unwrap_or_else(|| Value::from(()));
            Value::from_pairs(args.needed(0)?.try_iter()?.map(|key| (key, value.clone())))
        }
        _ => return Ok(None),
    }))
}

fn of_list(
    state: &State,
    list: &Value,
    name: &str,
    args: &[Value],
) -> Result<Option<Value>, Error> {
    state.consume_fuel(list.len().unwrap_or(0) as u64 / 8)?;
    Ok(Some(match name {
        "copy" => list.try_iter()?.collect(),
        "count" => {
            let args = Arguments::of(args, &["value"])?;
            let wanted = args.needed(0)?;
            Value::from(list.try_iter()?.filter(|item| item == wanted).count())
        }
        "index" => {
            let args = Arguments::of(args, &["value", "start", "stop"])?;
            let (wanted, len) = (args.needed(0)?, list.len().unwrap_or(0));
            let range = strings::bounds(len, args.number(1)?, args.number(2)?);
            let mut items = list.try_iter()?.enumerate();
            let found = items.find(|(at, item)| range.contains(at) && item == wanted);
            Value::from(found.ok_or_else(|| wrong("the value is not in the list"))?.0)
        }
        _ => return Ok(None),
    }))
}

fn of_number(number: &Value, name: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    Ok(Some(match name {
        "is_integer" => {
            Arguments::of(args, &[])?;
            Value::from(number.is_integer() || f64::try_from(number.clone())?.fract() == 0.0)
        }
        "bit_length" if number.is_integer() => {
            Arguments::of(args, &[])?;
            let bits = i128::try_from(number.clone())?.unsigned_abs();
            Value::from(u128::BITS - bits.leading_zeros())
        }
        _ => return Ok(None),
    }))
}
