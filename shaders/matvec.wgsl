// Y[t, r] = Σ_c W[r, c]·X[t, c], a few rows of X at a time (grid z).
// Within a block Σ w·x = d·Σ code·x + m·Σ x: the scale is applied once.
// LANES threads share ROWS rows of W and TOKENS rows of X; each takes every LANES-th
// block of columns. Where LANES is 1, a subgroup may load X together.
//!import scalar
//!import reduce
//!import weight
//!import product
//!import input
//!import output
//!import bias
//!import lib/grid
//!import lib/step
const THREADS: u32 = 64u;
const LANES: u32 = 16u;
const ROWS: u32 = 4u; // even
const TOKENS: u32 = 1u;
const SHARE: u32 = 1u; // threads that load X together: 1, or a subgroup (product/float)
const COLS: u32 = 1u;
const N_ROWS: u32 = 1u; // of this shard of W
const FIRST_ROW: u32 = 0u; // of this shard in W
const FOR_OUTPUTS: bool = false; // rows of X are rows of logits, not tokens

const BLOCKS: u32 = (COLS + BLOCK - 1u) / BLOCK;

// Compilers keep arrays in registers if every index is known once loops are unrolled,
// which they surely do where a loop's counter is the index and its end the length.
@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let lane = thread % LANES;
    let first = (grid_index(group) * (THREADS / LANES) + thread / LANES) * ROWS;
    let token = group.z * TOKENS;
    let tokens = select(step_tokens(), step_outputs(), FOR_OUTPUTS);
    input_begin(token, thread);
    var sums: array<array<vec2f, TOKENS>, ROWS / 2u>; // of an even and an odd row
    // Every thread takes every turn: `from_lane` must be called by all of a subgroup.
    for (var turn = 0u; turn < BLOCKS; turn += LANES) {
        let b = turn + lane;
        x_turn(token, tokens, turn, thread);
        var x: array<XBlock, TOKENS>;
        //!unroll
        for (var t = 0u; t < TOKENS; t++) {
            // Beyond the last row the last one is computed again.
            x[t] = x_block(t, min(token + t, tokens - 1u), b, thread);
        }
        if (b < BLOCKS) {
            //!unroll
            for (var p = 0u; p < ROWS / 2u; p++) {
                let row = first + 2u * p;
                var even = weight_block(min(output_row(row), N_ROWS - 1u) * BLOCKS + b);
                var odd = weight_block(min(output_row(row + 1u), N_ROWS - 1u) * BLOCKS + b);
                let made = products(&even, &odd, &x);
                let scale_e = weight_scale(&even);
                let scale_o = weight_scale(&odd);
                //!unroll
                for (var t = 0u; t < TOKENS; t++) {
                    sums[p][t] += made[t] * vec2(scale_e.x, scale_o.x)
                        + x[t].total * vec2(scale_e.y, scale_o.y);
                }
            }
        }
    }
    let scale = input_scale(thread);
    //!unroll
    for (var t = 0u; t < TOKENS; t++) {
        //!unroll
        for (var p = 0u; p < ROWS / 2u; p++) {
            let even = reduce_lanes(sums[p][t].x, thread, LANES) * scale;
            let odd = reduce_lanes(sums[p][t].y, thread, LANES) * scale;
            if (lane == 0u && token + t < tokens) {
                let row = first + 2u * p;
                let even_bias = bias_at(output_row(row));
                let odd_bias = bias_at(output_row(row + 1u));
                output_pair(token + t, row, even + even_bias, odd + odd_bias);
            }
        }
    }
}
