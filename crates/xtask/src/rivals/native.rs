//! `rivals native`: `wisp` beside llama.cpp's backends, on the same files and machine, in
//! turns: whatever else the machine does meets all of them.

use super::llama::{self, BACKENDS};
use crate::step::{Result, output, step, wisp};
use crate::{built, setup};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Tokens of context, for all.
const CONTEXT: &str = "2048";

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
struct Options {
    models: Vec<String>,
    backends: Vec<String>,
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

/// Runs the comparison and prints a table for each model.
pub fn compare(args: &[String]) -> Result {
    let options = parse(args)?;
    setup::run()?;
    built::build()?;
    let backends: Vec<&str> = options.backends.iter().map(String::as_str).collect();
    let folder = step("the rivals", || llama::install(&backends, None))?;
    for name in &options.models {
        let model = match Path::new(name).is_file() {
            true => PathBuf::from(name),
            false => step(name, || built::pull(&built::home(), name))?,
        };
        let mut rounds = vec![Vec::new(); options.backends.len() + 1];
        for round in 1..=options.rounds {
            for (backend, rounds) in options.backends.iter().zip(&mut rounds) {
                let what = format!("{name}, round {round}: llama.cpp {backend}");
                rounds.push(step(&what, || theirs(&folder, &model, backend, &options))?);
            }
            let own = step(&format!("{name}, round {round}: wisp"), || ours(&model, &options))?;
            rounds[options.backends.len()].push(own);
        }
        print!("{}", table(name, &rounds, &options));
    }
    Ok(())
}

fn parse(args: &[String]) -> Result<Options> {
    let list = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
    let mut options = Options {
        models: list("smollm2-135m,gemma3-270m"),
        backends: list("vulkan,cpu"),
        rounds: 5,
        prompt_tokens: 128,
        generate: 32,
    };
    let mut words = args.iter();
    while let Some(flag) = words.next() {
        let value = words.next().ok_or_else(|| format!("{flag} needs a value"))?;
        let count = || {
            let count = value.parse().ok().filter(|count| *count > 0);
            count.ok_or_else(|| format!("{flag} {value}: give a whole number from 1 on"))
        };
        match flag.as_str() {
            "--models" => options.models = list(value),
            "--backends" => options.backends = list(value),
            "--rounds" => options.rounds = count()?,
            "--prompt-tokens" => options.prompt_tokens = count()?,
            "--generate" => options.generate = count()?,
            _ => return Err(format!("rivals native does not know {flag}")),
        }
    }
    let known = |backend: &String| BACKENDS.iter().any(|(name, _)| name == backend);
    match options.backends.iter().find(|backend| !known(backend)) {
        Some(other) => Err(format!("llama.cpp has no backend {other}: give vulkan, cpu or cuda")),
        None => Ok(options),
    }
}

fn theirs(folder: &Path, model: &Path, backend: &str, options: &Options) -> Result<Speed> {
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get());
    let json = output(
        Command::new(folder.join("llama"))
            .arg(folder)
            .arg(model)
            .args([options.prompt_tokens.to_string(), options.generate.to_string()])
            .args([CONTEXT, backend, &threads.to_string()])
            // It leaves CPU devices such as lavapipe out unless it is told which to take.
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

/// Markdown: an engine a row, medians with least and most, and ours over theirs. The last of
/// `rounds` are ours.
fn table(model: &str, rounds: &[Vec<Speed>], options: &Options) -> String {
    let mut text = format!(
        "\n{model}: tokens a second, medians of {} rounds (least to most); prefill of {} tokens, \
         decode of {}\n\n| engine | prefill | decode | wisp: prefill | decode |\n\
         |---|---|---|---|---|\n",
        options.rounds, options.prompt_tokens, options.generate
    );
    let part = |rounds: &[Speed], of: fn(&Speed) -> f64| {
        let mut numbers: Vec<f64> = rounds.iter().map(of).collect();
        numbers.sort_by(f64::total_cmp);
        let at = |index: usize| numbers.get(index).copied().unwrap_or(f64::NAN);
        let last = numbers.len().saturating_sub(1);
        ((at(numbers.len() / 2) + at(last / 2)) / 2.0, at(0), at(last))
    };
    let both = |rounds: &[Speed]| [part(rounds, |s| s.prefill), part(rounds, |s| s.decode)];
    let ours = rounds.last().map_or([(f64::NAN, f64::NAN, f64::NAN); 2], |ours| both(ours));
    let names = options.backends.iter().map(|backend| format!("llama.cpp {backend}"));
    for (name, rounds) in names.chain([String::from("**wisp**")]).zip(rounds) {
        let theirs = both(rounds);
        let shown =
            theirs.map(|(middle, least, most)| format!(" {middle:.2} ({least:.2} to {most:.2}) |"));
        let ratios = [0, 1].map(|at| match name.as_str() {
            "**wisp**" => " |".into(),
            _ => format!(" {:.2}× |", ours[at].0 / theirs[at].0),
        });
        text += &format!("| {name} |{}{}\n", shown.concat(), ratios.concat());
    }
    text
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
        assert_eq!(parse(&words("--rounds 7 --models m.gguf")).unwrap().rounds, 7);
        assert_eq!(parse(&words("--backends cuda")).unwrap().backends, ["cuda"]);
        assert!(parse(&words("--rounds 0")).unwrap_err().contains("from 1 on"));
        assert!(parse(&words("--speed 1")).unwrap_err().contains("--speed"));
        assert!(parse(&words("--backends metal")).unwrap_err().contains("vulkan, cpu or cuda"));
    }

    #[test]
    fn ratios_are_ours_over_theirs() {
        let rounds =
            |decode: [f64; 3]| decode.map(|decode| Speed { prefill: 10.0, decode }).to_vec();
        let options = parse(&["--backends".into(), "cpu".into()]).unwrap();
        let text = table("m", &[rounds([2.0, 1.0, 4.0]), rounds([9.0, 5.0, 8.0])], &options);
        let rows: Vec<&str> = text.lines().rev().take(2).collect();
        let wisp = "| **wisp** | 10.00 (10.00 to 10.00) | 8.00 (5.00 to 9.00) | | |";
        let cpu =
            "| llama.cpp cpu | 10.00 (10.00 to 10.00) | 2.00 (1.00 to 4.00) | 1.00× | 4.00× |";
        assert_eq!(rows, [wisp, cpu]);
    }
}
