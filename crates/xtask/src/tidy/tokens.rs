//! Rust text as tokens, as far as paths go: words and single signs, without comments, literals
//! and what only tests compile.

/// A word or a sign (`::` is one), and its line, counted from 1.
pub type Token<'a> = (&'a str, usize);

/// The tokens of a text without those of its tests.
pub fn tokens(text: &str) -> Vec<Token<'_>> {
    without_tests(&all(text))
}

fn all(text: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let (mut rest, mut line) = (text, 1);
    while let Some(first) = rest.chars().next() {
        let (length, kept) = match first {
            '/' if rest.starts_with("//") => (rest.find('\n').unwrap_or(rest.len()), false),
            '/' if rest.starts_with("/*") => (comment(rest), false),
            '"' => (string(rest), false),
            '\'' => (quote(rest), false),
            _ if first.is_alphanumeric() || first == '_' => {
                let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_'));
                let end = end.unwrap_or(rest.len());
                match raw_string(rest, end) {
                    Some(length) => (length, false),
                    None => (end, true),
                }
            }
            _ if rest.starts_with("::") => (2, true),
            _ => (first.len_utf8(), !first.is_whitespace()),
        };
        let (token, after) = rest.split_at(length.min(rest.len()));
        if kept {
            found.push((token, line));
        }
        line += token.matches('\n').count();
        rest = after;
    }
    found
}

/// Bytes of a comment that may hold others.
fn comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let (step, change) = match rest {
            _ if rest.starts_with("/*") => (2, 1),
            _ if rest.starts_with("*/") => (2, -1),
            _ => (rest.chars().next().map_or(1, char::len_utf8), 0),
        };
        at += step;
        depth += change;
        if depth == 0 {
            break;
        }
    }
    at
}

/// Bytes of a text in quotation marks, these included.
fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, sign) in text.char_indices().skip(1) {
        match sign {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Bytes of a character in quotation marks, or of the sign before a lifetime's name.
fn quote(text: &str) -> usize {
    let mut signs = text.char_indices().skip(1);
    match (signs.next(), signs.next()) {
        // Behind the escaped sign, which may be a quotation mark.
        (Some((_, '\\')), Some((at, escaped))) => {
            let from = at + escaped.len_utf8();
            text.get(from..).and_then(|rest| rest.find('\'')).map_or(1, |end| from + end + 1)
        }
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 1,
    }
}

/// Bytes of a literal that begins with the word in front of `end`: `r"…"`, `r#"…"#`, `b"…"`,
/// `b'…'`.
fn raw_string(text: &str, end: usize) -> Option<usize> {
    let (word, rest) = text.split_at(end);
    match (word, rest.chars().next()?) {
        ("b" | "c", '"') => return Some(end + string(rest)),
        ("b", '\'') => return Some(end + quote(rest)),
        ("r" | "br" | "cr", '"' | '#') => {}
        _ => return None,
    }
    let marks = rest.len() - rest.trim_start_matches('#').len();
    let inside = rest.get(marks..)?.strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(marks));
    Some(end + marks + 1 + inside.find(&close).map_or(inside.len(), |at| at + close.len()))
}

/// Leaves out each item behind `#[cfg(test)]`.
fn without_tests<'a>(all: &[Token<'a>]) -> Vec<Token<'a>> {
    const TEST: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let (mut kept, mut at) = (Vec::new(), 0);
    while let Some(token) = all.get(at) {
        let here = all.iter().skip(at).map(|(text, _)| *text);
        if here.take(TEST.len()).eq(TEST) {
            at += TEST.len();
            at += item(all.get(at..).unwrap_or(&[]));
        } else {
            kept.push(*token);
            at += 1;
        }
    }
    kept
}

/// Tokens of an item: to its semicolon, or to the end of its braces.
fn item(tokens: &[Token<'_>]) -> usize {
    // Behind the braces of `use a::{b}` there is a semicolon still.
    let used = tokens.iter().take_while(|(token, _)| *token != "{").any(|(t, _)| *t == "use");
    let mut depth = 0;
    for (at, (token, _)) in tokens.iter().enumerate() {
        match *token {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth -= 1,
            _ => {}
        }
        if depth == 0 && (*token == ";" || (*token == "}" && !used)) {
            return at + 1;
        }
    }
    tokens.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<&str> {
        tokens(text).into_iter().map(|(token, _)| token).collect()
    }

    #[test]
    fn literals_and_comments_are_left_out() {
        let text = r####"a::b "c\"d" 'e' '\'' 'static b"f" r#"g"h"# /* i /* j */ */ k // l
            m"####;
        assert_eq!(words(text), ["a", "::", "b", "static", "k", "m"]);
        assert_eq!(tokens(text).last(), Some(&("m", 2)));
    }

    #[test]
    fn what_only_tests_compile_is_left_out() {
        let text = "a #[cfg(test)] mod t { b { c } } d #[cfg(test)] use e::{f}; g
            #[cfg(test)] mod h; i";
        assert_eq!(words(text), ["a", "d", "g", "i"]);
    }
}
