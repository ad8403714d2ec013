//! A matrix as a checkpoint stores it: plain numbers, or packed with scales beside them.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use wisp_base::{Error, Format, Result};
use wisp_formats::{Packing, Part, RawTensor, RowMap};

use super::config::Config;

pub(super) type Raws = BTreeMap<String, RawTensor>;

/// Ends of names that belong to the tensor of the same stem: how it is stored, or how other
/// engines quantize what comes in and out of it, and the cache.
pub(super) const COMPANIONS: [&str; 13] = [
    ".weight_scale_inv",
    ".weight_scale",
    ".scales",
    ".qzeros",
    ".g_idx",
    "_scales",
    ".weight_zero_point",
    ".input_scale",
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
    /// What its rows are given as.
    pub format: Format,
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
            return Ok(Self { from, packing, shape: vec![outputs, inputs], format: Format::F16 });
        }
        if name.ends_with("_blocks") {
            let packing = Packing::Mxfp4 { scales: need("_scales")? };
            let [experts, rows, blocks, 16] = from.shape[..] else {
                return Err(
                    config.unsupported(format!("tensor {name} has the shape {:?}", from.shape))
                );
            };
            let shape = vec![experts, rows, blocks.saturating_mul(32)];
            return Ok(Self { from, packing, shape, format: Format::BF16 });
        }
        let shape = from.shape.clone();
        if from.dtype.name() == "F64" {
            return Ok(Self { from, packing: Packing::Plain, shape, format: Format::F32 });
        }
        // Numbers of 8 bits are given as more: what scales them has more digits.
        if let Some(format) = from.dtype.format().filter(|_| from.dtype.bytes() > 1) {
            return Ok(Self { from, packing: Packing::Plain, shape, format });
        }
        let packing = match beside(".weight_scale_inv").or(beside(".weight_scale")) {
            Some(scale) if name.ends_with(".weight") => {
                let wide = shape.last().copied().unwrap_or(1);
                let block = |at: usize| {
                    let sizes = setting("weight_block_size");
                    sizes.and_then(|sizes| sizes.get(at)).and_then(Json::as_u64).unwrap_or(128)
                };
                let (rows, cols) = if scale.numbers() == 1 {
                    (u64::MAX, u64::MAX)
                } else if Some(&scale.numbers()) == shape.first()
                    && scale.shape.get(1).is_none_or(|n| *n == 1)
                {
                    (1, wide)
                } else {
                    (block(0), block(1))
                };
                Packing::Scaled { scale: scale.clone(), rows, cols }
            }
            _ => Packing::Plain,
        };
        Ok(Self { from, packing, shape, format: Format::BF16 })
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
    pub fn all(&self) -> Part {
        self.part(RowMap::all(self.rows(), self.cols()))
    }

    pub fn part(&self, map: RowMap) -> Part {
        Part::Rows { from: self.from.clone(), packing: Box::new(self.packing.clone()), map }
    }
}
