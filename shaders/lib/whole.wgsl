// Codes that share the scale of their block.
const PARTS: u32 = 1u;

fn part_scale(block: ptr<function, WeightBlock>, part: u32) -> vec2f {
    return vec2(1.0, 0.0);
}
