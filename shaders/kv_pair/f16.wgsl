// interface kv_pair: two neighbours at a time into the cache of keys and values. Here IEEE
// 16-bit; `pair` counts twos from the start of the cache.
@group(0) @binding(10) var<storage, read_write> keys: array<u32>;
@group(0) @binding(11) var<storage, read_write> values: array<u32>;

fn packed_pair(x: vec2f) -> u32 {
    return pack2x16float(clamp(x, vec2f(-65504.0), vec2f(65504.0)));
}

fn store_key_pair(pair: u32, x: vec2f) {
    keys[pair] = packed_pair(x);
}

fn store_value_pair(pair: u32, x: vec2f) {
    values[pair] = packed_pair(x);
}
