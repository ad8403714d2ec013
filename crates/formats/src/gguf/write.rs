//! Writes GGUF, version 3.

use super::{ALIGNMENT, ALIGNMENT_KEY, Array, MAGIC, Value, show, tensor_bytes};
use std::collections::HashSet;
use std::io::Write;
use wisp_base::{Error, Format, Result};

/// Gathers metadata and tensors, then writes a file of them. Tensors begin at
/// multiples of 32, or of `general.alignment` where that key is added.
#[derive(Debug, Clone, Default)]
pub struct GgufWriter {
    metadata: Vec<(String, Value)>,
    tensors: Vec<Tensor>,
}

#[derive(Debug, Clone)]
struct Tensor {
    name: String,
    shape: Vec<u64>,
    format: Format,
    /// None: given when the file is written.
    bytes: Option<Vec<u8>>,
}

impl GgufWriter {
    /// Empty.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a key.
    #[must_use]
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.metadata.push((key.into(), value.into()));
        self
    }

    /// Adds a tensor: `shape` in ggml's order (columns first), `bytes` as
    /// `wisp_base::quant::encode` gives them.
    #[must_use]
    pub fn tensor(
        mut self,
        name: impl Into<String>,
        shape: impl Into<Vec<u64>>,
        format: Format,
        bytes: Vec<u8>,
    ) -> Self {
        let bytes = Some(bytes);
        self.tensors.push(Tensor { name: name.into(), shape: shape.into(), format, bytes });
        self
    }

    /// Adds a tensor whose bytes [`Self::write_with`] asks for.
    #[must_use]
    pub fn tensor_later(
        mut self,
        name: impl Into<String>,
        shape: impl Into<Vec<u64>>,
        format: Format,
    ) -> Self {
        let (name, shape) = (name.into(), shape.into());
        self.tensors.push(Tensor { name, shape, format, bytes: None });
        self
    }

    /// The whole file.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn finish(&self) -> Result<Vec<u8>> {
        let mut file = Vec::new();
        self.write(&mut file)?;
        Ok(file)
    }

    /// Writes the whole file.
    ///
    /// # Errors
    /// A key or a name is there twice, `general.alignment` is not a multiple of
    /// 8, a tensor's bytes are not what its shape takes; or writing fails.
    pub fn write(&self, out: &mut dyn Write) -> Result<()> {
        self.write_with(out, &mut |name, _| {
            Err(Error::input(format!("tensor {} was added without its bytes", show(name))))
        })
    }

    /// Writes the whole file; `fill` writes the bytes of each tensor that was added without
    /// them, in the order in which they were added.
    ///
    /// # Errors
    /// As [`Self::write`]; `fill` fails, or writes more or fewer bytes than the tensor has.
    pub fn write_with(
        &self,
        out: &mut dyn Write,
        fill: &mut dyn FnMut(&str, &mut dyn Write) -> Result<()>,
    ) -> Result<()> {
        let alignment = self.check()?;
        let failed = |cause| Error::io("cannot write the GGUF file", cause);
        let mut header = Vec::new();
        header.extend(MAGIC);
        header.extend(3u32.to_le_bytes());
        header.extend((self.tensors.len() as u64).to_le_bytes());
        header.extend((self.metadata.len() as u64).to_le_bytes());
        for (key, value) in &self.metadata {
            put_text(&mut header, key);
            put_value(&mut header, value);
        }
        let mut offset = 0u64;
        for tensor in &self.tensors {
            put_text(&mut header, &tensor.name);
            header.extend((tensor.shape.len() as u32).to_le_bytes());
            header.extend(tensor.shape.iter().flat_map(|dim| dim.to_le_bytes()));
            let format = tensor.format;
            let id = format.ggml_id().ok_or_else(|| {
                Error::input(format!("GGUF has no tensors of {format}: use another format"))
            })?;
            header.extend(id.to_le_bytes());
            header.extend(offset.to_le_bytes());
            let bytes = tensor.size()?;
            offset += bytes + padding(bytes, alignment) as u64;
        }
        header.resize(header.len() + padding(header.len() as u64, alignment), 0);
        out.write_all(&header).map_err(failed)?;
        for tensor in &self.tensors {
            let mut out = Counted { out: &mut *out, bytes: 0 };
            match &tensor.bytes {
                Some(bytes) => out.write_all(bytes).map_err(failed)?,
                None => fill(&tensor.name, &mut out)?,
            }
            let (wrote, size) = (out.bytes, tensor.size()?);
            if wrote != size {
                return Err(tensor.wrong(wrote, size));
            }
            let padding = vec![0; padding(size, alignment)];
            out.write_all(&padding).map_err(failed)?;
        }
        Ok(())
    }

    /// The alignment, if all is well.
    fn check(&self) -> Result<usize> {
        let mut alignment = ALIGNMENT as usize;
        let mut keys = HashSet::new();
        for (key, value) in &self.metadata {
            if !keys.insert(key) {
                let key = show(key);
                return Err(Error::input(format!("metadata key {key} was added twice")));
            }
            if key == ALIGNMENT_KEY {
                alignment = value
                    .integer()
                    .and_then(|value| u16::try_from(value).ok())
                    .filter(|value| *value != 0 && value.is_multiple_of(8))
                    .ok_or_else(|| {
                        Error::input(format!(
                            "{ALIGNMENT_KEY} is {value}, but must be a multiple of 8 from 8 to \
                             65528"
                        ))
                    })?
                    .into();
            }
        }
        let mut names = HashSet::new();
        for tensor in &self.tensors {
            if !names.insert(&tensor.name) {
                let shown = show(&tensor.name);
                return Err(Error::input(format!("tensor {shown} was added twice")));
            }
            let size = tensor.size()?;
            if let Some(bytes) = &tensor.bytes
                && bytes.len() as u64 != size
            {
                return Err(tensor.wrong(bytes.len() as u64, size));
            }
        }
        Ok(alignment)
    }
}

impl Tensor {
    /// Bytes that it takes.
    fn size(&self) -> Result<u64> {
        tensor_bytes(&self.shape, self.format)
            .map_err(|why| Error::input(format!("tensor {} {why}", show(&self.name))))
    }

    fn wrong(&self, has: u64, size: u64) -> Error {
        let Self { name, shape, format, .. } = self;
        let shown = show(name);
        Error::input(format!(
            "tensor {shown} of shape {shape:?} takes {size} bytes as {format}, but has {has}"
        ))
    }
}

/// Counts what is written.
struct Counted<'a> {
    out: &'a mut dyn Write,
    bytes: u64,
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let wrote = self.out.write(bytes)?;
        self.bytes += wrote as u64;
        Ok(wrote)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

/// Bytes from `length` to the next multiple of `alignment`, which is not 0.
fn padding(length: u64, alignment: usize) -> usize {
    (alignment - (length % alignment as u64) as usize) % alignment
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

fn put_value(out: &mut Vec<u8>, value: &Value) {
    let mut put = |kind: u32, bytes: &[u8]| {
        out.extend(kind.to_le_bytes());
        out.extend(bytes);
    };
    match value {
        Value::U8(v) => put(0, &v.to_le_bytes()),
        Value::I8(v) => put(1, &v.to_le_bytes()),
        Value::U16(v) => put(2, &v.to_le_bytes()),
        Value::I16(v) => put(3, &v.to_le_bytes()),
        Value::U32(v) => put(4, &v.to_le_bytes()),
        Value::I32(v) => put(5, &v.to_le_bytes()),
        Value::F32(v) => put(6, &v.to_le_bytes()),
        Value::Bool(v) => put(7, &[u8::from(*v)]),
        Value::U64(v) => put(10, &v.to_le_bytes()),
        Value::I64(v) => put(11, &v.to_le_bytes()),
        Value::F64(v) => put(12, &v.to_le_bytes()),
        Value::String(v) => {
            put(8, &[]);
            put_text(out, v);
        }
        Value::Array(v) => {
            put(9, &[]);
            put_array(out, v);
        }
    }
}

fn put_array(out: &mut Vec<u8>, array: &Array) {
    fn put<T, const N: usize>(out: &mut Vec<u8>, values: &[T], bytes: impl Fn(&T) -> [u8; N]) {
        out.extend(values.iter().flat_map(bytes));
    }
    let kind: u32 = match array {
        Array::U8(_) => 0,
        Array::I8(_) => 1,
        Array::U16(_) => 2,
        Array::I16(_) => 3,
        Array::U32(_) => 4,
        Array::I32(_) => 5,
        Array::F32(_) => 6,
        Array::Bool(_) => 7,
        Array::String(_) => 8,
        Array::Nested(_) => 9,
        Array::U64(_) => 10,
        Array::I64(_) => 11,
        Array::F64(_) => 12,
    };
    out.extend(kind.to_le_bytes());
    out.extend((array.len() as u64).to_le_bytes());
    match array {
        Array::U8(v) => out.extend(v),
        Array::I8(v) => put(out, v, |v| v.to_le_bytes()),
        Array::U16(v) => put(out, v, |v| v.to_le_bytes()),
        Array::I16(v) => put(out, v, |v| v.to_le_bytes()),
        Array::U32(v) => put(out, v, |v| v.to_le_bytes()),
        Array::I32(v) => put(out, v, |v| v.to_le_bytes()),
        Array::F32(v) => put(out, v, |v| v.to_le_bytes()),
        Array::Bool(v) => put(out, v, |v| [u8::from(*v)]),
        Array::String(v) => v.iter().for_each(|text| put_text(out, text)),
        Array::Nested(v) => v.iter().for_each(|array| put_array(out, array)),
        Array::U64(v) => put(out, v, |v| v.to_le_bytes()),
        Array::I64(v) => put(out, v, |v| v.to_le_bytes()),
        Array::F64(v) => put(out, v, |v| v.to_le_bytes()),
    }
}
