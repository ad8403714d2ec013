//! What a message says of settings: structured, so that each front names them in its own words.

use std::fmt;

/// A setting that a person can change, by its name in the library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// The context, in tokens.
    Ctx,
    /// The KV cache type.
    Kv,
    /// Capabilities that are switched off.
    Caps,
    /// The adapter.
    Device,
    /// Kernel parameters.
    Tuning,
    /// Whether a bench times operations.
    Ops,
}

impl Setting {
    /// All of them: for fronts, whose names must not lack one.
    pub const ALL: [Self; 6] =
        [Self::Ctx, Self::Kv, Self::Caps, Self::Device, Self::Tuning, Self::Ops];

    /// The library's own name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ctx => "ctx",
            Self::Kv => "kv",
            Self::Caps => "caps",
            Self::Device => "device",
            Self::Tuning => "tuning",
            Self::Ops => "ops",
        }
    }
}

/// How a front calls a setting; `None` where it does not offer it.
pub type SettingName = fn(Setting) -> Option<&'static str>;

/// What a message says of a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Hint {
    /// The message begins with what the setting was given.
    About(Setting),
    /// The setting would put it right: what to say before and after its name.
    Advice(String, Setting, String),
}

/// The sentence of an [`Error`](crate::Error), with a hint where a setting is concerned.
///
/// In a box: errors are passed on in many places, and a browser downloads the code of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message(Box<Parts>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Parts {
    text: String,
    hint: Option<Hint>,
}

impl<T: Into<String>> From<T> for Message {
    fn from(text: T) -> Self {
        Self(Box::new(Parts { text: text.into(), hint: None }))
    }
}

impl Message {
    /// The sentence with the names of a front. Advice on a setting that it does not offer is left
    /// out.
    pub fn worded(&self, name: SettingName) -> String {
        let Parts { text, hint } = &*self.0;
        let named = |setting: Setting| name(setting).filter(|name| !name.is_empty());
        match hint {
            None => text.clone(),
            Some(Hint::About(setting)) => match named(*setting) {
                Some(name) => format!("{name} {text}"),
                None => text.clone(),
            },
            Some(Hint::Advice(before, setting, after)) => match named(*setting) {
                Some(name) => format!("{text}: {before}{name}{after}"),
                None => text.clone(),
            },
        }
    }

    /// The setting that the hint names, for code that reacts.
    pub fn setting(&self) -> Option<Setting> {
        match &self.0.hint {
            None => None,
            Some(Hint::About(setting) | Hint::Advice(_, setting, _)) => Some(*setting),
        }
    }

    /// Without the hint.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// With what it is about in front.
    pub(crate) fn within(mut self, place: &str) -> Self {
        self.0.text = format!("{place}: {}", self.0.text);
        self
    }

    pub(crate) fn with(mut self, hint: Hint) -> Self {
        self.0.hint = Some(hint);
        self
    }
}

/// With the library's own names.
impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.worded(|setting| Some(setting.name())))
    }
}
