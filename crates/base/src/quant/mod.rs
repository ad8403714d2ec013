//! CPU encoder and decoder of every weight format.
