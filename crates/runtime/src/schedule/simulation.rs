//! The scheduler on a device made of numbers: a block holds, for each position, a hash of all
//! tokens up to it, as keys and values depend on them. Whoever reads another one's block, or one
//! that was overwritten, samples another token than it would alone.

use std::collections::{BTreeMap, VecDeque};

use wisp_base::{Error, splitmix64};
use wisp_graph::PAGE;

use super::{BlockManager, Ended, Limits, Planned, SampledRow, Scheduler, Sequence, accepted};
use crate::request::Cancel;

/// 100,000 of them, each with other requests, limits and accidents.
const SCHEDULES: u64 = 100_000;

/// Ends an answer.
const END: u32 = 0;

/// What is cached for a token behind what was cached for the one before.
fn cached(before: u64, token: u32, long: bool) -> u64 {
    splitmix64(before ^ u64::from(token) << 1 ^ u64::from(long))()
}

/// The token that is sampled from that.
fn sampled(cached: u64) -> u32 {
    (cached >> 33) as u32 % 40
}

/// Before the first position.
const NOTHING: u64 = 7;

struct Device {
    /// `[block][position in it]`
    cache: Vec<[u64; PAGE]>,
    /// `[slot][entry]`
    tables: Vec<Vec<u32>>,
    /// `[slot]`
    sampled: Vec<u32>,
    /// `[slot]`: what a sequence carries from token to token: the same hash.
    state: Vec<u64>,
    snapshots: Vec<u64>,
    /// What is sampled depends on the state, not on the cache.
    recurrent: bool,
}

impl Device {
    fn new(blocks: usize, slots: usize, snapshots: Option<usize>) -> Self {
        let (cache, tables) = (vec![[0; PAGE]; blocks], vec![Vec::new(); slots]);
        Self {
            cache,
            tables,
            sampled: vec![0; slots],
            state: vec![0; slots],
            snapshots: vec![0; snapshots.unwrap_or(0)],
            recurrent: snapshots.is_some(),
        }
    }

    fn write(&mut self, slot: usize, first: usize, blocks: &[u32]) {
        self.tables[slot].truncate(first);
        assert_eq!(self.tables[slot].len(), first, "entries are missing");
        self.tables[slot].extend_from_slice(blocks);
    }

    /// The tokens of the rows that sample one.
    fn run(&mut self, planned: &Planned) -> Vec<u32> {
        for (slot, first, blocks) in &planned.new_blocks {
            self.write(*slot, *first, blocks);
        }
        for (slot, snapshot) in &planned.restores {
            self.state[*slot] = self.snapshots[*snapshot];
        }
        let mut rows = Vec::new();
        // Behind draft tokens: in no slot.
        let mut drafted = NOTHING;
        for token in &planned.tokens {
            let (slot, position) = (token.sequence as usize, token.position as usize);
            let block = |position: usize| self.tables[slot][position / PAGE] as usize;
            let before = match position.checked_sub(1) {
                Some(before) => self.cache[block(before)][before % PAGE],
                None => NOTHING,
            };
            let id = token.id.unwrap_or(self.sampled[slot]);
            let (block, cached) = (block(position), cached(before, id, token.long));
            self.cache[block][position % PAGE] = cached;
            let before = match (position, token.draft) {
                (0, _) => NOTHING,
                (_, true) => drafted,
                (_, false) => self.state[slot],
            };
            drafted = super::simulation::cached(before, id, token.long);
            if !token.draft {
                self.state[slot] = drafted;
            }
            rows.push(if self.recurrent { drafted } else { cached });
        }
        for (slot, snapshot) in &planned.saves {
            self.snapshots[*snapshot] = self.state[*slot];
        }
        let sampled = planned.outputs.iter().map(|row| sampled(rows[*row as usize]));
        let sampled: Vec<u32> = sampled.collect();
        for (row, token) in planned.sampled.iter().zip(&sampled) {
            if row.drafts == 0 {
                self.sampled[row.slot] = *token;
            }
        }
        sampled
    }
}

/// A request, and what became of it.
struct Asked {
    prompt: Vec<u32>,
    cancel: Cancel,
    /// Its answer should be that.
    answer: Vec<u32>,
    done: Option<Done>,
}

#[derive(Debug, PartialEq)]
enum Done {
    Answered,
    Cancelled,
    Failed,
}

/// What the request would be answered alone.
fn answer(prompt: &[u32], max_tokens: usize, ctx: usize, long: bool) -> Vec<u32> {
    let mut state = prompt.iter().fold(NOTHING, |state, token| cached(state, *token, long));
    let mut answer = Vec::new();
    while answer.len() < max_tokens && prompt.len() + answer.len() <= ctx {
        let token = sampled(state);
        if token == END {
            break;
        }
        answer.push(token);
        state = cached(state, token, long);
    }
    answer
}

struct Simulation {
    random: Box<dyn FnMut() -> u64>,
    limits: Limits,
    blocks: usize,
    /// Snapshots, where sequences have state in slots.
    snapshots: Option<usize>,
    asked: Vec<Asked>,
    /// Those that were given up for want of memory or blocks.
    accidents: bool,
    /// Draft tokens are tried.
    speculates: bool,
    /// To be noticed: what was not accepted is not rolled back.
    forgets: bool,
    /// Draft tokens that were accepted.
    accepted: usize,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut random = Box::new(splitmix64(seed));
        let mut below = |count: u64| (random() % count) as usize;
        let ctx = 40 + below(120);
        let limits = Limits { ctx, prefill_tokens: 1 + below(70), slots: 1 + below(4) };
        let whole = ctx.div_ceil(PAGE);
        let blocks = whole + below(2 * whole as u64);
        let snapshots = seed.is_multiple_of(2).then(|| below(4));
        let (accidents, speculates) = (seed.is_multiple_of(3), !seed.is_multiple_of(5));
        let (asked, forgets, accepted) = (Vec::new(), false, 0);
        Self { random, limits, blocks, snapshots, asked, accidents, speculates, forgets, accepted }
    }

    fn below(&mut self, count: usize) -> usize {
        ((self.random)() % count as u64) as usize
    }

    /// One of a few texts, cut off and gone on from somewhere.
    fn ask(&mut self) -> Sequence<usize> {
        let (ctx, text) = (self.limits.ctx, self.below(2) as u32 + 1);
        let length = 1 + self.below(ctx);
        let differs = self.below(2 * ctx);
        let token = |at: usize| if at < differs { text } else { text + 2 };
        let prompt: Vec<u32> = (0..length).map(token).collect();
        let (max_tokens, cancel, index) = (self.below(40), Cancel::default(), self.asked.len());
        let mut sequence = Sequence::new(prompt.clone(), max_tokens, cancel.clone(), index);
        sequence.long = self.below(5) == 0;
        sequence.wants_logits = self.below(4) == 0;
        let answer = answer(&prompt, max_tokens, ctx, sequence.long);
        self.asked.push(Asked { prompt, cancel, answer, done: None });
        sequence
    }

    fn ended(&mut self, sequence: Sequence<usize>, done: Done) {
        let asked = &mut self.asked[sequence.client];
        assert_eq!(asked.done.replace(done), None, "it ended twice");
        assert_eq!(sequence.tokens[..sequence.prompt], asked.prompt);
        let (answer, whole) = (sequence.answer(), &asked.answer);
        match asked.done {
            Some(Done::Answered) => assert_eq!(answer, whole),
            _ => assert!(whole.starts_with(answer), "{answer:?} of {whole:?}"),
        }
    }

    fn take_ended(&mut self, scheduler: &mut Scheduler<'_, usize>) {
        for (sequence, why) in scheduler.take_ended() {
            let done = match why {
                Ended::Cancelled => Done::Cancelled,
                Ended::Failed(_) => Done::Failed,
            };
            match done {
                Done::Cancelled => {
                    assert!(self.asked[sequence.client].cancel.is_cancelled());
                }
                _ => assert!(self.accidents, "there is room for each sequence alone"),
            }
            self.ended(sequence, done);
        }
    }

    /// A step with draft tokens for the sequence in a slot, of which some are what it will sample.
    /// Whether there was one.
    fn speculate(
        &mut self,
        scheduler: &mut Scheduler<'_, usize>,
        device: &mut Device,
        (slot, most): (usize, usize),
    ) -> bool {
        let Some(running) = scheduler.running(slot) else { return false };
        let sequence = &running.sequence;
        let rest = self.asked[sequence.client].answer[sequence.answered()..].to_vec();
        let (count, right) = (1 + self.below(most), self.below(most + 2));
        let draft = |at| if at < right { rest.get(at).copied().unwrap_or(END) } else { 41 };
        let drafts: Vec<u32> = (0..count).map(draft).collect();
        let Some(planned) = scheduler.plan_drafts(slot, &drafts) else { return false };
        if self.accidents && self.below(20) == 0 {
            scheduler.not_submitted(planned, Error::memory("none left")).unwrap();
            return true;
        }
        let tokens = device.run(&planned);
        scheduler.submitted(&planned);
        let rows = accepted(&planned.sampled, &tokens);
        if !self.forgets {
            scheduler.roll_back(&planned.sampled[0], planned.sampled.len() - rows);
            let running = scheduler.running(slot).unwrap();
            let positions = running.sequence.tokens.len() + rows;
            assert!(running.blocks.list.len() <= positions.div_ceil(PAGE), "blocks are kept");
        }
        self.accepted += rows - 1;
        for (row, token) in planned.sampled.iter().zip(tokens).take(rows) {
            self.accept(scheduler, row, token);
        }
        true
    }

    fn accept(&mut self, scheduler: &mut Scheduler<'_, usize>, row: &SampledRow, token: u32) {
        if !scheduler.is_current(row) {
            return;
        }
        let full = token != END && scheduler.push(row.slot, token);
        if (token == END || full)
            && let Some(sequence) = scheduler.end(row.slot)
        {
            self.ended(sequence, Done::Answered);
        }
    }

    /// All requests to their ends, by several devices where one is lost. How many draft tokens
    /// were accepted.
    fn run(mut self) -> usize {
        let count = 1 + self.below(6);
        let mut waiting: Vec<Sequence<usize>> = Vec::new();
        let (mut steps, mut losses) = (0, 0);
        loop {
            let mut blocks = BlockManager::new(self.blocks);
            if let Some(count) = self.snapshots {
                blocks = blocks.with_snapshots(count);
            }
            let mut device = Device::new(self.blocks, self.limits.slots, self.snapshots);
            let mut scheduler = Scheduler::new(&mut blocks, self.limits);
            waiting.drain(..).for_each(|sequence| scheduler.add(sequence));
            let mut in_flight: VecDeque<(Planned, Vec<u32>)> = VecDeque::new();
            let lost = loop {
                steps += 1;
                assert!(steps < 10_000, "somebody starves");
                if self.asked.len() < count && self.below(6) == 0 {
                    let sequence = self.ask();
                    scheduler.add(sequence);
                }
                if self.accidents && self.below(40) == 0 && !self.asked.is_empty() {
                    let at = self.below(self.asked.len());
                    self.asked[at].cancel.cancel();
                }
                scheduler.end_cancelled();
                while let Some(slot) = scheduler.admit() {
                    let Some(running) = scheduler.running(slot) else { continue };
                    if running.sequence.answered() >= running.sequence.max_tokens
                        && let Some(sequence) = scheduler.end(slot)
                    {
                        self.ended(sequence, Done::Answered);
                    }
                }
                self.take_ended(&mut scheduler);
                let room = scheduler.draft_room().filter(|_| self.speculates && self.below(3) > 0);
                if let Some(room) = room
                    && in_flight.is_empty()
                    && self.speculate(&mut scheduler, &mut device, room)
                {
                    self.take_ended(&mut scheduler);
                    continue;
                }
                // Draft tokens follow what is in flight.
                let most = if room.is_some() && !in_flight.is_empty() { 0 } else { 3 };
                if in_flight.len() < most
                    && let Some(planned) = scheduler.next_step()
                {
                    assert!(planned.tokens.len() <= self.limits.prefill_tokens.max(4));
                    if self.accidents && self.below(60) == 0 {
                        let error = Error::memory("none left");
                        scheduler.not_submitted(planned, error).unwrap();
                    } else {
                        let tokens = device.run(&planned);
                        scheduler.submitted(&planned);
                        in_flight.push_back((planned, tokens));
                    }
                    self.take_ended(&mut scheduler);
                    if self.below(2) == 0 {
                        continue;
                    }
                }
                if let Some((planned, tokens)) = in_flight.pop_front() {
                    for (row, token) in planned.sampled.iter().zip(tokens) {
                        self.accept(&mut scheduler, row, token);
                    }
                } else if self.asked.len() == count && self.asked.iter().all(|a| a.done.is_some()) {
                    break false;
                }
                if self.accidents && losses < 3 && self.below(80) == 0 {
                    break true;
                }
            };
            losses += 1;
            waiting = scheduler.into_unfinished();
            assert_eq!(blocks.available(), self.blocks, "a block leaks");
            if let Some((snapshots, count)) = blocks.snapshots.as_ref().zip(self.snapshots) {
                assert!(lost || snapshots.unused() == count, "a snapshot leaks");
            }
            if !lost {
                assert!(waiting.is_empty());
                return self.accepted;
            }
            self.keeps_its_order(&waiting);
        }
    }

    /// What goes on after a lost device is what has not ended.
    fn keeps_its_order(&self, waiting: &[Sequence<usize>]) {
        let mut unfinished: BTreeMap<usize, ()> = BTreeMap::new();
        for sequence in waiting {
            assert!(unfinished.insert(sequence.client, ()).is_none(), "it is there twice");
        }
        let open = self.asked.iter().enumerate().filter(|(_, asked)| asked.done.is_none());
        assert!(open.map(|(index, _)| index).eq(unfinished.into_keys()));
    }
}

#[test]
fn whatever_happens_each_answer_is_what_it_would_be_alone_and_nothing_leaks() {
    let accepted = (0..SCHEDULES).map(|seed| Simulation::new(seed).run()).sum::<usize>();
    assert!(accepted as u64 > SCHEDULES, "hardly any draft token was accepted: {accepted}");
}

/// The simulation would notice.
#[test]
fn what_is_not_rolled_back_changes_answers() {
    for recurrent in [false, true] {
        let seeds = (0..200).filter(|seed: &u64| seed.is_multiple_of(2) == recurrent);
        let goes_wrong = |seed: &u64| {
            let simulation = Simulation { forgets: true, ..Simulation::new(*seed) };
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| simulation.run())).is_err()
        };
        let wrong = seeds.filter(goes_wrong).count();
        assert!(wrong > 5, "{wrong} of 100 schedules go wrong");
    }
}
