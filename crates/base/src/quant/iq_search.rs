//! What the encoders of the formats with grids (`iq_encode.rs`) look for: entries and scales.
//!
//! A table lists, for every tuple of levels, the entries of the grid that are nearest.
//! So given a scale, a group's entry is found by rounding to levels and comparing the
//! few entries of that list; given the entries, the best scale is a quotient of sums.
//! Each part of a block tries some scales so. Then the scales are rounded to what the
//! block stores, in units of a common one, which is fitted in turn.

use super::grids::numbers;
use super::inverse;
use super::k::SUPER;
use crate::Format;
use half::f16;

/// Entries of `G` values, and how to find one.
pub(super) struct Grid<const G: usize> {
    /// The lowest level, and levels a unit above it.
    first: f32,
    per_unit: f32,
    /// The highest level's value, and its number.
    high: f32,
    top: f32,
    entries: Vec<[f32; G]>,
    /// For each tuple of levels, the numbers of `listed` entries.
    near: Vec<u16>,
    listed: usize,
}

/// What the best entries for a scale come to: `Σ w·x·v` and `Σ w·v²`.
#[derive(Clone, Copy, Default)]
struct Sums {
    xv: f32,
    vv: f32,
}

impl Sums {
    /// How much less the squared error is than that of zeros, with this scale.
    fn gain(self, scale: f32) -> f32 {
        scale * (2.0 * self.xv - scale * self.vv)
    }
}

/// An entry's number, and by how much its values are moved.
pub(super) type Entry = (u16, f32);

impl<const G: usize> Grid<G> {
    /// With so many entries listed as near a tuple.
    pub fn new(format: Format, listed: usize) -> Self {
        let values = numbers(format);
        let mut levels = values.clone();
        levels.sort_unstable();
        levels.dedup();
        let level = |value: i8| levels.partition_point(|level| *level < value) as u8;
        let entries = values.as_chunks::<G>().0;
        let digits: Vec<[u8; G]> = entries.iter().map(|entry| entry.map(level)).collect();
        let mut near = Vec::new();
        let mut keys = Vec::with_capacity(digits.len());
        for number in 0..levels.len().pow(G as u32) {
            let mut rest = number;
            let tuple: [u8; G] = std::array::from_fn(|_| {
                let digit = (rest % levels.len()) as u8;
                rest /= levels.len();
                digit
            });
            keys.clear();
            keys.extend(digits.iter().zip(0u32..).map(|(entry, at)| {
                let apart = entry.iter().zip(tuple).map(|(a, b)| a.abs_diff(b));
                apart.map(|d| u32::from(d) * u32::from(d)).sum::<u32>() << 16 | at
            }));
            keys.select_nth_unstable(listed);
            near.extend(keys[..listed].iter().map(|key| *key as u16));
        }
        let (first, second, high) = (levels[0], levels[1], levels[levels.len() - 1]);
        Self {
            first: f32::from(first),
            per_unit: 1.0 / (f32::from(second) - f32::from(first)),
            high: f32::from(high),
            top: (levels.len() - 1) as f32,
            entries: entries.iter().map(|entry| entry.map(f32::from)).collect(),
            near,
            listed,
        }
    }

    /// The best listed entry for `x ≈ scale·(entry + shift)`, with any of the shifts.
    fn choose(&self, x: &[f32; G], w: &[f32; G], scale: f32, shifts: &[f32]) -> Entry {
        let inverse = inverse(scale);
        let mut best = f32::INFINITY;
        let mut found = (0, 0.0);
        for shift in shifts {
            let (mut linear, mut square) = ([0.0; G], [0.0; G]);
            let (mut tuple, mut zeros) = (0, 0.0);
            for at in (0..G).rev() {
                let x = x[at] - scale * shift;
                let level = (x * inverse - self.first) * self.per_unit + 0.5;
                tuple = tuple * (self.top as usize + 1) + level.clamp(0.0, self.top) as usize;
                linear[at] = -2.0 * scale * w[at] * x;
                square[at] = scale * scale * w[at];
                zeros += w[at] * x * x;
            }
            for number in &self.near[tuple * self.listed..][..self.listed] {
                let entry = &self.entries[usize::from(*number)];
                // Four sums at once: the compiler may not reorder one.
                let mut terms = [0.0; 4];
                for at in 0..G {
                    terms[at % 4] += entry[at] * (linear[at] + square[at] * entry[at]);
                }
                let error = zeros + (terms[0] + terms[1]) + (terms[2] + terms[3]);
                if error < best {
                    (best, found) = (error, (*number, *shift));
                }
            }
        }
        found
    }

    /// The best entries of a part for a scale.
    fn entries(&self, part: &Part, scale: f32, shifts: &[f32], into: &mut [Entry]) -> Sums {
        let mut sums = Sums::default();
        let groups = part.x.as_chunks().0.iter().zip(part.w.as_chunks().0);
        for ((x, w), into) in groups.zip(into) {
            *into = self.choose(x, w, scale, shifts);
            for ((x, w), v) in x.iter().zip(w).zip(&self.entries[usize::from(into.0)]) {
                let v = v + into.1;
                sums.xv += w * x * v;
                sums.vv += w * v * v;
            }
        }
        sums
    }

    /// A part's best scale and what it gains.
    fn fit(&self, part: &Part, plan: &Plan, shifts: &[f32]) -> (f32, f32) {
        let max = part.x.iter().fold(0f32, |max, x| max.max(x.abs()));
        let mut into = [(0, 0.0); 8];
        let mut best = (0.0, 0.0);
        let mut attempt = |scale: f32, best: &mut (f32, f32)| {
            let sums = self.entries(part, scale, shifts, &mut into);
            let scale = sums.xv * inverse(sums.vv);
            if scale > 0.0 && sums.gain(scale) > best.1 {
                *best = (scale, sums.gain(scale));
            }
        };
        let mut scale = plan.largest * max / self.high;
        for _ in 0..plan.scales {
            attempt(scale, &mut best);
            scale *= plan.ratio;
        }
        for _ in 0..2 {
            attempt(best.0, &mut best);
        }
        best
    }

    /// Stores a part whose scale is a multiple of `d`, one near `scale`: that multiple.
    fn round(
        &self,
        part: &Part,
        plan: &Plan,
        scale: f32,
        d: f32,
        entries: &mut [Entry],
    ) -> (f32, Sums) {
        let near = ((scale * inverse(d) - 1.0) / 2.0).round().clamp(0.0, plan.most);
        let mut best = (f32::NEG_INFINITY, 1.0, Sums::default());
        for number in [near, near - 1.0, near + 1.0] {
            if !(0.0..=plan.most).contains(&number) {
                continue;
            }
            let times = 2.0 * number + 1.0;
            for shifts in plan.shifts {
                let mut into = [(0, 0.0); 8];
                let sums = self.entries(part, d * times, shifts, &mut into);
                if sums.gain(d * times) > best.0 {
                    best = (sums.gain(d * times), times, sums);
                    entries.copy_from_slice(&into[..entries.len()]);
                }
            }
        }
        (best.1, best.2)
    }
}

/// How often the common scale is fitted.
const ROUNDS: usize = 2;

/// Some weights with a scale of their own, and what their errors weigh.
struct Part<'a> {
    x: &'a [f32],
    w: &'a [f32],
}

/// Where signs are stored.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Signs {
    /// In the grid.
    None,
    /// A bit a weight.
    Free,
    /// Seven for eight weights, the number of negatives being even.
    Even,
}

/// How a format differs.
pub(super) struct Plan {
    pub signs: Signs,
    /// Weights that share a scale.
    pub each: usize,
    /// Scales are `unit·(2·number + 1)` times `d`; the greatest number.
    pub most: f32,
    pub unit: f32,
    /// Sets of shifts: a part takes one, each of its groups one of that.
    pub shifts: &'static [&'static [f32]],
    /// Scales that are tried: the first maps the largest weight to the highest level
    /// over `largest`; each next is `ratio` of it.
    pub largest: f32,
    pub ratio: f32,
    pub scales: usize,
}

/// What a block stores, before it is packed.
pub(super) struct Found {
    pub d: f16,
    pub numbers: [u8; 16],
    pub entries: [Entry; 64],
    pub signs: [u8; 32],
}

/// Squared errors of large weights count more. SmolLM2 135M as `iq2_m` without importance
/// has a perplexity of 86 so; 134 if all count alike, 168 by squares, as in ggml.
fn error_weights(x: &[f32; SUPER], importance: &[f32; SUPER]) -> [f32; SUPER] {
    let mean = x.iter().map(|x| x * x).sum::<f32>() / SUPER as f32;
    let most = importance.iter().copied().fold(0.0, f32::max);
    let known = most > 0.0 && most.is_finite();
    std::array::from_fn(|at| {
        let importance = if known { importance[at] / most } else { 1.0 };
        importance * (2.0 * mean + x[at] * x[at]).sqrt()
    })
}

/// Makes signs positive, eight at a time. Where their number must be even, a weight
/// that matters least stays negative, or becomes so.
fn take_signs(x: &mut [f32; 8], w: &[f32; 8], rule: Signs) -> u8 {
    let mut signs = 0;
    for (at, x) in x.iter_mut().enumerate() {
        signs |= u8::from(*x < 0.0) << at;
        *x = x.abs();
    }
    if rule == Signs::Even && signs.count_ones() % 2 == 1 {
        let cost = |at: &usize| w[*at] * x[*at];
        if let Some(at) = (0..8).min_by(|a, b| cost(a).total_cmp(&cost(b))) {
            signs ^= 1 << at;
            x[at] = -x[at];
        }
    }
    signs
}

/// `None` where the scale is no finite f16.
pub(super) fn find<const G: usize>(
    grid: &Grid<G>,
    plan: &Plan,
    x: &[f32; SUPER],
    importance: &[f32; SUPER],
) -> Option<Found> {
    let mut found = Found {
        d: f16::ZERO,
        numbers: [0; 16],
        entries: [(0, plan.shifts[0][0]); 64],
        signs: [0; 32],
    };
    let max = x.iter().fold(0f32, |max, x| max.max(x.abs()));
    // Far below what the scale can hold, where the largest is made 1.
    if max < 1e-30 {
        return Some(found);
    }
    let mut x = x.map(|x| x / max);
    let w = error_weights(&x, importance);
    if plan.signs != Signs::None {
        let eights = x.as_chunks_mut().0.iter_mut().zip(w.as_chunks().0);
        for (signs, (x, w)) in found.signs.iter_mut().zip(eights) {
            *signs = take_signs(x, w, plan.signs);
        }
    }
    let parts = || {
        let parts = x.chunks_exact(plan.each).zip(w.chunks_exact(plan.each));
        parts.map(|(x, w)| Part { x, w })
    };
    let mut scales = [0f32; 16];
    for (part, scale) in parts().zip(&mut scales) {
        let fits = plan.shifts.iter().map(|shifts| grid.fit(&part, plan, shifts));
        *scale = fits.reduce(|a, b| if b.1 > a.1 { b } else { a })?.0;
    }
    let mut d = scales.iter().copied().fold(0.0, f32::max) / (2.0 * plan.most + 1.0);
    for _ in 0..ROUNDS {
        found.d = f16::from_f32(d * max / plan.unit);
        if !found.d.is_finite() {
            return None;
        }
        let stored = found.d.to_f32() * plan.unit / max;
        let mut total = Sums::default();
        let into = found.numbers.iter_mut().zip(found.entries.chunks_mut(plan.each / G));
        for ((part, scale), (number, entries)) in parts().zip(scales).zip(into) {
            let (times, sums) = grid.round(&part, plan, scale, stored, entries);
            *number = times as u8 / 2;
            total.xv += times * sums.xv;
            total.vv += times * times * sums.vv;
        }
        d = (total.xv * inverse(total.vv)).max(0.0);
    }
    Some(found)
}
