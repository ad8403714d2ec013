//! `wisp inspect`: what a model file holds and what memory it needs.

use crate::args::{Global, Inspect};
use crate::bytes::shown;
use crate::engine;
use crate::out::{self, Outcome};
use serde_json::{Map, Value as Json, json};
use std::path::Path;
use wisp_base::{Error, Format, KvType, Result};
use wisp_convert::{Type, bytes_as, recast};
use wisp_formats::{Array, Checkpoint, Value};
use wisp_runtime::{EngineOptions, MemoryPlan, plan_memory};

/// Longer arrays are given by their type and length: vocabularies.
const LONGEST: usize = 16;

/// What `wisp quantize` could make of the weights.
const TYPES: [&str; 9] =
    ["f32", "f16", "q8_0", "q6_k", "q5_k_m", "q4_k_m", "q4_0", "q3_k_m", "q2_k"];

/// How the KV cache can be stored.
const CACHES: [KvType; 4] = [KvType::F32, KvType::F16, KvType::Q8_0, KvType::Q4_0];

/// Runs the command.
pub fn run(global: &Global, args: &Inspect) -> Outcome {
    let (path, mut checkpoint) = engine::header(&args.model)?;
    checkpoint.notes.iter().for_each(out::note);
    let types = types(&checkpoint)?;
    if let Some(of) = global.quantize {
        recast(&mut checkpoint, of, None)?;
    }
    let options = engine::options(global);
    let plan = plan_memory(&checkpoint, &options);
    let cache = |kv| {
        let plan = plan_memory(&checkpoint, &EngineOptions { kv: Some(kv), ..options.clone() });
        Some((kv, plan.ok()?.kv))
    };
    let found = Found {
        caches: CACHES.into_iter().filter_map(cache).collect(),
        path: &path,
        checkpoint: &checkpoint,
        plan: &plan,
        types,
    };
    if args.json { out::json(&object(&found)) } else { out::text(&table(&found)) }
}

/// All that is said.
struct Found<'a> {
    path: &'a Path,
    checkpoint: &'a Checkpoint,
    plan: &'a Result<MemoryPlan>,
    /// Bytes of the KV cache in each type that can store it.
    caches: Vec<(KvType, u64)>,
    /// Bytes of the weights in each type.
    types: Vec<(String, u64)>,
}

/// Bytes of the weights in each of [`TYPES`], under their names in capitals.
fn types(checkpoint: &Checkpoint) -> Result<Vec<(String, u64)>> {
    let of = |name: &&str| {
        let of = Type::parse(name).map_err(Error::input)?;
        Ok((name.to_uppercase(), bytes_as(checkpoint, of)))
    };
    TYPES.iter().map(of).collect()
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

fn object(found: &Found<'_>) -> Json {
    let Found { path, checkpoint, plan, caches, types } = found;
    let metadata: Map<String, Json> = checkpoint
        .metadata
        .iter()
        .map(|(key, value)| (key.to_string(), json_value(value)))
        .collect();
    let kinds = kinds(checkpoint);
    let formats = kinds.iter().map(|kind| {
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
            "types": formats.collect::<Vec<_>>(),
        },
        "precisions": types
            .iter()
            .map(|(name, bytes)| (name.clone(), (*bytes).into()))
            .collect::<Map<_, _>>(),
    });
    match plan {
        Ok(plan) => {
            value["memory"] = json!({
                "ctx": plan.ctx, "weights": plan.weights, "kv": plan.kv,
                "scratch": plan.scratch, "total": plan.total(),
                "caches": caches
                    .iter()
                    .map(|(kv, bytes)| (kv.name().to_owned(), (*bytes).into()))
                    .collect::<Map<_, _>>(),
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

fn table(found: &Found<'_>) -> String {
    let Found { path, checkpoint, plan, caches, types } = found;
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
        let bits = bytes as f64 * 8.0 / weights.max(1) as f64;
        text += &format!(
            "  {:<11} {count:>5} × {weights:>14} weights {bits:>6.2} bits {:>12}\n",
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
            text += "\nthe KV cache in each type (--kv)\n";
            for (kv, bytes) in caches {
                text += &format!("  {:<9} {:>12}\n", kv.name(), shown(*bytes));
            }
        }
        Err(why) => text += &format!("\nmemory: not known, since {why}\n"),
    }
    text += "\nthe weights in each type (wisp quantize, --quantize)\n";
    for (name, bytes) in types {
        text += &format!("  {name:<9} {:>12}\n", shown(*bytes));
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn long_arrays_are_named_by_their_length() {
        assert_eq!(json_value(&Value::Array(Array::U8(vec![1, 2]))), json!([1, 2]));
        let long = Value::Array(Array::I32(vec![0; 17]));
        assert_eq!(json_value(&long), json!({"type": "array of i32", "length": 17}));
        assert_eq!(json_value(&Value::F32(f32::NAN)), Json::Null);
    }
}
