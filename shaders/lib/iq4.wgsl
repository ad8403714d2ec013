// The 16 values of IQ4, −127 … 113. They lie within 0.38 of a polynomial.
fn iq4_values(codes: vec4f) -> vec4f {
    let x = codes - 7.5;
    var y = fma(x, vec4(0.00014479139), vec4(0.0010843577));
    y = fma(x, y, vec4(0.069785265));
    y = fma(x, y, vec4(-0.11349816));
    y = fma(x, y, vec4(11.61645));
    y = fma(x, y, vec4(-4.417675));
    return round(y);
}
