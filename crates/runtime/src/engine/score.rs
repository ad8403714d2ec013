//! Given tokens, not drawn ones: their logits, and how likely each was.

use wisp_base::{Error, Result};
use wisp_graph::{Step, StepToken};
use wisp_ops::splits;

use crate::Engine;
use crate::engine::generate::check_tokens;
use crate::engine::logprobs::log_sum_exp;
use crate::request::Cancel;
use crate::state::BlockTable;

impl Engine {
    /// Raw logits, `[positions, vocab]` row by row: every position with `all`, else the last.
    /// `chunk`: at most so many tokens per step. An encoder's hidden states, `[positions,
    /// width]`: it reads all tokens in one step.
    ///
    /// # Errors
    /// Tokens that are not in the vocabulary or too many; a device that failed.
    pub async fn logits(
        &mut self,
        tokens: &[u32],
        all: bool,
        chunk: Option<usize>,
    ) -> Result<Vec<f32>> {
        let mut logits = Vec::new();
        let first = if all { 0 } else { tokens.len().saturating_sub(1) };
        let whole = (tokens, tokens.len());
        self.score(whole, first, chunk, &Cancel::default(), &mut |rows| {
            logits.extend_from_slice(rows);
        })
        .await?;
        Ok(logits)
    }

    /// `nll[i] = -ln p(tokens[i + 1] | tokens[..=i])`, one entry fewer than tokens.
    ///
    /// # Errors
    /// As [`Self::logits`]; [`Error::Cancelled`].
    pub async fn nll(&mut self, tokens: &[u32], cancel: &Cancel) -> Result<Vec<f64>> {
        self.nll_from(tokens, 1, cancel).await
    }

    /// `-ln p(tokens[i] | tokens[..i])` for each `i` from `first` on, which is at least 1.
    ///
    /// # Errors
    /// As [`Self::nll`].
    pub async fn nll_from(
        &mut self,
        tokens: &[u32],
        first: usize,
        cancel: &Cancel,
    ) -> Result<Vec<f64>> {
        self.expect_decoder()?;
        let vocab = self.vocab();
        let mut nll = Vec::new();
        let fed = tokens.len().saturating_sub(1);
        let first = first.max(1);
        let whole = (&tokens[..fed], tokens.len());
        self.score(whole, first - 1, None, cancel, &mut |rows| {
            for row in rows.chunks_exact(vocab) {
                let next = tokens.get(nll.len() + first).map_or(0, |token| *token as usize);
                let own = row.get(next).map_or(f64::NEG_INFINITY, |logit| f64::from(*logit));
                nll.push(log_sum_exp(row) - own);
            }
        })
        .await?;
        Ok(nll)
    }

    /// Runs `tokens` as one new sequence that is part of one of `length` tokens; `rows` sees the
    /// logits of the positions from `first` on, as they come.
    async fn score(
        &mut self,
        (tokens, length): (&[u32], usize),
        first: usize,
        chunk: Option<usize>,
        cancel: &Cancel,
        rows: &mut dyn FnMut(&[f32]),
    ) -> Result<()> {
        check_tokens(tokens, self.vocab(), self.ctx())?;
        if chunk == Some(0) {
            return Err(Error::input("chunk must be at least 1 token"));
        }
        let mut pages = BlockTable::default();
        self.blocks.allocate(&mut pages, tokens.len())?;
        let long = self.stepper.decoder.is_long(length);
        let tokens: Vec<_> = StepToken::run(tokens, 0, 0).map(|t| t.with_long(long)).collect();
        let result = self.score_in(&pages, &tokens, first, chunk, cancel, rows).await;
        self.blocks.free(pages);
        result
    }

    async fn score_in(
        &mut self,
        pages: &BlockTable,
        tokens: &[StepToken],
        wanted: usize,
        chunk: Option<usize>,
        cancel: &Cancel,
        rows: &mut dyn FnMut(&[f32]),
    ) -> Result<()> {
        self.stepper.write_pages(0, 0, &pages.list);
        let several = wanted + 1 < tokens.len();
        let most = if several { self.stepper.most_scored() } else { self.stepper.most_tokens() };
        let bidirectional = self.is_encoder();
        let each = if bidirectional { tokens.len() } else { chunk.unwrap_or(most).min(most) };
        for (number, part) in tokens.chunks(each).enumerate() {
            if cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
            let first = number * each;
            let end = first + part.len();
            let outputs = (wanted.saturating_sub(first)..part.len()).map(|row| row as u32);
            let step = Step {
                tokens: part.to_vec(),
                outputs: outputs.collect(),
                splits: splits(&self.stepper.target.tuning, end),
            };
            let step = if bidirectional { step.bidirectional() } else { step };
            rows(&self.stepper.logits(&step).await?);
        }
        Ok(())
    }
}
