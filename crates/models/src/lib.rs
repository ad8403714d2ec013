//! wisp-models
