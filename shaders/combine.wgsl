// Σ_s weight_s·x[t, s]: the products of each token's experts, summed by their weights.
//!import scalar
//!import output
const THREADS: u32 = 64u;
const N_ROWS: u32 = 1u; // of one expert
const FIRST_ROW: u32 = 0u;
const USED: u32 = 1u;
const ROUTE_STRIDE: u32 = 1u;

@group(0) @binding(1) var<storage, read> x: array<f32>; // [tokens, USED, N_ROWS]
@group(0) @binding(5) var<storage, read> routes: array<f32>; // [tokens, ROUTE_STRIDE]

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let row = 2u * (group.x * THREADS + thread);
    let token = group.y;
    if (row >= N_ROWS) {
        return;
    }
    var sum = vec2f();
    for (var s = 0u; s < USED; s++) {
        let weight = routes[token * ROUTE_STRIDE + 2u * s + 1u];
        let at = (token * USED + s) * N_ROWS + row;
        // Rows are even.
        sum += weight * vec2(x[at], x[at + 1u]);
    }
    output_pair(token, row, sum.x, sum.y);
}
