//! Conversations that `/v1/responses` may go on from, in memory: the oldest are forgotten.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use axum::http::StatusCode;
use serde_json::Value;

use super::failure::Failure;

/// Bytes of all conversations at most, as JSON.
const BYTES: usize = 64 << 20;

/// What was said up to each response.
#[derive(Default)]
pub struct Conversations(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    /// The response, what was said, and its bytes: the newest last.
    all: VecDeque<(String, Vec<Value>, usize)>,
    bytes: usize,
}

impl Conversations {
    /// What was said up to a response, its own text included.
    ///
    /// # Errors
    /// It was not kept, or is forgotten.
    pub fn find(&self, id: &str) -> Result<Vec<Value>, Failure> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.all.iter().find(|(known, ..)| known == id);
        found.map(|(_, messages, _)| messages.clone()).ok_or_else(|| {
            let message = "previous_response_id is not known here: it was not stored, is too old, \
                           or the server has started anew";
            Failure::new(StatusCode::BAD_REQUEST, "previous_response_not_found", message)
        })
    }

    /// Keeps what was said up to a response.
    pub fn keep(&self, id: String, messages: Vec<Value>) {
        let bytes = messages.iter().map(|message| message.to_string().len()).sum();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.bytes += bytes;
        kept.all.push_back((id, messages, bytes));
        while kept.bytes > BYTES {
            let Some((.., oldest)) = kept.all.pop_front() else { return };
            kept.bytes -= oldest;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_oldest_conversation_makes_room() {
        let conversations = Conversations::default();
        let long = |text: &str| vec![json!({"content": text.repeat(BYTES / 3)})];
        for id in ["a", "b", "c"] {
            conversations.keep(id.into(), long(id));
        }
        assert!(conversations.find("a").is_err());
        assert_eq!(conversations.find("c").unwrap(), long("c"));
    }
}
