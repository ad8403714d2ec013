// interface sink: a score beside those of the keys that takes probability and gives
// no value. Here one a head (gpt-oss).
@group(0) @binding(6) var<storage, read> sinks: array<f32>; // [heads]

fn sink_score(head: u32) -> f32 {
    return sinks[head];
}

fn sink_weight() -> f32 {
    return 1.0;
}
