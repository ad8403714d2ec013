// Products with the matrices of the experts that a token was routed to, of which no
// other is read. SUM false: every expert's products of x, side by side. SUM true:
// Σ_s weight_s·(W[expert_s]·x[t, s] + bias), x having a part for each expert.
// LANES threads share ROWS rows of W, as in matvec.wgsl.
//!import scalar
//!import reduce
//!import weight
//!import output
//!import bias
//!import lib/columns
//!import lib/grid
const THREADS: u32 = 64u;
const LANES: u32 = 16u;
const ROWS: u32 = 4u; // even
const COLS: u32 = 1u;
const EXPERT_ROWS: u32 = 2u; // of one expert, even
const SHARD_FIRST: u32 = 0u; // of this shard in W
const SHARD_ROWS: u32 = 2u;
const USED: u32 = 1u;
const SUM: bool = false;
const X_STRIDE4: u32 = 1u;
const ROUTE_STRIDE: u32 = 1u;
const N_ROWS: u32 = 2u; // of a row of the result, for `output`
const FIRST_ROW: u32 = 0u;

const BLOCKS: u32 = (COLS + BLOCK - 1u) / BLOCK;

@group(0) @binding(1) var<storage, read> x: array<scalar4>; // [tokens, X_STRIDE4]
@group(0) @binding(4) var<storage, read> routes: array<f32>; // [tokens, ROUTE_STRIDE]

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let lane = thread % LANES;
    let first = (grid_index(group) * (THREADS / LANES) + thread / LANES) * ROWS;
    // A token's experts are summed by one thread, or have a workgroup each.
    let token = select(group.z / USED, group.z, SUM);
    let begin = select(group.z % USED, 0u, SUM);
    let end = select(begin + 1u, USED, SUM);
    for (var p = 0u; p < ROWS / 2u; p++) {
        let row = min(first + 2u * p, EXPERT_ROWS - 2u);
        var result = vec2f();
        var here = false;
        for (var s = begin; s < end; s++) {
            let route = token * ROUTE_STRIDE + 2u * s;
            let own = u32(routes[route]) * EXPERT_ROWS + row;
            // Pairs of rows are never parted.
            let in_shard = own >= SHARD_FIRST && own - SHARD_FIRST < SHARD_ROWS;
            let x_row = token * X_STRIDE4 + select(0u, s * (COLS / 4u), SUM);
            var sums = vec2f();
            if (in_shard) {
                let at = (own - SHARD_FIRST) * BLOCKS;
                for (var b = lane; b < BLOCKS; b += LANES) {
                    var even = weight_block(at + b);
                    var odd = weight_block(at + BLOCKS + b);
                    for (var i = 0u; i < BLOCK / 8u; i++) {
                        let column4 = b * (BLOCK / 4u) + 2u * i;
                        let lo = masked_here(x_row, column4);
                        let hi = masked_here(x_row, column4 + 1u);
                        let e = weight8(&even, i);
                        let o = weight8(&odd, i);
                        sums += vec2(
                            dot(e.lo, lo) + dot(e.hi, hi),
                            dot(o.lo, lo) + dot(o.hi, hi),
                        );
                    }
                }
            }
            let even = reduce_lanes(sums.x, thread, LANES);
            let odd = reduce_lanes(sums.y, thread, LANES);
            if (in_shard) {
                here = true;
                let all = vec2(even + bias_at(own), odd + bias_at(own + 1u));
                result += select(1.0, routes[route + 1u], SUM) * all;
            }
        }
        if (lane == 0u && here && first + 2u * p < EXPERT_ROWS) {
            output_pair(token, row + begin * EXPERT_ROWS, result.x, result.y);
        }
    }
}

// Columns beyond COLS belong to another expert, or to nobody.
fn masked_here(row: u32, column4: u32) -> vec4f {
    if (4u * column4 >= COLS) {
        return vec4f();
    }
    return masked(vec4f(x[row + column4]), column4);
}
