// interface kv_pair: two neighbours at a time into the cache of keys and values. Here IEEE
// 32-bit; `pair` counts twos from the start of the cache.
@group(0) @binding(10) var<storage, read_write> keys: array<vec2f>;
@group(0) @binding(11) var<storage, read_write> values: array<vec2f>;

fn store_key_pair(pair: u32, x: vec2f) {
    keys[pair] = x;
}

fn store_value_pair(pair: u32, x: vec2f) {
    values[pair] = x;
}
