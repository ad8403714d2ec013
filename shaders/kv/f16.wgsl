// interface kv: how the cache stores keys and values. Here IEEE 16-bit, packed by
// core WGSL: no shader-f16 needed.
const KV_BLOCK: u32 = 4u;

@group(0) @binding(10) var<storage, read_write> keys: array<vec2<u32>>;
@group(0) @binding(11) var<storage, read_write> values: array<vec2<u32>>;

fn kv_unpack(words: vec2<u32>) -> vec4f {
    return vec4(unpack2x16float(words.x), unpack2x16float(words.y));
}

fn kv_pack(x: vec4f) -> vec2<u32> {
    let safe = clamp(x, vec4f(-65504.0), vec4f(65504.0));
    return vec2(pack2x16float(safe.xy), pack2x16float(safe.zw));
}

// Four neighbours; `index4` counts fours from the start of the cache.
fn key4(index4: u32) -> vec4f {
    return kv_unpack(keys[index4]);
}

fn value4(index4: u32) -> vec4f {
    return kv_unpack(values[index4]);
}

// KV_BLOCK neighbours; `block` counts blocks from the start of the cache.
fn store_keys(block: u32, x: ptr<function, array<vec4f, 1>>) {
    keys[block] = kv_pack((*x)[0]);
}

fn store_values(block: u32, x: ptr<function, array<vec4f, 1>>) {
    values[block] = kv_pack((*x)[0]);
}
