//! Which sequences run, and what the next step computes: data in and data out, without a device.
//!
//! Sequences are admitted in their order, as slots and blocks allow. Prompts are computed in
//! chunks, in turn with a step in which every other sequence has one token. Where blocks run out
//! the newest sequence is preempted: it waits, first in line, and goes on from its tokens.

mod drafts;
mod sequence;
#[cfg(test)]
mod simulation;

use std::collections::VecDeque;

use wisp_base::{Error, Result};
use wisp_graph::{PAGE, StepToken};

use crate::state::BlockManager;
pub use drafts::accepted;
pub use sequence::{Running, Sequence};

/// What bounds a step and a sequence.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Positions of a sequence.
    pub ctx: usize,
    /// Tokens of a prompt in a step.
    pub prefill_tokens: usize,
    /// Sequences that run at once.
    pub slots: usize,
}

/// See the module.
#[derive(Debug)]
pub struct Scheduler<'b, C> {
    blocks: &'b mut BlockManager,
    limits: Limits,
    waiting: VecDeque<Sequence<C>>,
    slots: Vec<Option<Running<C>>>,
    ended: Vec<(Sequence<C>, Ended)>,
    admissions: u64,
    /// The slot whose prompt was computed last, and whether that was the last step.
    prefilled: (usize, bool),
    /// Slots to be filled before the next step, and from which snapshots.
    restores: Vec<(usize, usize)>,
}

/// Why the scheduler ended a sequence.
#[derive(Debug)]
pub enum Ended {
    /// It was cancelled.
    Cancelled,
    /// It needs more memory than there is, all others gone.
    Failed(Error),
}

/// What the next step computes.
#[derive(Debug, Default)]
pub struct Planned {
    /// Its rows: neighbours of one prompt, or a token of each of several sequences.
    pub tokens: Vec<StepToken>,
    /// The rows whose logits are computed, one for each of `sampled`.
    pub outputs: Vec<u32>,
    /// Who samples a token.
    pub sampled: Vec<SampledRow>,
    /// Entries of block tables that are new: slot, the first entry's index, the entries.
    pub new_blocks: Vec<(usize, usize, Vec<u32>)>,
    /// Slots whose state is copied from a snapshot before it: slot, snapshot.
    pub restores: Vec<(usize, usize)>,
    /// Slots whose state is copied to a snapshot behind it: slot, snapshot.
    pub saves: Vec<(usize, usize)>,
    /// How many of its tokens are draft tokens, all of one sequence.
    pub drafts: usize,
    /// The slots that it is for, with [`Running`]'s `fed` and `sampled` before it.
    before: Vec<(usize, usize, usize)>,
}

impl Planned {
    /// Notes a sequence as it is before the step.
    fn begin<C>(&mut self, slot: usize, running: &Running<C>) {
        let (first, new) = running.new_blocks();
        if !new.is_empty() {
            self.new_blocks.push((slot, first, new.to_vec()));
        }
        self.before.push((slot, running.fed, running.sampled));
    }
}

/// A sequence that samples a token in a step.
#[derive(Debug, Clone, Copy)]
pub struct SampledRow {
    /// Where it runs.
    pub slot: usize,
    admission: u64,
    /// Its logits go to the host.
    pub wants_logits: bool,
    /// The draft token that it is behind: see [`accepted`].
    pub draft: Option<u32>,
    /// How many draft tokens it is behind.
    pub drafts: usize,
}

/// Blocks of a long prompt from one snapshot of its state to the next.
const SNAPSHOT_EVERY: usize = 16;

/// What may become of a sequence that waits.
enum Admission {
    /// It is admitted.
    Now,
    /// It waits a little; those behind it may go first.
    Later,
    /// It waits, and so does everyone behind it.
    Blocked,
}

impl<'b, C> Scheduler<'b, C> {
    /// Nothing waits, nothing runs.
    pub fn new(blocks: &'b mut BlockManager, limits: Limits) -> Self {
        let mut slots = Vec::new();
        slots.resize_with(limits.slots, || None);
        let (waiting, ended) = (VecDeque::new(), Vec::new());
        Self {
            blocks,
            limits,
            waiting,
            slots,
            ended,
            admissions: 0,
            prefilled: (0, false),
            restores: Vec::new(),
        }
    }

    /// The last in line.
    pub fn add(&mut self, sequence: Sequence<C>) {
        self.waiting.push_back(sequence);
    }

    /// Everything that has not ended, in the order in which it would go on.
    pub fn into_unfinished(mut self) -> Vec<Sequence<C>> {
        let mut running: Vec<_> =
            (0..self.slots.len()).filter_map(|slot| self.slots[slot].take()).collect();
        running.sort_by_key(|running| running.admission);
        let running = running.into_iter().map(|running| {
            self.blocks.free(running.blocks);
            running.sequence
        });
        running.chain(self.waiting).collect()
    }

    /// What ended since the last call, other than by [`Self::end`].
    pub fn take_ended(&mut self) -> Vec<(Sequence<C>, Ended)> {
        std::mem::take(&mut self.ended)
    }

    /// Whether nothing waits.
    pub fn none_waits(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Blocks that nobody owns.
    pub fn available_blocks(&self) -> usize {
        self.blocks.available()
    }

    /// The sequence in a slot.
    pub fn running(&self, slot: usize) -> Option<&Running<C>> {
        self.slots.get(slot)?.as_ref()
    }

    /// The sequence in a slot.
    pub fn running_mut(&mut self, slot: usize) -> Option<&mut Running<C>> {
        self.slots.get_mut(slot)?.as_mut()
    }

    /// The only sequence.
    fn only_one(&self) -> Option<(usize, &Running<C>)> {
        let mut all =
            self.slots.iter().enumerate().filter_map(|(at, slot)| Some((at, slot.as_ref()?)));
        let one = all.next()?;
        (all.next().is_none() && self.waiting.is_empty()).then_some(one)
    }

    /// Whether a row's sequence still runs: it may have ended or been preempted since the step
    /// was submitted.
    pub fn is_current(&self, row: &SampledRow) -> bool {
        self.running(row.slot).is_some_and(|running| running.admission == row.admission)
    }

    /// Ends what was cancelled.
    pub fn end_cancelled(&mut self) {
        for slot in 0..self.slots.len() {
            if self.running(slot).is_some_and(|running| running.sequence.cancel.is_cancelled())
                && let Some(sequence) = self.end(slot)
            {
                self.ended.push((sequence, Ended::Cancelled));
            }
        }
        let mut at = 0;
        while let Some(sequence) = self.waiting.get(at) {
            if !sequence.cancel.is_cancelled() {
                at += 1;
            } else if let Some(sequence) = self.waiting.remove(at) {
                self.ended.push((sequence, Ended::Cancelled));
            }
        }
    }

    /// Gives a slot and blocks to the first sequence that may have them: which slot. Its sampling
    /// state is to be written to the device.
    pub fn admit(&mut self) -> Option<usize> {
        loop {
            let slot = self.slots.iter().position(Option::is_none)?;
            let alone = self.slots.iter().all(Option::is_none);
            let mut sequence = self.next_waiting()?;
            let mut blocks = self.blocks.match_prefix(&sequence.tokens, sequence.long);
            // One that was preempted would soon be again.
            let spare = if sequence.preempted { PAGE } else { 0 };
            let positions = self.limits.ctx.min(sequence.tokens.len() + spare);
            if let Err(error) = self.blocks.allocate(&mut blocks, positions) {
                self.blocks.free(blocks);
                if alone {
                    self.ended.push((sequence, Ended::Failed(error)));
                    continue;
                }
                // Others will free theirs.
                sequence.no_room = Some(self.blocks.frees());
                self.waiting.push_front(sequence);
                return None;
            }
            let (known, fed) = (sequence.tokens.len(), blocks.matched());
            sequence.computed += known - fed;
            self.admissions += 1;
            let admission = self.admissions;
            self.restores.extend(blocks.snapshot.take().map(|snapshot| (slot, snapshot)));
            self.slots[slot] = Some(Running {
                sequence,
                admission,
                blocks,
                known,
                fed,
                sampled: 0,
                written: 0,
                drafts: 0,
                snapshot: None,
                kept: None,
            });
            return Some(slot);
        }
    }

    /// The first in line that may be admitted now.
    fn next_waiting(&mut self) -> Option<Sequence<C>> {
        let admissions = |(at, sequence)| match self.admission(sequence) {
            Admission::Now => Some(Some(at)),
            Admission::Later => None,
            Admission::Blocked => Some(None),
        };
        let at = self.waiting.iter().enumerate().find_map(admissions).flatten()?;
        self.waiting.remove(at)
    }

    fn admission(&self, sequence: &Sequence<C>) -> Admission {
        let recurrent = self.blocks.snapshots.is_some();
        // Long sequences share no blocks with short ones.
        let alike =
            |running: &&Running<C>| running.in_prefill() && running.blocks.long() == sequence.long;
        let mut prefills = self.slots.iter().flatten().filter(alike);
        // Whole blocks that another prompt has in common with this one, and will have computed
        // soon: worth waiting for, but only until then.
        // Of state in slots there is rarely a snapshot just there.
        if !recurrent
            && prefills.any(|running| common_blocks(running, sequence) > running.fed / PAGE)
        {
            return Admission::Later;
        }
        let alone = self.slots.iter().all(Option::is_none);
        match sequence.no_room {
            // Nobody has freed a block since there were too few of them.
            Some(then) if then == self.blocks.frees() && !alone => Admission::Blocked,
            _ => Admission::Now,
        }
    }

    /// A chunk of a prompt or a token for each of the others, in turn where there is both to do;
    /// `None` if there is neither. It is to be told of by [`Self::submitted`] or
    /// [`Self::not_submitted`].
    pub fn next_step(&mut self) -> Option<Planned> {
        let mut planned = self.plan()?;
        planned.restores = std::mem::take(&mut self.restores);
        Some(planned)
    }

    fn plan(&mut self) -> Option<Planned> {
        let (last, just_now) = self.prefilled;
        if just_now {
            self.prefilled.1 = false;
            if let Some(planned) = self.decode() {
                return Some(planned);
            }
        }
        let count = self.slots.len();
        let in_prefill = |slot: &usize| self.running(*slot).is_some_and(Running::in_prefill);
        match (1..=count).map(|step| (last + step) % count).find(in_prefill) {
            Some(slot) => {
                self.prefilled = (slot, true);
                self.prefill(slot)
            }
            None => self.decode(),
        }
    }

    /// The next chunk of a prompt; the last one samples the first token.
    fn prefill(&mut self, slot: usize) -> Option<Planned> {
        let most = self.limits.prefill_tokens;
        let running = self.slots.get_mut(slot)?.as_mut()?;
        let mut planned = Planned::default();
        planned.begin(slot, running);
        let start = running.fed;
        let mut end = running.known.min(start + most);
        if let Some(snapshots) = &mut self.blocks.snapshots {
            // The next prompt that begins so goes on behind its last whole block.
            let last = (running.known - 1) / PAGE * PAGE;
            if start < last {
                end = end.min(last);
            }
            // What of an answer is computed again ends like decode.
            let answered = end == running.known && end > running.sequence.prompt;
            let wanted = end == last || end.is_multiple_of(SNAPSHOT_EVERY * PAGE) || answered;
            if end.is_multiple_of(PAGE)
                && wanted
                && running.snapshot.is_none()
                && let Some(snapshot) = snapshots.take()
            {
                planned.saves.push((slot, snapshot));
            }
        }
        let (part, long) = (&running.sequence.tokens[start..end], running.blocks.long());
        let tokens = StepToken::run(part, start, slot as u32).map(|token| token.with_long(long));
        planned.tokens.extend(tokens);
        running.fed = end;
        if end == running.known {
            running.sampled = 1;
            planned.outputs.push(planned.tokens.len() as u32 - 1);
            planned.sampled.push(row(slot, running));
        }
        Some(planned)
    }

    /// One more token for every sequence that may have one, the oldest first: where blocks run
    /// out the newest is preempted, so that some sequence always comes to its end.
    fn decode(&mut self) -> Option<Planned> {
        let mut planned = Planned::default();
        let mut oldest: Vec<_> = (0..self.slots.len()).collect();
        oldest.sort_by_key(|slot| self.running(*slot).map(|running| running.admission));
        for slot in oldest {
            let ctx = self.limits.ctx;
            let Some(running) = self.running(slot).filter(|r| r.wants_token(ctx)) else { continue };
            if !self.make_room(slot, running.position() + 1) {
                continue;
            }
            let Some(running) = &mut self.slots[slot] else { continue };
            planned.begin(slot, running);
            planned.outputs.push(planned.tokens.len() as u32);
            let position = running.position();
            // Unless it was seen already, only the device knows it.
            let id = running.sequence.tokens.get(position).copied();
            let token = StepToken::causal(id, position as u32, slot as u32);
            planned.tokens.push(token.with_long(running.blocks.long()));
            // What is computed then ends a block.
            if (running.position() + 1).is_multiple_of(PAGE)
                && running.snapshot.is_none()
                && let Some(snapshots) = &mut self.blocks.snapshots
                && let Some(snapshot) = snapshots.take()
            {
                planned.saves.push((slot, snapshot));
            }
            running.sampled += 1;
            planned.sampled.push(row(slot, running));
        }
        (!planned.tokens.is_empty()).then_some(planned)
    }

    /// Makes room for `positions` positions of the sequence in a slot, if need be at the cost of
    /// newer ones. False where it was the newest itself: it waits, and what it sampled is sampled
    /// again; alone it fails.
    fn make_room(&mut self, slot: usize, positions: usize) -> bool {
        while let Err(error) = self.allocate(slot, positions) {
            let running = self.slots.iter().enumerate();
            let running = running.filter_map(|(at, slot)| Some((slot.as_ref()?.admission, at)));
            let alone = running.clone().count() == 1;
            let Some((_, newest)) = running.max() else { return false };
            let Some(mut sequence) = self.end(newest) else { return false };
            if alone {
                self.ended.push((sequence, Ended::Failed(error)));
            } else {
                sequence.preempted = true;
                self.waiting.push_front(sequence);
            }
            if newest == slot {
                return false;
            }
        }
        true
    }

    /// A step was submitted: what it computes can be shared by steps after it.
    pub fn submitted(&mut self, planned: &Planned) {
        for (slot, ..) in &planned.before {
            if let Some(running) = &mut self.slots[*slot] {
                running.written = running.blocks.list.len();
                let tokens = &running.sequence.tokens[..running.fed];
                self.blocks.commit(&mut running.blocks, tokens);
            }
        }
        for (slot, snapshot) in &planned.saves {
            let Some(snapshots) = &mut self.blocks.snapshots else { continue };
            match &mut self.slots[*slot] {
                None => snapshots.give_back(*snapshot),
                // Its prompt goes on: the blocks are committed so far.
                Some(running) if running.sampled == 0 => {
                    snapshots.hold(*snapshot, running.blocks.content);
                }
                // The last tokens are yet to be seen.
                Some(running) => {
                    running.snapshot = Some((*snapshot, running.position() - running.drafts));
                }
            }
        }
    }

    /// A step was not submitted, for want of memory: it is taken back, and of those in it the one
    /// that needs most ends: one whose logits go to the host, else the newest. That of a step with
    /// draft tokens does not, which without them needs less.
    ///
    /// # Errors
    /// `error`, where it was for nobody.
    pub fn not_submitted(&mut self, planned: Planned, error: Error) -> Result<()> {
        self.restores.extend(planned.restores);
        if let Some(snapshots) = &mut self.blocks.snapshots {
            planned.saves.iter().for_each(|(_, snapshot)| snapshots.give_back(*snapshot));
        }
        let mut ends = None;
        for (slot, fed, sampled) in planned.before {
            let Some(running) = &mut self.slots[slot] else { continue };
            (running.fed, running.sampled, running.drafts) = (fed, sampled, 0);
            if planned.drafts > 0 {
                let known = running.sequence.tokens.len();
                self.keep_blocks(slot, known);
                return Ok(());
            }
            ends = ends.max(Some((running.sequence.wants_logits, running.admission, slot)));
        }
        match ends.and_then(|(_, _, slot)| self.end(slot)) {
            Some(sequence) => self.ended.push((sequence, Ended::Failed(error))),
            None => return Err(error),
        }
        Ok(())
    }

    /// Makes room for `positions` positions of the sequence in a slot.
    ///
    /// # Errors
    /// Too few blocks are free.
    fn allocate(&mut self, slot: usize, positions: usize) -> Result<()> {
        match &mut self.slots[slot] {
            Some(running) => self.blocks.allocate(&mut running.blocks, positions),
            None => Ok(()),
        }
    }

    /// Adds a token that was sampled; whether it is the last that the sequence may have.
    pub fn push(&mut self, slot: usize, token: u32) -> bool {
        let ctx = self.limits.ctx;
        let Some(running) = self.running_mut(slot) else { return false };
        let sequence = &mut running.sequence;
        sequence.tokens.push(token);
        // The last token of a full context has no position to be computed at.
        let ends = sequence.answered() >= sequence.max_tokens || sequence.tokens.len() > ctx;
        let seen = sequence.tokens.len();
        if let Some((snapshot, positions)) = running.snapshot.take_if(|(_, at)| *at <= seen) {
            self.keep_snapshot(slot, snapshot, positions);
        }
        ends
    }

    /// A snapshot of a sequence in a slot was taken behind so many positions, whole blocks. That of
    /// a block before, if it was of the answer too, is of little use from now on.
    fn keep_snapshot(&mut self, slot: usize, snapshot: usize, positions: usize) {
        let Some(running) = self.slots[slot].as_mut() else { return };
        self.blocks.commit(&mut running.blocks, &running.sequence.tokens[..positions]);
        let content = running.blocks.content;
        if let Some(snapshots) = &mut self.blocks.snapshots {
            if let Some(before) = running.kept.replace(content) {
                snapshots.forget(before);
            }
            snapshots.hold(snapshot, content);
        }
    }

    /// Frees a slot: its blocks can be shared from now on.
    pub fn end(&mut self, slot: usize) -> Option<Sequence<C>> {
        let mut running = self.slots.get_mut(slot)?.take()?;
        let mut blocks = std::mem::take(&mut running.blocks);
        if let (Some((snapshot, _)), Some(snapshots)) =
            (running.snapshot, &mut self.blocks.snapshots)
        {
            snapshots.give_back(snapshot);
        }
        self.blocks.commit(&mut blocks, running.cached());
        self.blocks.free(blocks);
        Some(running.sequence)
    }

    /// Nothing that the cache holds is shared with sequences to come.
    pub fn forget_cache(&mut self) {
        self.blocks.forget();
    }
}

fn row<C>(slot: usize, running: &Running<C>) -> SampledRow {
    let wants_logits = running.sequence.wants_logits;
    SampledRow { slot, admission: running.admission, wants_logits, draft: None, drafts: 0 }
}

/// Blocks that a sequence could share with a prompt, once they are computed.
fn common_blocks<C>(running: &Running<C>, sequence: &Sequence<C>) -> usize {
    let (prompt, tokens) = (&running.sequence.tokens[..running.known], &sequence.tokens);
    let alike = prompt.iter().zip(tokens).take_while(|(a, b)| a == b).count();
    // Its last token is always computed: see `BlockManager::match_prefix`.
    alike.min(tokens.len().saturating_sub(1)) / PAGE
}
