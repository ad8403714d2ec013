// y[t] = FACTOR·W[id of token t], or with ADD y[t] += W[position of token t] or W[0]: a
// thread eight columns. A token whose id the host does not know yet is the one that the
// sequence sampled last.
//!import weight
//!import lib/step
const THREADS: u32 = 64u;
const COLS: u32 = 1u;
const N_ROWS: u32 = 1u; // of this shard of W
const FIRST_ROW: u32 = 0u; // of this shard in W
const Y_STRIDE4: u32 = 1u;
const FACTOR: f32 = 1.0;
const ADD: bool = false; // to what is there
const FIRST: bool = false; // with ADD, the first row to all tokens

const BLOCKS: u32 = (COLS + BLOCK - 1u) / BLOCK;
const SAMPLED: u32 = 0xffffffffu;

@group(0) @binding(1) var<storage, read> sampled: array<u32>; // [sequences, SAMPLED_EACH]
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>; // [tokens, Y_STRIDE4]

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let token = group.y;
    let column8 = group.x * THREADS + thread;
    var id = step_token_id(token);
    if (id == SAMPLED) {
        id = sampled[step_sequence(token) * SAMPLED_EACH];
    }
    if (ADD) {
        id = select(step_position(token), 0u, FIRST);
    }
    if (2u * column8 >= Y_STRIDE4 || id < FIRST_ROW || id - FIRST_ROW >= N_ROWS) {
        return;
    }
    var block = weight_block((id - FIRST_ROW) * BLOCKS + column8 / (BLOCK / 8u));
    let w = weight8(&block, column8 % (BLOCK / 8u));
    let at = token * Y_STRIDE4 + 2u * column8;
    if (ADD) {
        y[at] += w.lo;
        y[at + 1u] += w.hi;
    } else {
        y[at] = FACTOR * w.lo;
        y[at + 1u] = FACTOR * w.hi;
    }
}
