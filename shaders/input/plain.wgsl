// interface input: where a matvec takes x from. Here x as it is.
//!import lib/columns
const X_STRIDE4: u32 = 1u;

@group(0) @binding(1) var<storage, read> x: array<packed4>; // [rows, X_STRIDE4]

fn input_begin(row: u32, thread: u32) {}

// As it is stored: not masked yet.
fn input_packed4(row: u32, index4: u32) -> packed4 {
    return x[row * X_STRIDE4 + index4];
}

fn input4(row: u32, index4: u32) -> vec4f {
    return masked(unpacked4(input_packed4(row, index4)), index4);
}

fn input_scale(thread: u32) -> f32 {
    return 1.0;
}
