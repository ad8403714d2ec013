// interface stage: how a workgroup holds x in its memory. Here as activations of 16 bits,
// which it was loaded as.
var<workgroup> x_eights: array<vec4<u32>, BLOCK / 8u * PLANE>; // [eights of a block][PLANE]

fn stage_put(block: u32, index: u32, eight: Eight) {
    x_eights[index * PLANE + block] = vec4(
        pack2x16float(eight.lo.xy),
        pack2x16float(eight.lo.zw),
        pack2x16float(eight.hi.xy),
        pack2x16float(eight.hi.zw),
    );
}

fn stage_get(block: u32, index: u32) -> Eight {
    let words = x_eights[index * PLANE + block];
    return Eight(
        vec4(unpack2x16float(words.x), unpack2x16float(words.y)),
        vec4(unpack2x16float(words.z), unpack2x16float(words.w)),
    );
}
