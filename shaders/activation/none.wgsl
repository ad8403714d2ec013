// interface activation. Here x as it is.
fn activate(x: f32) -> f32 {
    return x;
}
