//! Fusion: a tape of plain operations becomes one with fewer dispatches and the same results.
//!
//! Twice. When a model is loaded, [`fuse`] applies rules that change weights: matrices are
//! stacked and interleaved. When the tape is lowered, [`link`] lets products take in what is
//! before and behind them, as far as the adapter and the size of the step allow it.

use wisp_base::Result;

use crate::fused::Fused;
use crate::lower::{Lists, Lower, Lowered, PlanKey, Target};
use crate::tape::{Node, Tape, ValueId};

/// A rewriting of a tape that changes no result.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// For people, in errors.
    pub name: &'static str,
    /// Rewrites what is around node number so-and-so, if the pattern ends there; says whether it
    /// did.
    pub rewrite: fn(&mut Tape, usize) -> Result<bool>,
}

/// Applies each rule wherever it can be, one rule after the other.
///
/// # Errors
/// Those of the rules: what they make does not fit together.
pub fn fuse(mut tape: Tape, rules: &[Rule]) -> Result<Tape> {
    for rule in rules {
        let mut at = 0;
        while at < tape.nodes().len() {
            let before = tape.nodes().len();
            if (rule.rewrite)(&mut tape, at).map_err(|e| e.within(rule.name))? {
                // What replaces several nodes stands where the last of them was.
                at = (at + tape.nodes().len()).saturating_sub(before);
            }
            at += 1;
        }
    }
    tape.drop_unused();
    Ok(tape)
}

/// Lets products take in the operations before and behind them.
///
/// # Errors
/// Those of an operation.
pub fn link(tape: &Tape, target: &Target, key: PlanKey) -> Result<Tape> {
    let mut tape = tape.clone();
    if target.links {
        let mut at = 0;
        while at < tape.nodes().len() {
            at = if link_output(&mut tape, at, target, key)? { at } else { at + 1 };
        }
        let mut at = 0;
        while at < tape.nodes().len() {
            at = if link_input(&mut tape, at, target, key)? { at } else { at + 1 };
        }
    }
    Ok(tape)
}

/// Node `at` becomes the output of the product that makes its input 0.
fn link_output(tape: &mut Tape, at: usize, target: &Target, key: PlanKey) -> Result<bool> {
    let node = &tape.nodes()[at];
    let Some(input) = node.inputs.first() else { return Ok(false) };
    let Some(product) = tape.maker(*input) else { return Ok(false) };
    if tape.only_reader(*input) != Some((at, 0)) {
        return Ok(false);
    }
    let (mut lowered, mut lists) = (Lowered::default(), Lists::new());
    let mut lower = Lower::new(tape, target, key, node, &mut lowered, &mut lists);
    let Some(link) = node.op.as_output(&lower)? else { return Ok(false) };
    let over = link.in_place.map(|input| node.inputs[input]);
    if over.is_some_and(|over| tape.is_kept(over) || tape.readers(over).any(|(by, _)| by > at)) {
        return Ok(false);
    }
    let main = &tape.nodes()[product];
    let reads_over = over
        .is_some_and(|over| main.inputs.iter().any(|input| tape.root(*input) == tape.root(over)));
    if reads_over || overwritten(tape, main, product + 1..at) {
        return Ok(false);
    }
    let mut product_at = lower.at(main, main.op.name());
    product_at.links = [None, Some(&link)];
    if !main.op.takes(&product_at)? {
        return Ok(false);
    }
    let fused = Fused::node(&[main, node], 0);
    if let (Some(value), Some(over)) = (fused.output, over) {
        tape.set_over(value, over);
    }
    tape.replace(&[product, at], vec![fused]);
    Ok(true)
}

/// Node `at` becomes the input of all the products that read its value.
fn link_input(tape: &mut Tape, at: usize, target: &Target, key: PlanKey) -> Result<bool> {
    let node = &tape.nodes()[at];
    let Some(value) = node.output.filter(|value| !tape.is_kept(*value)) else { return Ok(false) };
    let readers: Vec<_> = tape.readers(value).collect();
    let (mut lowered, mut lists) = (Lowered::default(), Lists::new());
    let mut lower = Lower::new(tape, target, key, node, &mut lowered, &mut lists);
    let Some(link) = node.op.as_input(&mut lower)? else { return Ok(false) };
    // What is dispatched for a link is dispatched once.
    let once = !lower.has_dispatches();
    if readers.is_empty() || (readers.len() > 1 && !once) {
        return Ok(false);
    }
    for (reader, input) in &readers {
        let whole = &tape.nodes()[*reader];
        let fused = whole.is::<Fused>();
        let main = fused.map_or_else(|| whole.clone(), |fused| fused.product(whole));
        let is_input = *input == 0 && main.inputs.first() == Some(&value);
        // The reader may overwrite it too.
        let twice = reads(whole, value) > 1;
        if !is_input || twice || overwritten(tape, node, at + 1..*reader + 1) {
            return Ok(false);
        }
        let output = match fused.and_then(|fused| fused.output(whole)) {
            Some(output) => output.op.as_output(&lower.at(&output, output.op.name()))?,
            None => None,
        };
        let mut lower = lower.at(&main, main.op.name());
        lower.links = [Some(&link), output.as_ref()];
        if !main.op.takes(&lower)? {
            return Ok(false);
        }
    }
    let node = node.clone();
    for (reader, _) in readers {
        let fused = Fused::node(&[&node, &tape.nodes()[reader]], 1);
        tape.replace(&[reader], vec![fused]);
    }
    tape.replace(&[at], Vec::new());
    Ok(true)
}

/// How often `node`, or what it is made of, reads `value`.
fn reads(node: &Node, value: ValueId) -> usize {
    let own = node.inputs.iter().filter(|id| **id == value).count();
    node.is::<Fused>().map_or(own, |fused| fused.reads(value))
}

/// Whether one of the nodes `between` overwrites what `node` reads.
fn overwritten(tape: &Tape, node: &Node, between: std::ops::Range<usize>) -> bool {
    let root = |id: &ValueId| tape.root(*id);
    let reads: Vec<_> = node.inputs.iter().map(root).collect();
    let made = tape.nodes()[between].iter().filter_map(|node| node.output);
    made.filter(|id| tape.over(*id).is_some()).any(|id| reads.contains(&tape.root(id)))
}
