//! A matrix as a checkpoint stores it: plain numbers, or packed with scales beside them.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use wisp_base::{Error, Format, Result};
use wisp_formats::{Packing, Part, RawTensor, RowMap};

use super::config::Config;

pub(super) type Raws = BTreeMap<String, RawTensor>;

/// Ends of names that belong to the tensor of the same stem: how it is stored, or how other
/// engines quantize what comes in and out of it, and the cache.
pub(super) const COMPANIONS: [&str; 15] = [
    ".weight_scale_inv",
    ".weight_scale",
    ".scales",
    ".qzeros",
    ".g_idx",
    "_scales",
    ".weight_zero_point",
    ".input_scale",
    ".input_scale_ub",
    ".activation_scale",
    ".input_zero_point",
    ".output_scale",
    ".q_scale",
    ".k_scale",
    ".v_scale",
];

/// A tensor with what is needed to understand it.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    from: RawTensor,
    packing: Packing,
    /// Outermost dimension first.
    pub shape: Vec<u64>,
}

impl Stored {
    /// The tensor `name`, whose name without its end is `stem`.
    pub fn find(config: &Config, raws: &Raws, name: &str, stem: &str) -> Result<Self> {
        let missing = || Error::input(format!("tensor {name} is missing"));
        let from = raws.get(name).ok_or_else(missing)?.clone();
        let beside = |end: &str| raws.get(&format!("{stem}{end}"));
        let need = |end: &str| {
            let sentence = || format!("tensor {stem}{end} is missing, which {name} needs");
            beside(end).cloned().ok_or_else(|| Error::input(sentence()))
        };
        let method = config.get("quantization_config");
        let setting = |key: &str| method.and_then(|method| method.get(key));
        let whole = |key: &str| setting(key).and_then(Json::as_u64);
        if name.ends_with(".qweight") {
            let (scales, zeros) = (need(".scales")?, need(".qzeros")?);
            let awq = setting("quant_method").and_then(Json::as_str) == Some("awq");
            if whole("bits").or(whole("w_bit")).unwrap_or(4) != 4 {
                return Err(config.unsupported(format!("tensor {name} is not of 4 bits")));
            }
            let (high, wide) = match from.shape.as_slice() {
                [high, wide] => (*high, *wide),
                _ => return Err(config.unsupported(format!("tensor {name} is no matrix"))),
            };
            let (inputs, outputs) =
                if awq { (high, wide.saturating_mul(8)) } else { (high.saturating_mul(8), wide) };
            let groups = scales.shape.first().copied().unwrap_or(1).max(1);
            let bias = i32::from(
                !awq && setting("checkpoint_format").and_then(Json::as_str) != Some("gptq_v2"),
            );
            let packing = Packing::FourBit {
                group: inputs.div_ceil(groups),
                groups: beside(".g_idx").filter(|_| !awq).cloned(),
                scales,
                zeros,
                bias,
                awq,
            };
            return Ok(Self { from, packing, shape: vec![outputs, inputs] });
        }
        if name.ends_with("_blocks") {
            let packing = Packing::Mxfp4 { scales: need("_scales")? };
            // With or without a dimension of the 16 bytes of a block.
            let (experts, rows, bytes) = match from.shape[..] {
                [experts, rows, blocks, 16] => (experts, rows, blocks.saturating_mul(16)),
                [experts, rows, bytes] => (experts, rows, bytes),
                _ => {
                    let shape = format!("tensor {name} has the shape {:?}", from.shape);
                    return Err(config.unsupported(shape));
                }
            };
            let shape = vec![experts, rows, bytes.saturating_mul(2)];
            return Ok(Self { from, packing, shape });
        }
        let shape = from.shape.clone();
        let packing = match beside(".weight_scale_inv").or(beside(".weight_scale")) {
            Some(scale) if name.ends_with(".weight") && from.number_bytes() == 1 => {
                let (rows, cols) = scale_block(method, &shape, scale);
                Packing::Scaled { scale: scale.clone(), rows, cols }
            }
            None if from.number_bytes() == 1
                && name.ends_with(".weight")
                && setting("quant_method").is_some() =>
            {
                return Err(Error::input(format!(
                    "tensor {stem}.weight_scale is missing, which {name} needs"
                )));
            }
            _ => Packing::Plain,
        };
        Ok(Self { from, packing, shape })
    }

    /// What these rows are given as: with every number as it is, if a format can; those of
    /// four bits as the type that they are multiplied in.
    pub fn format(&self, map: &RowMap) -> Format {
        let wide = match self.packing {
            Packing::FourBit { .. } => Format::F16,
            _ => Format::F32,
        };
        self.packing.keeps(&self.from, map).unwrap_or(wide)
    }

    /// Whether these are gpt-oss's experts with inputs as rows: all but MXFP4 are.
    pub fn experts_across(&self, config: &Config) -> bool {
        let plain = !matches!(self.packing, Packing::Mxfp4 { .. });
        config.family.model_type == "gpt_oss" && self.shape.len() == 3 && plain
    }

    /// Numbers of a row.
    pub fn cols(&self) -> u64 {
        self.shape.last().copied().unwrap_or(1)
    }

    /// Rows of all experts.
    pub fn rows(&self) -> u64 {
        let outer = self.shape.len().saturating_sub(1);
        self.shape.iter().take(outer).fold(1, |rows, dim| rows.saturating_mul(*dim))
    }

    /// All rows in their order.
    pub fn map(&self) -> RowMap {
        RowMap::all(self.rows(), self.cols())
    }

    /// The same as a part.
    pub fn all(&self) -> Part {
        self.part(self.map())
    }

    pub fn part(&self, map: RowMap) -> Part {
        Part::Rows { from: self.from.clone(), packing: Box::new(self.packing.clone()), map }
    }
}

/// How many rows and columns of a matrix have one of these scales.
fn scale_block(method: Option<&Json>, shape: &[u64], scale: &RawTensor) -> (u64, u64) {
    if scale.numbers() == 1 {
        return (u64::MAX, u64::MAX);
    }
    let wide = shape.last().copied().unwrap_or(1).max(1);
    let high = shape.iter().rev().skip(1).fold(1, |high: u64, dim| high.saturating_mul(*dim));
    let (down, across) = match scale.shape[..] {
        [down] => (down, 1),
        [down, across] => (down, across),
        _ => return (1, 1),
    };
    let block = |sizes: &Json| Some((sizes.get(0)?.as_u64()?, sizes.get(1)?.as_u64()?));
    let setting = |key: &str| method.and_then(|method| method.get(key));
    // Of compressed-tensors: a structure for each group of layers.
    let groups = setting("config_groups").and_then(Json::as_object);
    let structures = groups
        .into_iter()
        .flatten()
        .filter_map(|(_, group)| block(group.get("weights")?.get("block_structure")?));
    let fp8 = setting("quant_method").and_then(Json::as_str) == Some("fp8");
    setting("weight_block_size")
        .and_then(block)
        .into_iter()
        .chain(structures)
        .chain(fp8.then_some((128, 128)))
        .find(|(rows, cols)| {
            *rows > 0 && *cols > 0 && (high.div_ceil(*rows), wide.div_ceil(*cols)) == (down, across)
        })
        .unwrap_or_else(|| {
            // Nothing says otherwise: as many of each. What does not add up is refused later.
            let even = high.is_multiple_of(down) && wide.is_multiple_of(across);
            if even { (high / down.max(1), wide / across.max(1)) } else { (1, 1) }
        })
}
