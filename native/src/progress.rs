//! Bars on stderr, for a person at a terminal.

use crate::out;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::borrow::Cow;
use std::time::Duration;

/// A bar of bytes; invisible with `--quiet` or where stderr is no terminal.
pub fn bytes(what: impl Into<Cow<'static, str>>, total: u64) -> ProgressBar {
    let template =
        "{msg} [{bar:30}] {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}";
    bar(ProgressBar::hidden(), what, template).with_total(total)
}

/// A bar of things that are counted.
pub fn count(what: impl Into<Cow<'static, str>>, total: usize) -> ProgressBar {
    bar(ProgressBar::hidden(), what, "{msg} [{bar:30}] {pos}/{len} {eta}").with_total(total as u64)
}

/// Something that goes on for an unknown time.
pub fn spinner(what: impl Into<Cow<'static, str>>) -> ProgressBar {
    let spinner = bar(ProgressBar::hidden(), what, "{spinner} {msg}");
    spinner.enable_steady_tick(Duration::from_millis(120));
    spinner
}

fn bar(bar: ProgressBar, what: impl Into<Cow<'static, str>>, template: &str) -> ProgressBar {
    if !out::quiet() {
        bar.set_draw_target(ProgressDrawTarget::stderr());
    }
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.with_message(what)
}

/// What [`ProgressBar::new`] would have set, once the target is right.
trait WithTotal {
    fn with_total(self, total: u64) -> Self;
}

impl WithTotal for ProgressBar {
    fn with_total(self, total: u64) -> Self {
        self.set_length(total);
        self
    }
}
