// Scales of 16 bits, two a word.
//!import lib/eight

@group(0) @binding(9) var<storage, read> weight_scales: array<u32>;

fn scale_bits(at: u32) -> u32 {
    return (weight_scales[at / 2u] >> (16u * (at % 2u))) & 0xffffu;
}

fn scale_half(at: u32) -> f32 {
    return half_at(weight_scales[at / 2u], at);
}

// Two signed bytes of 16 bits.
fn scale_pair(at: u32) -> vec2f {
    let bits = bitcast<i32>(scale_bits(at));
    return vec2(f32(extractBits(bits, 0u, 8u)), f32(extractBits(bits, 8u, 8u)));
}
