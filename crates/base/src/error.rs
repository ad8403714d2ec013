//! The one error type. Each value is a sentence for the person who typed the
//! command: what was wrong, where, and what to do.

/// `std::result::Result` with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something could not be done. `Display` is the whole message; the variant
/// is for code that reacts (retry with less memory, rebuild a lost device).
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// A file, flag, token, URL or size that is wrong.
    #[error("{0}")]
    Input(String),
    /// Well-formed, but not something this version can do.
    #[error("{0}")]
    Unsupported(String),
    /// Does not fit, in the device's memory or in the KV cache.
    #[error("{0}")]
    Memory(String),
    /// The GPU is missing, was lost, or computed wrongly.
    #[error("{0}")]
    Device(String),
    /// The operating system or the network refused.
    #[error("{0}")]
    Io(String),
    /// The caller asked to stop.
    #[error("cancelled")]
    Cancelled,
}

impl Error {
    /// [`Error::Input`] from anything printable.
    pub fn input(message: impl Into<String>) -> Self {
        Self::Input(message.into())
    }

    /// [`Error::Unsupported`] from anything printable.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::Unsupported(message.into())
    }

    /// [`Error::Memory`] from anything printable.
    pub fn memory(message: impl Into<String>) -> Self {
        Self::Memory(message.into())
    }

    /// [`Error::Device`] from anything printable.
    pub fn device(message: impl Into<String>) -> Self {
        Self::Device(message.into())
    }

    /// [`Error::Io`]: what was being done, and the system's own words.
    pub fn io(doing: impl std::fmt::Display, cause: impl std::fmt::Display) -> Self {
        Self::Io(format!("{doing}: {cause}"))
    }
}
