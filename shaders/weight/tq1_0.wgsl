// interface weight: TQ1_0. Digits of base 3, five a byte as a fraction of 256, as in the
// file: 32 bytes with digits of weights 32 apart, 16 with those 16 apart, 4 with those 4
// apart; 16-bit d; w = d·(digit - 1).
//!import lib/eight
//!import lib/halves
const BLOCK: u32 = 32u;

@group(0) @binding(8) var<storage, read> weight_quants: array<u32>;

struct WeightBlock {
    first: u32, // word of the block of 256
    part: u32,
    scale: f32,
}

fn weight_block(block: u32) -> WeightBlock {
    return WeightBlock(block / 8u * 13u, block % 8u, scale_half(block / 8u));
}

fn weight_scale(block: ptr<function, WeightBlock>) -> vec2f {
    return vec2(1.0, -1.0) * (*block).scale;
}

// Four digits of a part: the word that has them, times the power of 3 that moves them
// to the front.
fn four(block: WeightBlock, index: u32) -> vec4f {
    var word = index;
    var n = block.part;
    if (block.part >= 5u) {
        word = 8u + index % 4u;
        n = 2u * (block.part - 5u) + index / 4u;
        if (n == 5u) {
            word = 12u;
            n = index % 4u;
        }
    }
    let power = select((0x1b090301u >> (8u * (n % 4u))) & 255u, 81u, n == 4u);
    let digits = (unpack4xU8(weight_quants[block.first + word]) * power) & vec4(255u);
    return vec4f((digits * 3u) >> vec4(8u));
}

fn codes8(block: ptr<function, WeightBlock>, index: u32) -> Eight {
    return Eight(four(*block, 2u * index), four(*block, 2u * index + 1u));
}
