//! Templates that loop for ever, take all memory or all stack; the tests are that
//! each ends, soon, in a sentence or a short text.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use serde_json::json;
use std::time::{Duration, Instant};
use wisp_tokenizer::ChatTemplate;

/// About as long as a template may be.
const LENGTH: usize = (1 << 17) - 100;

fn render(source: &str) -> Result<String, String> {
    let messages = json!([{"role": "user", "content": "x"}]);
    let begun = Instant::now();
    let rendered = ChatTemplate::new(source, None, None)
        .and_then(|template| template.render(&messages, None, true))
        .map_err(|error| error.to_string());
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(20), "{took:?}: {source}");
    if let Err(error) = &rendered {
        assert!(error.starts_with("the model's chat template"), "{error}");
        assert!(error.len() < 500 && !error.contains('\n'), "{error}");
    }
    rendered
}

/// `{% for %}`s, `depth` in one another, of 1,000 rounds each.
fn loops(depth: usize, body: &str) -> String {
    let begin = "{% for i in range(1000) %}".repeat(depth);
    format!("{begin}{body}{}", "{% endfor %}".repeat(depth))
}

#[test]
fn time_is_bounded() {
    for source in [
        loops(5, ""),
        loops(5, "{{ messages | tojson }}"),
        loops(3, "{% set x = 'a' * 100000 %}"),
        loops(3, "{% set x = range(100000) | list | sort | join %}"),
        "{% macro m(n) %}{{ m(n + 1) }}{{ m(n + 1) }}{% endmacro %}{{ m(0) }}".to_string(),
        format!(
            "{{% set ns = namespace(x='a') %}}{}",
            loops(2, "{% set ns.x = ns.x.replace('a', 'aa') %}")
        ),
    ] {
        let error = render(&source).expect_err(&source);
        assert!(error.contains("more time or memory") || error.contains("recursion"), "{error}");
    }
}

#[test]
fn memory_is_bounded() {
    let grow = |start: &str, step: &str, end: &str| {
        format!(
            "{{% set ns = namespace(x={start}) %}}{}{end}",
            loops(1, &format!("{{% set ns.x = {step} %}}"))
        )
    };
    for source in [
        grow("'a'", "ns.x ~ ns.x", ""),
        grow("'a'", "ns.x + ns.x", "{{ ns.x }}"),
        grow("'a'", "ns.x * 10", "{{ ns.x }}"),
        "{{ 'a' * 100000000000 }}".to_string(),
        "{{ [0] * 100000000000 }}".to_string(),
        "{{ range(100000000000) | list }}".to_string(),
        "{{ '%999999999999d' | format(1) }}".to_string(),
        "{{ '{:>999999999999}'.format(1) }}".to_string(),
        "{{ '{:>{}}'.format(1, 999999999999) }}".to_string(),
        "{{ '%999999999999d' % 1 }}".to_string(),
        "{{ '%*d' % (999999999999, 1) }}".to_string(),
        "{{ '%.*f' % (999999999999, 1) }}".to_string(),
        "{{ '{:{}}'.format(1, 999999999999) }}".to_string(),
        "{{ '{:%>{w}}'.format_map({'w': 99999999999}) }}".to_string(),
        "{{ 'a'.ljust(999999999999) }}".to_string(),
        "{{ 'a'.center(999999999999, '-') }}".to_string(),
        "{{ '1'.zfill(999999999999) }}".to_string(),
        "{{ '\\t\\t'.expandtabs(999999999999) }}".to_string(),
        "{{ 'a' | center(999999999999) }}".to_string(),
        "{{ 'a\\nb' | indent(999999999999) }}".to_string(),
        grow("'a'", "ns.x.replace('a', 'aaaaaaaa')", ""),
        grow("'%s%s'", "ns.x % (ns.x, ns.x)", ""),
        grow("'a'", "ns.x.join([ns.x, ns.x, ns.x])", ""),
        "{{ 'x' | indent(1000000000000, true) }}".to_string(),
        "{{ [1] | batch(100000000000, 0) | list }}".to_string(),
        "{{ 9 ** 9 ** 9 ** 9 }}".to_string(),
    ] {
        // Some are lists that are never made: those are no harm.
        if let Ok(text) = render(&source) {
            assert!(text.len() < 1000, "{source}: {}", text.len());
        }
    }
}

#[test]
fn a_value_that_holds_itself_many_times_is_not_written_out() {
    for end in [
        "{{ ns.x | tojson }}",
        "{{ ns.x | tojson(indent=4) }}",
        "{{ ns.x }}",
        "{{ ns.x | string | length }}",
        "{{ ns.x | pprint | length }}",
        "{{ raise_exception(ns.x) }}",
        "{{ 'a'.replace('a', ns.x) }}",
    ] {
        let source = format!(
            "{{% set ns = namespace(x=[1], y=[1]) %}}{{% for i in range(70) %}}{{% set ns.x = [ns.x, ns.x] \
             %}}{{% set ns.y = [ns.y, ns.y] %}}{{% endfor %}}{end}"
        );
        if let Ok(text) = render(&source) {
            assert!(text.len() < 1000, "{source}: {}", text.len());
        }
    }
}

#[test]
fn depth_is_bounded() {
    let deep = |wrap: &str, end: &str| {
        let nest = loops(2, &format!("{{% set ns.x = {wrap} %}}"));
        format!("{{% set ns = namespace(x=[], n=0) %}}{nest}{end}")
    };
    for source in [
        deep("[ns.x]", ""),
        deep("{'a': ns.x}", ""),
        deep("[ns.x]", "{{ ns.x | tojson }}"),
        deep("[ns.x]", "{{ ns.x }}"),
        deep("(ns.x,)", "{{ ns.x == 1 }}"),
        deep("ns.x | map('upper')", "{{ ns.x | list }}"),
        deep("ns.x | list | reverse", "{{ ns.x | list }}"),
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}".to_string(),
        "{% set m = self %}{{ m }}".to_string(),
        "{% include 'chat template' %}".to_string(),
        "{% extends 'chat template' %}".to_string(),
        "{% import 'chat template' as c %}{{ c }}".to_string(),
    ] {
        let _ = render(&source);
    }
    let many = |open: &str, close: &str| {
        let count = LENGTH / (open.len() + close.len());
        (open.repeat(count), close.repeat(count))
    };
    for (open, close) in [
        ("(", ")"),
        ("[", "]"),
        ("{'a':", "}"),
        ("not ", ""),
        ("-", ""),
        ("a.", "b"),
        ("a|", "e|e"),
    ] {
        let (open, close) = many(open, close);
        let _ = render(&format!("{{{{ {open}1{close} }}}}"));
    }
    for (open, close) in [
        ("{% if 1 %}", "{% endif %}"),
        ("{% for a in b %}", "{% endfor %}"),
        ("{% if 1 %}{% elif 1 %}", ""),
        ("{% generation %}", "{% endgeneration %}"),
    ] {
        let (open, close) = many(open, close);
        let _ = render(&(open + &close));
    }
    let _ = render(&format!("{{{{ {}1 }}}}", "1+".repeat(LENGTH / 2)));
    let _ = render(&format!("{{{{ {}1 }}}}", "1%".repeat(LENGTH / 2)));
    let _ = render(&format!("{{{{ a{} }}}}", "[0]".repeat(LENGTH / 3)));
    let _ = render(&format!("{{% if a %}}{}{{% endif %}}", "{% elif a %}".repeat(LENGTH / 12)));
}
