// interface kv: how the cache stores keys and values. Here blocks of 32 nibbles
// behind one 32-bit scale d; x = d·(q - 8): 5 words per block. Word g holds numbers
// 8g … 8g+7: low nibbles first, then high ones.
const KV_BLOCK: u32 = 32u;

@group(0) @binding(10) var<storage, read_write> keys: array<u32>;
@group(0) @binding(11) var<storage, read_write> values: array<u32>;

fn kv_unpack(word: u32, scale: u32, index4: u32) -> vec4f {
    let nibbles = (word >> (4u * (index4 % 2u))) & 0x0f0f0f0fu;
    return (vec4f(unpack4xU8(nibbles)) - 8.0) * bitcast<f32>(scale);
}

// Four neighbours; `index4` counts fours from the start of the cache.
fn key4(index4: u32) -> vec4f {
    let at = index4 / 8u * 5u;
    return kv_unpack(keys[at + 1u + index4 % 8u / 2u], keys[at], index4);
}

fn value4(index4: u32) -> vec4f {
    let at = index4 / 8u * 5u;
    return kv_unpack(values[at + 1u + index4 % 8u / 2u], values[at], index4);
}

// The number of largest magnitude, with its sign, becomes -8.
fn kv_scale(x: ptr<function, array<vec4f, 8>>) -> f32 {
    var largest = 0.0;
    for (var i = 0u; i < 32u; i++) {
        let value = (*x)[i / 4u][i % 4u];
        largest = select(largest, value, abs(value) > abs(largest));
    }
    return largest / -8.0;
}

fn kv_quants(x: vec4f, scale: f32) -> u32 {
    let inverse = select(0.0, 1.0 / scale, scale != 0.0);
    return pack4xU8(vec4<u32>(clamp(x * inverse + 8.5, vec4f(), vec4f(15.0))));
}

// KV_BLOCK neighbours; `block` counts blocks from the start of the cache.
fn store_keys(block: u32, x: ptr<function, array<vec4f, 8>>) {
    let scale = kv_scale(x);
    keys[5u * block] = bitcast<u32>(scale);
    for (var i = 0u; i < 4u; i++) {
        keys[5u * block + 1u + i] =
            kv_quants((*x)[2u * i], scale) | (kv_quants((*x)[2u * i + 1u], scale) << 4u);
    }
}

fn store_values(block: u32, x: ptr<function, array<vec4f, 8>>) {
    let scale = kv_scale(x);
    values[5u * block] = bitcast<u32>(scale);
    for (var i = 0u; i < 4u; i++) {
        values[5u * block + 1u + i] =
            kv_quants((*x)[2u * i], scale) | (kv_quants((*x)[2u * i + 1u], scale) << 4u);
    }
}
