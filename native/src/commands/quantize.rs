//! `wisp quantize`: a model's weights in other formats, or random weights of a shape, as a GGUF
//! file.

use crate::args::Quantize;
use crate::bytes::shown;
use crate::out::{self, Outcome};
use crate::{engine, files, progress};
use pollster::block_on;
use serde_json::json;
use std::io;
use std::path::Path;
use std::time::Instant;
use wisp_base::{Error, Result};
use wisp_convert::{Conversion, Importance, Random, Weights};
use wisp_formats::{Checkpoint, SplitName};
use wisp_runtime::Shape;

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
    let (checkpoint, weights) = open(args)?;
    let mut conversion = Conversion::new(checkpoint, weights, args.of, importance)?;
    conversion.notes().iter().for_each(out::note);

    let (before, total) = conversion.bytes();
    let bar = progress::bytes("quantizing", total);
    let mut failed = None;
    let written = files::write(&args.out, |out| {
        conversion.write(out, &mut |bytes| bar.inc(bytes)).map_err(|error| {
            failed = Some(error);
            io::Error::other("the model")
        })
    });
    bar.finish_and_clear();
    if let Some(error) = failed {
        return Err(error.into());
    }
    written?;

    let by_format = conversion.by_format();
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
