// interface activation. Here max(x, 0)² (So et al. 2021).
fn activate(x: f32) -> f32 {
    let positive = max(x, 0.0);
    return positive * positive;
}
