//! `{% generation %} … {% endgeneration %}`: marks the assistant's words in
//! training. What is between is printed as it is.

use regex_automata::meta::Regex;

/// The template with each such block as `{% if true %} … {% endif %}`, which keeps
/// the white space control of its tags.
pub(super) fn without(source: &str) -> String {
    let Ok(tag) = Regex::new(r"\{%([-+]?)\s*(end)?generation\s*([-+]?)%\}") else {
        return source.to_string();
    };
    let mut text = String::with_capacity(source.len());
    let mut at = 0;
    for found in tag.captures_iter(source) {
        let Some(all) = found.get_match() else { continue };
        let group = |index| found.get_group(index).map_or("", |span| &source[span]);
        text.push_str(&source[at..all.start()]);
        let word = if group(2).is_empty() { "if true" } else { "endif" };
        text.push_str(&format!("{{%{} {word} {}%}}", group(1), group(3)));
        at = all.end();
    }
    text.push_str(&source[at..]);
    text
}

#[cfg(test)]
mod tests {
    use super::without;

    #[test]
    fn the_tags_become_an_if() {
        let source = "a{%- generation %}b{% endgeneration -%}c {% set generation = 1 %}";
        let want = "a{%- if true %}b{% endif -%}c {% set generation = 1 %}";
        assert_eq!(without(source), want);
    }
}
