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
pub const TYPES: [Type; 25] = {
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
        let size = |key: &str| metadata.opt_u32(&format!("{arch}.{key}")).ok().flatten();
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
            Format::IQ4_XS => Format::IQ4_NL,
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
            let ternary = matches!(of.base, Format::TQ1_0 | Format::TQ2_0);
            return if ternary { Format::Q4_K } else { of.base };
        }
        self.special(of, name).unwrap_or(of.base)
    }

    /// The tensors of a block that get another format than most.
    fn special(&self, of: Type, name: &str) -> Option<Format> {
        use Format::{Q3_K, Q4_1, Q4_K, Q5_1, Q5_K, Q6_K, Q8_0};
        let (layer, part) = name.strip_prefix("blk.")?.split_once('.')?;
        let (layer, layers) = (layer.parse::<usize>().ok()?, self.layers);
        // The ends, and every third between.
        let eighth = layers / 8;
        let more = layer < eighth
            || layer >= 7 * layers / 8
            || layer.checked_sub(eighth).is_some_and(|at| at % 3 == 2);
        let values = ["attn_v.", "attn_qkv.", "attn_kv_b."].iter().any(|v| part.starts_with(v));
        let keys = part.starts_with("attn_k.");
        let down = part.starts_with("ffn_down");
        let output = part.starts_with("attn_output.");
        if self.experts == 8 && (values || keys) {
            return Some(Q8_0); // small beside the experts
        }
        if self.experts == 8 && output {
            let small = ["q2_k", "q3_k_s", "q3_k_m", "iq4_nl", "q4_k_s", "q4_k_m", "iq4_xs"];
            return small.contains(&of.name).then_some(Q5_K);
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
            "iq4_nl" | "iq4_xs" if values && self.group >= 4 => Some(Q5_K),
            "iq4_nl" | "iq4_xs" if down && layer < eighth && !self.has_importance => Some(Q5_K),
            "q4_0" if down && layer < eighth && self.has_importance => Some(Q4_1),
            "q5_0" if down && layer < eighth && self.has_importance => Some(Q5_1),
            _ => None,
        }
    }
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
        ] {
            assert_eq!(format(of, name, cols), want, "{of} {name} of {cols}");
        }
        assert!(Type::parse("iq2_xs").unwrap_err().contains("cannot make it"));
        assert!(Type::parse("q9").unwrap_err().starts_with("there is no type q9"));
    }
}
