// What a causal convolution sees, in the step and before it. A slot holds the last
// KERNEL - 1 inputs of its sequence, oldest first. The kernel declares KERNEL, CHANNELS.
const X_STRIDE: u32 = 1u;
const GATED: bool = false; // rows are [B|C|x], and the input is B⊙x

@group(0) @binding(1) var<storage, read> x: array<scalar>; // [tokens, X_STRIDE]
@group(0) @binding(10) var<storage, read_write> slots: array<f32>; // [slot, KERNEL - 1, CHANNELS]

fn conv_input(token: u32, channel: u32) -> f32 {
    let at = token * X_STRIDE + channel;
    if (GATED) {
        return f32(x[at]) * f32(x[at + 2u * CHANNELS]);
    }
    return f32(x[at]);
}

// The input `back` tokens before token `at` of the run that begins with token `first`.
fn conv_before(first: u32, at: u32, back: u32, channel: u32) -> f32 {
    if (back <= at) {
        return conv_input(first + at - back, channel);
    }
    if (back > step_position(first) + at) {
        return 0.0;
    }
    let entry = KERNEL - 1u - (back - at);
    return slots[(step_sequence(first) * (KERNEL - 1u) + entry) * CHANNELS + channel];
}

// Moves a channel of the slot behind a run of `count` tokens. An entry is read before a
// later one of this thread takes its place, and no other thread has the channel.
fn conv_keep(first: u32, count: u32, channel: u32) {
    let slot = step_sequence(first) * (KERNEL - 1u);
    for (var entry = 0u; entry < KERNEL - 1u; entry++) {
        let value = conv_before(first, count - 1u, KERNEL - 2u - entry, channel);
        slots[(slot + entry) * CHANNELS + channel] = value;
    }
}
