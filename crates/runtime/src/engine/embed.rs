//! One vector a text: an encoder's hidden states, pooled.

use wisp_base::{Error, Result};
use wisp_graph::{PAGE, Step, StepToken};
use wisp_models::{Embedding, Pooling};
use wisp_ops::splits;

use crate::engine::Engine;
use crate::engine::generate::check_tokens;
use crate::state::BlockTable;

/// One vector of hidden states `[tokens, width]`; at least one token.
fn pool(pooling: Pooling, rows: &[f32], width: usize) -> Vec<f32> {
    match pooling {
        Pooling::Cls => rows[..width].to_vec(),
        Pooling::Last => rows[rows.len() - width..].to_vec(),
        Pooling::Mean => {
            let mut sums = vec![0f64; width];
            for row in rows.chunks_exact(width) {
                for (sum, x) in sums.iter_mut().zip(row) {
                    *sum += f64::from(*x);
                }
            }
            let count = (rows.len() / width) as f64;
            sums.into_iter().map(|sum| (sum / count) as f32).collect()
        }
    }
}

impl Engine {
    /// A vector a text, pooled as `settings` ask; as many texts a step as fit.
    ///
    /// # Errors
    /// The model is no encoder; a text of no tokens, or of more than the context; a device
    /// that failed.
    pub async fn embed(
        &mut self,
        texts: &[Vec<u32>],
        settings: &Embedding,
    ) -> Result<Vec<Vec<f32>>> {
        if !self.is_encoder() {
            return Err(Error::unsupported(format!(
                "the model is a decoder ({}), of which this version makes no embeddings: use an \
                 encoder such as minilm",
                self.architecture()
            )));
        }
        for text in texts {
            check_tokens(text, self.vocab(), self.ctx())?;
        }
        let mut all = Vec::with_capacity(texts.len());
        let mut rest = texts;
        while !rest.is_empty() {
            let (mut count, mut pages, mut tokens) = (0, 0, 0);
            for text in rest.iter().take(self.stepper.sequences) {
                pages += text.len().div_ceil(PAGE);
                tokens += text.len();
                // The first always fits: its length was checked.
                if count > 0 && (pages > self.blocks.available() || tokens > self.ctx()) {
                    break;
                }
                count += 1;
            }
            let (now, later) = rest.split_at(count);
            rest = later;
            let width = self.columns();
            let hidden = self.hidden(now).await?;
            let mut at = 0;
            for text in now {
                let rows = &hidden[at..at + text.len() * width];
                at += rows.len();
                let mut vector = pool(settings.pooling, rows, width);
                if settings.normalize {
                    let length = vector.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
                    let scale = 1.0 / length.max(1e-12);
                    vector.iter_mut().for_each(|x| *x = (f64::from(*x) * scale) as f32);
                }
                all.push(vector);
            }
        }
        Ok(all)
    }

    /// Hidden states of some texts in one step, row by row.
    async fn hidden(&mut self, texts: &[Vec<u32>]) -> Result<Vec<f32>> {
        let mut held = Vec::new();
        let mut result = Ok(());
        for text in texts {
            let mut pages = BlockTable::default();
            result = self.blocks.allocate(&mut pages, text.len());
            self.stepper.write_pages(held.len(), 0, &pages.list);
            held.push(pages);
            if result.is_err() {
                break;
            }
        }
        let tokens: Vec<_> =
            (0u32..).zip(texts).flat_map(|(at, text)| StepToken::run(text, 0, at)).collect();
        let longest = texts.iter().map(Vec::len).max().unwrap_or(0);
        let step = Step {
            outputs: (0..tokens.len() as u32).collect(),
            tokens,
            splits: splits(&self.stepper.target.tuning, longest),
        }
        .bidirectional();
        let hidden = match result {
            Ok(()) => self.stepper.logits(&step).await,
            Err(error) => Err(error),
        };
        held.into_iter().for_each(|pages| self.blocks.free(pages));
        hidden
    }
}
