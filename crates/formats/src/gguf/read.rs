//! The header, front to back, every number checked.

use super::cursor::Cursor;
use super::{
    ALIGNMENT, ALIGNMENT_KEY, Array, Gguf, MAGIC, MAX_DIMS, Metadata, TensorInfo, Value, show,
    tensor_bytes,
};
use crate::Source;
use crate::source::{is_lfs_pointer, lfs_pointer};
use std::collections::HashMap;
use wisp_base::{Error, Format, Result};

/// Bytes that the shortest metadata entry takes: an empty key, a type, a bool.
const LEAST_ENTRY: u64 = 8 + 4 + 1;

/// Bytes that the shortest tensor description takes: an empty name, one
/// dimension, type and offset.
const LEAST_TENSOR: u64 = 8 + 4 + 8 + 4 + 8;

/// Bytes that the shortest nested array takes: a type and a length.
const LEAST_ARRAY: u64 = 4 + 8;

/// How deep arrays may nest: bounds the stack.
const MAX_DEPTH: usize = 4;

pub(super) async fn header(source: &dyn Source) -> Result<Gguf> {
    let mut cursor = Cursor::new(source);
    let version = version(source, &mut cursor).await?;
    let tensor_count = cursor.count("tensors", LEAST_TENSOR).await?;
    let entry_count = cursor.count("metadata entries", LEAST_ENTRY).await?;

    let mut metadata = Metadata::new(source.name());
    for index in 0..entry_count {
        cursor.context = format!("metadata entry {index}");
        let key = cursor.name("a key").await?;
        cursor.context = format!("metadata key {}", show(&key));
        let value = value(&mut cursor).await?;
        metadata.insert(key, value)?;
    }
    let alignment = alignment(&metadata).map_err(|why| at(source, ALIGNMENT_KEY, &why))?;

    let mut tensors = Vec::new();
    let mut index = HashMap::new();
    for number in 0..tensor_count {
        cursor.context = format!("tensor {number}");
        let name = cursor.name("a name").await?;
        cursor.context = format!("tensor {}", show(&name));
        let info = tensor(&mut cursor, name).await?;
        if index.insert(info.name.clone(), number).is_some() {
            return Err(cursor.error("is there twice: the file is damaged; download it again"));
        }
        tensors.push(info);
    }

    let header_end = cursor.position();
    let data_offset = header_end.checked_next_multiple_of(alignment).ok_or_else(|| {
        at(source, ALIGNMENT_KEY, &format!("is {alignment}, which is more than any file has"))
    })?;
    place(source, &mut tensors, data_offset, alignment)?;
    Ok(Gguf { version, metadata, tensors, alignment, data_offset, index })
}

fn at(source: &dyn Source, what: &str, why: &str) -> Error {
    Error::input(format!("{}: {what} {why}", source.name()))
}

async fn version(source: &dyn Source, cursor: &mut Cursor<'_>) -> Result<u32> {
    let name = source.name();
    let length = usize::try_from(cursor.remaining()).unwrap_or(usize::MAX).min(MAGIC.len());
    let magic = cursor.bytes(length).await?;
    if magic != MAGIC {
        let mut start = vec![0; source.len().min(64) as usize];
        source.read(0, &mut start).await?;
        if is_lfs_pointer(&start) {
            return Err(lfs_pointer(name));
        }
        return Err(Error::input(format!(
            "{name} is not a GGUF file: it begins with \"{}\", not \"GGUF\"; give the path of a \
             .gguf file",
            magic.escape_ascii()
        )));
    }
    match cursor.u32().await? {
        version @ 2..=3 => Ok(version),
        // Version 1 to 255, its bytes in the other order.
        version if version != 0 && version & 0xffffff == 0 => Err(Error::unsupported(format!(
            "{name} is a big-endian GGUF file, which this version does not read: convert it \
             with gguf_convert_endian.py or use a little-endian file"
        ))),
        version => Err(Error::unsupported(format!(
            "{name} is a GGUF file of version {version}, but this version of wisp reads 2 and \
             3: convert the model again"
        ))),
    }
}

/// A type number, then the value.
async fn value(cursor: &mut Cursor<'_>) -> Result<Value> {
    Ok(match cursor.u32().await? {
        0 => Value::U8(u8::from_le_bytes(cursor.array().await?)),
        1 => Value::I8(i8::from_le_bytes(cursor.array().await?)),
        2 => Value::U16(u16::from_le_bytes(cursor.array().await?)),
        3 => Value::I16(i16::from_le_bytes(cursor.array().await?)),
        4 => Value::U32(cursor.u32().await?),
        5 => Value::I32(i32::from_le_bytes(cursor.array().await?)),
        6 => Value::F32(f32::from_le_bytes(cursor.array().await?)),
        7 => {
            let [byte] = cursor.array().await?;
            Value::Bool(truth(cursor, byte)?)
        }
        8 => Value::String(cursor.text().await?),
        9 => Value::Array(array(cursor, 1).await?),
        10 => Value::U64(cursor.u64().await?),
        11 => Value::I64(i64::from_le_bytes(cursor.array().await?)),
        12 => Value::F64(f64::from_le_bytes(cursor.array().await?)),
        kind => return Err(unknown_kind(cursor, kind)),
    })
}

/// The elements' type number, how many, then the elements.
async fn array(cursor: &mut Cursor<'_>, depth: usize) -> Result<Array> {
    Ok(match cursor.u32().await? {
        0 => Array::U8(numbers(cursor, u8::from_le_bytes).await?),
        1 => Array::I8(numbers(cursor, i8::from_le_bytes).await?),
        2 => Array::U16(numbers(cursor, u16::from_le_bytes).await?),
        3 => Array::I16(numbers(cursor, i16::from_le_bytes).await?),
        4 => Array::U32(numbers(cursor, u32::from_le_bytes).await?),
        5 => Array::I32(numbers(cursor, i32::from_le_bytes).await?),
        6 => Array::F32(numbers(cursor, f32::from_le_bytes).await?),
        7 => {
            let bytes = numbers(cursor, u8::from_le_bytes).await?;
            let truths = bytes.into_iter().map(|byte| truth(cursor, byte));
            Array::Bool(truths.collect::<Result<_>>()?)
        }
        8 => {
            let count = cursor.count("array elements", 8).await?;
            // Grown as bytes come: an empty string takes more memory than file.
            let mut strings = Vec::new();
            for _ in 0..count {
                strings.push(cursor.text().await?);
            }
            Array::String(strings)
        }
        9 if depth == MAX_DEPTH => {
            return Err(cursor.error(format!(
                "has arrays nested more than {MAX_DEPTH} deep, which no model needs: the file \
                 is damaged; download it again"
            )));
        }
        9 => {
            let count = cursor.count("array elements", LEAST_ARRAY).await?;
            let mut arrays = Vec::new();
            for _ in 0..count {
                arrays.push(Box::pin(array(cursor, depth + 1)).await?);
            }
            Array::Nested(arrays)
        }
        10 => Array::U64(numbers(cursor, u64::from_le_bytes).await?),
        11 => Array::I64(numbers(cursor, i64::from_le_bytes).await?),
        12 => Array::F64(numbers(cursor, f64::from_le_bytes).await?),
        kind => return Err(unknown_kind(cursor, kind)),
    })
}

async fn numbers<T, const N: usize>(
    cursor: &mut Cursor<'_>,
    from_bytes: fn([u8; N]) -> T,
) -> Result<Vec<T>> {
    let count = cursor.count("array elements", N as u64).await?;
    // `count` was checked: count · N bytes are there.
    let bytes = cursor.bytes(count * N).await?;
    Ok(bytes.as_chunks().0.iter().map(|bytes| from_bytes(*bytes)).collect())
}

fn truth(cursor: &Cursor<'_>, byte: u8) -> Result<bool> {
    match byte {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(cursor.error(format!(
            "has a truth value of {byte}, neither 0 nor 1: the file is damaged; download it again"
        ))),
    }
}

fn unknown_kind(cursor: &Cursor<'_>, kind: u32) -> Error {
    cursor.error(format!(
        "has a value of type {kind}, which GGUF does not have: the file is damaged, or newer \
         than this version"
    ))
}

fn alignment(metadata: &Metadata) -> Result<u64, String> {
    let Some(value) = metadata.get(ALIGNMENT_KEY) else { return Ok(ALIGNMENT) };
    value
        .integer()
        .and_then(|value| u64::try_from(value).ok())
        .filter(|alignment| *alignment != 0 && alignment.is_multiple_of(8))
        .ok_or_else(|| {
            format!("is {value}, but must be a multiple of 8, and not 0: convert the model again")
        })
}

/// All but the name. The offset is still the file's: from the start of the data.
async fn tensor(cursor: &mut Cursor<'_>, name: String) -> Result<TensorInfo> {
    let dims = cursor.u32().await?;
    if dims == 0 || dims as usize > MAX_DIMS {
        return Err(cursor.error(format!(
            "has {dims} dimensions, but 1 to {MAX_DIMS} are allowed: the file is damaged; \
             download it again"
        )));
    }
    let mut shape = Vec::with_capacity(MAX_DIMS);
    for _ in 0..dims {
        shape.push(cursor.u64().await?);
    }
    let format = Format::from_ggml_id(cursor.u32().await?)
        .map_err(|why| Error::unsupported(cursor.sentence(format!("is {why}"))))?;
    let offset = cursor.u64().await?;
    let bytes = tensor_bytes(&shape, format).map_err(|why| {
        cursor.error(format!("{why}: the file is damaged; convert or download it again"))
    })?;
    Ok(TensorInfo { name, shape, format, offset, bytes })
}

/// Makes offsets absolute, and checks that the tensors lie within the file, each
/// apart from the others.
fn place(
    source: &dyn Source,
    tensors: &mut [TensorInfo],
    data_offset: u64,
    alignment: u64,
) -> Result<()> {
    for tensor in &mut *tensors {
        let name = format!("tensor {}", show(&tensor.name));
        if !tensor.offset.is_multiple_of(alignment) {
            let why = format!(
                "is at offset {}, which is not a multiple of the alignment {alignment}: the \
                 file is damaged; convert or download it again",
                tensor.offset
            );
            return Err(at(source, &name, &why));
        }
        let start = data_offset.checked_add(tensor.offset);
        let end = start.and_then(|start| start.checked_add(tensor.bytes));
        match start.zip(end) {
            Some((start, end)) if end <= source.len() => tensor.offset = start,
            _ => {
                let why = format!(
                    "takes {} bytes at offset {} of the data, past the end of the file at byte \
                     {}: the file is truncated; download it again",
                    tensor.bytes,
                    tensor.offset,
                    source.len()
                );
                return Err(at(source, &name, &why));
            }
        }
    }
    let mut order: Vec<_> = tensors.iter().collect();
    order.sort_by_key(|tensor| tensor.offset);
    for (one, two) in order.iter().zip(order.iter().skip(1)) {
        if one.offset + one.bytes > two.offset {
            let why = format!(
                "and tensor {} overlap at byte {}: the file is damaged; download it again",
                show(&two.name),
                two.offset
            );
            return Err(at(source, &format!("tensor {}", show(&one.name)), &why));
        }
    }
    Ok(())
}
