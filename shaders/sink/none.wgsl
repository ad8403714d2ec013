// interface sink: a score beside those of the keys that takes probability and gives
// no value. Here none.
fn sink_score(head: u32) -> f32 {
    return -3.0e38;
}

fn sink_weight() -> f32 {
    return 0.0;
}
