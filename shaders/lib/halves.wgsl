// Scales of 16 bits, two a word.
//!import lib/eight

@group(0) @binding(9) var<storage, read> weight_scales: array<u32>;

// Those of two that lie in a word.
fn half_bits(word: u32, at: u32) -> u32 {
    return (word >> (16u * (at % 2u))) & 0xffffu;
}

fn scale_bits(at: u32) -> u32 {
    return half_bits(weight_scales[at / 2u], at);
}

fn scale_half(at: u32) -> f32 {
    return half_at(weight_scales[at / 2u], at);
}

// Two signed bytes of 16 bits.
fn byte_pair(bits: u32) -> vec2f {
    let bytes = bitcast<i32>(bits);
    return vec2(f32(extractBits(bytes, 0u, 8u)), f32(extractBits(bytes, 8u, 8u)));
}

fn scale_pair(at: u32) -> vec2f {
    return byte_pair(scale_bits(at));
}
