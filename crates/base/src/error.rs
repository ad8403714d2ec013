//! The one error type. Each value is a sentence for the person who asked: what was wrong, where,
//! and what to do. Settings are named by each front in its own words ([`Error::worded`]).

use crate::hint::{Hint, Message, Setting, SettingName};

/// `std::result::Result` with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something could not be done. `Display` is the whole message, with the library's names of
/// settings; the variant is for code that reacts (retry with less memory, rebuild a lost device).
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// A file, setting, token, URL or size that is wrong.
    #[error("{0}")]
    Input(Message),
    /// Well-formed, but not something this version can do.
    #[error("{0}")]
    Unsupported(Message),
    /// Does not fit, in the device's memory or in the KV cache.
    #[error("{0}")]
    Memory(Message),
    /// The GPU is missing, was lost, or computed wrongly.
    #[error("{0}")]
    Device(Message),
    /// The operating system or the network refused.
    #[error("{0}")]
    Io(Message),
    /// The caller asked to stop.
    #[error("cancelled")]
    Cancelled,
}

impl Error {
    /// [`Error::Input`] from anything printable.
    pub fn input(message: impl Into<String>) -> Self {
        Self::Input(message.into().into())
    }

    /// [`Error::Unsupported`] from anything printable.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::Unsupported(message.into().into())
    }

    /// [`Error::Memory`] from anything printable.
    pub fn memory(message: impl Into<String>) -> Self {
        Self::Memory(message.into().into())
    }

    /// [`Error::Device`] from anything printable.
    pub fn device(message: impl Into<String>) -> Self {
        Self::Device(message.into().into())
    }

    /// [`Error::Io`]: what was being done, and the system's own words.
    pub fn io(doing: impl std::fmt::Display, cause: impl std::fmt::Display) -> Self {
        Self::Io(format!("{doing}: {cause}").into())
    }

    /// The message begins with what `setting` was given: its name comes before that.
    #[must_use]
    pub fn about(self, setting: Setting) -> Self {
        self.map(|message| message.with(Hint::About(setting)))
    }

    /// What to do, with the setting's name between two texts: `("give a larger ", Setting::Ctx,
    /// " or a shorter prompt")`.
    #[must_use]
    pub fn hint(
        self,
        before: impl Into<String>,
        setting: Setting,
        after: impl Into<String>,
    ) -> Self {
        self.map(|message| message.with(Hint::Advice(before.into(), setting, after.into())))
    }

    /// With the place that it is about in front: a file, a field.
    #[must_use]
    pub fn within(self, place: &str) -> Self {
        self.map(|message| message.within(place))
    }

    /// The message, if the variant has one.
    pub fn message(&self) -> Option<&Message> {
        match self {
            Self::Input(message)
            | Self::Unsupported(message)
            | Self::Memory(message)
            | Self::Device(message)
            | Self::Io(message) => Some(message),
            Self::Cancelled => None,
        }
    }

    /// The sentence, with the names that a front has for settings.
    pub fn worded(&self, name: SettingName) -> String {
        self.message().map_or_else(|| self.to_string(), |message| message.worded(name))
    }

    fn map(self, change: impl FnOnce(Message) -> Message) -> Self {
        match self {
            Self::Input(message) => Self::Input(change(message)),
            Self::Unsupported(message) => Self::Unsupported(change(message)),
            Self::Memory(message) => Self::Memory(change(message)),
            Self::Device(message) => Self::Device(change(message)),
            Self::Io(message) => Self::Io(change(message)),
            Self::Cancelled => Self::Cancelled,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_front_names_settings_in_its_own_words() {
        let error = Error::input("the prompt has 9 tokens, but the context is 4");
        let error = error.hint("give a larger ", Setting::Ctx, " or a shorter prompt");
        let error = error.within("m.gguf");
        let text = "m.gguf: the prompt has 9 tokens, but the context is 4";
        assert_eq!(error.to_string(), format!("{text}: give a larger ctx or a shorter prompt"));
        let flags = error.worded(|_| Some("--ctx"));
        assert_eq!(flags, format!("{text}: give a larger --ctx or a shorter prompt"));
        assert_eq!(error.worded(|_| None), text);
        assert_eq!(error.message().and_then(Message::setting), Some(Setting::Ctx));
    }

    #[test]
    fn what_is_about_a_setting_begins_with_its_name() {
        let error = Error::device("x: no such adapter").about(Setting::Device);
        assert_eq!(error.to_string(), "device x: no such adapter");
        assert_eq!(error.worded(|_| Some("--device")), "--device x: no such adapter");
        assert_eq!(error.worded(|_| None), "x: no such adapter");
        assert_eq!(Error::Cancelled.worded(|_| None), "cancelled");
    }

    #[test]
    fn no_two_settings_share_a_name() {
        let mut names: Vec<_> = Setting::ALL.map(Setting::name).to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Setting::ALL.len());
    }
}
