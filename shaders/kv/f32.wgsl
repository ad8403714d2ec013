// interface kv: how the cache stores keys and values. Here IEEE 32-bit.
const KV_BLOCK: u32 = 4u;

@group(0) @binding(10) var<storage, read_write> keys: array<vec4f>;
@group(0) @binding(11) var<storage, read_write> values: array<vec4f>;

// Four neighbours; `index4` counts fours from the start of the cache.
fn key4(index4: u32) -> vec4f {
    return keys[index4];
}

fn value4(index4: u32) -> vec4f {
    return values[index4];
}

// KV_BLOCK neighbours; `block` counts blocks from the start of the cache.
fn store_keys(block: u32, x: ptr<function, array<vec4f, 1>>) {
    keys[block] = (*x)[0];
}

fn store_values(block: u32, x: ptr<function, array<vec4f, 1>>) {
    values[block] = (*x)[0];
}
