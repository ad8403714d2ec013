//! Speculation: a run of one sequence that ends with draft tokens, each with an output row, and what
//! of it is rolled back. State in slots stops before draft tokens: rejected ones leave no trace there,
//! and those that are accepted are computed again, as part of the next run.

use wisp_graph::{MAX_DRAFTS, PAGE, StepToken};

use super::{Planned, Running, SampledRow, Scheduler, row};

/// Tokens of a run with draft tokens: steps of so many have a plan of their own, and on GPUs take
/// hardly longer than steps of one.
const RUN: usize = 1 + MAX_DRAFTS;

impl<C> Running<C> {
    /// Where its tokens begin that are not computed, or whose state is not.
    fn uncomputed(&self) -> usize {
        if self.in_prefill() { self.fed } else { self.position() }
    }
}

impl<C> Scheduler<'_, C> {
    /// The sequence that is alone, and how many draft tokens a step of it may have: none where it
    /// has much else to compute, or where they would be for nothing.
    pub fn draft_room(&self) -> Option<(usize, usize)> {
        let (slot, running) = self.only_one()?;
        let sequence = &running.sequence;
        if sequence.wants_logits || running.in_prefill() && running.fed <= sequence.prompt {
            return None;
        }
        let known = sequence.tokens.len();
        let left = sequence.max_tokens.saturating_sub(sequence.answered() + 1);
        let room = self.limits.ctx.saturating_sub(known);
        let run = RUN.saturating_sub(known.saturating_sub(running.uncomputed()));
        let mut most = left.min(room).min(run).min(MAX_DRAFTS);
        if self.blocks.snapshots.is_some() {
            // Its next run ends with a block at most, so that a snapshot is taken there.
            let end = (known / PAGE + 1) * PAGE;
            let crosses = running.uncomputed() / PAGE < (known - 1) / PAGE;
            most = if crosses { 0 } else { most.min(end - known - 1) };
        }
        (most > 0).then_some((slot, most))
    }

    /// A step of the sequence in `slot`, of which nothing may be in flight: its next token and
    /// behind it `drafts`, at most [`Self::draft_room`]. Where no blocks are left: `None`.
    pub fn plan_drafts(&mut self, slot: usize, drafts: &[u32]) -> Option<Planned> {
        let running = self.slots.get_mut(slot)?.as_mut()?;
        let (first, known) = (running.uncomputed(), running.sequence.tokens.len());
        if first >= known || drafts.is_empty() {
            return None;
        }
        let end = known + drafts.len();
        // Behind the last one a token is sampled that may be computed with others.
        let positions = self.limits.ctx.min(end + 1);
        self.blocks.allocate(&mut running.blocks, positions).ok()?;
        let mut planned = Planned { drafts: drafts.len(), ..Planned::default() };
        planned.begin(slot, running);
        planned.restores = std::mem::take(&mut self.restores);
        let (sequence, long) = (&running.sequence, running.blocks.long());
        let certain = StepToken::run(&sequence.tokens[first..], first, slot as u32);
        let behind = StepToken::run(drafts, known, slot as u32);
        let behind = behind.map(|token| StepToken { draft: true, ..token });
        planned.tokens.extend(certain.chain(behind).map(|token| token.with_long(long)));
        planned.outputs.extend((known - 1 - first..end - first).map(|row| row as u32));
        let rows = std::iter::once(None).chain(drafts.iter().copied().map(Some)).enumerate();
        let rows = rows.map(|(at, draft)| SampledRow { draft, drafts: at, ..row(slot, running) });
        planned.sampled.extend(rows);
        // State in slots stops before the draft tokens: there a block ends.
        if known.is_multiple_of(PAGE)
            && running.snapshot.is_none()
            && let Some(snapshots) = &mut self.blocks.snapshots
            && let Some(snapshot) = snapshots.take()
        {
            planned.saves.push((slot, snapshot));
        }
        if running.in_prefill() {
            (running.fed, running.sampled) = (running.known, 0);
        }
        running.sampled += 1 + drafts.len();
        running.drafts = drafts.len();
        Some(planned)
    }

    /// Behind a step with draft tokens, before what was accepted is pushed: the last `n` tokens
    /// that were sampled for a row's sequence are void. Their blocks are free again; state in
    /// slots has seen no draft token, so that those accepted are yet to be computed for it.
    pub fn roll_back(&mut self, row: &SampledRow, n: usize) {
        if !self.is_current(row) {
            return;
        }
        let Some(running) = &mut self.slots[row.slot] else { return };
        let computed = running.position() - std::mem::take(&mut running.drafts);
        running.sampled = running.sampled.saturating_sub(n);
        let known = running.position() + 1;
        if self.blocks.snapshots.is_some() && known > computed + 1 {
            (running.known, running.fed, running.sampled) = (known, computed, 0);
        }
        self.keep_blocks(row.slot, known);
    }

    /// Frees the blocks of the sequence in a slot behind its first `positions` positions.
    pub(super) fn keep_blocks(&mut self, slot: usize, positions: usize) {
        let Some(running) = &mut self.slots[slot] else { return };
        self.blocks.roll_back(&mut running.blocks, positions);
        running.written = running.written.min(running.blocks.list.len());
    }
}

/// How many of a step's rows count, by the tokens that they sampled: behind a draft token only
/// while it is what the row before it sampled.
pub fn accepted(rows: &[SampledRow], tokens: &[u32]) -> usize {
    let before = std::iter::once(None).chain(tokens.iter().copied().map(Some));
    rows.iter()
        .zip(before)
        .take_while(|(row, before)| row.draft.is_none() || row.draft == *before)
        .count()
}
