// Step data: what changes from step to step. Written by graph/src/step.rs, whose
// word offsets these are.
@group(0) @binding(0) var<storage, read> step: array<u32>;

// Entries of a sequence in `sampled`: what it sampled behind no draft token, then behind each.
const SAMPLED_EACH: u32 = 8u;

// Tokens in this step.
fn step_tokens() -> u32 {
    return step[0];
}

// Rows of logits in this step.
fn step_outputs() -> u32 {
    return step[1];
}

// Into how many splits decode attention cuts the context.
fn step_splits() -> u32 {
    return step[2];
}

fn step_token_id(token: u32) -> u32 {
    return step[8u + 4u * token];
}

fn step_position(token: u32) -> u32 {
    return step[8u + 4u * token + 1u];
}

fn step_sequence(token: u32) -> u32 {
    return step[8u + 4u * token + 2u] & 0x3fffffffu;
}

// Whether it is a draft token, which may turn out not to be what is sampled there.
fn step_is_draft(token: u32) -> bool {
    return (step[8u + 4u * token + 2u] & 0x40000000u) != 0u;
}

// How many draft tokens there are up to a token, itself included; they follow one that is none.
fn step_drafts(token: u32) -> u32 {
    var count = 0u;
    while (step_is_draft(token - count)) {
        count++;
    }
    return count;
}

// Whether its sequence turns by the frequencies for long contexts.
fn step_is_long(token: u32) -> bool {
    return step[8u + 4u * token + 2u] > 0x7fffffffu;
}

// How many positions, from the first on, the token may see.
fn step_seen(token: u32) -> u32 {
    return step[8u + 4u * token + 3u];
}

// Which token the row `output` of the logits belongs to.
fn step_output_token(output: u32) -> u32 {
    return step[step[4] + output];
}

// Tile of queries for prefill attention: first token and count, all of one sequence.
fn step_tile(tile: u32) -> vec2<u32> {
    let at = step[5] + 2u * tile;
    return vec2(step[at], step[at + 1u]);
}

// Runs of this step.
fn step_runs() -> u32 {
    return step[7];
}

// Run for recurrent operations: first token and count of neighbours of one sequence, and how
// many of them are no draft tokens: state in slots stops behind those.
fn step_run(run: u32) -> vec3<u32> {
    let at = step[6] + 3u * run;
    return vec3(step[at], step[at + 1u], step[at + 2u]);
}
