//! Jinja as transformers renders it, construct by construct: `data/jinja/make.py` says where
//! the texts come from.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use serde_json::{Map, Value};
use wisp_tokenizer::ChatTemplate;

/// Parts of templates that are known to render otherwise, or not at all, and why.
const DIFFERENT: [(&str, &str); 22] = [
    (r"'\N{", "characters by name"),
    (".encode(", "bytes"),
    ("wordwrap", "filters for documents that people read"),
    ("striptags", "the same"),
    ("urlencode", "the same"),
    ("urlize", "the same"),
    ("filesizeformat", "the same"),
    ("xmlattr", "the same"),
    ("map('int', default=3)", "minijinja's map keeps `default` for attributes"),
    ("{{ d | pprint }}", "Python sorts keys for people"),
    ("{{ range(3) }}", "a range is a list"),
    ("dict([", "dictionaries out of pairs"),
    ("cycler", "for tables that people read"),
    ("joiner", "the same"),
    (".lower |", "methods are no values"),
    ("for x in 1, 2", "a tuple without brackets in a loop"),
    ("namespace({", "a namespace out of a dictionary"),
    ("varargs }}{{ kwargs", "macros with other arguments than they name"),
    ("m.arguments", "a list, not a tuple"),
    ("macro m(a, b=a)", "a default that is another argument"),
    ("x + '<a>'", "text that is safe escapes what is added to it"),
    ("self.b()", "a block is printed where it stands, and is no function"),
];

fn render(source: &str, context: &Map<String, Value>) -> Result<String, String> {
    let mut more = context.clone();
    let messages = more.remove("messages").unwrap();
    let template = ChatTemplate::new(source, Some("<s>"), Some("</s>"));
    let text = template.and_then(|template| template.render_with(&messages, None, true, &more));
    text.map_err(|why| why.to_string())
}

#[test]
fn every_construct_renders_as_in_transformers() {
    let vectors: Value = serde_json::from_str(include_str!("data/jinja/vectors.json")).unwrap();
    let context = vectors["context"].as_object().unwrap();
    let pairs = vectors["pairs"].as_array().unwrap();
    let mut wrong = Vec::new();
    let mut count = 0;
    for pair in pairs {
        let source = pair[0].as_str().unwrap();
        // Python is strict about types where we need not be.
        let Some(want) = pair[1].as_str() else { continue };
        count += 1;
        let got = render(source, context);
        let is_same = got.as_deref() == Ok(want);
        let known = DIFFERENT.iter().find(|(part, _)| source.contains(part));
        if is_same == known.is_some() {
            wrong.push(format!("{source} => {want:?}, but {got:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {count} are wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count > 700, "{count}");
}
