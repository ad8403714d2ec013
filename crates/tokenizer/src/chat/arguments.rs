//! Arguments as Python takes them: by place or by name.

use minijinja::value::{Kwargs, Rest, from_args};
use minijinja::{Error, ErrorKind, State, Value};

/// The arguments of a call, in the order of their names.
pub(super) struct Arguments(Vec<Option<Value>>);

impl Arguments {
    /// Of a function with these parameters.
    pub fn of(args: &[Value], names: &[&str]) -> Result<Self, Error> {
        let (given, named): (Rest<Value>, Kwargs) = from_args(args)?;
        if given.len() > names.len() {
            return Err(ErrorKind::TooManyArguments.into());
        }
        let mut all: Vec<_> = given.iter().cloned().map(Some).collect();
        for name in &names[given.len()..] {
            all.push(if named.has(name) { Some(named.get(name)?) } else { None });
        }
        named.assert_all_used()?;
        Ok(Self(all))
    }

    /// None where it was not given, or is None itself.
    pub fn value(&self, index: usize) -> Option<&Value> {
        let value = self.0.get(index).and_then(Option::as_ref);
        value.filter(|value| !value.is_none() && !value.is_undefined())
    }

    /// One that must be there.
    pub fn needed(&self, index: usize) -> Result<&Value, Error> {
        let value = self.0.get(index).and_then(Option::as_ref);
        value.ok_or_else(|| ErrorKind::MissingArgument.into())
    }

    pub fn text(&self, index: usize) -> Result<Option<&str>, Error> {
        self.value(index).map(as_text).transpose()
    }

    pub fn needed_text(&self, index: usize) -> Result<&str, Error> {
        as_text(self.needed(index)?)
    }

    pub fn number(&self, index: usize) -> Result<Option<i64>, Error> {
        self.value(index).map(|value| i64::try_from(value.clone())).transpose()
    }

    /// A size: what is negative is 0.
    pub fn size(&self, index: usize, default: usize) -> Result<usize, Error> {
        Ok(self.number(index)?.map_or(default, |n| usize::try_from(n).unwrap_or(0)))
    }

    pub fn is_true(&self, index: usize) -> bool {
        self.value(index).is_some_and(Value::is_true)
    }

    /// What was given, for a function that takes it by name.
    pub fn named(self, names: &[&str]) -> Kwargs {
        let given = names.iter().zip(self.0);
        given.filter_map(|(name, value)| Some((*name, value?))).collect()
    }
}

fn as_text(value: &Value) -> Result<&str, Error> {
    value.as_str().ok_or_else(|| wrong(format!("a text is needed, not {}", value.kind())))
}

/// What cannot be done with these arguments.
pub(super) fn wrong(what: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidOperation, what)
}

/// Pays for text of so many bytes before it is made.
pub(super) fn pay_bytes(state: &State, bytes: usize) -> Result<(), Error> {
    state.consume_fuel(bytes as u64 / 64)
}
