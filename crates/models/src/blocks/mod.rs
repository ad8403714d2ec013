//! What layers are built of, a file each: mixers ([`attention`], [`mla`],
//! [`short_conv`], [`gated_delta`]), and what follows them
//! ([`feed_forward`], [`experts`]). Each records onto the tape of a [`crate::decoder::Recorder`];
//! none asks which family it serves.

pub(crate) mod attention;
pub(crate) mod experts;
pub(crate) mod feed_forward;
pub(crate) mod gated_delta;
pub(crate) mod mla;
pub(crate) mod short_conv;
