//! ln p of tokens, from a row of logits.

use crate::engine::queue::Logprobs;

/// Most alternatives that may be asked for, as in the OpenAI API.
pub const MOST: usize = 20;

/// ln Σ eˣ of a row of logits: what is to be taken off a logit to have ln p.
pub fn log_sum_exp(logits: &[f32]) -> f64 {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|logit| f64::from(logit - largest).exp()).sum();
    f64::from(largest) + sum.ln()
}

/// Of the drawn token and the `top` likeliest.
pub fn of(logits: &[f32], token: u32, top: usize) -> Logprobs {
    let all = log_sum_exp(logits);
    let logprob = |logit: f32| (f64::from(logit) - all) as f32;
    // Of equals the first one, as the sampler takes it.
    let better =
        |a: &u32, b: &u32| logits[*b as usize].total_cmp(&logits[*a as usize]).then(a.cmp(b));
    let mut order: Vec<u32> = (0..logits.len() as u32).collect();
    let top = top.min(order.len());
    if top > 0 && top < order.len() {
        order.select_nth_unstable_by(top - 1, better);
    }
    order.truncate(top);
    order.sort_by(better);
    Logprobs {
        logprob: logits.get(token as usize).map_or(f32::NEG_INFINITY, |logit| logprob(*logit)),
        top: order.into_iter().map(|id| (id, logprob(logits[id as usize]))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_come_first_and_probabilities_add_up_to_one() {
        let logits = [0.5, 2.0, -1.0, 2.0, 7.0f32.ln()];
        let found = of(&logits, 0, 3);
        let ids: Vec<u32> = found.top.iter().map(|(id, _)| *id).collect();
        assert_eq!(ids, [1, 3, 4]);
        let all = of(&logits, 2, 9);
        let sum: f32 = all.top.iter().map(|(_, logprob)| logprob.exp()).sum();
        assert!((sum - 1.0).abs() < 1e-6, "{sum}");
        assert_eq!(all.top.len(), 5);
        assert_eq!(all.logprob, all.top[4].1);
        assert_eq!(of(&logits, 1, 0).top, []);
    }
}
