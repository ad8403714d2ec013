// interface gate: what gate and up projection of a gated unit become. Here gpt-oss's:
// activate(gate)·(up + 1), up within ± LIMIT of `activation/clamped`.
//!import activation
fn gated(gate: f32, up: f32) -> f32 {
    return activate(gate) * (clamp(up, -LIMIT, LIMIT) + 1.0);
}
