// interface kv: how the cache stores keys and values. Here blocks of 32 signed
// bytes behind one 32-bit scale d; x = d·q: 9 words per block.
const KV_BLOCK: u32 = 32u;

@group(0) @binding(10) var<storage, read_write> keys: array<u32>;
@group(0) @binding(11) var<storage, read_write> values: array<u32>;

// Four neighbours; `index4` counts fours from the start of the cache.
fn key4(index4: u32) -> vec4f {
    let at = index4 / 8u * 9u;
    return vec4f(unpack4xI8(keys[at + 1u + index4 % 8u])) * bitcast<f32>(keys[at]);
}

fn value4(index4: u32) -> vec4f {
    let at = index4 / 8u * 9u;
    return vec4f(unpack4xI8(values[at + 1u + index4 % 8u])) * bitcast<f32>(values[at]);
}

fn kv_scale(x: ptr<function, array<vec4f, 8>>) -> f32 {
    var largest = vec4f();
    for (var i = 0u; i < 8u; i++) {
        largest = max(largest, abs((*x)[i]));
    }
    return max(max(largest.x, largest.y), max(largest.z, largest.w)) / 127.0;
}

fn kv_quants(x: vec4f, scale: f32) -> u32 {
    return pack4xI8(vec4<i32>(round(x / max(scale, 1e-30))));
}

// KV_BLOCK neighbours; `block` counts blocks from the start of the cache.
fn store_keys(block: u32, x: ptr<function, array<vec4f, 8>>) {
    let scale = kv_scale(x);
    keys[9u * block] = bitcast<u32>(scale);
    for (var i = 0u; i < 8u; i++) {
        keys[9u * block + 1u + i] = kv_quants((*x)[i], scale);
    }
}

fn store_values(block: u32, x: ptr<function, array<vec4f, 8>>) {
    let scale = kv_scale(x);
    values[9u * block] = bitcast<u32>(scale);
    for (var i = 0u; i < 8u; i++) {
        values[9u * block + 1u + i] = kv_quants((*x)[i], scale);
    }
}
