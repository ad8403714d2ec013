//! wisp-ops
