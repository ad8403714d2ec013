// y[r] = Σ_c W[r, c]·x[c], for each of a few rows of x (grid z).
// Within a block Σ w·x = d·Σ code·x + m·Σ x: the scale is applied once.
// LANES threads share ROWS rows of W; each takes every LANES-th block of columns.
//!import scalar
//!import reduce
//!import weight
//!import input
//!import output
//!import lib/grid
const THREADS: u32 = 64u;
const LANES: u32 = 16u;
const ROWS: u32 = 4u; // even
const COLS: u32 = 1u;
const N_ROWS: u32 = 1u; // of this shard of W
const FIRST_ROW: u32 = 0u; // of this shard in W

const BLOCKS: u32 = (COLS + BLOCK - 1u) / BLOCK;

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let lane = thread % LANES;
    let first = (grid_index(group) * (THREADS / LANES) + thread / LANES) * ROWS;
    input_begin(group.z, thread);
    var sums: array<f32, ROWS>;
    for (var b = lane; b < BLOCKS; b += LANES) {
        var part: array<vec4f, BLOCK / 4u>;
        var all = vec4f();
        for (var i = 0u; i < BLOCK / 4u; i++) {
            part[i] = input4(b * (BLOCK / 4u) + i);
            all += part[i];
        }
        let total = dot(all, vec4(1.0));
        for (var r = 0u; r < ROWS; r++) {
            var block = weight_block(min(first + r, N_ROWS - 1u) * BLOCKS + b);
            var products = vec4f();
            for (var i = 0u; i < BLOCK / 8u; i++) {
                let codes = codes8(&block, i);
                products += codes.lo * part[2u * i] + codes.hi * part[2u * i + 1u];
            }
            let scale = weight_scale(&block);
            sums[r] += dot(products, vec4(scale.x)) + total * scale.y;
        }
    }
    let scale = input_scale(thread);
    for (var r = 0u; r < ROWS; r += 2u) {
        let even = reduce_lanes(sums[r], thread) * scale;
        let odd = reduce_lanes(sums[r + 1u], thread) * scale;
        if (lane == 0u) {
            output_pair(group.z, first + r, even, odd);
        }
    }
}
