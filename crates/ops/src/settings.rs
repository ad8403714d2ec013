//! How the next token of a sequence is drawn: what `Sample` reads of it.

/// Words of [`Settings`] on the GPU.
pub const SETTING_WORDS: usize = 12;

/// The bit of a token's count that says it is in the prompt.
pub const IN_PROMPT: u32 = 1 << 31;

/// One sequence's settings; `Settings` of `shaders/lib/sampling.wgsl`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// 0 takes the most likely token.
    pub temperature: f32,
    /// 0 keeps all.
    pub top_k: u32,
    /// 1 keeps all.
    pub top_p: f32,
    /// 0 drops none.
    pub min_p: f32,
    /// 1 is off.
    pub repetition: f32,
    /// 0 is off.
    pub presence: f32,
    /// 0 is off.
    pub frequency: f32,
    /// Look at the sequence's row of biases.
    pub biased: bool,
    /// For the draw.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self::GREEDY
    }
}

impl Settings {
    /// The likeliest token, always.
    pub const GREEDY: Self = Self {
        temperature: 0.0,
        top_k: 0,
        top_p: 1.0,
        min_p: 0.0,
        repetition: 1.0,
        presence: 0.0,
        frequency: 0.0,
        biased: false,
        seed: 0,
    };

    /// Whether tokens must be counted.
    pub fn penalties(&self) -> bool {
        self.repetition != 1.0 || self.presence != 0.0 || self.frequency != 0.0
    }

    /// As the shaders read them.
    pub fn words(&self) -> [u32; SETTING_WORDS] {
        [
            self.temperature.to_bits(),
            self.top_k,
            self.top_p.to_bits(),
            self.min_p.to_bits(),
            self.repetition.to_bits(),
            self.presence.to_bits(),
            self.frequency.to_bits(),
            u32::from(self.penalties()),
            u32::from(self.biased),
            self.seed as u32,
            (self.seed >> 32) as u32,
            0,
        ]
    }

    pub(crate) fn from_words(words: &[u32]) -> Option<Self> {
        let w: &[u32; SETTING_WORDS] = words.try_into().ok()?;
        Some(Self {
            temperature: f32::from_bits(w[0]),
            top_k: w[1],
            top_p: f32::from_bits(w[2]),
            min_p: f32::from_bits(w[3]),
            repetition: f32::from_bits(w[4]),
            presence: f32::from_bits(w[5]),
            frequency: f32::from_bits(w[6]),
            biased: w[8] == 1,
            seed: u64::from(w[9]) | u64::from(w[10]) << 32,
        })
    }
}
