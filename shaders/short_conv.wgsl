// Depthwise causal convolution: y_t = f(Σ_j w_j·u_{t-KERNEL+1+j} + bias), channel by channel,
// and C⊙y_t where it is gated (LFM2, Mamba's and DeltaNet's convolution). A thread has a
// channel of one token.
//!import scalar
//!import activation
//!import bias
//!import lib/step
//!import lib/conv
const THREADS: u32 = 64u;
const FIRST_ROW: u32 = 0u;
const CHANNELS: u32 = 1u;
const KERNEL: u32 = 2u;
const Y_STRIDE: u32 = 1u;

@group(0) @binding(2) var<storage, read_write> y: array<scalar>; // [tokens, Y_STRIDE]
@group(0) @binding(4) var<storage, read> taps: array<f32>; // [CHANNELS, KERNEL]

// How many tokens of its run are before a token, as far as the convolution reaches.
fn tokens_before(token: u32) -> u32 {
    var count = 0u;
    while (count < min(token, KERNEL - 1u)) {
        if (step_sequence(token - count - 1u) != step_sequence(token)) {
            break;
        }
        count++;
    }
    return count;
}

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let channel = group.x * THREADS + thread;
    let token = group.y;
    if (channel >= CHANNELS) {
        return;
    }
    let at = tokens_before(token);
    var sum = bias_at(channel);
    for (var j = 0u; j < KERNEL; j++) {
        let u = conv_before(token - at, at, KERNEL - 1u - j, channel);
        sum += taps[channel * KERNEL + j] * u;
    }
    var value = activate(sum);
    if (GATED) {
        value *= f32(x[token * X_STRIDE + CHANNELS + channel]);
    }
    y[token * Y_STRIDE + channel] = to_scalar(value);
    // Where every run is one token, its thread moves the slot as well.
    if (step_runs() == step_tokens()) {
        conv_keep(token, 1u, channel);
    }
}
