//! One file a command.

mod bench;
mod chat;
mod compare;
mod detokenize;
mod devices;
mod embed;
mod fit;
mod generate;
mod inspect;
mod kernels;
mod logits;
mod models;
mod perplexity;
mod predict;
mod quantize;
mod tokenize;
mod tokenizer;

use crate::args::{Cli, Command};
use crate::interrupt;
use crate::out::Outcome;

/// Runs the command that was typed.
pub fn run(cli: Cli) -> Outcome {
    interrupt::install();
    let global = &cli.global;
    match cli.command {
        Command::Chat(args) => chat::run(global, args),
        Command::Generate(args) => generate::run(global, args),
        Command::Logits(args) => logits::run(global, args),
        Command::Tokenize(args) => tokenize::run(&args),
        Command::Detokenize(args) => detokenize::run(args),
        Command::Tokenizer(args) => tokenizer::run(args.task),
        Command::Perplexity(args) => perplexity::run(global, &args),
        Command::Compare(args) => compare::run(global, &args),
        Command::Quantize(args) => quantize::run(&args),
        Command::Embed(args) => embed::run(global, &args),
        Command::Similar(args) => embed::similar(global, &args),
        Command::Inspect(args) => inspect::run(global, &args),
        Command::Devices(args) if args.bench => kernels::run(global, &args),
        Command::Devices(args) => devices::run(global, &args),
        Command::Pull(args) => models::pull(global, &args),
        Command::Models(args) => models::list(global, &args),
        Command::Rm(args) => models::remove(&args),
        Command::Bench(args) => bench::run(global, &args),
        Command::Serve(args) => crate::serve::run(global, args),
    }
}
