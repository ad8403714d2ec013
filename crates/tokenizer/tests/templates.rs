//! llama.cpp's chat templates, rendered as transformers does: `data/templates/make.py`
//! says what that is. `cargo xtask vectors` fetches the templates and runs this.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::path::PathBuf;
use wisp_tokenizer::ChatTemplate;

/// For `strftime_now`: the day of the golden data, in the forms that templates ask for.
const DAYS: [(&str, &str); 5] = [
    ("%d %b %Y", "03 Feb 2001"),
    ("%d %B %Y", "03 February 2001"),
    ("%B %d, %Y", "February 03, 2001"),
    ("%Y-%m-%d", "2001-02-03"),
    ("%A", "Saturday"),
];

/// How many texts of a template are known to differ, and why.
const DIFFERENT: [(&str, usize, &str); 4] = [
    (
        "meetkai-functionary-medium-v3.1",
        21,
        "it adds a tool's text to `'…' | safe`, and Jinja then escapes that text as HTML",
    ),
    ("GigaChat3-10B-A1.8B", 1, "it joins -1e-07 by `~`: minijinja writes -0.0000001"),
    ("GigaChat3.1-10B-A1.8B", 1, "the same"),
    ("meetkai-functionary-medium-v3.2", 1, "the same"),
];

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("llama.cpp-models/templates")
}

/// Today's date replaced by that of the golden data.
fn undated(text: String) -> String {
    let now = jiff::ZonedDateTime::now();
    DAYS.iter().fold(text, |text, (form, day)| {
        text.replace(&jiff::fmt::strtime::format(form, &now).unwrap(), day)
    })
}

fn render(template: &ChatTemplate, case: &Map<String, Value>) -> Result<String, String> {
    let mut more = case.clone();
    let messages = more.remove("messages").unwrap();
    let tools = more.remove("tools");
    let prompt = more.remove("add_generation_prompt").is_none_or(|value| value == true);
    more.remove("name");
    let text = template.render_with(&messages, tools.as_ref(), prompt, &more);
    text.map(undated).map_err(|why| why.to_string())
}

/// `WISP_TEMPLATE_TEXTS`: the folder of texts that make.py wrote, to show differences.
fn difference(name: &str, case: &str, got: &Result<String, String>) -> String {
    let texts = std::env::var_os("WISP_TEMPLATE_TEXTS").map(PathBuf::from);
    let want = texts.map(|texts| {
        std::fs::read_to_string(texts.join(name).join(format!("{case}.txt"))).unwrap()
    });
    match (got, want) {
        (Ok(got), Some(want)) => {
            let same = got.chars().zip(want.chars()).take_while(|(one, two)| one == two).count();
            let tail = |text: &str| {
                text.chars().skip(same.saturating_sub(30)).take(80).collect::<String>()
            };
            format!("{name}: {case}: {:?}, not {:?}", tail(got), tail(&want))
        }
        (got, _) => format!("{name}: {case}: {got:?}"),
    }
}

#[test]
#[ignore = "reads what `cargo xtask vectors` fetches, which runs it"]
fn every_template_of_llama_cpp() {
    let golden = include_str!("data/templates/golden.json");
    let golden: Value = serde_json::from_str(golden).unwrap();
    let cases = golden["cases"].as_array().unwrap();
    let (mut count, mut lenient, mut wrong) = (0, 0, Vec::new());
    let mut different = 0;
    for (name, entry) in golden["templates"].as_object().unwrap() {
        let path = folder().join(format!("{name}.jinja"));
        let source = std::fs::read(&path)
            .unwrap_or_else(|e| panic!("{}: {e}: run `cargo xtask vectors` first", path.display()));
        assert_eq!(entry["sha256"], hash(&source).as_str(), "{name}: another file");
        let template = String::from_utf8(source).unwrap();
        let template = ChatTemplate::new(&template, Some("<s>"), Some("</s>"));
        let mut differences = Vec::new();
        for (case, want) in cases.iter().zip(entry["results"].as_array().unwrap()) {
            let case = case.as_object().unwrap();
            let got = match &template {
                Ok(template) => render(template, case),
                Err(why) => Err(why.to_string()),
            };
            count += 1;
            // Python is strict about types where we need not be.
            if want == "fails" {
                lenient += usize::from(got.is_ok());
                continue;
            }
            let is = got
                .as_ref()
                .map_or("refuses".into(), |text| hash(text.as_bytes())[..32].to_string());
            if want != is.as_str() {
                differences.push(difference(name, case["name"].as_str().unwrap(), &got));
            }
        }
        match DIFFERENT.iter().find(|(known, ..)| known == name) {
            Some((_, count, _)) if *count == differences.len() => different += count,
            _ => wrong.append(&mut differences),
        }
    }
    let templates = golden["templates"].as_object().unwrap().len();
    println!(
        "{count} texts of {templates} templates: {different} are known to differ, and {lenient} \
         fail in Python only"
    );
    assert!(wrong.is_empty(), "{} of {count} are wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count > 4000, "{count}");
}
