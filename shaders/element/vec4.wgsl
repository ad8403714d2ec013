// interface element: what a tile in workgroup memory consists of, for fragments to be read
// from. Here vectors: a write takes four numbers.
const EACH: u32 = 4u; // numbers of an element
alias Element = vec4<f16>;

fn put_x(at4: u32, value: vec4<f16>) {
    tile_x[at4] = value;
}

fn put_w(at4: u32, value: vec4<f16>) {
    tile_w[at4] = value;
}
