//! The pre-tokenizers by name: a new name is a row of [`RULES`].
//!
//! Where llama.cpp had to write a model's pattern in another way (it cannot tell
//! upper case from lower), the model's own pattern is here.

use super::Tail::{self, Cascade, Leave, Split};

/// One stage of splitting.
pub(super) enum Part {
    /// Matches of the pattern, and what its white space tail takes.
    Pattern(&'static str, Tail),
    /// Runs of digits, in groups of three from the right; where `true`, only those
    /// that no word character follows.
    Thousands(bool),
}

pub(super) struct Rule {
    /// The names in files; the first is the one that messages list.
    pub(super) names: &'static [&'static str],
    pub(super) parts: &'static [Part],
    /// A word that is in the vocabulary is its token, whatever the merges say.
    pub(super) ignore_merges: bool,
    /// Text begins with the begin token where the file does not say.
    pub(super) add_bos: bool,
    /// Tokens are text as it is, with `▁` for a space and `<0x0A>` for a byte.
    pub(super) raw: bool,
}

const PLAIN: Rule =
    Rule { names: &[], parts: &[], ignore_merges: false, add_bos: false, raw: false };

/// GPT-2's pattern, without its white space.
const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+";

/// A pattern of the later kind: contractions, words, numbers, signs, lines.
macro_rules! modern {
    ($first:expr, $word:expr, $number:expr, $rest:expr) => {
        concat!($first, $word, "|", $number, "|", $rest)
    };
}
macro_rules! contraction {
    () => {
        "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
    };
}
macro_rules! word {
    () => {
        r"[^\r\n\p{L}\p{N}]?\p{L}+"
    };
}
macro_rules! cased {
    ($end:expr) => {
        concat!(
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+",
            $end,
            r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*",
            $end
        )
    };
}
macro_rules! signs {
    () => {
        r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    };
}
macro_rules! signs_and_slash {
    () => {
        r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+"
    };
}

const LLAMA3: &str = modern!(concat!(contraction!(), "|"), word!(), r"\p{N}{1,3}", signs!());
const QWEN2: &str = modern!(concat!(contraction!(), "|"), word!(), r"\p{N}", signs!());
const QWEN35: &str = modern!(
    concat!(contraction!(), "|"),
    r"[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+",
    r"\p{N}",
    r" ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+"
);
const TEKKEN: &str = modern!("", cased!(""), r"\p{N}", signs_and_slash!());
const GPT4O: &str =
    modern!("", cased!(concat!(contraction!(), "?")), r"\p{N}{1,3}", signs_and_slash!());
const YOUTU: &str = modern!("", cased!(concat!(contraction!(), "?")), r"\p{N}", signs_and_slash!());
const KIMI: &str = concat!(
    r"\p{Han}+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*",
    r"[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+",
    r"[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
);
/// DeepSeek V3's main pattern up to its lines.
macro_rules! deepseek {
    () => {
        concat!(
            "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+",
            r"|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+"
        )
    };
}
const DEEPSEEK3: &str = concat!(deepseek!(), r"[\r\n]*|\s*[\r\n]+");
const CJK: &str = r"[一-龥\u{3040}-ゟ゠-ヿ]+";
const HAN_AND_HANGUL: &str = r"[一-龥\u{800}-一가-\u{d7ff}]+";
const DEEPSEEK_WORD: &str = r"\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+";
const ASIAN: &str = "[一-鿿㐀-䶿豈-﫿぀-ゟ゠-ヿ･-ﾟ⼀-⿟เ-๿຀-໿ក-៿က-႟ꩠ-ꩿꧠ-꧿가-힯ᄀ-ᇿ]+";
const STOPS: &str = r" ?[^(\s|.,!?…。，、।۔،)]+";
const LINES: &str = r"[^\n]+|\n+";

/// The names of models whose `tokenizer.json` composes characters (NFC) before it splits, which
/// a GGUF file does not say and llama.cpp does not do.
pub(super) const COMPOSING: &[&str] = &["qwen2", "command-r", "mpt", "olmo", "modern-bert"];

pub(super) const RULES: &[Rule] = &[
    Rule {
        names: &["default"],
        parts: &[
            Part::Pattern(r"[\p{P}\$\+<=>\^~\|]+", Leave),
            Part::Pattern(GPT2, Split),
            Part::Pattern(r"\p{N}+", Leave),
            Part::Pattern(r"[0-9][0-9][0-9]", Leave),
        ],
        ..PLAIN
    },
    Rule {
        names: &[
            "gpt-2",
            "phi-2",
            "jina-es",
            "jina-de",
            "gigachat",
            "jina-v2-es",
            "jina-v2-de",
            "a.x-4.0",
            "mellum",
            "modern-bert",
            "jina-v1-en",
            "jina-v2-code",
            "roberta-bpe",
            "mpt",
            "olmo",
            "jais",
            "trillion",
            "granite-docling",
            "exaone4",
        ],
        parts: &[Part::Pattern(GPT2, Split)],
        ..PLAIN
    },
    Rule {
        names: &[
            "smollm",
            "starcoder",
            "refact",
            "command-r",
            "codeshell",
            "exaone",
            "minerva-7b",
            "mellum2",
        ],
        parts: &[Part::Pattern(r"\p{N}", Leave), Part::Pattern(GPT2, Split)],
        ..PLAIN
    },
    Rule {
        names: &[
            "llama-bpe",
            "llama3",
            "llama-v3",
            "falcon3",
            "falcon-h1",
            "pixtral",
            "midm-2.0",
            "lfm2",
            "jina-v5-nano",
        ],
        parts: &[Part::Pattern(LLAMA3, Split)],
        ignore_merges: true,
        add_bos: true,
        ..PLAIN
    },
    Rule {
        names: &["dbrx", "smaug-bpe", "chatglm-bpe"],
        parts: &[Part::Pattern(LLAMA3, Split)],
        ..PLAIN
    },
    Rule {
        names: &["glm4", "glm5"],
        parts: &[Part::Pattern(LLAMA3, Split)],
        ignore_merges: true,
        ..PLAIN
    },
    Rule { names: &["jais-2"], parts: &[Part::Pattern(LLAMA3, Cascade)], ..PLAIN },
    Rule {
        names: &["minicpm5"],
        parts: &[
            Part::Pattern(r"\p{N}{1,3}", Leave),
            Part::Pattern(
                modern!(concat!(contraction!(), "|"), word!(), r"\p{N}+", signs!()),
                Split,
            ),
        ],
        ignore_merges: true,
        ..PLAIN
    },
    Rule {
        names: &[
            "qwen2",
            "deepseek-r1-qwen",
            "kormo",
            "f2llmv2",
            "stablelm2",
            "megrez",
            "hunyuan",
            "solar-open",
            "grok-2",
        ],
        parts: &[Part::Pattern(QWEN2, Split)],
        ..PLAIN
    },
    Rule { names: &["qwen35"], parts: &[Part::Pattern(QWEN35, Split)], ..PLAIN },
    Rule {
        names: &["ufakzeka"],
        parts: &[Part::Pattern(modern!("", word!(), r"\p{N}", signs!()), Split)],
        ..PLAIN
    },
    Rule {
        names: &["laguna"],
        parts: &[Part::Pattern(LINES, Leave), Part::Pattern(QWEN2, Split)],
        ..PLAIN
    },
    Rule {
        names: &["bailingmoe", "bailingmoe2", "llada-moe"],
        parts: &[Part::Pattern(
            modern!(
                "'(?i:[sdmt]|ll|ve|re)|",
                word!(),
                r"\p{N}",
                r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]"
            ),
            Split,
        )],
        ..PLAIN
    },
    Rule {
        names: &["seed-coder"],
        parts: &[Part::Pattern(
            modern!(
                concat!(contraction!(), "|"),
                word!(),
                r"\p{N}",
                r" ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+"
            ),
            Split,
        )],
        ..PLAIN
    },
    Rule {
        names: &["exaone-moe"],
        parts: &[Part::Pattern(
            modern!(
                concat!(contraction!(), "|"),
                r"[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+",
                r"\p{N}",
                r" ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]"
            ),
            Split,
        )],
        ..PLAIN
    },
    Rule {
        names: &["deepseek-llm"],
        parts: &[
            Part::Pattern(r"[\r\n]", Leave),
            Part::Pattern(DEEPSEEK_WORD, Leave),
            Part::Pattern(r"\s?[!-/:-~！-／：-～‘-‟\u{3000}-。]+", Leave),
            Part::Pattern(r"\s+\z", Leave),
            Part::Pattern(HAN_AND_HANGUL, Leave),
            Part::Pattern(r"\p{N}+", Leave),
        ],
        ..PLAIN
    },
    Rule {
        names: &["deepseek-coder"],
        parts: &[
            Part::Pattern(r"[\r\n]", Leave),
            Part::Pattern(r"\s?\p{L}+", Leave),
            Part::Pattern(r"\s?\p{P}+", Leave),
            Part::Pattern(HAN_AND_HANGUL, Leave),
            Part::Pattern(r"\p{N}", Leave),
        ],
        ..PLAIN
    },
    Rule {
        names: &["deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"],
        parts: &[
            Part::Pattern(r"\p{N}{1,3}", Leave),
            Part::Pattern(CJK, Leave),
            Part::Pattern(DEEPSEEK3, Split),
        ],
        ..PLAIN
    },
    Rule {
        names: &["spark2_5"],
        parts: &[
            Part::Pattern(r"\p{N}{1,3}", Leave),
            Part::Pattern(CJK, Leave),
            Part::Pattern(concat!(deepseek!(), r"|[\r\n]"), Split),
            Part::Pattern(r"\p{N}", Leave),
        ],
        ..PLAIN
    },
    Rule {
        names: &["afmoe"],
        parts: &[
            Part::Thousands(false),
            Part::Pattern(ASIAN, Leave),
            Part::Pattern(DEEPSEEK3, Split),
        ],
        ..PLAIN
    },
    Rule {
        names: &["youtu"],
        parts: &[
            Part::Pattern(
                concat!(
                    r"[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-\u{303f}︰-﹏]+|[ㄅ-ㄯ]+",
                    r"|[一-龥\u{3040}-ゟ゠-ヿ]+"
                ),
                Leave,
            ),
            Part::Pattern(YOUTU, Split),
        ],
        ignore_merges: true,
        ..PLAIN
    },
    Rule {
        names: &["falcon"],
        parts: &[
            Part::Pattern(r"[\p{P}\$\+<=>\^~\|`]+", Leave),
            Part::Pattern(GPT2, Split),
            Part::Pattern(r"[0-9][0-9][0-9]", Leave),
        ],
        ..PLAIN
    },
    Rule {
        names: &["bloom", "poro-chat", "gpt3-finnish"],
        parts: &[Part::Pattern(STOPS, Leave)],
        ..PLAIN
    },
    Rule {
        names: &["viking"],
        parts: &[Part::Pattern(STOPS, Leave), Part::Pattern(r"\p{N}", Leave)],
        ..PLAIN
    },
    Rule {
        names: &["tekken"],
        parts: &[Part::Pattern(TEKKEN, Split)],
        ignore_merges: true,
        add_bos: true,
        ..PLAIN
    },
    Rule {
        names: &["chameleon"],
        parts: &[
            Part::Pattern(r"<sentinel:[0-9]+>", Leave),
            Part::Pattern(r"IMGIMG[A-I]{1,4}Z", Leave),
            Part::Pattern(r"[\t\n]|    |  ", Leave),
            Part::Pattern(r"\p{N}", Leave),
            Part::Pattern(r"[\p{P}!-/:-@\[-`\{-~]", Leave),
            Part::Pattern(GPT2, Split),
        ],
        add_bos: true,
        ..PLAIN
    },
    Rule {
        names: &["gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"],
        parts: &[Part::Pattern(GPT4O, Split)],
        ..PLAIN
    },
    Rule {
        names: &["granite-embed-multi-97m"],
        parts: &[Part::Pattern(GPT4O, Split)],
        ignore_merges: true,
        ..PLAIN
    },
    Rule {
        names: &["tiny_aya", "cohere2moe"],
        parts: &[Part::Thousands(true), Part::Pattern(GPT4O, Split)],
        ..PLAIN
    },
    Rule { names: &["kimi-k2"], parts: &[Part::Pattern(KIMI, Split)], ..PLAIN },
    Rule {
        names: &["superbpe"],
        parts: &[Part::Pattern(r"\p{N}+", Leave), Part::Thousands(false)],
        ..PLAIN
    },
    Rule {
        names: &["gemma4", "granite-embed-multi-311m", "sarvam-moe"],
        parts: &[Part::Pattern(LINES, Leave)],
        raw: true,
        ..PLAIN
    },
];
