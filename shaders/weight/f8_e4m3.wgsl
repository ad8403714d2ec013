// interface weight: F8_E4M3.
//!import lib/e4m3
//!import lib/float8_plain
