// The slots behind a step: the last KERNEL - 1 inputs of each sequence that are no draft
// tokens'. A dispatch of its own, since the first tokens of a run still need the slot that the last ones change. A
// thread has a channel of one run.
//!import scalar
//!import lib/step
//!import lib/conv
const THREADS: u32 = 64u;
const CHANNELS: u32 = 1u;
const KERNEL: u32 = 2u;

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let channel = group.x * THREADS + thread;
    if (channel >= CHANNELS) {
        return;
    }
    let run = step_run(group.y);
    conv_keep(run.x, run.z, channel);
}
