//! Phi-3, 3.5 and 4-mini (2024): Llama with fused projections and longrope.

use wisp_base::Result;
use wisp_ops::Pairing;

use crate::config::{DecoderConfig, Gate};
use crate::keys::Keys;

pub(crate) fn phi3(keys: &Keys<'_>) -> Result<DecoderConfig> {
    let mut config = keys.decoder(Pairing::NeoX)?;
    config.fused_qkv = true;
    config.gate = Gate::Fused;
    keys.set_windows(&mut config, 0, false)?;
    Ok(config)
}
