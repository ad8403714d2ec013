//! The metadata of a file, with accessors that say what is wrong.

use super::{Array, Value, show};
use std::collections::HashMap;
use wisp_base::{Error, Result};

/// Keys and values in the order of the file.
///
/// The typed accessors come in pairs: `u32(key)` errs where the key is missing,
/// `opt_u32(key)` gives `None`. Both err where the value is of a wrong type or
/// out of range. Integers of any width and sign serve as any integer that they
/// fit; f64 serves as f32.
#[derive(Debug, Clone, Default)]
pub struct Metadata {
    /// The file, for messages.
    file: String,
    entries: Vec<(String, Value)>,
    index: HashMap<String, usize>,
}

impl Metadata {
    /// Empty; `file` is for messages.
    pub fn new(file: impl Into<String>) -> Self {
        Self { file: file.into(), ..Self::default() }
    }

    /// Adds a key.
    ///
    /// # Errors
    /// The key is there already.
    pub fn insert(&mut self, key: impl Into<String>, value: impl Into<Value>) -> Result<()> {
        let key = key.into();
        if self.index.contains_key(&key) {
            return Err(Error::input(format!(
                "{}: metadata key {} is there twice: the file is damaged; download it again",
                self.file,
                show(&key)
            )));
        }
        self.index.insert(key.clone(), self.entries.len());
        self.entries.push((key, value.into()));
        Ok(())
    }

    /// Removes all keys that begin with `prefix`: their values may be large.
    pub fn forget(&mut self, prefix: &str) {
        self.entries.retain(|(key, _)| !key.starts_with(prefix));
        let keys = self.entries.iter().enumerate();
        self.index = keys.map(|(at, (key, _))| (key.clone(), at)).collect();
    }

    /// How many keys.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Keys and values in the order of the file.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.entries.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// Any value.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.index.get(key).and_then(|at| self.entries.get(*at)).map(|(_, value)| value)
    }

    /// An integer that fits u32.
    pub fn u32(&self, key: &str) -> Result<u32> {
        self.required(key, self.opt_u32(key)?)
    }

    /// An integer that fits u32, if the key is there.
    pub fn opt_u32(&self, key: &str) -> Result<Option<u32>> {
        self.typed(key, "an integer from 0 to 4294967295", |v| v.integer()?.try_into().ok())
    }

    /// A number that some files have once for each layer, as an array: of all layers, where it is
    /// the same for all; otherwise as [`Self::opt_u32`].
    ///
    /// # Errors
    /// It differs from layer to layer.
    pub fn opt_u32_of_layers(&self, key: &str) -> Result<Option<u32>> {
        match self.one_of_layers(key, Array::integers)? {
            Some(one) => one.try_into().map(Some).or_else(|_| self.opt_u32(key)),
            None => self.opt_u32(key),
        }
    }

    /// As [`Self::opt_u32_of_layers`], a finite number.
    ///
    /// # Errors
    /// It differs from layer to layer.
    pub fn opt_f32_of_layers(&self, key: &str) -> Result<Option<f32>> {
        let numbers = |array: &Array| match array {
            Array::F32(list) => Some(list.clone()),
            Array::F64(list) => Some(list.iter().map(|number| *number as f32).collect()),
            _ => None,
        };
        match self.one_of_layers(key, numbers)?.filter(|one| one.is_finite()) {
            Some(one) => Ok(Some(one)),
            None => self.opt_f32(key),
        }
    }

    /// What all entries of an array are; none where the value is no array of such numbers.
    fn one_of_layers<T: Copy + PartialEq>(
        &self,
        key: &str,
        numbers: impl FnOnce(&Array) -> Option<Vec<T>>,
    ) -> Result<Option<T>> {
        let Some(Value::Array(array)) = self.get(key) else { return Ok(None) };
        let Some(list) = numbers(array) else { return Ok(None) };
        match list.split_first() {
            Some((first, rest)) if rest.iter().all(|other| other == first) => Ok(Some(*first)),
            Some(_) => Err(Error::unsupported(format!(
                "{}: metadata key {key} differs from layer to layer, which this version does not \
                 compute",
                self.file
            ))),
            None => Ok(None),
        }
    }

    /// An integer that fits u64.
    pub fn u64(&self, key: &str) -> Result<u64> {
        self.required(key, self.opt_u64(key)?)
    }

    /// An integer that fits u64, if the key is there.
    pub fn opt_u64(&self, key: &str) -> Result<Option<u64>> {
        self.typed(key, "an integer of at least 0", |v| v.integer()?.try_into().ok())
    }

    /// An integer that fits i32.
    pub fn i32(&self, key: &str) -> Result<i32> {
        self.required(key, self.opt_i32(key)?)
    }

    /// An integer that fits i32, if the key is there.
    pub fn opt_i32(&self, key: &str) -> Result<Option<i32>> {
        self.typed(key, "an integer of 32 bits", |v| v.integer()?.try_into().ok())
    }

    /// A finite number.
    pub fn f32(&self, key: &str) -> Result<f32> {
        self.required(key, self.opt_f32(key)?)
    }

    /// A finite number, if the key is there.
    pub fn opt_f32(&self, key: &str) -> Result<Option<f32>> {
        self.typed(key, "a finite floating-point number", |v| {
            Some(v.float()? as f32).filter(|v| v.is_finite())
        })
    }

    /// A truth value.
    pub fn bool(&self, key: &str) -> Result<bool> {
        self.required(key, self.opt_bool(key)?)
    }

    /// A truth value, if the key is there.
    pub fn opt_bool(&self, key: &str) -> Result<Option<bool>> {
        self.typed(key, "true or false", |v| match v {
            Value::Bool(v) => Some(*v),
            _ => None,
        })
    }

    /// A string.
    pub fn str(&self, key: &str) -> Result<&str> {
        self.required(key, self.opt_str(key)?)
    }

    /// A string, if the key is there.
    pub fn opt_str(&self, key: &str) -> Result<Option<&str>> {
        self.typed(key, "a string", |v| match v {
            Value::String(v) => Some(v.as_str()),
            _ => None,
        })
    }

    /// An array of strings; an empty array of any type will do.
    pub fn strings(&self, key: &str) -> Result<&[String]> {
        self.required(key, self.opt_strings(key)?)
    }

    /// An array of strings, if the key is there.
    pub fn opt_strings(&self, key: &str) -> Result<Option<&[String]>> {
        self.array(key, "an array of strings", |v| match v {
            Array::String(v) => Some(v.as_slice()),
            v if v.is_empty() => Some(&[]),
            _ => None,
        })
    }

    /// An array of numbers; an empty array of any type will do.
    pub fn f32s(&self, key: &str) -> Result<Vec<f32>> {
        self.required(key, self.opt_f32s(key)?)
    }

    /// An array of numbers, if the key is there.
    pub fn opt_f32s(&self, key: &str) -> Result<Option<Vec<f32>>> {
        self.array(key, "an array of floating-point numbers", |v| match v {
            Array::F32(v) => Some(v.clone()),
            Array::F64(v) => Some(v.iter().map(|v| *v as f32).collect()),
            v if v.is_empty() => Some(Vec::new()),
            _ => None,
        })
    }

    /// An array of integers that fit i32; an empty array of any type will do.
    pub fn i32s(&self, key: &str) -> Result<Vec<i32>> {
        self.required(key, self.opt_i32s(key)?)
    }

    /// An array of integers that fit i32, if the key is there.
    pub fn opt_i32s(&self, key: &str) -> Result<Option<Vec<i32>>> {
        self.array(key, "an array of integers of 32 bits", integers)
    }

    /// An array of integers that fit u32; an empty array of any type will do.
    pub fn u32s(&self, key: &str) -> Result<Vec<u32>> {
        self.required(key, self.opt_u32s(key)?)
    }

    /// An array of integers that fit u32, if the key is there.
    pub fn opt_u32s(&self, key: &str) -> Result<Option<Vec<u32>>> {
        self.array(key, "an array of integers from 0 to 4294967295", integers)
    }

    fn required<T>(&self, key: &str, found: Option<T>) -> Result<T> {
        found.ok_or_else(|| {
            Error::input(format!(
                "{}: metadata key {key} is missing: the file is not a complete model of its \
                 kind; convert or download it again",
                self.file
            ))
        })
    }

    fn typed<'a, T>(
        &'a self,
        key: &str,
        want: &str,
        convert: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        convert(value).map(Some).ok_or_else(|| {
            Error::input(format!(
                "{}: metadata key {key} is {value} ({}), but must be {want}: convert or \
                 download the file again",
                self.file,
                value.type_name()
            ))
        })
    }

    fn array<'a, T>(
        &'a self,
        key: &str,
        want: &str,
        convert: impl FnOnce(&'a Array) -> Option<T>,
    ) -> Result<Option<T>> {
        self.typed(key, want, |value| match value {
            Value::Array(array) => convert(array),
            _ => None,
        })
    }
}

fn integers<T: TryFrom<i128>>(array: &Array) -> Option<Vec<T>> {
    if array.is_empty() {
        return Some(Vec::new());
    }
    array.integers()?.into_iter().map(|v| T::try_from(v).ok()).collect()
}
