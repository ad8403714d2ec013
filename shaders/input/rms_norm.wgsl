// interface input: where a matvec takes x from. Here RMS norm of the residual
// stream: x·gain / sqrt(mean(x²) + eps). The root is one factor for the whole row,
// so each thread sums x² beside its products and the factor comes last. One row at a time.
//!import lib/columns
const X_STRIDE4: u32 = 1u;
const EPS: f32 = 1e-5;

@group(0) @binding(1) var<storage, read> x: array<vec4f>; // [rows, X_STRIDE4]
@group(0) @binding(4) var<storage, read> gain: array<vec4f>;

fn input_begin(row: u32, thread: u32) {
    x_squares = 0.0;
}

fn input4(row: u32, index4: u32) -> vec4f {
    let value = masked(x[row * X_STRIDE4 + index4], index4);
    x_squares += dot(value, value);
    return value * gain[index4];
}

fn input_scale(thread: u32) -> f32 {
    return inverseSqrt(x_sum(x_squares, thread) / f32(COLS) + EPS);
}
