//! `wisp logits`: what the model makes of given tokens, as a NumPy file.

use crate::args::{Global, Logits};
use crate::out::Outcome;
use crate::store::Store;
use crate::{engine, files, npy};
use pollster::block_on;
use wisp_base::Error;

/// Runs the command.
pub fn run(global: &Global, args: Logits) -> Outcome {
    if args.out.is_dir() {
        let path = args.out.display();
        return Err(Error::input(format!("--out {path} is a folder: give a file's name")).into());
    }
    files::expect_other(&args.out, &engine::files(&Store::find(&args.model)?))?;
    let mut engine = engine::load(global, &args.model)?.engine;
    let tokens = args.tokens.within(engine.vocab())?;
    let values = block_on(engine.logits(&tokens, args.all, args.chunk))?;
    npy::write(&args.out, engine.columns(), &values)?;
    Ok(())
}
