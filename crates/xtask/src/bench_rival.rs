//! `bench-rival`: `wisp` beside llama.cpp's Vulkan backend, on one file and one
//! adapter, in turns: whatever else the machine does meets both.

use crate::step::{Result, output, root, run, step, target, wisp};
use crate::{setup, tasks};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The rival's packages, and their version.
const PACKAGES: [&str; 2] = ["node-llama-cpp", "@node-llama-cpp/linux-x64-vulkan"];
const VERSION: &str = "3.22.1";

/// Tokens of context, for both.
const CONTEXT: &str = "2048";

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
struct Options {
    model: Option<PathBuf>,
    rounds: usize,
    prompt_tokens: usize,
    generate: usize,
}

/// Tokens a second of one round.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Speed {
    prefill: f64,
    decode: f64,
}

/// Runs the comparison and prints its table.
pub fn compare(args: &[String]) -> Result {
    let options = parse(args)?;
    setup::run()?;
    tasks::build()?;
    let folder = step("the rival", install)?;
    let model = match &options.model {
        Some(model) => model.clone(),
        None => tasks::pull(&tasks::home(), tasks::MODEL)?,
    };
    let mut rows = Vec::new();
    for round in 1..=options.rounds {
        let theirs =
            step(&format!("round {round}: llama.cpp"), || theirs(&folder, &model, &options))?;
        let ours = step(&format!("round {round}: wisp"), || ours(&model, &options))?;
        rows.push((theirs, ours));
    }
    print!("{}", table(&rows, &options));
    Ok(())
}

fn parse(args: &[String]) -> Result<Options> {
    let mut options = Options { model: None, rounds: 3, prompt_tokens: 128, generate: 32 };
    let mut words = args.iter();
    while let Some(flag) = words.next() {
        let value = words.next().ok_or_else(|| format!("{flag} needs a value"))?;
        let count = || {
            let count = value.parse().ok().filter(|count| *count > 0);
            count.ok_or_else(|| format!("{flag} {value}: give a whole number from 1 on"))
        };
        match flag.as_str() {
            "--model" => options.model = Some(value.into()),
            "--rounds" => options.rounds = count()?,
            "--prompt-tokens" => options.prompt_tokens = count()?,
            "--generate" => options.generate = count()?,
            _ => return Err(format!("bench-rival does not know {flag}")),
        }
    }
    Ok(options)
}

/// The rival's packages under `target/rival`; downloaded once.
fn install() -> Result<PathBuf> {
    let folder = target().join("rival");
    let modules = folder.join("node_modules");
    if PACKAGES.iter().all(|package| modules.join(package).join("package.json").is_file()) {
        return Ok(folder);
    }
    std::fs::create_dir_all(&folder)
        .and_then(|()| std::fs::write(folder.join("package.json"), "{\"private\":true}\n"))
        .map_err(|cause| format!("cannot write {}: {cause}", folder.display()))?;
    // Scripts would build llama.cpp; optional packages are those of other platforms.
    let mut npm = Command::new(if cfg!(windows) { "npm.cmd" } else { "npm" });
    npm.current_dir(&folder).args(["install", "--ignore-scripts", "--omit=optional"]);
    npm.args(["--no-audit", "--no-fund"]);
    npm.args(PACKAGES.map(|package| format!("{package}@{VERSION}")));
    run(&mut npm).map_err(|why| format!("{why}; the rival needs Node.js with npm"))?;
    Ok(folder)
}

fn theirs(folder: &Path, model: &Path, options: &Options) -> Result<Speed> {
    let script = root().join("crates").join("xtask").join("rival").join("bench.mjs");
    let json = output(
        Command::new("node")
            .arg(script)
            .arg(folder)
            .arg(model)
            .args([options.prompt_tokens.to_string(), options.generate.to_string()])
            .arg(CONTEXT)
            .env("GGML_VK_VISIBLE_DEVICES", "0"),
    )?;
    speed(&json, &["prefill_tokens_per_s"], &["decode_tokens_per_s"])
}

fn ours(model: &Path, options: &Options) -> Result<Speed> {
    let json = output(
        Command::new(wisp())
            .arg("bench")
            .arg(model)
            .args(["--json", "--quiet", "--repeat", "1", "--ctx", CONTEXT])
            .args(["--prompt-tokens", &options.prompt_tokens.to_string()])
            .args(["--generate", &options.generate.to_string()]),
    )?;
    speed(&json, &["prefill", "median"], &["decode", "median"])
}

fn speed(json: &str, prefill: &[&str], decode: &[&str]) -> Result<Speed> {
    let number = |keys: &[&str]| {
        number(json, keys).ok_or_else(|| format!("no {} in {json:?}", keys.join(" ")))
    };
    Ok(Speed { prefill: number(prefill)?, decode: number(decode)? })
}

/// The number after the last of `keys`, each looked for behind the one before.
/// Enough for two programs whose output we know; xtask has no dependencies.
fn number(json: &str, keys: &[&str]) -> Option<f64> {
    let mut rest = json;
    for key in keys {
        rest = rest.split_once(&format!("\"{key}\""))?.1;
    }
    let value = rest.trim_start().strip_prefix(':')?;
    value.split([',', '}']).next()?.trim().parse().ok()
}

fn table(rows: &[(Speed, Speed)], options: &Options) -> String {
    let mut text = format!(
        "tokens a second; prefill of {} tokens, decode of {}\n\n{:<8}{:>22}{:>22}{:>18}\n",
        options.prompt_tokens, options.generate, "round", "llama.cpp", "wisp", "wisp / llama.cpp"
    );
    let row = |name: &str, theirs: Speed, ours: Speed| {
        format!(
            "{name:<8}{:>11.2}{:>11.2}{:>11.2}{:>11.2}{:>8.1}×{:>8.1}×\n",
            theirs.prefill,
            theirs.decode,
            ours.prefill,
            ours.decode,
            ours.prefill / theirs.prefill,
            ours.decode / theirs.decode
        )
    };
    let heads = ["", "prefill", "decode", "prefill", "decode", "prefill", "decode"];
    let [first, a, b, c, d, e, f] = heads;
    text += &format!("{first:<8}{a:>11}{b:>11}{c:>11}{d:>11}{e:>9}{f:>9}\n");
    for (index, (theirs, ours)) in rows.iter().enumerate() {
        text += &row(&(index + 1).to_string(), *theirs, *ours);
    }
    let middle = |pick: fn(&(Speed, Speed)) -> Speed| Speed {
        prefill: median(rows.iter().map(|row| pick(row).prefill)),
        decode: median(rows.iter().map(|row| pick(row).decode)),
    };
    text + &row("median", middle(|row| row.0), middle(|row| row.1))
}

fn median(numbers: impl Iterator<Item = f64>) -> f64 {
    let mut numbers: Vec<f64> = numbers.collect();
    numbers.sort_by(f64::total_cmp);
    let upper = numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN);
    let lower = numbers.get(numbers.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN);
    (lower + upper) / 2.0
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_by_their_keys() {
        let ours = r#"{"decode":{"tokens_per_s":{"max":31.5,"median":30.5}},
            "prefill":{"tokens_per_s": {"median": 120}}}"#;
        let found = speed(ours, &["prefill", "median"], &["decode", "median"]).unwrap();
        assert_eq!(found, Speed { prefill: 120.0, decode: 30.5 });
        assert!(speed("{}", &["prefill"], &["decode"]).is_err());
    }

    #[test]
    fn flags_are_read_and_wrong_ones_named() {
        let words = |text: &str| text.split(' ').map(String::from).collect::<Vec<_>>();
        assert_eq!(parse(&words("--rounds 5 --model m.gguf")).unwrap().rounds, 5);
        assert!(parse(&words("--rounds 0")).unwrap_err().contains("from 1 on"));
        assert!(parse(&words("--speed 1")).unwrap_err().contains("--speed"));
    }

    #[test]
    fn the_table_ends_with_medians() {
        let round = |rate: f64| {
            (Speed { prefill: 10.0, decode: 2.0 }, Speed { prefill: 60.0, decode: rate })
        };
        let options = parse(&[]).unwrap();
        let text = table(&[round(10.0), round(14.0), round(20.0)], &options);
        let last: Vec<&str> = text.lines().last().unwrap().split_whitespace().collect();
        assert_eq!(last, ["median", "10.00", "2.00", "60.00", "14.00", "6.0×", "7.0×"]);
    }
}
