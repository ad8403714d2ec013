//! A JSON object, read field by field: each error names the field by its path.

use serde_json::{Map, Value};

use crate::error::Refusal;

type Result<T> = std::result::Result<T, Refusal>;

/// Most characters of a value that a message shows.
const SHOWN: usize = 60;

/// `path` has a wrong value, and what it must be.
pub fn wrong(path: &str, value: Option<&Value>, must: &str) -> Refusal {
    Refusal::input(path, format!("{path} is {}; it must be {must}", shown(value)))
}

/// There is no such field.
pub fn unknown(path: &str) -> Refusal {
    let path = cut(path.to_owned());
    Refusal::input(&path, format!("{path} is not a field of this request"))
}

fn shown(value: Option<&Value>) -> String {
    value.map_or_else(|| "missing".to_owned(), |value| cut(value.to_string()))
}

/// What a message shows of what came.
fn cut(text: String) -> String {
    match text.char_indices().nth(SHOWN) {
        None => text,
        Some(_) => text.chars().take(SHOWN - 3).chain(['…']).collect(),
    }
}

/// The fields of an object that are yet to be read. A field that is `null` is as good as none.
pub struct Fields {
    path: String,
    rest: Map<String, Value>,
}

impl Fields {
    /// What a text says.
    ///
    /// # Errors
    /// It is no JSON.
    pub fn parse(text: &str) -> Result<Value> {
        serde_json::from_str(text).map_err(|why| Refusal::json(&why))
    }

    /// `path`: of the object itself; empty for the request's body.
    ///
    /// # Errors
    /// It is no object.
    pub fn of(path: &str, value: Value) -> Result<Self> {
        match value {
            Value::Object(rest) => Ok(Self { path: path.to_owned(), rest }),
            other => {
                let path = if path.is_empty() { "the body" } else { path };
                Err(wrong(path, Some(&other), "an object"))
            }
        }
    }

    /// The path of a field.
    pub fn path(&self, name: &str) -> String {
        match self.path.as_str() {
            "" => name.to_owned(),
            path => format!("{path}.{name}"),
        }
    }

    /// The field's value, whatever it is.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        // Null in its place, and not away: the others keep their order.
        self.rest.get_mut(name).map(Value::take).filter(|value| !value.is_null())
    }

    /// A field read by `read`, which gives `None` for what is not as it `must` be.
    fn read<T>(
        &mut self,
        name: &str,
        must: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Option<T>> {
        let Some(value) = self.take(name) else { return Ok(None) };
        match read(&value) {
            Some(read) => Ok(Some(read)),
            None => Err(wrong(&self.path(name), Some(&value), must)),
        }
    }

    /// A number, both bounds included.
    ///
    /// # Errors
    /// It is something else; as all of these.
    pub fn number(&mut self, name: &str, least: f64, most: f64) -> Result<Option<f64>> {
        let must = format!("a number from {least} to {most}");
        let within = |number: &f64| (least..=most).contains(number);
        self.read(name, &must, |value| value.as_f64().filter(within))
    }

    /// A whole number. JSON has one kind of numbers: `4.0` is one.
    ///
    /// # Errors
    /// It is something else.
    pub fn integer(&mut self, name: &str, least: i64, most: i64) -> Result<Option<i64>> {
        let must = match most {
            i64::MAX => format!("a whole number, {least} or more"),
            one if one == least => one.to_string(),
            _ => format!("a whole number from {least} to {most}"),
        };
        self.read(name, &must, |value| integer(value).filter(|n| (least..=most).contains(n)))
    }

    /// A count of which more than any model has is as good as all.
    ///
    /// # Errors
    /// It is something else.
    pub fn count(&mut self, name: &str, least: i64) -> Result<Option<usize>> {
        let count = self.integer(name, least, i64::MAX)?;
        Ok(count.map(|count| usize::try_from(count).unwrap_or(usize::MAX)))
    }

    /// True, or false, which it is without.
    ///
    /// # Errors
    /// It is something else.
    pub fn flag(&mut self, name: &str) -> Result<bool> {
        self.flag_or(name, false)
    }

    /// True or false, and what it is without.
    ///
    /// # Errors
    /// It is something else.
    pub fn flag_or(&mut self, name: &str, usual: bool) -> Result<bool> {
        Ok(self.read(name, "true or false", Value::as_bool)?.unwrap_or(usual))
    }

    /// How many of the likeliest tokens are kept.
    ///
    /// # Errors
    /// It is no count.
    pub fn top_k(&mut self) -> Result<Option<u32>> {
        let count = self.count("top_k", 0)?;
        Ok(count.map(|count| u32::try_from(count).unwrap_or(u32::MAX)))
    }

    /// A text.
    ///
    /// # Errors
    /// It is something else.
    pub fn text(&mut self, name: &str) -> Result<Option<String>> {
        self.read(name, "a text", |value| value.as_str().map(str::to_owned))
    }

    /// A list; `of` what, for the message.
    ///
    /// # Errors
    /// It is something else.
    pub fn list(&mut self, name: &str, of: &str) -> Result<Option<Vec<Value>>> {
        self.read(name, &format!("a list of {of}"), |value| value.as_array().cloned())
    }

    /// An object.
    ///
    /// # Errors
    /// It is something else.
    pub fn object(&mut self, name: &str) -> Result<Option<Fields>> {
        let path = self.path(name);
        self.take(name).map(|value| Fields::of(&path, value)).transpose()
    }

    /// The names of the fields that were not read, with their values.
    pub fn rest(self) -> impl Iterator<Item = (String, Value)> {
        self.rest.into_iter().filter(|(_, value)| !value.is_null())
    }

    /// That was all.
    ///
    /// # Errors
    /// A field is left.
    pub fn end(self) -> Result<()> {
        let left = self.rest.iter().find(|(_, value)| !value.is_null());
        left.map_or(Ok(()), |(name, _)| Err(unknown(&self.path(name))))
    }

    /// The names of all fields.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.rest.keys()
    }

    /// Another value for a field: what was read of it is as a template wants it.
    pub fn put(&mut self, name: &str, value: Value) {
        self.rest.insert(name.to_owned(), value);
    }

    /// All that was not read, and what was put there.
    pub fn into_rest(mut self) -> Map<String, Value> {
        self.rest.retain(|_, value| !value.is_null());
        self.rest
    }
}

/// A whole number.
pub fn integer(value: &Value) -> Option<i64> {
    /// All whole numbers up to it are floating-point numbers.
    const EXACT: f64 = (1u64 << 53) as f64;
    let whole = |n: &f64| n.fract() == 0.0 && n.abs() <= EXACT;
    value.as_i64().or_else(|| value.as_f64().filter(whole).map(|n| n as i64))
}

/// A token id.
pub fn token(value: &Value) -> Option<u32> {
    integer(value).and_then(|id| u32::try_from(id).ok())
}
