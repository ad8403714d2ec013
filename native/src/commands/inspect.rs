//! `wisp inspect`: what a model file holds and what memory it needs.

use crate::args::{Global, Inspect};
use crate::bytes::shown;
use crate::engine;
use crate::out::{self, Outcome};
use serde_json::{Map, Value as Json, json};
use std::path::Path;
use wisp_base::{Format, Result};
use wisp_formats::{Array, Checkpoint, TensorInfo, Value};
use wisp_runtime::{MemoryPlan, plan_memory};

/// Longer arrays are given by their type and length: vocabularies.
const LONGEST: usize = 16;

/// What a converter could make of the weights.
const PRECISIONS: [Format; 5] =
    [Format::F32, Format::F16, Format::Q8_0, Format::Q4_1, Format::Q4_0];

/// Runs the command.
pub fn run(global: &Global, args: &Inspect) -> Outcome {
    let (path, checkpoint) = engine::header(&args.model)?;
    let plan = plan_memory(&checkpoint, &engine::options(global));
    if args.json {
        out::json(&object(&path, &checkpoint, &plan))
    } else {
        out::text(&table(&path, &checkpoint, &plan))
    }
}

/// Tensors stored alike.
struct Kind {
    format: Format,
    count: usize,
    weights: u64,
    bytes: u64,
}

fn kinds(checkpoint: &Checkpoint) -> Vec<Kind> {
    let kind = |format: Format| {
        let mut kind = Kind { format, count: 0, weights: 0, bytes: 0 };
        for tensor in checkpoint.tensors.iter().filter(|tensor| tensor.format == format) {
            kind.count += 1;
            // The tensors lie within the file, apart from each other: no sum overflows.
            kind.weights = kind.weights.saturating_add(tensor.weights());
            kind.bytes = kind.bytes.saturating_add(tensor.bytes);
        }
        kind
    };
    Format::ALL.into_iter().map(kind).filter(|kind| kind.count > 0).collect()
}

/// Bytes of the tensor in `format`. Converters keep vectors (norms, biases) in
/// F32, and put rows that are no whole number of blocks into F16.
fn bytes_as(tensor: &TensorInfo, format: Format) -> u64 {
    let format = if tensor.shape.len() < 2 {
        Format::F32
    } else if tensor.cols().is_multiple_of(format.block() as u64) {
        format
    } else {
        Format::F16
    };
    let blocks = tensor.weights() / format.block() as u64;
    blocks.saturating_mul(format.block_bytes() as u64)
}

fn precisions(checkpoint: &Checkpoint) -> impl Iterator<Item = (Format, u64)> {
    PRECISIONS.into_iter().map(|format| {
        let bytes = checkpoint.tensors.iter().map(|tensor| bytes_as(tensor, format));
        (format, bytes.fold(0, u64::saturating_add))
    })
}

fn object(path: &Path, checkpoint: &Checkpoint, plan: &Result<MemoryPlan>) -> Json {
    let metadata: Map<String, Json> = checkpoint
        .metadata
        .iter()
        .map(|(key, value)| (key.to_string(), json_value(value)))
        .collect();
    let kinds = kinds(checkpoint);
    let types = kinds.iter().map(|kind| {
        json!({
            "type": kind.format.name(), "count": kind.count, "weights": kind.weights,
            "bytes": kind.bytes,
        })
    });
    let mut value = json!({
        "path": path.to_string_lossy(),
        "version": checkpoint.gguf_version,
        "metadata": metadata,
        "tensors": {
            "count": checkpoint.tensors.len(),
            "weights": kinds.iter().map(|kind| kind.weights).fold(0, u64::saturating_add),
            "bytes": kinds.iter().map(|kind| kind.bytes).fold(0, u64::saturating_add),
            "types": types.collect::<Vec<_>>(),
        },
        "precisions": precisions(checkpoint)
            .map(|(format, bytes)| (format.name().to_string(), bytes.into()))
            .collect::<Map<_, _>>(),
    });
    match plan {
        Ok(plan) => {
            value["memory"] = json!({
                "ctx": plan.ctx, "weights": plan.weights, "kv": plan.kv,
                "scratch": plan.scratch, "total": plan.total(),
            });
        }
        Err(why) => {
            value["memory"] = Json::Null;
            value["memory_error"] = why.to_string().into();
        }
    }
    value
}

fn json_value(value: &Value) -> Json {
    match value {
        Value::Array(array) if array.len() > LONGEST => {
            json!({"type": value.type_name(), "length": array.len()})
        }
        Value::Array(array) => json_array(array),
        Value::Bool(truth) => (*truth).into(),
        Value::String(text) => text.as_str().into(),
        other => match (other.integer(), other.float()) {
            (Some(number), _) => integer(number),
            // Not finite: JSON has no such number.
            (None, number) => number.map_or(Json::Null, Json::from),
        },
    }
}

fn json_array(array: &Array) -> Json {
    fn all<T: Copy + Into<Json>>(values: &[T]) -> Json {
        values.iter().map(|value| (*value).into()).collect()
    }
    match array {
        Array::F32(values) => all(values),
        Array::F64(values) => all(values),
        Array::Bool(values) => all(values),
        Array::String(values) => values.iter().map(String::as_str).collect(),
        Array::Nested(values) => values
            .iter()
            .map(|array| match array.len() {
                0..=LONGEST => json_array(array),
                length => json!({ "length": length }),
            })
            .collect(),
        integers => integers.integers().unwrap_or_default().into_iter().map(integer).collect(),
    }
}

fn integer(number: i128) -> Json {
    match (u64::try_from(number), i64::try_from(number)) {
        (Ok(number), _) => number.into(),
        (_, Ok(number)) => number.into(),
        _ => Json::Null,
    }
}

fn table(path: &Path, checkpoint: &Checkpoint, plan: &Result<MemoryPlan>) -> String {
    let kind = match checkpoint.gguf_version {
        Some(version) => format!("GGUF version {version}"),
        None => "safetensors".into(),
    };
    let mut text = format!("{} ({kind})\n\nmetadata\n", path.display());
    for (key, value) in checkpoint.metadata.iter() {
        text += &format!("  {key} = {value}\n");
    }
    text += &format!("\ntensors: {}\n", checkpoint.tensors.len());
    for kind in kinds(checkpoint) {
        let Kind { format, count, weights, bytes } = kind;
        text += &format!(
            "  {:<5} {count:>5} × {weights:>14} weights {:>12}\n",
            format.name(),
            shown(bytes)
        );
    }
    match plan {
        Ok(plan) => {
            text += &format!("\nmemory for a context of {} tokens\n", plan.ctx);
            for (name, bytes) in [
                ("weights", plan.weights),
                ("KV cache", plan.kv),
                ("scratch", plan.scratch),
                ("total", plan.total()),
            ] {
                text += &format!("  {name:<9} {:>12}\n", shown(bytes));
            }
        }
        Err(why) => text += &format!("\nmemory: not known, since {why}\n"),
    }
    text += "\nthe weights in each precision\n";
    for (format, bytes) in precisions(checkpoint) {
        text += &format!("  {:<9} {:>12}\n", format.name(), shown(bytes));
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn bytes_by_precision_follow_converters() {
        let tensor = |shape: &[u64]| TensorInfo {
            name: "t".into(),
            shape: shape.to_vec(),
            format: Format::F32,
            offset: 0,
            bytes: 0,
        };
        assert_eq!(bytes_as(&tensor(&[64]), Format::Q4_0), 256);
        assert_eq!(bytes_as(&tensor(&[64, 2]), Format::Q4_0), 72);
        assert_eq!(bytes_as(&tensor(&[33, 2]), Format::Q4_0), 132);
    }

    #[test]
    fn long_arrays_are_named_by_their_length() {
        assert_eq!(json_value(&Value::Array(Array::U8(vec![1, 2]))), json!([1, 2]));
        let long = Value::Array(Array::I32(vec![0; 17]));
        assert_eq!(json_value(&long), json!({"type": "array of i32", "length": 17}));
        assert_eq!(json_value(&Value::F32(f32::NAN)), Json::Null);
    }
}
