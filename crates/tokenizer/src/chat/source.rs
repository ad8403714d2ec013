//! A template's source in minijinja's words, where these differ from Jinja's:
//!
//! - `a % b`, which formats texts in Python, becomes the filter `(a)|__mod__(b)`;
//! - `+a` becomes `a`;
//! - escapes in texts are those of Python;
//! - `{% generation %}`, which marks the assistant's words in training, and `{% block b %}` are
//!   printed as they are: `{% if true %}`, `{% with %}`;
//! - lines end in `\n`.

use super::filters::MODULO;
use std::borrow::Cow;

/// The template that minijinja takes. What is wrong in `source` is still wrong in it.
pub(super) fn translate(source: &str) -> String {
    let source = match source.contains('\r') {
        true => Cow::Owned(source.replace("\r\n", "\n").replace('\r', "\n")),
        false => Cow::Borrowed(source),
    };
    let mut rest: &str = &source;
    let mut out = String::with_capacity(source.len());
    while let Some(at) = rest.find('{') {
        let (text, after) = rest.split_at(at);
        out.push_str(text);
        rest = match (after.as_bytes().get(1), raw_end(after)) {
            (Some(b'#'), _) => copied(&mut out, after, after.find("#}").map(|end| end + 2)),
            (Some(b'%'), Some(end)) => copied(&mut out, after, Some(end)),
            (Some(b'%' | b'{'), _) => {
                let mut block = Block { rest: &after[2..], ..Block::default() };
                out.push_str(&after[..2]);
                block.translate(after.starts_with("{%"));
                out.push_str(&block.with_brackets());
                block.rest
            }
            _ => copied(&mut out, after, Some(1)),
        };
    }
    out.push_str(rest);
    out
}

/// Takes over `end` bytes of `text` as they are, else all, and gives the rest.
fn copied<'t>(out: &mut String, text: &'t str, end: Option<usize>) -> &'t str {
    let (now, rest) = text.split_at(end.unwrap_or(text.len()));
    out.push_str(now);
    rest
}

/// Where a block `{% raw %}…{% endraw %}` ends, if `text` begins with one.
fn raw_end(text: &str) -> Option<usize> {
    let tag = |text: &str, word: &str| {
        let after = text.strip_prefix("{%")?;
        let after = after.strip_prefix(['-', '+']).unwrap_or(after).trim_start();
        let after = after.strip_prefix(word)?.trim_start();
        let after = after.strip_prefix(['-', '+']).unwrap_or(after).strip_prefix("%}")?;
        Some(text.len() - after.len())
    };
    let mut at = tag(text, "raw")?;
    loop {
        at += text[at..].find("{%")?;
        if let Some(end) = tag(&text[at..], "endraw") {
            return Some(at + end);
        }
        at += 2;
    }
}

/// What is known of an expression within one pair of brackets.
#[derive(Default)]
struct Level {
    /// Where the product begins that is being read, in `out`.
    start: Option<usize>,
    /// The last token ended an operand.
    is_operand: bool,
    /// A right side of `%` is being read.
    in_right: bool,
}

/// Between `{{` and `}}`, or `{%` and `%}`.
#[derive(Default)]
struct Block<'t> {
    rest: &'t str,
    out: String,
    levels: Vec<Level>,
    level: Level,
    /// Where brackets open before the left side of a `%`, in `out`.
    opened: Vec<usize>,
    /// The last word was `is`, or `is not`.
    after_is: bool,
    /// The last token was a dot or a bar, so that a word is a name.
    named: bool,
}

impl Block<'_> {
    /// Reads up to the end of the block, and that too.
    fn translate(&mut self, is_statement: bool) {
        let sign = usize::from(self.rest.starts_with(['-', '+']));
        self.take(sign);
        if is_statement && !self.statement() {
            return;
        }
        let close = if is_statement { "%}" } else { "}}" };
        while let Some(c) = self.rest.chars().next() {
            if self.levels.is_empty() {
                let sign = usize::from(self.rest.starts_with(['-', '+']));
                if self.rest[sign..].starts_with(close) {
                    self.end_operand();
                    self.take(sign + close.len());
                    return;
                }
            }
            match c {
                '\'' | '"' => self.text(c),
                c if c.is_whitespace() => self.take(c.len_utf8()),
                c if c.is_ascii_digit() => {
                    self.begin_operand();
                    self.number();
                }
                c if c == '_' || c.is_alphabetic() => self.word(),
                '(' | '[' | '{' => {
                    self.begin_operand();
                    self.take(1);
                    self.levels.push(std::mem::take(&mut self.level));
                }
                ')' | ']' | '}' => {
                    self.end_operand();
                    self.take(1);
                    self.level = self.levels.pop().unwrap_or_default();
                    self.level.is_operand = true;
                }
                '.' | '|' => {
                    self.take(1);
                    self.named = true;
                }
                '%' if self.level.is_operand => {
                    self.end_right();
                    self.opened.extend(self.level.start);
                    self.out.push_str(")|");
                    self.out.push_str(MODULO);
                    self.out.push('(');
                    self.rest = &self.rest[1..];
                    self.level.in_right = true;
                    self.level.is_operand = false;
                }
                '*' | '/' => {
                    let width = if self.rest[1..].starts_with(c) { 2 } else { 1 };
                    // A power binds closer than a product.
                    if c == '/' || width == 1 {
                        self.end_right();
                    }
                    self.take(width);
                    self.level.is_operand = false;
                }
                '+' | '-' if !self.level.is_operand => {
                    let start = self.out.len();
                    self.level.start.get_or_insert(start);
                    match c {
                        '-' => self.take(1),
                        _ => {
                            self.out.push(' ');
                            self.rest = &self.rest[1..];
                        }
                    }
                }
                _ => {
                    self.end_operand();
                    self.take(c.len_utf8());
                }
            }
        }
    }

    /// The first word of a statement; false where that was all of it.
    fn statement(&mut self) -> bool {
        let space = self.rest.len() - self.rest.trim_start().len();
        self.take(space);
        let word = &self.rest[..self.word_len()];
        let to = match word {
            "generation" => "if true",
            "endgeneration" => "endif",
            "block" => "with",
            "endblock" => "endwith",
            _ => {
                self.take(word.len());
                return true;
            }
        };
        // A block's name, and `scoped` or `required`, may follow.
        let Some(end) = self.rest.find("%}") else {
            self.take(self.rest.len());
            return false;
        };
        let more = self.rest[word.len()..end].trim_end();
        let sign = more.chars().last().filter(|c| ['-', '+'].contains(c));
        self.out.push_str(to);
        self.out.push(' ');
        self.out.extend(sign);
        self.rest = &self.rest[end..];
        self.take(2);
        false
    }

    fn take(&mut self, len: usize) {
        let (now, rest) = self.rest.split_at(len);
        self.out.push_str(now);
        self.rest = rest;
    }

    fn word_len(&self) -> usize {
        let is_end = |c: char| c != '_' && !c.is_alphanumeric();
        self.rest.find(is_end).unwrap_or(self.rest.len())
    }

    fn begin_operand(&mut self) {
        let start = self.out.len();
        self.level.start.get_or_insert(start);
        self.level.is_operand = true;
        self.after_is = false;
        self.named = false;
    }

    /// The right side of a `%` is over.
    fn end_right(&mut self) {
        if std::mem::take(&mut self.level.in_right) {
            // Not behind the space before the next token.
            let end = self.out.trim_end().len();
            self.out.insert(end, ')');
        }
    }

    /// An operator came that binds less than a product, or the end.
    fn end_operand(&mut self) {
        self.end_right();
        self.level = Level::default();
        self.after_is = false;
        self.named = false;
    }

    fn word(&mut self) {
        let len = self.word_len();
        let word = &self.rest[..len];
        let is_test = std::mem::take(&mut self.after_is);
        if self.named || (is_test && word != "not") {
            self.begin_operand();
        } else {
            match word {
                // Tests bind closer than `%`.
                "is" => self.after_is = true,
                "not" if is_test => self.after_is = true,
                "and" | "or" | "not" | "in" | "if" | "else" => self.end_operand(),
                _ => self.begin_operand(),
            }
        }
        self.take(len);
    }

    fn number(&mut self) {
        let mut len = self.word_len();
        let fraction = self.rest[len..].strip_prefix('.').map_or(0, |after| {
            after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len())
        });
        if fraction > 0 && self.rest.as_bytes().get(len + 1).is_some_and(u8::is_ascii_digit) {
            len += 1 + fraction;
        }
        // An exponent's sign is no operator.
        let is_exponent = self.rest[..len].ends_with(['e', 'E']) && !self.rest.starts_with("0x");
        self.take(len);
        if is_exponent && self.rest.starts_with(['+', '-']) {
            self.take(1);
            self.take(self.word_len());
        }
    }

    /// A text, with Python's escapes.
    fn text(&mut self, quote: char) {
        self.begin_operand();
        let mut end = 1;
        let bytes = self.rest.as_bytes();
        while bytes.get(end).is_some_and(|byte| *byte != quote as u8) {
            end += if bytes[end] == b'\\' { 2 } else { 1 };
        }
        // Else it has no end, which minijinja says.
        if end >= bytes.len() || !self.rest[1..end].contains('\\') {
            return self.take((end + 1).min(bytes.len()));
        }
        self.out.push(quote);
        unescape(&mut self.out, &self.rest[1..end], quote);
        self.out.push(quote);
        self.rest = &self.rest[end + 1..];
    }

    /// What was read, with the brackets before left sides.
    fn with_brackets(&mut self) -> String {
        self.opened.sort_unstable();
        let mut out = String::with_capacity(self.out.len() + self.opened.len());
        let mut done = 0;
        for at in &self.opened {
            out.push_str(&self.out[done..*at]);
            out.push('(');
            done = *at;
        }
        out.push_str(&self.out[done..]);
        out
    }
}

/// The characters that Python's escapes stand for, in minijinja's.
fn unescape(out: &mut String, text: &str, quote: char) {
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        if c != '\\' {
            out.push(c);
            continue;
        }
        let digits = |count: usize| {
            let digits = rest.get(1..1 + count)?;
            u32::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'))
        };
        let octal = rest.bytes().take(3).take_while(|b| (b'0'..=b'7').contains(b)).count();
        let escape = rest.chars().next().unwrap_or(quote);
        let (code, len) = match escape {
            'a' => (Some(7), 1),
            'b' => (Some(8), 1),
            'f' => (Some(12), 1),
            'n' => (Some(10), 1),
            'r' => (Some(13), 1),
            't' => (Some(9), 1),
            'v' => (Some(11), 1),
            '\\' | '\'' | '"' => (Some(escape.into()), 1),
            'x' => (digits(2), 3),
            'u' => (digits(4), 5),
            'U' => (digits(8), 9),
            '0'..='7' => (u32::from_str_radix(&rest[..octal], 8).ok(), octal),
            '\n' => {
                rest = &rest[1..];
                continue;
            }
            _ => (None, 0),
        };
        match code.map(char::from_u32) {
            Some(Some(c)) => {
                out.push_str(if c == '\\' || c == quote { "\\" } else { "" });
                out.push(c);
                rest = &rest[len..];
            }
            // Half of a pair, which minijinja puts together.
            Some(None) if escape == 'u' => out.push('\\'),
            _ => out.push_str("\\\\"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::translate;

    #[test]
    fn the_tags_of_training_become_an_if() {
        let source = "a{%- generation %}b{% endgeneration -%}c {% set generation = 1 %}";
        let want = "a{%- if true %}b{% endif -%}c {% set generation = 1 %}";
        assert_eq!(translate(source), want);
        let source = "{%- block b scoped -%}{% endblock b%}{%endblock+%}";
        assert_eq!(translate(source), "{%- with -%}{% endwith %}{%endwith +%}");
    }

    #[test]
    fn each_percent_sign_has_its_operands() {
        for (source, want) in [
            ("{{ a % b }}", "{{ (a )|__mod__( b) }}"),
            ("{{- 'a' % b -}}", "{{- ('a' )|__mod__( b) -}}"),
            ("{{a%b%c}}", "{{((a)|__mod__(b))|__mod__(c)}}"),
            ("{{ 1+-a*b%c|f(d%2)*e }}", "{{ 1+(-a*b)|__mod__(c|f((d)|__mod__(2)))*e }}"),
            ("{% if not a%2==1 and b%2 %}", "{% if not (a)|__mod__(2)==1 and (b)|__mod__(2) %}"),
            (
                "{% if a%2 is not in b or c%2 in d%}",
                "{% if (a)|__mod__(2 is not in b) or (c)|__mod__(2) in d%}",
            ),
            ("{{ [a.if%b, {'x':c[0]%d}] }}", "{{ [(a.if)|__mod__(b), {'x':(c[0])|__mod__(d)}] }}"),
            ("{{ 1.5e-3%2**-1%3 }}", "{{ ((1.5e-3)|__mod__(2**-1))|__mod__(3) }}"),
            // Not in texts, comments and raw parts.
            (
                "{{ '%' }}{# a%b #}%{ {%raw%}{{a%b}}{% endraw %}",
                "{{ '%' }}{# a%b #}%{ {%raw%}{{a%b}}{% endraw %}",
            ),
        ] {
            assert_eq!(translate(source), want, "{source}");
        }
    }

    #[test]
    fn escapes_are_those_of_python() {
        for (text, want) in [
            (r"'\U0001F600\x41\101\0'", "'\u{1f600}AA\0'"),
            (r#"'\d\'\"\\'"#, r#"'\\d\'"\\'"#),
            (r#""\'\"\ud83d""#, r#""'\"\ud83d""#),
            ("'\\\n\\x4'", r"'\\x4'"),
        ] {
            assert_eq!(translate(&format!("{{{{ {text} }}}}")), format!("{{{{ {want} }}}}"));
        }
    }

    #[test]
    fn what_is_cut_off_stays_so() {
        for source in [
            "{",
            "{{",
            "{%",
            "{{ '",
            "{{ 'a\\",
            "{{ a %",
            "{% raw",
            "{% block",
            "{#",
            "{é",
            "}}",
            "{{ ) % ] }}",
        ] {
            let _ = translate(source);
        }
    }
}
