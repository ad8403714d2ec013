//! Which sequence owns which block of the KV cache: a page of 32 positions, in every layer.
//! Blocks are counted, so that sequences share those of a common prefix; blocks that nobody owns
//! keep their contents until they are needed, so that the next request with that prefix finds
//! them.

use std::collections::{HashMap, VecDeque};

use wisp_base::{Error, Result};
use wisp_graph::PAGE;

use super::snapshots::Snapshots;

/// What a whole block holds: its own tokens, behind those of the block before it. It is compared,
/// not only hashed: however prompts are chosen, no two prefixes are taken for each other.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Content {
    /// The block before, by the number that its content has; for a first block, [`SHORT`] or
    /// [`LONG`].
    before: u64,
    tokens: [u32; PAGE],
}

/// Before the first block of a sequence.
const SHORT: u64 = 0;
/// The same for sequences whose keys are rotated by the frequencies for long contexts (longrope),
/// and are no use to others.
const LONG: u64 = 1;

/// All blocks and their owners.
#[derive(Debug)]
pub struct BlockManager {
    /// Owners of each block.
    owners: Vec<u32>,
    /// What a block holds, if that is known and whole.
    contents: Vec<Option<Content>>,
    /// Where contents are found: the block, and the number of its content, which no other ever
    /// gets. What stood behind a content that is gone is thus not found either.
    by_content: HashMap<Content, (u32, u64)>,
    /// The next content's number.
    next: u64,
    /// Blocks without owners, the longest unused first; those with contents may be revived.
    free: VecDeque<u32>,
    /// How often blocks became free.
    frees: u64,
    /// Where sequences have state in slots too: without a snapshot of it a prefix is no use.
    pub(crate) snapshots: Option<Snapshots>,
}

/// One sequence's blocks: entry i holds positions 32i … 32i + 31.
#[derive(Debug, Default)]
pub struct BlockTable {
    /// Numbers of blocks.
    pub list: Vec<u32>,
    /// How many of them, from the start, were found in the cache.
    matched: usize,
    /// How many of them, from the start, are known by their contents.
    committed: usize,
    /// The number of the last committed block's content.
    pub(crate) content: u64,
    /// The snapshot that holds a sequence's state behind the blocks that were found.
    pub(crate) snapshot: Option<usize>,
    /// The sequence is rotated by the frequencies for long contexts.
    long: bool,
}

impl BlockTable {
    /// How many positions, from the start, held the prompt's tokens already.
    pub fn matched(&self) -> usize {
        self.matched * PAGE
    }

    /// Whether the sequence is rotated by the frequencies for long contexts.
    pub fn long(&self) -> bool {
        self.long
    }
}

impl BlockManager {
    /// `blocks` free ones.
    pub fn new(blocks: usize) -> Self {
        Self {
            owners: vec![0; blocks],
            contents: vec![None; blocks],
            by_content: HashMap::new(),
            next: LONG + 1,
            free: (0..blocks as u32).collect(),
            frees: 0,
            snapshots: None,
        }
    }

    /// For sequences with state in slots, of which so many snapshots can be kept.
    pub fn with_snapshots(self, count: usize) -> Self {
        Self { snapshots: Some(Snapshots::new(count)), ..self }
    }

    /// Free blocks and nothing known, as it was made.
    pub fn emptied(&self) -> Self {
        let snapshots = self.snapshots.as_ref().map(|all| Snapshots::new(all.count()));
        Self { snapshots, ..Self::new(self.total()) }
    }

    /// Blocks in all.
    pub fn total(&self) -> usize {
        self.owners.len()
    }

    /// Blocks that nobody owns.
    pub fn available(&self) -> usize {
        self.free.len()
    }

    /// How often blocks became free: while it stays, there is no more room than there was.
    pub fn frees(&self) -> u64 {
        self.frees
    }

    /// The blocks that already hold the longest prefix of `tokens`, now owned once more. The
    /// last token is never in them: its logits are yet to be computed. Sequences that are
    /// `long` (see [`wisp_graph::StepToken`]) share with each other only.
    pub fn match_prefix(&mut self, tokens: &[u32], long: bool) -> BlockTable {
        let content = if long { LONG } else { SHORT };
        let mut table = BlockTable { content, long, ..BlockTable::default() };
        let most = tokens.len().saturating_sub(1) / PAGE;
        let mut found = Vec::new();
        let mut before = table.content;
        for tokens in tokens.as_chunks().0.iter().take(most) {
            let content = Content { before, tokens: *tokens };
            let Some(known) = self.by_content.get(&content).copied() else { break };
            found.push(known);
            before = known.1;
        }
        if let Some(snapshots) = &mut self.snapshots {
            let has = |(_, number): &(u32, u64)| snapshots.has(*number);
            found.truncate(found.iter().rposition(has).map_or(0, |last| last + 1));
            table.snapshot = found.last().and_then(|(_, number)| snapshots.find(*number));
        }
        for (block, number) in found {
            if self.owners[block as usize] == 0 {
                self.free.retain(|free| *free != block);
            }
            self.owners[block as usize] += 1;
            table.list.push(block);
            table.committed += 1;
            table.matched += 1;
            table.content = number;
        }
        table
    }

    /// Makes room for `positions` positions.
    ///
    /// # Errors
    /// Too few blocks are free; `table` stays as it was.
    pub fn allocate(&mut self, table: &mut BlockTable, positions: usize) -> Result<()> {
        let wanted = positions.div_ceil(PAGE).saturating_sub(table.list.len());
        if wanted > self.free.len() {
            return Err(Error::memory(format!(
                "the KV cache is full: it has {} pages of {PAGE} positions, {} are free, and \
                 {positions} positions of this sequence need {wanted} more: give a larger --ctx, \
                 or end other sequences",
                self.total(),
                self.free.len()
            )));
        }
        for block in self.free.drain(..wanted) {
            self.owners[block as usize] = 1;
            if let Some(content) = self.contents[block as usize].take() {
                self.by_content.remove(&content);
            }
            table.list.push(block);
        }
        Ok(())
    }

    /// Gives back the blocks behind the first `positions` positions, which hold nothing of use.
    pub fn roll_back(&mut self, table: &mut BlockTable, positions: usize) {
        let kept = positions.div_ceil(PAGE).max(table.committed);
        let list = table.list.split_off(kept.min(table.list.len()));
        self.free(BlockTable { list, ..BlockTable::default() });
    }

    /// Says what a sequence's whole blocks hold: `tokens` are those whose keys and
    /// values are in the cache, or will be before any later step.
    pub fn commit(&mut self, table: &mut BlockTable, tokens: &[u32]) {
        for tokens in tokens.as_chunks().0.iter().skip(table.committed) {
            let Some(block) = table.list.get(table.committed).copied() else { return };
            let content = Content { before: table.content, tokens: *tokens };
            // If another block holds the same, that one stays the one to share.
            let (_, number) = *self.by_content.entry(content).or_insert_with_key(|content| {
                self.contents[block as usize] = Some(content.clone());
                self.next += 1;
                (block, self.next - 1)
            });
            table.content = number;
            table.committed += 1;
        }
    }

    /// Gives all blocks back.
    pub fn free(&mut self, table: BlockTable) {
        // The last ones first: a prefix is worth more than what follows it.
        for block in table.list.into_iter().rev() {
            let owners = &mut self.owners[block as usize];
            *owners = owners.saturating_sub(1);
            if *owners == 0 {
                self.frees += 1;
                match self.contents[block as usize] {
                    Some(_) => self.free.push_back(block),
                    None => self.free.push_front(block),
                }
            }
        }
    }

    /// Forgets what blocks hold: nothing will be shared with what was.
    pub fn forget(&mut self) {
        if let Some(snapshots) = &mut self.snapshots {
            snapshots.clear();
        }
        self.by_content.clear();
        self.contents.fill(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(count: u32) -> Vec<u32> {
        (0..count).map(|t| t * 7 + 1).collect()
    }

    #[test]
    fn a_shared_prefix_is_stored_once_and_freed_with_its_last_owner() {
        let mut blocks = BlockManager::new(8);
        let mut first = blocks.match_prefix(&tokens(100), false);
        assert!(first.list.is_empty());
        blocks.allocate(&mut first, 100).unwrap();
        blocks.commit(&mut first, &tokens(100));
        assert_eq!(blocks.available(), 4);

        let mut other = tokens(90);
        other[70] = 0;
        let mut second = blocks.match_prefix(&other, false);
        assert_eq!(second.list, first.list[..2]);
        blocks.allocate(&mut second, 90).unwrap();
        assert_eq!(blocks.available(), 3);

        blocks.free(first);
        assert_eq!(blocks.available(), 5);
        blocks.free(second);
        assert_eq!(blocks.available(), 8);
    }

    #[test]
    fn freed_blocks_are_found_again_until_they_are_needed() {
        let mut blocks = BlockManager::new(4);
        let mut table = blocks.match_prefix(&tokens(64), false);
        blocks.allocate(&mut table, 64).unwrap();
        blocks.commit(&mut table, &tokens(64));
        blocks.free(table);
        // The last token is always computed: one block, not two.
        let again = blocks.match_prefix(&tokens(64), false);
        assert_eq!(again.list.len(), 1);
        blocks.free(again);
        assert_eq!(blocks.match_prefix(&tokens(65), false).list.len(), 2);
        let mut blocks = BlockManager::new(4);
        let mut all = BlockTable::default();
        blocks.allocate(&mut all, 128).unwrap();
        blocks.free(all);
        assert!(blocks.match_prefix(&tokens(65), false).list.is_empty());
    }

    #[test]
    fn blocks_behind_a_roll_back_are_free_again() {
        let mut blocks = BlockManager::new(4);
        let mut table = blocks.match_prefix(&tokens(64), false);
        blocks.allocate(&mut table, 100).unwrap();
        blocks.commit(&mut table, &tokens(64));
        blocks.roll_back(&mut table, 97);
        assert_eq!((table.list.len(), blocks.available()), (4, 0));
        blocks.roll_back(&mut table, 65);
        assert_eq!((table.list.len(), blocks.available()), (3, 1));
        // What is committed may be another one's too.
        blocks.roll_back(&mut table, 1);
        assert_eq!((table.list.len(), blocks.available()), (2, 2));
        blocks.free(table);
        assert_eq!(blocks.available(), 4);
    }

    #[test]
    fn long_sequences_share_with_long_ones_only() {
        let mut blocks = BlockManager::new(8);
        let mut held = Vec::new();
        for long in [false, true] {
            let mut table = blocks.match_prefix(&tokens(65), long);
            assert!(table.list.is_empty());
            blocks.allocate(&mut table, 65).unwrap();
            blocks.commit(&mut table, &tokens(65));
            held.push(table);
        }
        for (long, own) in [false, true].into_iter().zip(&held) {
            let table = blocks.match_prefix(&tokens(65), long);
            assert_eq!((table.long(), &table.list[..]), (long, &own.list[..2]));
            blocks.free(table);
        }
    }

    /// Equal blocks behind different ones are different, also once those are gone.
    #[test]
    fn a_block_is_found_behind_the_tokens_before_it_only() {
        let mut blocks = BlockManager::new(3);
        let mut first = blocks.match_prefix(&tokens(65), false);
        blocks.allocate(&mut first, 65).unwrap();
        blocks.commit(&mut first, &tokens(65));
        blocks.free(first);
        let mut other = tokens(65);
        other[0] = 9;
        assert!(blocks.match_prefix(&other, false).list.is_empty());
        // The first block is overwritten, the second one is not.
        let mut taken = BlockTable::default();
        let at = blocks.free.iter().position(|block| *block == 0).unwrap();
        blocks.free.swap(0, at);
        blocks.allocate(&mut taken, 1).unwrap();
        blocks.commit(&mut taken, &other[..32]);
        blocks.free(taken);
        let table = blocks.match_prefix(&other, false);
        assert_eq!(table.list, [0], "its own block, and not the one that stood behind another");
    }

    #[test]
    fn a_full_cache_names_the_numbers() {
        let mut blocks = BlockManager::new(3);
        let mut table = BlockTable::default();
        blocks.allocate(&mut table, 33).unwrap();
        let error = blocks.allocate(&mut table, 200).unwrap_err().to_string();
        assert!(
            error.starts_with(
                "the KV cache is full: it has 3 pages of 32 positions, 1 are free, and 200 \
                 positions of this sequence need 5 more: "
            ),
            "{error}"
        );
        assert_eq!(table.list.len(), 2);
    }
}
