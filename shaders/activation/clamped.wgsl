// interface activation. Here gpt-oss's: x·sigmoid(1.702·x), x at most 7.
fn activate(x: f32) -> f32 {
    let most = min(x, 7.0);
    return most / (1.0 + exp(-1.702 * most));
}
