// interface activation. Here 1/(1 + exp(-x)).
fn activate(x: f32) -> f32 {
    return 1.0 / (1.0 + exp(-x));
}
