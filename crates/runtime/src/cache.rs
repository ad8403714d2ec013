//! Who owns which page of the KV cache. Pages are counted, so that sequences share
//! the pages of a common prefix; pages nobody owns keep their contents until they
//! are needed, so that the next request with that prefix finds them.

use std::collections::{HashMap, VecDeque};

use wisp_base::{Error, Result};
use wisp_graph::PAGE;

/// Names the tokens of a page together with all before it.
type Chain = u128;

/// The chain that pages of long sequences begin with: their keys turn by other frequencies, and
/// are no use to short ones.
const LONG: Chain = 0x9b1f_4d0c_63a7_e825_50c6_f2d1_8e3a_7b94;

/// Pages and their owners.
#[derive(Debug)]
pub struct PagePool {
    /// Owners of each page.
    owners: Vec<u32>,
    /// What a page holds, if that is known and whole.
    contents: Vec<Option<Chain>>,
    /// Where contents are found.
    by_chain: HashMap<Chain, u32>,
    /// Pages without owners, the longest unused first; those with contents may be revived.
    free: VecDeque<u32>,
    /// How often pages became free.
    releases: u64,
}

/// One sequence's pages: entry i holds positions 32i … 32i + 31.
#[derive(Debug, Default)]
pub struct Pages {
    /// Page numbers.
    pub list: Vec<u32>,
    /// How many of them, from the start, were found in the cache.
    shared: usize,
    /// How many of them, from the start, are known by their contents.
    named: usize,
    /// The chain up to the last named page.
    chain: Chain,
    /// Whose they are is a long sequence.
    long: bool,
}

impl Pages {
    /// How many, from the start, held the prompt's tokens already.
    pub fn shared(&self) -> usize {
        self.shared
    }

    /// Whether the sequence turns by the frequencies for long contexts.
    pub fn long(&self) -> bool {
        self.long
    }
}

impl PagePool {
    /// `pages` free pages.
    pub fn new(pages: usize) -> Self {
        Self {
            owners: vec![0; pages],
            contents: vec![None; pages],
            by_chain: HashMap::new(),
            free: (0..pages as u32).collect(),
            releases: 0,
        }
    }

    /// Pages in all.
    pub fn len(&self) -> usize {
        self.owners.len()
    }

    /// Pages that nobody owns.
    pub fn free(&self) -> usize {
        self.free.len()
    }

    /// How often pages became free: while it stays, there is no more room than there was.
    pub fn releases(&self) -> u64 {
        self.releases
    }

    /// The pages that already hold the start of `tokens`, now owned once more. The
    /// last token is never among them: its logits are yet to be computed. Sequences that are
    /// `long` (see [`wisp_graph::StepToken`]) share with each other only.
    pub fn share(&mut self, tokens: &[u32], long: bool) -> Pages {
        let chain = if long { LONG } else { 0 };
        let mut pages = Pages { chain, long, ..Pages::default() };
        let most = tokens.len().saturating_sub(1) / PAGE;
        for tokens in tokens.chunks_exact(PAGE).take(most) {
            let chain = link(pages.chain, tokens);
            let Some(page) = self.by_chain.get(&chain).copied() else { break };
            if self.owners[page as usize] == 0 {
                self.free.retain(|free| *free != page);
            }
            self.owners[page as usize] += 1;
            pages.list.push(page);
            pages.named += 1;
            pages.shared += 1;
            pages.chain = chain;
        }
        pages
    }

    /// Makes room for `positions` positions.
    ///
    /// # Errors
    /// No page is free; `pages` stays as it was.
    pub fn grow(&mut self, pages: &mut Pages, positions: usize) -> Result<()> {
        let wanted = positions.div_ceil(PAGE).saturating_sub(pages.list.len());
        if wanted > self.free.len() {
            return Err(Error::memory(format!(
                "the KV cache is full: it has {} pages of {PAGE} positions, {} are free, and \
                 {positions} positions of this sequence need {wanted} more: give a larger --ctx, \
                 or end other sequences",
                self.len(),
                self.free.len()
            )));
        }
        for page in self.free.drain(..wanted) {
            self.owners[page as usize] = 1;
            if let Some(chain) = self.contents[page as usize].take() {
                self.by_chain.remove(&chain);
            }
            pages.list.push(page);
        }
        Ok(())
    }

    /// Says what a sequence's whole pages hold: `tokens` are those whose keys and
    /// values are in the cache, or will be before any later step.
    pub fn name(&mut self, pages: &mut Pages, tokens: &[u32]) {
        for tokens in tokens.chunks_exact(PAGE).skip(pages.named) {
            let Some(page) = pages.list.get(pages.named).copied() else { return };
            pages.chain = link(pages.chain, tokens);
            pages.named += 1;
            // If another page holds the same, that one stays the one to share.
            self.by_chain.entry(pages.chain).or_insert_with(|| {
                self.contents[page as usize] = Some(pages.chain);
                page
            });
        }
    }

    /// Gives all pages back.
    pub fn release(&mut self, pages: Pages) {
        // The last ones first: a prefix is worth more than what follows it.
        for page in pages.list.into_iter().rev() {
            let owners = &mut self.owners[page as usize];
            *owners = owners.saturating_sub(1);
            if *owners == 0 {
                self.releases += 1;
                match self.contents[page as usize] {
                    Some(_) => self.free.push_back(page),
                    None => self.free.push_front(page),
                }
            }
        }
    }

    /// Forgets what pages hold: nothing will be shared with what was.
    pub fn forget(&mut self) {
        self.by_chain.clear();
        self.contents.fill(None);
    }
}

/// Two FNV-1a hashes with different starts, side by side: 128 bits, so that two
/// prefixes never meet by accident.
fn link(chain: Chain, tokens: &[u32]) -> Chain {
    let mut low = chain as u64 ^ 0xcbf2_9ce4_8422_2325;
    let mut high = (chain >> 64) as u64 ^ 0x9e37_79b9_7f4a_7c15;
    for byte in tokens.iter().flat_map(|token| token.to_le_bytes()) {
        low = (low ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        high = (high ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3).rotate_left(23);
    }
    u128::from(low) | u128::from(high) << 64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(count: u32) -> Vec<u32> {
        (0..count).map(|t| t * 7 + 1).collect()
    }

    #[test]
    fn a_shared_prefix_is_stored_once_and_freed_with_its_last_owner() {
        let mut pool = PagePool::new(8);
        let mut first = pool.share(&tokens(100), false);
        assert!(first.list.is_empty());
        pool.grow(&mut first, 100).unwrap();
        pool.name(&mut first, &tokens(100));
        assert_eq!(pool.free(), 4);

        let mut other = tokens(90);
        other[70] = 0;
        let mut second = pool.share(&other, false);
        assert_eq!(second.list, first.list[..2]);
        pool.grow(&mut second, 90).unwrap();
        assert_eq!(pool.free(), 3);

        pool.release(first);
        assert_eq!(pool.free(), 5);
        pool.release(second);
        assert_eq!(pool.free(), 8);
    }

    #[test]
    fn freed_pages_are_found_again_until_they_are_needed() {
        let mut pool = PagePool::new(4);
        let mut pages = pool.share(&tokens(64), false);
        pool.grow(&mut pages, 64).unwrap();
        pool.name(&mut pages, &tokens(64));
        pool.release(pages);
        // The last token is always computed: one page, not two.
        let again = pool.share(&tokens(64), false);
        assert_eq!(again.list.len(), 1);
        pool.release(again);
        assert_eq!(pool.share(&tokens(65), false).list.len(), 2);
        let mut pool = PagePool::new(4);
        let mut all = Pages::default();
        pool.grow(&mut all, 128).unwrap();
        pool.release(all);
        assert!(pool.share(&tokens(65), false).list.is_empty());
    }

    #[test]
    fn long_sequences_share_with_long_ones_only() {
        let mut pool = PagePool::new(8);
        let mut held = Vec::new();
        for long in [false, true] {
            let mut pages = pool.share(&tokens(65), long);
            assert!(pages.list.is_empty());
            pool.grow(&mut pages, 65).unwrap();
            pool.name(&mut pages, &tokens(65));
            held.push(pages);
        }
        for (long, own) in [false, true].into_iter().zip(&held) {
            let pages = pool.share(&tokens(65), long);
            assert_eq!((pages.long(), &pages.list[..]), (long, &own.list[..2]));
            pool.release(pages);
        }
    }

    #[test]
    fn a_full_cache_names_the_numbers() {
        let mut pool = PagePool::new(3);
        let mut pages = Pages::default();
        pool.grow(&mut pages, 33).unwrap();
        let error = pool.grow(&mut pages, 200).unwrap_err().to_string();
        assert!(
            error.starts_with(
                "the KV cache is full: it has 3 pages of 32 positions, 1 are free, and 200 \
                 positions of this sequence need 5 more: "
            ),
            "{error}"
        );
        assert_eq!(pages.list.len(), 2);
    }
}
