//! `wisp pull`, `wisp models`, `wisp rm`: the model store.

use crate::args::{Models, Pull, Rm};
use crate::bytes;
use crate::out::{self, Outcome};
use crate::store::Store;
use serde_json::json;

/// `wisp pull`: the path is the last line on stdout.
pub fn pull(args: &Pull) -> Outcome {
    let path = Store::open()?.pull(&args.name)?;
    out::line(path.display())
}

/// `wisp models`.
pub fn list(args: &Models) -> Outcome {
    let store = Store::open()?;
    let entries = store.list()?;
    if args.json {
        let models = entries
            .iter()
            .map(|entry| json!({"name": entry.name, "bytes": entry.bytes, "path": entry.path}));
        return out::json(&json!({ "models": models.collect::<Vec<_>>() }));
    }
    let width = entries.iter().map(|entry| entry.name.chars().count()).max().unwrap_or(0);
    for entry in &entries {
        let place = match &entry.path {
            Some(path) => path.display().to_string(),
            None => format!("not downloaded: wisp pull {}", entry.name),
        };
        out::line(format!("{:width$}  {:>10}  {place}", entry.name, bytes::shown(entry.bytes)))?;
    }
    Ok(())
}

/// `wisp rm`.
pub fn remove(args: &Rm) -> Outcome {
    let (path, freed) = Store::open()?.remove(&args.name)?;
    out::note(format!("deleted {} ({})", path.display(), bytes::shown(freed)));
    Ok(())
}
