//! Snapshots of what a sequence carries from token to token in a slot (recurrent layers): such state
//! cannot be taken back to an earlier token, as keys and values can, so that a prefix is found again
//! only where a copy of the state behind it was kept.

use std::collections::{HashMap, VecDeque};

/// Which snapshot holds the state behind which prefix. A prefix is known by the number that the
/// content of its last block has ([`super::BlockManager`]), which no other prefix ever gets.
#[derive(Debug)]
pub(crate) struct Snapshots {
    /// What each holds.
    held: Vec<Option<u64>>,
    by_content: HashMap<u64, usize>,
    /// Those that nobody is about to write, the longest unused first.
    unused: VecDeque<usize>,
}

impl Snapshots {
    /// `count` of them, which hold nothing.
    pub fn new(count: usize) -> Self {
        let (held, unused) = (vec![None; count], (0..count).collect());
        Self { held, by_content: HashMap::new(), unused }
    }

    /// The snapshot behind a prefix.
    pub fn find(&mut self, content: u64) -> Option<usize> {
        let found = *self.by_content.get(&content)?;
        self.unused.retain(|other| *other != found);
        self.unused.push_back(found);
        Some(found)
    }

    /// Whether there is one.
    pub fn has(&self, content: u64) -> bool {
        self.by_content.contains_key(&content)
    }

    /// One to write to: what it held is forgotten. None where all are about to be written.
    pub fn take(&mut self) -> Option<usize> {
        let taken = self.unused.pop_front()?;
        if let Some(content) = self.held[taken].take() {
            self.by_content.remove(&content);
        }
        Some(taken)
    }

    /// A snapshot that was taken holds the state behind a prefix from now on.
    pub fn hold(&mut self, taken: usize, content: u64) {
        if self.has(content) {
            return self.give_back(taken);
        }
        self.held[taken] = Some(content);
        self.by_content.insert(content, taken);
        self.unused.push_back(taken);
    }

    /// A snapshot that was taken was not written.
    pub fn give_back(&mut self, taken: usize) {
        self.unused.push_front(taken);
    }

    /// Forgets the state behind a prefix, which a longer one has made of little use.
    pub fn forget(&mut self, content: u64) {
        if let Some(snapshot) = self.by_content.remove(&content) {
            self.held[snapshot] = None;
            self.unused.retain(|other| *other != snapshot);
            self.unused.push_front(snapshot);
        }
    }

    /// Forgets all; those that are about to be written stay so.
    pub fn clear(&mut self) {
        self.by_content.clear();
        self.held.fill(None);
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.held.len()
    }

    /// How many nobody is about to write.
    #[cfg(test)]
    pub fn unused(&self) -> usize {
        self.unused.len()
    }
}
