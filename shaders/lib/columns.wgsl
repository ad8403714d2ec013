// Rows of activations are padded to a multiple of 8; the padding holds anything.
// COLS, declared by the kernel, is the real width.
fn masked(value: vec4f, index4: u32) -> vec4f {
    if (COLS % 8u == 0u) {
        return value;
    }
    let column = vec4(4u * index4) + vec4(0u, 1u, 2u, 3u);
    return select(vec4f(), value, column < vec4(COLS));
}
