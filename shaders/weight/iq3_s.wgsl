// interface weight: IQ3_S. For each 4 weights a 9-bit index and 4 signs; a 4-bit scale s
// for each 32; 16-bit d; w = d·(2s + 1)·value. Words of low bits and of signs; high bits
// and scales in halves.
//!import lib/eight
//!import lib/halves
//!import lib/signs
const BLOCK: u32 = 32u;

@group(0) @binding(7) var<storage, read> weight_table: array<u32>;
@group(0) @binding(8) var<storage, read> weight_quants: array<u32>;

struct WeightBlock {
    quants: vec2<u32>,
    signs: u32,
    high: u32,
    scale: f32,
}

fn weight_block(block: u32) -> WeightBlock {
    let at = block / 8u * 7u;
    let part = block % 8u;
    let scale = (scale_bits(at + 4u + part / 4u) >> (4u * (part % 4u))) & 15u;
    return WeightBlock(
        vec2(weight_quants[3u * block], weight_quants[3u * block + 1u]),
        weight_quants[3u * block + 2u],
        scale_bits(at + part / 2u) >> (8u * (part % 2u)),
        scale_half(at + 6u) * f32(2u * scale + 1u),
    );
}

fn weight_scale(block: ptr<function, WeightBlock>) -> vec2f {
    return vec2((*block).scale, 0.0);
}

fn codes8(block: ptr<function, WeightBlock>, index: u32) -> Eight {
    let pair = (*block).quants[index / 2u] >> (16u * (index % 2u));
    let high = (*block).high >> (2u * index);
    let signs = (*block).signs >> (8u * index);
    return Eight(
        signed4(weight_table[(pair & 255u) | ((high & 1u) << 8u)], signs),
        signed4(weight_table[((pair >> 8u) & 255u) | ((high & 2u) << 7u)], signs >> 4u),
    );
}
