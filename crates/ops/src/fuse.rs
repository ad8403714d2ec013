//! The rules that are applied to a model's tape when it is loaded: products that read the same
//! input become one, by stacking or interleaving their matrices, and what has a kernel of its own
//! becomes one operation. What products do with the operations around them is decided for each
//! adapter and size of step, in `graph/src/fuse.rs`.

use wisp_base::Result;
use wisp_graph::{Node, Part, Resource, ResourceId, Rule, Tape, ValueId, Vector, Weight};

use crate::{
    Add, AddNorm, AppendKv, Attention, Experts, Glu, Linear, QkNorm, RmsNorm, RopeAppend, Rotate,
};

/// In the order in which they are applied.
pub const RULES: [Rule; 3] = [
    Rule { name: "gate and up as one product", rewrite: gate_and_up },
    Rule { name: "queries, keys and values as one product, rotated and kept", rewrite: qkv },
    Rule { name: "norm and addition", rewrite: norm_and_add },
];

/// A tape with all rules applied: the same results in fewer dispatches.
///
/// # Errors
/// What rules make does not fit together.
pub fn fuse(tape: Tape) -> Result<Tape> {
    wisp_graph::fuse(tape, &RULES)
}

/// `glu(W_gate·x, W_up·x)` of two matrices of one format: their rows alternate in one, so that a
/// thread has gate and up of a result.
fn gate_and_up(tape: &mut Tape, at: usize) -> Result<bool> {
    let node = &tape.nodes()[at];
    let (Some(glu), [gate, up], Some(y)) = (node.is::<Glu>(), &node.inputs[..], node.output) else {
        return Ok(false);
    };
    let glu = Glu { interleaved: true, ..*glu };
    let only = |value: &ValueId| tape.only_reader(*value).and_then(|_| tape.maker(*value));
    let (Some(gate), Some(up)) = (only(gate), only(up)) else { return Ok(false) };
    let [of_gate, of_up] = [gate, up].map(|at| &tape.nodes()[at]);
    let linear = of_gate.is::<Linear>().filter(|op| Some(*op) == of_up.is()).copied();
    let experts = of_gate.is::<Experts>().filter(|op| Some(*op) == of_up.is()).copied();
    if of_gate.inputs != of_up.inputs || linear.is_none() && experts.is_none() {
        return Ok(false);
    }
    let inputs = of_gate.inputs.clone();
    let Some(resources) = interleaved(tape, &of_gate.resources, &of_up.resources) else {
        return Ok(false);
    };
    let resources: Vec<_> = resources.into_iter().map(|r| tape.resource(r)).collect();
    let product = match (linear, experts) {
        (Some(op), _) => tape.node(op, &inputs, &resources)?,
        (_, Some(op)) => tape.node(op, &inputs, &resources)?,
        _ => return Ok(false),
    };
    let Some(pairs) = product.output else { return Ok(false) };
    let unit = tape.node(glu, &[pairs], &[])?;
    let unit = tape.stand_for(unit, y);
    tape.replace(&[gate, up, at], vec![product, unit]);
    Ok(true)
}

/// Matrix and bias of two products with alternating rows, where they are of one form.
fn interleaved(tape: &Tape, gate: &[ResourceId], up: &[ResourceId]) -> Option<Vec<Resource>> {
    if gate.len() != up.len() {
        return None;
    }
    let pair = |(gate, up): (&ResourceId, &ResourceId)| match (tape.get(*gate), tape.get(*up)) {
        (Resource::Weight(a), Resource::Weight(b))
            if (a.format, a.rows, a.cols) == (b.format, b.rows, b.cols) =>
        {
            let parts = [only(&a.parts)?, only(&b.parts)?].to_vec();
            Some(Resource::Weight(Weight {
                parts,
                interleave: true,
                rows: 2 * a.rows,
                ..a.clone()
            }))
        }
        (Resource::Vector(a), Resource::Vector(b)) if a.len == b.len => {
            let parts = [only(&a.parts)?, only(&b.parts)?].to_vec();
            Some(Resource::Vector(Vector { parts, interleave: true, len: 2 * a.len }))
        }
        _ => None,
    };
    let all: Option<Vec<_>> = gate.iter().zip(up).map(pair).collect();
    // One matrix each, and its bias.
    all.filter(|all| all.iter().filter(|r| matches!(r, Resource::Weight(_))).count() == 1)
}

fn only(parts: &[Part]) -> Option<Part> {
    match parts {
        [part] => Some(part.clone()),
        _ => None,
    }
}

/// A product whose result only a norm of heads reads, or nothing but what asked for it.
struct Projection {
    product: usize,
    norm: Option<usize>,
}

impl Projection {
    /// What makes `value`, for its only reader.
    fn of(tape: &Tape, value: ValueId) -> Option<Self> {
        tape.only_reader(value)?;
        let maker = tape.maker(value)?;
        let node = &tape.nodes()[maker];
        let whole = |norm: &QkNorm| norm.queries * norm.query == tape.value(value).cols;
        if node.is::<QkNorm>().is_some_and(|norm| norm.keys == 0 && whole(norm)) {
            let inner = Self::of(tape, *node.inputs.first()?)?;
            return inner.norm.is_none().then_some(Self { norm: Some(maker), ..inner });
        }
        node.is::<Linear>()
            .is_some_and(|linear| linear.kind == Linear::PLAIN.kind)
            .then_some(Self { product: maker, norm: None })
    }
}

/// `rotate(q)`, `rotate(k)` and `append(k, v)`: one operation. Where q, k and v are products with
/// the same input, these are one too, with stacked matrices, and so are norms of q and k. Latent
/// attention has no v, and its q and k stay apart.
fn qkv(tape: &mut Tape, at: usize) -> Result<bool> {
    let Some(found) = Qkv::find(tape, at) else { return Ok(false) };
    let Qkv { rotated, queries, keys, values, table, cache, .. } = &found;
    let (table, cache) = (*table, *cache);
    let mut old = vec![rotated[0], rotated[1], at];
    let mut new = Vec::new();
    let op = RopeAppend {
        queries: found.rotate,
        kv_heads: found.append.kv_heads,
        values: values.is_some(),
    };
    let inputs = match values {
        None => vec![*queries, *keys],
        Some(values) => {
            let parts = [*queries, *keys, *values].map(|value| Projection::of(tape, value));
            let [Some(q), Some(k), Some(v)] = parts else { return Ok(false) };
            let products = [q.product, k.product, v.product];
            old.extend(products);
            let Some(product) = stacked(tape, products)? else { return Ok(false) };
            let Some(mut row) = product.output else { return Ok(false) };
            new.push(product);
            match (q.norm, k.norm, v.norm) {
                (None, None, None) => {}
                (Some(q), Some(k), None) => {
                    old.extend([q, k]);
                    let Some(norm) = normed(tape, row, q, k)? else { return Ok(false) };
                    row = norm.output.unwrap_or(row);
                    new.push(norm);
                }
                _ => return Ok(false),
            }
            vec![row]
        }
    };
    let rotated = tape.node(op, &inputs, &[table, cache])?;
    let rotated = tape.stand_for(rotated, found.output);
    new.push(rotated);
    tape.replace(&old, new);
    Ok(true)
}

/// What [`qkv`] finds before attention.
struct Qkv {
    append: AppendKv,
    /// Of queries.
    rotate: Rotate,
    /// Where queries and keys are rotated.
    rotated: [usize; 2],
    queries: ValueId,
    keys: ValueId,
    values: Option<ValueId>,
    /// The rotated queries.
    output: ValueId,
    table: ResourceId,
    cache: ResourceId,
}

impl Qkv {
    fn find(tape: &Tape, at: usize) -> Option<Self> {
        let node = &tape.nodes()[at];
        let append = *node.is::<AppendKv>()?;
        let cache = *node.resources.first()?;
        // The queries are those of the attention that reads the cache.
        let attends = |node: &&Node| {
            node.is::<Attention>().is_some() && node.resources.first() == Some(&cache)
        };
        let output = *tape.nodes().iter().skip(at).find(attends)?.inputs.first()?;
        let of_keys = tape.maker(*node.inputs.first()?)?;
        let of_queries = tape.maker(output)?;
        let [q, k] = [of_queries, of_keys].map(|at| &tape.nodes()[at]);
        let (rotate, rotate_keys) = (*q.is::<Rotate>()?, k.is::<Rotate>()?);
        let alike = rotate.rope == rotate_keys.rope
            && rotate_keys.temperature.is_none()
            && q.resources == k.resources
            && tape.only_reader(*node.inputs.first()?) == Some((at, 0));
        alike.then_some(Self {
            append,
            rotate,
            rotated: [of_queries, of_keys],
            queries: *q.inputs.first()?,
            keys: *k.inputs.first()?,
            values: node.inputs.get(1).copied(),
            output,
            table: *q.resources.first()?,
            cache,
        })
    }
}

/// Products with one input as one, whose rows follow each other: neighbours of one format are
/// one matrix.
fn stacked(tape: &mut Tape, products: [usize; 3]) -> Result<Option<Node>> {
    let nodes = products.map(|at| &tape.nodes()[at]);
    let [Some(first), ..] = nodes.map(|node| node.is::<Linear>().copied()) else {
        return Ok(None);
    };
    let alike =
        |node: &&Node| node.is::<Linear>() == Some(&first) && node.inputs == nodes[0].inputs;
    if !nodes.iter().all(alike) {
        return Ok(None);
    }
    let inputs = nodes[0].inputs.clone();
    let (mut weights, mut biases): (Vec<Weight>, Vec<&Vector>) = Default::default();
    for id in nodes.iter().flat_map(|node| &node.resources) {
        match tape.get(*id) {
            Resource::Weight(w) if !w.interleave => match weights.last_mut() {
                // Rows are written in whole words.
                Some(last)
                    if last.format == w.format
                        && last.rows.is_multiple_of(w.format.rows_together()) =>
                {
                    join(&mut last.parts, &w.parts);
                    last.rows += w.rows;
                }
                _ => weights.push(w.clone()),
            },
            Resource::Vector(vector) => biases.push(vector),
            _ => return Ok(None),
        }
    }
    let bias = behind_each_other(&biases);
    let mut resources: Vec<_> = weights.into_iter().map(Resource::Weight).collect();
    resources.extend(bias.map(Resource::Vector).filter(|_| first.bias));
    let resources: Vec<_> = resources.into_iter().map(|r| tape.resource(r)).collect();
    tape.node(first, &inputs, &resources).map(Some)
}

/// The norms of queries and of keys as one of the row that has both.
fn normed(tape: &mut Tape, row: ValueId, q: usize, k: usize) -> Result<Option<Node>> {
    let [q, k] = [q, k].map(|at| &tape.nodes()[at]);
    let (Some(of_q), Some(of_k)) = (q.is::<QkNorm>(), k.is::<QkNorm>()) else { return Ok(None) };
    let gain = |node: &Node| match node.resources.first().map(|id| tape.get(*id)) {
        Some(Resource::Vector(gain)) => Some(gain),
        _ => None,
    };
    let (Some(q_gain), Some(k_gain)) = (gain(q), gain(k)) else { return Ok(None) };
    let Some(gains) = behind_each_other(&[q_gain, k_gain]) else { return Ok(None) };
    if of_q.eps != of_k.eps {
        return Ok(None);
    }
    let op = QkNorm { keys: of_k.queries, key: of_k.query, ..of_q.clone() };
    let gains = tape.resource(Resource::Vector(gains));
    tape.node(op, &[row], &[gains]).map(Some)
}

/// Vectors as one, if none of them alternates.
fn behind_each_other(vectors: &[&Vector]) -> Option<Vector> {
    let mut all = Vector { parts: Vec::new(), interleave: false, len: 0 };
    for vector in vectors {
        if vector.interleave {
            return None;
        }
        join(&mut all.parts, &vector.parts);
        all.len += vector.len;
    }
    (!vectors.is_empty()).then_some(all)
}

/// Adds parts; rows that follow each other in one tensor are one part.
fn join(parts: &mut Vec<Part>, more: &[Part]) {
    for part in more {
        match parts.last_mut() {
            Some(last) if last.tensor == part.tensor && last.rows.end == part.rows.start => {
                last.rows.end = part.rows.end;
            }
            _ => parts.push(part.clone()),
        }
    }
}

/// `x + factor·rms_norm(h)`: one kernel, in place in x.
fn norm_and_add(tape: &mut Tape, at: usize) -> Result<bool> {
    let node = &tape.nodes()[at];
    let (Some(add), [normed, x], Some(y)) = (node.is::<Add>(), &node.inputs[..], node.output)
    else {
        return Ok(false);
    };
    let (factor, x) = (add.factor, *x);
    let Some(maker) = tape.only_reader(*normed).and_then(|_| tape.maker(*normed)) else {
        return Ok(false);
    };
    let of_norm = &tape.nodes()[maker];
    let Some(norm) = of_norm.is::<RmsNorm>().filter(|norm| !norm.outputs) else {
        return Ok(false);
    };
    if tape.is_kept(x) || tape.readers(x).any(|(reader, _)| reader > at) {
        return Ok(false);
    }
    let op = AddNorm { eps: norm.eps, factor };
    let (inputs, gain) = ([of_norm.inputs[0], x], of_norm.resources.clone());
    let sum = tape.node(op, &inputs, &gain)?;
    let sum = tape.stand_for(sum, y);
    tape.replace(&[maker, at], vec![sum]);
    Ok(true)
}
