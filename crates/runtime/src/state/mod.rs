//! What sequences own on the device, as data: which blocks (pages) of the KV cache are whose, and
//! which snapshots of state in slots are kept.

mod block_manager;
mod snapshots;

pub use block_manager::{BlockManager, BlockTable};
