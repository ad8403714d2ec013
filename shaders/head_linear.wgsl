// y[t, h] = W[h]·x[t, h], a matrix for each head, with what x[t, h] has beyond COLS
// behind it as it is. LANES threads share a row.
//!import scalar
//!import reduce
//!import weight
//!import lib/columns
const THREADS: u32 = 64u;
const LANES: u32 = 16u;
const COLS: u32 = 4u;
const HEAD_ROWS: u32 = 1u; // of W[h]
const X_HEAD: u32 = 4u; // numbers of x[t, h], at least COLS
const SHARD_FIRST: u32 = 0u; // of this shard in W
const SHARD_ROWS: u32 = 1u;
const X_STRIDE: u32 = 1u;
const Y_STRIDE: u32 = 1u;

const BLOCKS: u32 = (COLS + BLOCK - 1u) / BLOCK;
const Y_HEAD: u32 = HEAD_ROWS + X_HEAD - COLS;

@group(0) @binding(1) var<storage, read> x: array<scalar>; // [tokens, X_STRIDE]
@group(0) @binding(2) var<storage, read_write> y: array<scalar>; // [tokens, Y_STRIDE]

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let lane = thread % LANES;
    let row = group.x * (THREADS / LANES) + thread / LANES;
    let head = group.y;
    let token = group.z;
    let x_head = token * X_STRIDE + head * X_HEAD;
    let own = head * HEAD_ROWS + row;
    let product = row < HEAD_ROWS && own >= SHARD_FIRST && own - SHARD_FIRST < SHARD_ROWS;
    var sum = 0.0;
    if (product) {
        let at = (own - SHARD_FIRST) * BLOCKS;
        for (var b = lane; b < BLOCKS; b += LANES) {
            var block = weight_block(at + b);
            for (var i = 0u; i < BLOCK / 8u; i++) {
                let column4 = b * (BLOCK / 4u) + 2u * i;
                let w = weight8(&block, i);
                sum += dot(w.lo, x4(x_head, column4)) + dot(w.hi, x4(x_head, column4 + 1u));
            }
        }
    }
    sum = reduce_lanes(sum, thread, LANES);
    if (lane != 0u) {
        return;
    }
    let out = token * Y_STRIDE + head * Y_HEAD + row;
    if (product) {
        y[out] = to_scalar(sum);
    } else if (SHARD_FIRST == 0u && row >= HEAD_ROWS && row < Y_HEAD) {
        y[out] = x[x_head + COLS + row - HEAD_ROWS];
    }
}

// Four numbers of a head; those beyond COLS are not the product's.
fn x4(x_head: u32, column4: u32) -> vec4f {
    if (4u * column4 >= COLS) {
        return vec4f();
    }
    let at = x_head + 4u * column4;
    let four = vec4f(f32(x[at]), f32(x[at + 1u]), f32(x[at + 2u]), f32(x[at + 3u]));
    return masked(four, column4);
}
