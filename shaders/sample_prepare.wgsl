// Logits with bias and penalties, in place, and the best of every CHUNK of them.
// repetition: Keskar et al. 2019; presence, frequency: as the OpenAI API defines them.
//!import reduce
//!import lib/sampling
const THREADS: u32 = 64u;
const LANES: u32 = 1u;

// [sequences, VOCAB]: how often a token is in the answer; bit 31: it is in the prompt.
@group(0) @binding(4) var<storage, read> counts: array<u32>;
@group(0) @binding(5) var<storage, read> bias: array<f32>; // [sequences, VOCAB]
@group(0) @binding(6) var<storage, read_write> best: array<vec2f>; // [outputs, CHUNKS]

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let chunk = group.x;
    let output = group.z;
    let sequence = step_sequence(step_output_token(output));
    let penalties = settings[sequence].penalties == 1u;
    let biased = settings[sequence].biased == 1u;
    var top = -3.0e38;
    var token = 0u;
    for (var i = thread; i < CHUNK; i += THREADS) {
        let id = chunk * CHUNK + i;
        if (id < VOCAB) {
            var logit = logits[output * STRIDE + id];
            if (biased) {
                logit += bias[sequence * VOCAB + id];
            }
            if (penalties) {
                let seen = counts[sequence * VOCAB + id];
                let times = f32(seen & 0x7fffffffu);
                if (seen != 0u) {
                    let repetition = settings[sequence].repetition;
                    logit = select(logit * repetition, logit / repetition, logit > 0.0);
                }
                if (times > 0.0) {
                    logit -= settings[sequence].presence;
                }
                logit -= times * settings[sequence].frequency;
            }
            if (biased || penalties) {
                logits[output * STRIDE + id] = logit;
            }
            if (logit > top) {
                top = logit;
                token = id;
            }
        }
    }
    let largest = reduce_max(top, thread);
    // Of equals the first one. Ids are below 2²⁴: exact as f32.
    let first = -reduce_max(select(-3.0e38, -f32(token), top == largest), thread);
    if (thread == 0u) {
        best[output * CHUNKS + chunk] = vec2(largest, first);
    }
}
