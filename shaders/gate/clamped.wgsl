// interface gate: what gate and up projection of a gated unit become. Here gpt-oss's:
// gate·sigmoid(1.702·gate)·(up + 1), with gate at most 7 and up within ±7.
fn gated(gate: f32, up: f32) -> f32 {
    let g = min(gate, 7.0);
    return g / (1.0 + exp(-1.702 * g)) * (clamp(up, -7.0, 7.0) + 1.0);
}
