// interface activation. Here the tanh form of GELU (Hendrycks and Gimpel 2016):
// x/2·(1 + tanh(√(2/π)·(x + 0.044715·x³))).
fn activate(x: f32) -> f32 {
    // Beyond ±15 tanh is ±1, and exp() inside it may overflow.
    let inner = clamp(0.7978845608 * (x + 0.044715 * x * x * x), -15.0, 15.0);
    return 0.5 * x * (1.0 + tanh(inner));
}
