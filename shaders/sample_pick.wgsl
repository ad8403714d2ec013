// The next token: argmax at temperature 0, else a draw from softmax(logits / T)
// among what top-k, top-p and min-p leave, by the Gumbel-max trick: the argmax of
// logit / T - ln(-ln u) over the tokens at or above the threshold that they make.
//!import reduce
//!import lib/sampling
//!import lib/random
const THREADS: u32 = 64u;
const LANES: u32 = 1u;

@group(0) @binding(4) var<storage, read_write> counts: array<u32>; // [sequences, VOCAB]
@group(0) @binding(5) var<storage, read_write> sampled: array<u32>; // [sequences]
@group(0) @binding(6) var<storage, read> best: array<vec2f>; // [outputs, CHUNKS]

// Bits of a float, rearranged so that they order as the floats do.
fn ordered(value: f32) -> u32 {
    let bits = bitcast<u32>(value);
    return select(bits | 0x80000000u, ~bits, bits >= 0x80000000u);
}

// The largest threshold at or above which the tokens weigh at least `wanted`,
// four bits at a time. A token at or above `floor` weighs 1, or with `by_mass`
// exp(logit - top).
fn threshold(row: u32, wanted: f32, floor: u32, by_mass: bool, top: f32, thread: u32) -> u32 {
    var found = 0u;
    for (var shift = 32u; shift > 0u; shift -= 4u) {
        // Written out: Chromium zeroes a variable without it once, not at each turn.
        var sums = array<f32, 15>();
        for (var id = thread; id < VOCAB; id += THREADS) {
            let logit = logits[row + id];
            let key = ordered(logit);
            if (key >= floor) {
                let weight = select(1.0, exp(logit - top), by_mass);
                for (var c = 0u; c < 15u; c++) {
                    sums[c] += select(0.0, weight, key >= found + ((c + 1u) << (shift - 4u)));
                }
            }
        }
        var next = found;
        for (var c = 0u; c < 15u; c++) {
            if (reduce_add(sums[c], thread) >= wanted) {
                next = found + ((c + 1u) << (shift - 4u));
            }
        }
        found = next;
    }
    return found;
}

fn mass(row: u32, floor: u32, top: f32, thread: u32) -> f32 {
    var sum = 0.0;
    for (var id = thread; id < VOCAB; id += THREADS) {
        let logit = logits[row + id];
        sum += select(0.0, exp(logit - top), ordered(logit) >= floor);
    }
    return reduce_add(sum, thread);
}

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let output = group.x;
    let row = output * STRIDE;
    let last = step_output_token(output);
    let sequence = step_sequence(last);
    let own = settings[sequence];

    var top = -3.0e38;
    var token = 0u;
    for (var i = thread; i < CHUNKS; i += THREADS) {
        let chunk = best[output * CHUNKS + i];
        if (chunk.x > top) {
            top = chunk.x;
            token = u32(chunk.y);
        }
    }
    let largest = reduce_max(top, thread);
    var score = top;
    // Uniform for the workgroup: every thread reads the same settings.
    if (own.temperature > 0.0) {
        var floor = 0u;
        if (own.top_k > 0u && own.top_k < VOCAB) {
            floor = threshold(row, f32(own.top_k), 0u, false, largest, thread);
        }
        if (own.top_p < 1.0) {
            let wanted = own.top_p * mass(row, floor, largest, thread);
            floor = max(floor, threshold(row, wanted, floor, true, largest, thread));
        }
        if (own.min_p > 0.0) {
            floor = max(floor, ordered(largest + log(own.min_p)));
        }
        floor = min(floor, ordered(largest));
        score = -3.0e38;
        let position = step_position(last);
        for (var id = thread; id < VOCAB; id += THREADS) {
            let logit = logits[row + id];
            if (ordered(logit) >= floor) {
                let u = random_open(vec3(own.seed_low ^ id, own.seed_high, position));
                let noisy = (logit - largest) / own.temperature - log(-log(u));
                if (noisy > score) {
                    score = noisy;
                    token = id;
                }
            }
        }
    }
    let winner = reduce_max(score, thread);
    let first = -reduce_max(select(-3.0e38, -f32(token), score == winner), thread);
    if (thread == 0u) {
        let id = u32(first);
        sampled[sequence] = id;
        if (own.penalties == 1u) {
            counts[sequence * VOCAB + id] += 1u;
        }
    }
}
