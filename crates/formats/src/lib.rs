//! wisp-formats
