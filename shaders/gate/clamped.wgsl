// interface gate: what gate and up projection of a gated unit become. Here gpt-oss's:
// activate(gate)·(up + 1), up within ±7.
//!import activation
fn gated(gate: f32, up: f32) -> f32 {
    return activate(gate) * (clamp(up, -7.0, 7.0) + 1.0);
}
