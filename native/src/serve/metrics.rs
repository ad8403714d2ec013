//! What the server has done so far, as Prometheus reads it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use axum::http::StatusCode;
use wisp_runtime::Completion;

use super::models::Models;

/// Counters since the start.
#[derive(Default)]
pub struct Metrics {
    /// By HTTP status.
    answers: Mutex<BTreeMap<u16, u64>>,
    under_way: AtomicUsize,
    prompt_tokens: AtomicU64,
    /// Of these, found in the cache.
    cached_tokens: AtomicU64,
    generated_tokens: AtomicU64,
    /// In microseconds.
    prefill_us: AtomicU64,
    decode_us: AtomicU64,
}

/// A request whose answer has not begun.
pub struct UnderWay<'a>(&'a AtomicUsize);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Metrics {
    /// Requests whose answers have not begun.
    pub fn under_way(&self) -> usize {
        self.under_way.load(Ordering::SeqCst)
    }

    /// A request has come; it is under way as long as this lives.
    pub fn asked(&self) -> UnderWay<'_> {
        self.under_way.fetch_add(1, Ordering::SeqCst);
        UnderWay(&self.under_way)
    }

    /// A request was answered, or its answer has begun.
    pub fn answered(&self, status: StatusCode) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        *answers.entry(status.as_u16()).or_default() += 1;
    }

    /// An answer has ended.
    pub fn generated(&self, prompt_tokens: usize, completion: &Completion) {
        let add = |counter: &AtomicU64, number: u64| {
            counter.fetch_add(number, Ordering::Relaxed);
        };
        let timings = &completion.timings;
        add(&self.prompt_tokens, prompt_tokens as u64);
        add(&self.cached_tokens, prompt_tokens.saturating_sub(timings.prefill_tokens) as u64);
        add(&self.generated_tokens, completion.tokens.len() as u64);
        add(&self.prefill_us, (timings.prefill_ms * 1e3) as u64);
        add(&self.decode_us, (timings.decode_ms * 1e3) as u64);
    }

    /// In Prometheus's text format, version 0.0.4.
    pub fn text(&self, models: &Models) -> String {
        let mut text = String::new();
        let mut metric = |name: &str, kind: &str, help: &str, rows: &[(String, f64)]| {
            let _ = writeln!(text, "# HELP wisp_{name} {help}\n# TYPE wisp_{name} {kind}");
            for (labels, value) in rows {
                let _ = writeln!(text, "wisp_{name}{labels} {value}");
            }
        };
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let answers: Vec<_> = answers
            .into_iter()
            .map(|(status, count)| (format!("{{status=\"{status}\"}}"), count as f64))
            .collect();
        metric("requests_total", "counter", "Requests answered, by HTTP status.", &answers);
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
        for (name, help, value) in [
            ("prompt_tokens_total", "Tokens of prompts.", count(&self.prompt_tokens)),
            (
                "prompt_tokens_cached_total",
                "Tokens of prompts that an earlier request had computed.",
                count(&self.cached_tokens),
            ),
            ("generated_tokens_total", "Tokens of answers.", count(&self.generated_tokens)),
            (
                "prefill_seconds_total",
                "Seconds from a request's start to its first token.",
                count(&self.prefill_us) / 1e6,
            ),
            (
                "decode_seconds_total",
                "Seconds from a first token to the last.",
                count(&self.decode_us) / 1e6,
            ),
        ] {
            metric(name, "counter", help, &[(String::new(), value)]);
        }
        let running = models.loaded().into_iter().map(|loaded| {
            let model = loaded.name.replace('\\', "\\\\").replace('"', "\\\"");
            (format!("{{model=\"{model}\"}}"), loaded)
        });
        let running: Vec<_> = running.collect();
        let rows = |of: fn(&super::models::Loaded) -> f64| -> Vec<_> {
            running.iter().map(|(labels, loaded)| (labels.clone(), of(loaded))).collect()
        };
        let requests = rows(|loaded| loaded.requests as f64);
        metric("requests_in_progress", "gauge", "Requests not answered yet.", &requests);
        let steps = rows(|loaded| loaded.handle.activity().steps() as f64);
        metric("steps_total", "counter", "Steps of the engine.", &steps);
        let free = rows(|loaded| loaded.handle.activity().free_pages() as f64);
        metric("kv_pages_free", "gauge", "Pages of the KV cache that no sequence holds.", &free);
        let pages = rows(|loaded| loaded.handle.info().pages as f64);
        metric("kv_pages", "gauge", "Pages of the KV cache.", &pages);
        text
    }
}
