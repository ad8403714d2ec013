// Logits with bias and penalties, in place, and what is to be known of every CHUNK of them.
// repetition: Keskar et al. 2019; presence, frequency: as the OpenAI API defines them.
//!import reduce
//!import lib/sampling
const THREADS: u32 = 64u;
const LANES: u32 = 1u;

// [sequences, VOCAB]: how often a token is in the answer; bit 31: it is in the prompt.
@group(0) @binding(4) var<storage, read> counts: array<u32>;
@group(0) @binding(5) var<storage, read> bias: array<f32>; // [sequences, VOCAB]
// [outputs, CHUNKS]: the largest logit, its token; where one is drawn also the sum of
// exp(logit - largest), and the token that the whole chunk would draw.
@group(0) @binding(6) var<storage, read_write> best: array<vec4f>;

// How often a token is among the last `drafts` tokens up to `last`, which count as sampled.
fn times_drafted(id: u32, last: u32, drafts: u32) -> u32 {
    var times = 0u;
    for (var i = 0u; i < drafts; i++) {
        times += select(0u, 1u, step_token_id(last - i) == id);
    }
    return times;
}

fn adjusted(logit: f32, own: Settings, at: u32, drafted: u32) -> f32 {
    var x = logit;
    if (own.biased == 1u) {
        x += bias[at];
    }
    if (own.penalties == 1u) {
        let seen = counts[at] + drafted;
        let times = f32(seen & 0x7fffffffu);
        if (seen != 0u) {
            x = select(x * own.repetition, x / own.repetition, x > 0.0);
        }
        if (times > 0.0) {
            x -= own.presence;
        }
        x -= times * own.frequency;
    }
    return x;
}

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let output = group.z;
    let row = output * STRIDE;
    let last = step_output_token(output);
    let sequence = step_sequence(last);
    let own = settings[sequence];
    let start = group.x * CHUNK + thread;
    let end = min(group.x * CHUNK + CHUNK, VOCAB);
    // Each thread comes back to the logits that it has written.
    if (own.biased == 1u || own.penalties == 1u) {
        let drafts = step_drafts(last);
        for (var id = start; id < end; id += THREADS) {
            let drafted = times_drafted(id, last, drafts);
            logits[row + id] = adjusted(logits[row + id], own, sequence * VOCAB + id, drafted);
        }
    }
    var top = -3.0e38;
    var token = 0u;
    for (var id = start; id < end; id += THREADS) {
        let logit = logits[row + id];
        if (logit > top) {
            top = logit;
            token = id;
        }
    }
    let first = first_best(top, token, thread);
    var mass = 0.0;
    var drawn = first.y;
    // Uniform for the workgroup: every thread reads the same settings.
    if (own.temperature > 0.0) {
        let key = noise_key(own, step_position(last));
        var score = -3.0e38;
        token = u32(first.y);
        for (var id = start; id < end; id += THREADS) {
            let logit = logits[row + id];
            mass += exp(logit - first.x);
            let own_score = noisy(logit, first.x, own, key, id);
            if (own_score > score) {
                score = own_score;
                token = id;
            }
        }
        mass = reduce_add(mass, thread);
        drawn = first_best(score, token, thread).y;
    }
    if (thread == 0u) {
        best[output * CHUNKS + group.x] = vec4(first, mass, drawn);
    }
}
