//! Gated short convolution (LFM2; Liquid AI 2025): [B|C|x] = in_proj·h, u = B⊙x, a causal
//! convolution of a few taps per channel over u, times C. What a sequence carries on is its last u.

use wisp_base::Result;
use wisp_graph::{Kind, Resource, ValueId};
use wisp_ops::record;

use crate::config::ShortConv;
use crate::decoder::Recorder;

impl Recorder<'_> {
    /// All channels `[tokens, hidden_size]` for `h` `[tokens, hidden_size]`.
    pub(crate) fn short_conv(
        &mut self,
        layer: usize,
        of: ShortConv,
        h: ValueId,
    ) -> Result<ValueId> {
        let channels = self.c.hidden_size;
        let matrix = format!("blk.{layer}.shortconv.in_proj");
        let bcx = self.product(h, &matrix, 3 * channels, false, Kind::Activation)?;
        let conv = wisp_ops::ShortConv {
            channels,
            kernel: of.kernel,
            activation: None,
            gated: true,
            bias: false,
        };
        let name = format!("blk.{layer}.shortconv.conv.weight");
        let taps = self.tensors.vector(&mut self.tape, name, channels.saturating_mul(of.kernel))?;
        let len = conv.state_len();
        let slots = self.tape.resource(Resource::Slots { layer, name: "short convolution", len });
        record(&mut self.tape, conv, &[bcx], &[taps, slots])
    }
}
