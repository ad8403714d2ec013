//! wisp-graph
