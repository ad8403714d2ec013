// CAP·tanh(x / CAP) (Gemma 2); CAP 0 is none. CAP is the kernel's.
fn capped(x: f32) -> f32 {
    if (CAP == 0.0) {
        return x;
    }
    // Beyond ±15 tanh is ±1, and exp() inside it may overflow.
    return CAP * tanh(clamp(x / max(CAP, 1e-30), -15.0, 15.0));
}
