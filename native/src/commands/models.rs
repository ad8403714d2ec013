//! `wisp pull`, `wisp models`, `wisp rm`: the model store.

use super::fit;
use crate::args::{Global, Models, Pull, Rm};
use crate::bytes;
use crate::out::{self, Outcome};
use crate::store::{Entry, Store};
use serde_json::{Value, json};

/// `wisp pull`: the path is the last line on stdout.
pub fn pull(global: &Global, args: &Pull) -> Outcome {
    let name = match &args.name {
        Some(name) => name,
        None => fit::best(global)?,
    };
    let path = Store::open()?.pull(name)?;
    out::line(path.display())
}

/// `wisp models`.
pub fn list(global: &Global, args: &Models) -> Outcome {
    if args.fit {
        return fit::run(global, args.json);
    }
    if args.families {
        let families: Vec<_> = wisp_runtime::families().collect();
        return match args.json {
            true => out::json(&json!({ "families": families })),
            false => families.into_iter().try_for_each(out::line),
        };
    }
    let store = Store::open()?;
    let entries = store.list()?;
    if args.json {
        return out::json(&json!({ "models": entries.iter().map(object).collect::<Vec<_>>() }));
    }
    let width = entries.iter().map(|entry| entry.name.chars().count()).max().unwrap_or(0);
    for entry in &entries {
        let place = match &entry.path {
            Some(path) => path.display().to_string(),
            None => format!("not downloaded: wisp pull {}", entry.name),
        };
        let [weights, license] =
            entry.known.map_or([""; 2], |known| [known.weights, known.license]);
        out::line(format!(
            "{:width$}  {:>10}  {weights:<6}  {license:<27}  {place}",
            entry.name,
            bytes::shown(entry.bytes)
        ))?;
    }
    Ok(())
}

fn object(entry: &Entry) -> Value {
    let mut object = json!({"name": entry.name, "bytes": entry.bytes, "path": entry.path});
    if let Some(known) = entry.known {
        object["title"] = known.title.into();
        object["about"] = known.about.into();
        object["address"] = known.address().into();
        object["license"] = known.license.into();
        object["purpose"] = known.purpose.name().into();
        object["type"] = known.weights.into();
        object["sha256"] = known.sha256().into();
    }
    object
}

/// `wisp rm`.
pub fn remove(args: &Rm) -> Outcome {
    let (path, freed) = Store::open()?.remove(&args.name)?;
    out::note(format!("deleted {} ({})", path.display(), bytes::shown(freed)));
    Ok(())
}
