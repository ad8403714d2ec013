// Keys and values of a token into the paged cache. A workgroup has a head of one token.
//!import scalar
//!import kv
//!import lib/pages
//!import lib/step
const THREADS: u32 = 64u;
const KV_HEADS: u32 = 1u;
const HEAD_DIM: u32 = 4u;
const KEY_STRIDE: u32 = 1u;
const VALUE_STRIDE: u32 = 1u;
const VALUES: bool = true; // else keys alone are kept

@group(0) @binding(1) var<storage, read> x: array<scalar>; // keys: [tokens, KEY_STRIDE]
@group(0) @binding(5) var<storage, read> kv: array<scalar>; // values: [tokens, VALUE_STRIDE]

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let token = group.y;
    let vector = cache_vector(step_sequence(token), step_position(token), group.x);
    for (var b = thread; b < HEAD_DIM / KV_BLOCK; b += THREADS) {
        let block = vector * (HEAD_DIM / KV_BLOCK) + b;
        var keys_of_it: array<vec4f, KV_BLOCK / 4u>;
        var values_of_it: array<vec4f, KV_BLOCK / 4u>;
        for (var i = 0u; i < KV_BLOCK; i++) {
            let at = group.x * HEAD_DIM + b * KV_BLOCK + i;
            keys_of_it[i / 4u][i % 4u] = f32(x[token * KEY_STRIDE + at]);
            if (VALUES) {
                values_of_it[i / 4u][i % 4u] = f32(kv[token * VALUE_STRIDE + at]);
            }
        }
        store_keys(block, &keys_of_it);
        if (VALUES) {
            store_values(block, &values_of_it);
        }
    }
}
