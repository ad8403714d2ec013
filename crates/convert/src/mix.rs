//! Which format each tensor gets, by llama.cpp's types: most are one format with a few
//! tensors in others, those whose errors cost most.

use wisp_base::{Format, Result};
use wisp_formats::{Checkpoint, TensorInfo};

/// A type of file: its name, its number in `general.file_type`, what most tensors get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Type {
    /// `q4_k_m`
    pub name: &'static str,
    /// llama.cpp's number.
    pub number: u32,
    base: Format,
}

/// All of them.
pub const TYPES: [Type; 35] = {
    const fn of(name: &'static str, number: u32, base: Format) -> Type {
        Type { name, number, base }
    }
    [
        of("f32", 0, Format::F32),
        of("f16", 1, Format::F16),
        of("bf16", 32, Format::BF16),
        of("q8_0", 7, Format::Q8_0),
        of("q4_0", 2, Format::Q4_0),
        of("q4_1", 3, Format::Q4_1),
        of("q5_0", 8, Format::Q5_0),
        of("q5_1", 9, Format::Q5_1),
        of("q2_k", 10, Format::Q2_K),
        of("q2_k_s", 21, Format::Q2_K),
        of("q3_k_s", 11, Format::Q3_K),
        of("q3_k_m", 12, Format::Q3_K),
        of("q3_k_l", 13, Format::Q3_K),
        of("q4_k_s", 14, Format::Q4_K),
        of("q4_k_m", 15, Format::Q4_K),
        of("q5_k_s", 16, Format::Q5_K),
        of("q5_k_m", 17, Format::Q5_K),
        of("q6_k", 18, Format::Q6_K),
        of("iq1_s", 24, Format::IQ1_S),
        of("iq1_m", 31, Format::IQ1_M),
        of("iq2_xxs", 19, Format::IQ2_XXS),
        of("iq2_xs", 20, Format::IQ2_XS),
        of("iq2_s", 28, Format::IQ2_XS),
        of("iq2_m", 29, Format::IQ2_S),
        of("iq3_xxs", 23, Format::IQ3_XXS),
        of("iq3_xs", 22, Format::IQ3_S),
        of("iq3_s", 26, Format::IQ3_S),
        of("iq3_m", 27, Format::IQ3_S),
        of("iq4_nl", 25, Format::IQ4_NL),
        of("iq4_xs", 30, Format::IQ4_XS),
        of("tq1_0", 36, Format::TQ1_0),
        of("tq2_0", 37, Format::TQ2_0),
        of("mxfp4", 38, Format::MXFP4),
        of("nvfp4", 39, Format::NVFP4),
        of("q1_0", 40, Format::Q1_0),
    ]
};

/// Other names that people type.
const ALIASES: [(&str, &str); 4] =
    [("q3_k", "q3_k_m"), ("q4_k", "q4_k_m"), ("q5_k", "q5_k_m"), ("mxfp4_moe", "mxfp4")];

impl Type {
    /// By its name, in whatever case.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn parse(name: &str) -> Result<Self, String> {
        let lower = name.to_lowercase();
        let known = ALIASES.iter().find(|(alias, _)| *alias == lower).map(|(_, name)| *name);
        let name = known.unwrap_or(&lower);
        if let Some(found) = TYPES.iter().find(|of| of.name == name) {
            return Ok(*found);
        }
        if Format::ALL.iter().any(|format| format.name().eq_ignore_ascii_case(name)) {
            return Err(format!(
                "{name} is read, but this version cannot make it; it makes {}",
                names()
            ));
        }
        Err(format!("there is no type {name}; there are {}", names()))
    }

    /// Less than three bits per weight, by grids.
    fn is_low(self) -> bool {
        self.name.starts_with("iq1") || self.name.starts_with("iq2")
    }

    /// What more important tensors of such a type get.
    fn better(self) -> Format {
        if matches!(self.name, "iq2_s" | "iq2_m") { Format::IQ3_S } else { Format::Q2_K }
    }
}

fn names() -> String {
    TYPES.map(|of| of.name).join(", ")
}

/// What a model's tensors are, as far as it matters here.
pub struct Model {
    layers: usize,
    /// Query heads a kv head.
    group: usize,
    experts: usize,
    tied: bool,
    has_importance: bool,
}

impl Model {
    /// From its metadata; what they lack counts as none.
    pub fn of(checkpoint: &Checkpoint, has_importance: bool) -> Self {
        let metadata = &checkpoint.metadata;
        let arch = metadata.opt_str("general.architecture").ok().flatten().unwrap_or_default();
        let size = |key: &str| metadata.opt_u32_of_layers(&format!("{arch}.{key}")).ok().flatten();
        let heads = size("attention.head_count").unwrap_or(1);
        let kv_heads = size("attention.head_count_kv").filter(|n| *n > 0).unwrap_or(heads).max(1);
        Self {
            layers: size("block_count").unwrap_or(0) as usize,
            group: (heads / kv_heads) as usize,
            experts: size("expert_count").unwrap_or(0) as usize,
            tied: checkpoint.tensor("output.weight").is_none(),
            has_importance,
        }
    }

    /// The format of a tensor in a file of this type.
    pub fn format(&self, of: Type, tensor: &TensorInfo) -> Format {
        if !may_shrink(tensor) {
            let float = matches!(tensor.format, Format::F32 | Format::F16 | Format::BF16)
                || tensor.format.ggml_id().is_none();
            return if float { Format::F32 } else { tensor.format };
        }
        let wanted = self.wanted(of, tensor);
        let fits = |format: Format| tensor.cols().is_multiple_of(format.block() as u64);
        let instead = match wanted {
            _ if fits(wanted) => wanted,
            _ if wanted.name().starts_with("IQ") => Format::IQ4_NL,
            Format::Q2_K | Format::Q3_K | Format::TQ1_0 | Format::TQ2_0 | Format::Q1_0 => {
                Format::Q4_0
            }
            Format::Q4_K => Format::Q5_0,
            Format::Q5_K => Format::Q5_1,
            Format::Q6_K => Format::Q8_0,
            _ => Format::F16,
        };
        if fits(instead) { instead } else { Format::F16 }
    }

    fn wanted(&self, of: Type, tensor: &TensorInfo) -> Format {
        let name = tensor.name.as_str();
        if matches!(of.base, Format::F32 | Format::F16 | Format::BF16) {
            return of.base;
        }
        let embedding = name == "token_embd.weight";
        if name == "output.weight" || (embedding && self.tied) {
            let fits = tensor.cols().is_multiple_of(of.base.block() as u64);
            return match of.base {
                Format::MXFP4 | Format::Q8_0 => Format::Q8_0,
                _ if fits && (of.is_low() || of.name == "iq3_xxs") => Format::Q5_K,
                _ if fits => Format::Q6_K,
                _ => Format::Q8_0,
            };
        }
        if of.base == Format::MXFP4 {
            // Of experts only.
            let experts = tensor.shape.get(2).is_some_and(|count| *count > 1);
            return if experts { Format::MXFP4 } else { Format::Q8_0 };
        }
        if embedding {
            return match of.name {
                "tq1_0" | "tq2_0" => Format::Q4_K,
                "iq3_xxs" => Format::IQ3_S,
                _ if of.is_low() => of.better(),
                _ => of.base,
            };
        }
        self.special(of, name).unwrap_or(of.base)
    }

    /// As [`Self::special`], of types with less than three bits in the mean.
    fn special_low(&self, of: Type, part: &Part) -> Option<Format> {
        use Format::{IQ2_XXS, IQ3_S, Q4_K, Q5_K};
        match of.name {
            _ if part.values && (self.group >= 4 || self.experts >= 4) => Some(Q4_K),
            _ if part.values || (part.down && part.layer < self.layers / 8) => Some(of.better()),
            _ if part.keys && self.experts == 8 => Some(Q4_K),
            _ if part.output && self.experts == 8 => Some(Q5_K),
            "iq1_s" | "iq1_m" if part.output => Some(IQ2_XXS),
            "iq2_s" | "iq2_m" if part.output => Some(IQ3_S),
            _ => None,
        }
    }

    /// The tensors of a block that get another format than most.
    fn special(&self, of: Type, name: &str) -> Option<Format> {
        use Format::{IQ2_S, IQ3_S, IQ3_XXS, Q3_K, Q4_1, Q4_K, Q5_1, Q5_K, Q6_K, Q8_0};
        let part = Part::of(name)?;
        if of.is_low() {
            return self.special_low(of, &part);
        }
        let Part { layer, values, keys, queries, down, output, wide } = part;
        // The ends, and every third between.
        let (layers, eighth) = (self.layers, self.layers / 8);
        let end = layer < eighth || layer >= 7 * layers / 8;
        let more = end || layer.checked_sub(eighth).is_some_and(|at| at % 3 == 2);
        if self.experts == 8 && (values || keys) {
            return Some(Q8_0); // small beside the experts
        }
        if self.experts == 8 && output {
            return SMALL.contains(&of.name).then_some(Q5_K);
        }
        match of.name {
            "q2_k" if values => Some(if self.group >= 4 { Q4_K } else { Q3_K }),
            "q2_k" if down || output => Some(Q3_K),
            "q2_k_s" if values && self.group >= 4 => Some(Q4_K),
            "q2_k_s" if down && layer < eighth => Some(Q4_K),
            "q3_k_m" if values => Some(if layer < 2 { Q5_K } else { Q4_K }),
            "q3_k_m" if down => Some(if layer < layers / 16 { Q5_K } else { Q4_K }),
            "q3_k_m" if output => Some(Q4_K),
            "q3_k_l" if values || down || output => Some(Q5_K),
            "q4_k_s" if values && layer < 4 => Some(Q5_K),
            "q4_k_s" if down && layer < eighth => Some(Q5_K),
            "q4_k_m" | "q5_k_m" if (values || down) && more => Some(Q6_K),
            "iq3_xxs" if values && self.group >= 4 => Some(Q4_K),
            "iq3_xxs" if values && !self.has_importance => Some(IQ3_S),
            "iq3_xxs" if keys || queries => Some(IQ2_S),
            "iq3_xxs" if down && !self.has_importance => {
                Some(if layer < eighth { Q4_K } else { Q3_K })
            }
            "iq3_xxs" if output => Some(IQ3_S),
            "iq3_xs" | "iq3_s" if values && self.group >= 4 => Some(Q4_K),
            "iq3_xs" if keys || queries || (wide && !end) => Some(IQ3_XXS),
            "iq3_m" if values || output || (down && layer < eighth) => Some(Q4_K),
            "iq3_m" if down && self.experts == 8 && more => Some(Q4_K),
            "iq4_nl" | "iq4_xs" if values && self.group >= 4 => Some(Q5_K),
            "iq4_nl" | "iq4_xs" if down && layer < eighth && !self.has_importance => Some(Q5_K),
            "q4_0" if down && layer < eighth && self.has_importance => Some(Q4_1),
            "q5_0" if down && layer < eighth && self.has_importance => Some(Q5_1),
            _ => None,
        }
    }
}

/// Types whose outputs of attention get more bits beside eight experts.
const SMALL: [&str; 11] = [
    "q2_k", "q3_k_s", "q3_k_m", "q4_k_s", "q4_k_m", "iq3_xxs", "iq3_xs", "iq3_s", "iq3_m",
    "iq4_nl", "iq4_xs",
];

/// What a tensor of a block does, by its name.
struct Part {
    layer: usize,
    values: bool,
    keys: bool,
    queries: bool,
    down: bool,
    output: bool,
    /// Into the feed-forward network's width.
    wide: bool,
}

impl Part {
    fn of(name: &str) -> Option<Self> {
        let (layer, part) = name.strip_prefix("blk.")?.split_once('.')?;
        let is = |names: &[&str]| names.iter().any(|name| part.starts_with(name));
        Some(Self {
            layer: layer.parse().ok()?,
            values: is(&["attn_v.", "attn_qkv.", "attn_kv_b."]),
            keys: is(&["attn_k."]),
            queries: is(&["attn_q."]),
            down: is(&["ffn_down"]),
            output: is(&["attn_output."]),
            wide: is(&["ffn_gate", "ffn_up"]),
        })
    }
}

/// Whether a tensor of this format is of no use unless it is known which columns matter:
/// ggml does not make one either.
pub fn needs_importance(format: Format) -> bool {
    matches!(format, Format::IQ2_XXS | Format::IQ2_XS | Format::IQ1_S)
}

/// Matrices, but for those that are small or choose.
fn may_shrink(tensor: &TensorInfo) -> bool {
    let name = tensor.name.as_str();
    let matrix = tensor.shape.iter().filter(|dim| **dim > 1).count() >= 2;
    matrix
        && name.ends_with(".weight")
        && !name.ends_with("_norm.weight")
        && !name.contains("ffn_gate_inp")
        && !["position_embd.weight", "token_types.weight"].contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(name: &str, cols: u64, rows: u64) -> TensorInfo {
        let shape = if rows == 1 { vec![cols] } else { vec![cols, rows] };
        TensorInfo { name: name.into(), shape, format: Format::F16, offset: 0, bytes: 0 }
    }

    #[test]
    fn tensors_get_what_llama_cpp_gives_them() {
        let model = Model { layers: 32, group: 4, experts: 0, tied: false, has_importance: false };
        let format = |of: &str, name: &str, cols| {
            model.format(Type::parse(of).unwrap(), &tensor(name, cols, 64))
        };
        for (of, name, cols, want) in [
            ("Q4_K_M", "blk.0.attn_v.weight", 4096, Format::Q6_K),
            ("q4_k_m", "blk.4.attn_v.weight", 4096, Format::Q4_K),
            ("q4_k_m", "blk.6.ffn_down.weight", 4096, Format::Q6_K),
            ("q4_k", "blk.5.ffn_up.weight", 4096, Format::Q4_K),
            ("q4_k_m", "blk.5.ffn_up.weight", 576, Format::Q5_0),
            ("q4_k_m", "blk.0.attn_v.weight", 576, Format::Q8_0),
            ("q4_k_m", "output.weight", 4096, Format::Q6_K),
            ("q4_0", "output.weight", 4096, Format::Q6_K),
            ("q4_0", "output.weight", 576, Format::Q8_0),
            ("q8_0", "output.weight", 4096, Format::Q8_0),
            ("q2_k", "blk.9.attn_output.weight", 4096, Format::Q3_K),
            ("q3_k_m", "blk.1.attn_qkv.weight", 4096, Format::Q5_K),
            ("iq4_xs", "blk.20.ffn_gate.weight", 4096, Format::IQ4_XS),
            ("iq4_xs", "blk.3.ffn_down.weight", 4096, Format::Q5_K),
            ("iq4_xs", "blk.20.ffn_gate.weight", 96, Format::IQ4_NL),
            ("q4_0", "blk.20.ffn_gate.weight", 84, Format::F16),
            ("mxfp4", "blk.2.ffn_up.weight", 4096, Format::Q8_0),
            ("q4_k_m", "blk.2.attn_norm.weight", 4096, Format::F32),
            ("q4_k_m", "blk.2.ffn_gate_inp.weight", 4096, Format::F32),
            ("bf16", "blk.2.ffn_up.weight", 83, Format::BF16),
            ("iq3_s", "blk.9.ffn_up.weight", 4096, Format::IQ3_S),
            ("iq3_s", "blk.9.ffn_up.weight", 96, Format::IQ4_NL),
            ("iq3_s", "output.weight", 4096, Format::Q6_K),
            ("iq3_m", "blk.9.attn_output.weight", 4096, Format::Q4_K),
            ("iq3_xs", "blk.9.ffn_up.weight", 4096, Format::IQ3_XXS),
            ("iq3_xs", "blk.28.ffn_gate.weight", 4096, Format::IQ3_S),
            ("iq3_xxs", "blk.9.attn_q.weight", 4096, Format::IQ2_S),
            ("iq3_xxs", "blk.9.ffn_down.weight", 4096, Format::Q3_K),
            ("iq3_xxs", "output.weight", 4096, Format::Q5_K),
            ("iq2_m", "blk.9.ffn_gate.weight", 4096, Format::IQ2_S),
            ("iq2_s", "blk.9.ffn_gate.weight", 4096, Format::IQ2_XS),
            ("iq2_s", "token_embd.weight", 4096, Format::IQ3_S),
            ("iq2_xs", "blk.9.attn_v.weight", 4096, Format::Q4_K),
            ("iq2_xxs", "blk.3.ffn_down.weight", 4096, Format::Q2_K),
            ("iq1_s", "blk.9.attn_output.weight", 4096, Format::IQ2_XXS),
            ("iq1_m", "blk.9.attn_k.weight", 4096, Format::IQ1_M),
            ("iq1_m", "output.weight", 576, Format::Q8_0),
        ] {
            assert_eq!(format(of, name, cols), want, "{of} {name} of {cols}");
        }
        assert!(Type::parse("f8_e4m3").unwrap_err().contains("cannot make it"));
        assert!(Type::parse("q9").unwrap_err().starts_with("there is no type q9"));
    }
}
