// The next token: argmax at temperature 0, else a draw from softmax(logits / T)
// among what top-k, top-p and min-p leave, by the Gumbel-max trick: the argmax of
// logit / T + Gumbel noise over the tokens that are kept. All three keep the tokens from some
// logit upwards. So the draw from all tokens is the draw if it is kept, and else it is among
// those above: the largest is always kept, and top-p looks for no threshold.
// A pass goes over the chunks that hold a logit high enough for it, or, where top-k leaves
// few tokens, over a list of them.
//!import reduce
//!import lib/sampling
const THREADS: u32 = 64u;
const LANES: u32 = 1u;
const LIST: u32 = 512u;
// Where no logit is a finite number: there is nothing to draw from.
const NO_TOKEN: u32 = 0xffffffffu;

@group(0) @binding(4) var<storage, read_write> counts: array<u32>; // [sequences, VOCAB]
@group(0) @binding(5) var<storage, read_write> sampled: array<u32>; // [sequences, SAMPLED_EACH]
@group(0) @binding(6) var<storage, read> best: array<vec4f>; // [outputs, CHUNKS]

var<workgroup> largest_of: array<f32, CHUNKS>; // logit of each chunk
var<workgroup> order: array<u32, CHUNKS>; // chunks, from the highest of these down
var<workgroup> found_by: array<u32, THREADS>;
var<workgroup> list: array<u32, LIST>; // tokens, in any order
var<workgroup> list_logits: array<f32, LIST>;
var<workgroup> uniform_shared: f32;
// Tokens of the list, once it holds all that may be kept; else 0.
var<private> listed: u32 = 0u;

// A value of which the compiler knows that all threads have it.
fn same(value: f32, thread: u32) -> f32 {
    if (thread == 0u) {
        uniform_shared = value;
    }
    return workgroupUniformLoad(&uniform_shared);
}

// Bits of a float, rearranged so that they order as the floats do; both zeros are equal.
fn ordered(value: f32) -> u32 {
    let bits = bitcast<u32>(value);
    return select(bits | 0x80000000u, ~bits, bits > 0x80000000u);
}

// Writes `order`: a chunk's place is how many come before it.
fn sort_chunks(output: u32, thread: u32) {
    for (var i = thread; i < CHUNKS; i += THREADS) {
        largest_of[i] = best[output * CHUNKS + i].x;
    }
    workgroupBarrier();
    for (var i = thread; i < CHUNKS; i += THREADS) {
        let own = largest_of[i];
        var before = 0u;
        for (var j = 0u; j < CHUNKS; j++) {
            let other = largest_of[j];
            before += select(0u, 1u, other > own || (other == own && j < i));
        }
        order[before] = i;
    }
    workgroupBarrier();
}

// How many places there are to look at for tokens at or above `floor`: those of the list, or
// of the chunks that hold one.
fn places(floor: u32) -> u32 {
    var chunks = 0u;
    for (var step = 1u << firstLeadingBit(CHUNKS); step > 0u; step /= 2u) {
        let more = chunks + step;
        if (more <= CHUNKS && ordered(largest_of[order[min(more, CHUNKS) - 1u]]) >= floor) {
            chunks = more;
        }
    }
    return select(chunks * CHUNK, listed, listed > 0u);
}

// The token of a place; the last chunk's may be beyond the last token.
fn token_at(place: u32) -> u32 {
    if (listed > 0u) {
        return list[place];
    }
    return order[place / CHUNK] * CHUNK + place % CHUNK;
}

// What the tokens at or above `floor` weigh: 1 each, or with `by_mass` exp(logit - top).
fn weigh(row: u32, floor: u32, by_mass: bool, top: f32, thread: u32) -> f32 {
    let end = places(floor);
    var sum = 0.0;
    for (var place = thread; place < end; place += THREADS) {
        let id = token_at(place);
        if (id < VOCAB) {
            let logit = logits[row + id];
            let weight = select(1.0, exp(logit - top), by_mass);
            sum += select(0.0, weight, ordered(logit) >= floor);
        }
    }
    return same(reduce_add(sum, thread), thread);
}

// A draw from the tokens at or above `floor`.
fn draw(row: u32, floor: u32, top: f32, own: Settings, key: vec3<u32>, thread: u32) -> u32 {
    let end = places(floor);
    var score = -3.0e38;
    var token = 0u;
    for (var place = thread; place < end; place += THREADS) {
        let id = token_at(place);
        if (id < VOCAB) {
            let logit = logits[row + id];
            if (ordered(logit) >= floor) {
                let own_score = noisy(logit, top, own, key, id);
                if (own_score > score || (own_score == score && id < token)) {
                    score = own_score;
                    token = id;
                }
            }
        }
    }
    return u32(same(first_best(score, token, thread).y, thread));
}

// A floor at or above which are the k largest logits, and whatever equals the last of them.
fn top_k(row: u32, k: u32, top: f32, thread: u32) -> u32 {
    // So many chunks have a logit as high: no less than k.
    var low = 0u;
    if (k <= CHUNKS) {
        low = ordered(same(largest_of[order[k - 1u]], thread));
        let end = places(low);
        var own = 0u;
        for (var place = thread; place < end; place += THREADS) {
            let id = token_at(place);
            if (id < VOCAB) {
                own += select(0u, 1u, ordered(logits[row + id]) >= low);
            }
        }
        found_by[thread] = own;
        workgroupBarrier();
        var at = 0u;
        var all = 0u;
        for (var i = 0u; i < THREADS; i++) {
            at += select(0u, found_by[i], i < thread);
            all += found_by[i];
        }
        let count = u32(same(f32(all), thread));
        if (count <= LIST) {
            for (var place = thread; place < end; place += THREADS) {
                let id = token_at(place);
                if (id < VOCAB) {
                    let logit = logits[row + id];
                    if (ordered(logit) >= low) {
                        list[at] = id;
                        list_logits[at] = logit;
                        at++;
                    }
                }
            }
            workgroupBarrier();
            listed = count;
            var least = 3.0e38;
            for (var i = thread; i < count; i += THREADS) {
                let logit = list_logits[i];
                var above = 0u;
                for (var j = 0u; j < count; j++) {
                    above += select(0u, 1u, list_logits[j] > logit);
                }
                least = select(least, min(least, logit), above < k);
            }
            return ordered(same(-reduce_max(-least, thread), thread));
        }
    }
    // Many are alike, or k is large: bit by bit the largest floor that leaves k.
    var floor = 0u;
    for (var bit = 0x80000000u; bit > 0u; bit /= 2u) {
        let next = floor | bit;
        if (next <= low) {
            floor = next;
            continue;
        }
        let count = u32(weigh(row, next, false, top, thread));
        floor = select(floor, next, count >= k);
        if (count == k) {
            break;
        }
    }
    return floor;
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
    let key = noise_key(own, step_position(last));

    var most = -3.0e38;
    var token = 0u;
    for (var i = thread; i < CHUNKS; i += THREADS) {
        let chunk = best[output * CHUNKS + i];
        if (chunk.x > most) {
            most = chunk.x;
            token = u32(chunk.y);
        }
    }
    let first = first_best(most, token, thread);
    let top = same(first.x, thread);
    token = u32(first.y);
    // By its bits, since compilers may take it that there is neither NaN nor infinity.
    let finite = (bitcast<u32>(top) & 0x7f800000u) != 0x7f800000u;
    let found = finite && top > -3.0e38;
    // Uniform for the workgroup: every thread reads the same settings. What has no largest
    // logit has none to draw, however long it looks.
    if (found && own.temperature > 0.0) {
        var mass = 0.0;
        var score = -3.0e38;
        for (var i = thread; i < CHUNKS; i += THREADS) {
            let chunk = best[output * CHUNKS + i];
            let drawn = u32(chunk.w);
            let own_score = noisy(logits[row + drawn], top, own, key, drawn);
            mass += chunk.z * exp(chunk.x - top);
            if (own_score > score) {
                score = own_score;
                token = drawn;
            }
        }
        token = u32(first_best(score, token, thread).y);
        var logit = same(logits[row + token], thread);
        let by_rank = own.top_k > 0u && own.top_k < VOCAB;
        let by_mass = own.top_p < 1.0;
        // The largest is kept by all of them.
        if (logit < top && (by_rank || by_mass || own.min_p > 0.0)) {
            sort_chunks(output, thread);
            var floor = 0u;
            if (by_rank) {
                floor = top_k(row, own.top_k, top, thread);
            }
            // A token is kept while those above it weigh less.
            var wanted = 3.0e38;
            if (by_mass) {
                var kept = same(reduce_add(mass, thread), thread);
                if (by_rank) {
                    kept = weigh(row, floor, true, top, thread);
                }
                wanted = own.top_p * kept;
            }
            if (own.min_p > 0.0) {
                floor = max(floor, ordered(top + log(own.min_p)));
            }
            // The largest weighs 1.
            if (wanted <= 1.0 || floor > ordered(top)) {
                floor = ordered(top);
            }
            if (ordered(logit) < floor) {
                token = draw(row, floor, top, own, key, thread);
                logit = same(logits[row + token], thread);
            }
            while (by_mass && logit < top) {
                let above = ordered(logit) + 1u;
                if (weigh(row, above, true, top, thread) < wanted) {
                    break;
                }
                token = draw(row, above, top, own, key, thread);
                logit = same(logits[row + token], thread);
            }
        }
    }
    if (thread == 0u) {
        let drafts = step_drafts(last);
        sampled[sequence * SAMPLED_EACH + drafts] = select(NO_TOKEN, token, found);
        // What is behind a draft token is counted by the host, if that is accepted.
        if (found && own.penalties == 1u && drafts == 0u) {
            counts[sequence * VOCAB + token] += 1u;
        }
    }
}
