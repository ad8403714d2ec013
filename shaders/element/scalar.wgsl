// interface element: what a tile in workgroup memory consists of, for fragments to be read
// from. Here single numbers: Metal reads fragments from nothing else.
const EACH: u32 = 1u; // numbers of an element
alias Element = f16;

fn put_x(at4: u32, value: vec4<f16>) {
    tile_x[4u * at4] = value.x;
    tile_x[4u * at4 + 1u] = value.y;
    tile_x[4u * at4 + 2u] = value.z;
    tile_x[4u * at4 + 3u] = value.w;
}

fn put_w(at4: u32, value: vec4<f16>) {
    tile_w[4u * at4] = value.x;
    tile_w[4u * at4 + 1u] = value.y;
    tile_w[4u * at4 + 2u] = value.z;
    tile_w[4u * at4 + 3u] = value.w;
}
