// Lists a step's pairs of tokens and experts by expert, cut into tiles of TILE_T pairs: one
// workgroup an expert. Of N pairs, n are of experts before number e: its tiles are numbers
// ⌊n / TILE_T⌋ + e and those behind it, which no other expert has; some stay empty. In all
// there are ⌊N / TILE_T⌋ + EXPERTS.
//!import lib/groups
//!import lib/step
const THREADS: u32 = 64u;
const TILE_T: u32 = 1u;
const USED: u32 = 1u;
const ROUTE_STRIDE: u32 = 1u;

@group(0) @binding(4) var<storage, read_write> groups: array<u32>;
@group(0) @binding(5) var<storage, read> routes: array<f32>; // [tokens, ROUTE_STRIDE]

var<workgroup> own: array<u32, THREADS>; // of this expert, from each thread's pairs
var<workgroup> before: array<u32, THREADS>; // of experts before it

fn expert_of(pair: u32) -> u32 {
    return u32(routes[pair / USED * ROUTE_STRIDE + 2u * (pair % USED)]);
}

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let expert = group.x;
    let pairs = step_tokens() * USED;
    // Neighbouring pairs, so that the list is in the order of tokens.
    let each = (pairs + THREADS - 1u) / THREADS;
    let begin = min(thread * each, pairs);
    let end = min(begin + each, pairs);
    var equal = 0u;
    var less = 0u;
    for (var pair = begin; pair < end; pair++) {
        let other = expert_of(pair);
        equal += u32(other == expert);
        less += u32(other < expert);
    }
    own[thread] = equal;
    before[thread] = less;
    workgroupBarrier();
    var count = 0u; // of this expert
    var first = 0u; // of its pairs in the list
    var at = 0u; // of this thread's pairs among its
    for (var other = 0u; other < THREADS; other++) {
        if (other == thread) {
            at = count;
        }
        count += own[other];
        first += before[other];
    }
    at += first;
    for (var pair = begin; pair < end; pair++) {
        if (expert_of(pair) == expert) {
            groups[PAIRS_AT + at] = pair;
            at++;
        }
    }
    let tile = first / TILE_T + expert;
    let tiles = (first + count) / TILE_T + 1u - first / TILE_T;
    for (var i = thread; i < tiles; i += THREADS) {
        let word = TILE_WORDS * (tile + i);
        let taken = min(i * TILE_T, count);
        groups[word] = expert;
        groups[word + 1u] = first + taken;
        groups[word + 2u] = min(count - taken, TILE_T);
    }
}
