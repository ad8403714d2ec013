//! `rivals`: other engines on the same model and device, in turns with ours; and what a bare
//! machine with a GPU is to be asked.

mod browser;
mod gpu;
mod llama;
mod native;

use crate::step::Result;

/// `rivals native|browser|gpu`
pub fn compare(args: &[String]) -> Result {
    let (what, rest) = args.split_first().map_or(("", args), |(what, rest)| (what.as_str(), rest));
    match what {
        "native" => native::compare(rest),
        "browser" => browser::compare(rest),
        "gpu" => gpu::compare(rest),
        "" => Err("rivals where? give native, browser or gpu".into()),
        other => Err(format!("rivals does not know {other}: give native, browser or gpu")),
    }
}
