//! `wisp quantize`: a model's weights in other formats, or random weights of a shape, as a GGUF
//! file.

use crate::args::Quantize;
use crate::bytes::shown;
use crate::out::{self, Outcome};
use crate::quantize::{Importance, Random, filler_vocabulary, recast, vocabulary_keys};
use crate::{engine, files, progress};
use pollster::block_on;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;
use std::time::Instant;
use wisp_base::{Error, Result};
use wisp_formats::{Checkpoint, GgufWriter, Source, SplitName, TensorInfo, Value};
use wisp_runtime::Shape;

/// Numbers that are in memory at once: 64 MiB of them.
const CHUNK: u64 = 1 << 24;

/// Names of stdout.
const STDOUT: [&str; 4] = ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"];

/// Runs the command.
pub fn run(args: &Quantize) -> Outcome {
    let start = Instant::now();
    if STDOUT.iter().any(|name| args.out == Path::new(name)) {
        return Err(Error::input(format!(
            "cannot write the model to {}: stdout has what is told of it; give a file's name",
            args.out.display()
        ))
        .into());
    }
    expect_whole(&args.out)?;
    // Read before the model is: a wrong file costs nothing.
    let importance = args.imatrix.as_deref().map(Importance::read).transpose()?;
    let (mut checkpoint, mut weights) = open(args)?;
    let before: u64 = checkpoint.tensors.iter().map(|tensor| tensor.bytes).sum();
    recast(&mut checkpoint, args.of, importance)?;
    checkpoint.notes.iter().for_each(out::note);
    warn_of_loss(&checkpoint);

    let mut writer = GgufWriter::new();
    for (key, value) in metadata(&checkpoint, args.of.number, &weights) {
        writer = writer.metadata(key, value);
    }
    for tensor in &checkpoint.tensors {
        let (shape, format) = (tensor.shape.clone(), tensor.format);
        writer = writer.tensor_later(&tensor.name, shape, format);
    }
    let total: u64 = checkpoint.tensors.iter().map(|tensor| tensor.bytes).sum();
    let bar = progress::bytes("quantizing", total);
    let mut failed = None;
    let written = files::write(&args.out, |out| {
        let mut fill = |name: &str, out: &mut dyn Write| {
            let tensor = checkpoint.tensor(name);
            let tensor = tensor.ok_or_else(|| Error::input(format!("tensor {name} is missing")))?;
            let done = &mut |bytes| bar.inc(bytes);
            match &mut weights {
                Weights::Of(source) => fill(&checkpoint, source.as_ref(), tensor, out, done),
                Weights::Random(random) => random.write(tensor, out, done),
            }
        };
        writer.write_with(out, &mut fill).map_err(|error| {
            failed = Some(error);
            io::Error::other("a tensor")
        })
    });
    bar.finish_and_clear();
    if let Some(error) = failed {
        return Err(error.into());
    }
    written?;

    let mut by_format: BTreeMap<&str, (usize, u64)> = BTreeMap::new();
    for tensor in &checkpoint.tensors {
        let (count, bytes) = by_format.entry(tensor.format.name()).or_default();
        *count += 1;
        *bytes += tensor.bytes;
    }
    if args.json {
        let formats: serde_json::Map<_, _> = by_format
            .iter()
            .map(|(name, (count, bytes))| {
                ((*name).to_owned(), json!({"tensors": count, "bytes": bytes}))
            })
            .collect();
        return out::json(&json!({
            "out": args.out, "type": args.of.name, "bytes_before": before, "bytes": total,
            "formats": formats, "seconds": start.elapsed().as_secs_f64(),
        }));
    }
    for (name, (count, bytes)) in by_format {
        out::line(format!("{count:>6} tensors  {name:<8} {}", shown(bytes)))?;
    }
    out::line(format!(
        "{}: {} of weights as {}, {} before",
        args.out.display(),
        shown(total),
        args.of.name,
        shown(before)
    ))
}

/// Refuses a name under which the whole model would be taken for a part of one.
fn expect_whole(out: &Path) -> Result<()> {
    let name = out.file_name().and_then(|name| name.to_str()).and_then(SplitName::parse);
    match name {
        None => Ok(()),
        Some(name) => Err(Error::input(format!(
            "{} is the name of one of {} files, but the model is written to one: call it {}.gguf",
            out.display(),
            name.count,
            name.stem
        ))),
    }
}

/// Where the weights come from.
enum Weights {
    /// A model's own.
    Of(Box<dyn Source>),
    /// None has them.
    Random(Random),
}

/// The header of IN, which may be `shape:NAME`.
fn open(args: &Quantize) -> Result<(Checkpoint, Weights)> {
    if let Some(name) = args.model.strip_prefix("shape:") {
        if args.imatrix.is_some() {
            return Err(Error::input(
                "no column of random weights matters more than others: leave --imatrix out",
            ));
        }
        return Ok((Shape::find(name)?.checkpoint()?, Weights::Random(Random::default())));
    }
    let path = crate::store::Store::find(&args.model)?;
    let read = engine::files(&path).into_iter().chain(args.imatrix.clone());
    files::expect_other(&args.out, &read.collect::<Vec<_>>())?;
    let source = engine::source(&path)?;
    let checkpoint = block_on(wisp_runtime::open(source.as_ref()))?;
    Ok((checkpoint, Weights::Of(source)))
}

/// Weights that have lost digits once lose more.
fn warn_of_loss(checkpoint: &Checkpoint) {
    let lossy = |tensor: &TensorInfo| {
        let stored = checkpoint.stored(tensor)?.format;
        (stored.block() > 1 && tensor.format.block() > 1).then_some(stored)
    };
    if let Some(format) = checkpoint.tensors.iter().find_map(lossy) {
        out::note(format!(
            "some weights are {format} already: a file made from F16 or BF16 would be better"
        ));
    }
}

/// The file's own keys, or a folder's with its tokenizer, or a shape's with one that will do.
fn metadata(checkpoint: &Checkpoint, file_type: u32, weights: &Weights) -> Vec<(String, Value)> {
    const OWN: [&str; 2] = ["general.file_type", "general.quantization_version"];
    let kept = |key: &str| !OWN.contains(&key) && !key.starts_with("split.");
    let own = checkpoint.metadata.iter().filter(|(key, _)| kept(key));
    let mut keys: Vec<_> = own.map(|(key, value)| (key.to_owned(), value.clone())).collect();
    keys.push((OWN[0].into(), Value::U32(file_type)));
    keys.push((OWN[1].into(), Value::U32(2)));
    if matches!(weights, Weights::Random(_)) {
        let rows = checkpoint.tensor("token_embd.weight").map_or(0, |tensor| tensor.rows());
        keys.extend(filler_vocabulary(rows as usize));
    } else if checkpoint.gguf_version.is_none() {
        match vocabulary_keys(checkpoint) {
            Ok(more) => keys.extend(more),
            Err(why) => {
                out::note(format!("{why}: the file is written without a tokenizer"));
                keys.push(("tokenizer.ggml.model".into(), "none".into()));
            }
        }
    }
    keys
}

/// Writes a tensor, some rows at a time.
fn fill(
    checkpoint: &Checkpoint,
    source: &dyn Source,
    tensor: &TensorInfo,
    out: &mut dyn Write,
    done: &mut dyn FnMut(u64),
) -> Result<()> {
    let each = (CHUNK / tensor.cols().max(1)).max(1);
    let rows = tensor.rows();
    let mut first = 0;
    while first < rows {
        // No chunk has rows of two experts: each has an importance of its own.
        let expert = rows / tensor.shape.get(2).copied().unwrap_or(1).max(1);
        let end = (first + each).min(rows).min((first / expert.max(1) + 1) * expert.max(1));
        let bytes = block_on(checkpoint.rows(source, tensor, first, (end - first) as usize))?;
        out.write_all(&bytes).map_err(|cause| Error::io("cannot write the file", cause))?;
        done(bytes.len() as u64);
        first = end;
    }
    Ok(())
}
