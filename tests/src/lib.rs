//! wisp-tests
