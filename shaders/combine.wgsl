// y[t] += FACTOR·Σ_s weight_s·x[t, s]: the products of each token's experts, summed by
// their weights onto the residual stream.
const THREADS: u32 = 64u;
const COLS: u32 = 1u; // of one expert
const USED: u32 = 1u;
const FACTOR: f32 = 1.0;
const ROUTE_STRIDE: u32 = 1u;
const Y_STRIDE: u32 = 1u;

@group(0) @binding(1) var<storage, read> x: array<f32>; // [tokens, USED, COLS]
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // [tokens, Y_STRIDE]
@group(0) @binding(5) var<storage, read> routes: array<f32>; // [tokens, ROUTE_STRIDE]

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let column = group.x * THREADS + thread;
    let token = group.y;
    if (column >= COLS) {
        return;
    }
    var sum = 0.0;
    for (var s = 0u; s < USED; s++) {
        let weight = routes[token * ROUTE_STRIDE + 2u * s + 1u];
        sum += weight * x[(token * USED + s) * COLS + column];
    }
    y[token * Y_STRIDE + column] += FACTOR * sum;
}
