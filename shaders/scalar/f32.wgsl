// interface scalar: what activations are stored as. Here IEEE 32-bit.
alias scalar = f32;
alias scalar4 = vec4<f32>;
alias packed4 = vec4<f32>;

fn to_scalar(value: f32) -> scalar {
    return value;
}

fn to_scalar4(value: vec4f) -> scalar4 {
    return value;
}

fn unpacked4(value: packed4) -> vec4f {
    return value;
}
