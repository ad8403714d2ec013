// interface weight: TQ1_0. Digits of base 3, five a byte as a fraction of 256, as in the
// file: 32 bytes with digits of weights 32 apart, 16 with those 16 apart, 4 with those 4
// apart; 16-bit d; w = d·(digit - 1).
//!import lib/eight
//!import lib/halves
const BLOCK: u32 = 32u;

@group(0) @binding(8) var<storage, read> weight_quants: array<u32>;

struct WeightBlock {
    quants: array<vec4<u32>, 2>,
    powers: array<vec4<u32>, 2>, // of 3, by which a four's digit comes first
    scale: f32,
}

fn power(n: u32) -> u32 {
    return select((0x1b090301u >> (8u * (n % 4u))) & 255u, 81u, n == 4u);
}

fn four(at: u32) -> vec4<u32> {
    return vec4(
        weight_quants[at],
        weight_quants[at + 1u],
        weight_quants[at + 2u],
        weight_quants[at + 3u],
    );
}

fn digits(word: u32, power: u32) -> vec4f {
    return vec4f((((unpack4xU8(word) * power) & vec4(255u)) * 3u) >> vec4(8u));
}

fn weight_block(block: u32) -> WeightBlock {
    let at = block / 8u * 13u;
    let part = block % 8u;
    let scale = scale_half(block / 8u);
    if (part < 5u) {
        let powers = vec4(power(part));
        return WeightBlock(array(four(at), four(at + 4u)), array(powers, powers), scale);
    }
    let first = 2u * part - 10u;
    var hi = four(at + 8u);
    var powers = vec4(power(first + 1u));
    if (part == 7u) {
        hi = vec4(weight_quants[at + 12u]);
        powers = vec4(1u, 3u, 9u, 27u);
    }
    return WeightBlock(array(four(at + 8u), hi), array(vec4(power(first)), powers), scale);
}

fn weight_scale(block: ptr<function, WeightBlock>) -> vec2f {
    return vec2(1.0, -1.0) * (*block).scale;
}

fn codes8(block: ptr<function, WeightBlock>, index: u32) -> Eight {
    let words = (*block).quants[index / 2u];
    let powers = (*block).powers[index / 2u];
    let at = index % 2u * 2u;
    return Eight(digits(words[at], powers[at]), digits(words[at + 1u], powers[at + 1u]));
}
