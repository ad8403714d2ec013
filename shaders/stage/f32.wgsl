// interface stage: how a workgroup holds x in its memory. Here in f32.
var<workgroup> x_fours: array<vec4f, BLOCK / 4u * PLANE>; // [fours of a block][PLANE]

fn stage_put(block: u32, index: u32, eight: Eight) {
    x_fours[2u * index * PLANE + block] = eight.lo;
    x_fours[(2u * index + 1u) * PLANE + block] = eight.hi;
}

fn stage_get(block: u32, index: u32) -> Eight {
    return Eight(x_fours[2u * index * PLANE + block], x_fours[(2u * index + 1u) * PLANE + block]);
}
