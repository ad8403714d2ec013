// interface scalar: what activations are stored as. Here IEEE 16-bit.
alias scalar = f16;
alias scalar4 = vec4<f16>;
alias packed4 = vec2<u32>; // four of them, loaded as two words

// Clamped: one number too large stays one wrong number instead of an infinity
// that turns the whole row into NaN.
fn to_scalar(value: f32) -> scalar {
    return f16(clamp(value, -65504.0, 65504.0));
}

fn to_scalar4(value: vec4f) -> scalar4 {
    return vec4<f16>(clamp(value, vec4(-65504.0), vec4(65504.0)));
}

fn unpacked4(words: packed4) -> vec4f {
    return vec4(unpack2x16float(words.x), unpack2x16float(words.y));
}
