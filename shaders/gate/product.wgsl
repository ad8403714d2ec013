// interface gate: what gate and up projection of a gated unit become. Here
// activate(gate)·up (Shazeer 2020).
//!import activation
fn gated(gate: f32, up: f32) -> f32 {
    return activate(gate) * up;
}
