// Twice the value of eight E2M1 numbers, in the order of a 4-bit plane. Moved into an
// f16 they are 2⁻¹⁴ of themselves.
fn fp4_pair(word: u32) -> vec2f {
    let bits = ((word & 0x00080008u) << 12u) | ((word & 0x00070007u) << 9u);
    return unpack2x16float(bits) * 32768.0;
}

fn fp4_eight(word: u32) -> Eight {
    let a = fp4_pair(word);
    let b = fp4_pair(word >> 8u);
    let c = fp4_pair(word >> 4u);
    let d = fp4_pair(word >> 12u);
    return Eight(vec4(a.x, b.x, a.y, b.y), vec4(c.x, d.x, c.y, d.y));
}
