//! Tensors of the hub under GGUF's names, with their rows in GGUF's order
//! (what llama.cpp's convert_hf_to_gguf.py makes of them).

use std::collections::BTreeMap;

use wisp_base::{Error, Format, Result};
use wisp_formats::{Adjust, Part, Recipe, RowMap};

use super::config::Config;
use super::families::{BLOCK, BLOCKS, EXPERT, PREFIXES, ROOT, UNUSED, UNUSED_ENDS};
use super::stored::{COMPANIONS, Raws, Stored};

/// Ends of names behind the stem that the tables have, and what GGUF's name ends with.
const ENDS: [(&str, &str); 8] = [
    (".weight", ".weight"),
    (".bias", ".bias"),
    (".qweight", ".weight"),
    (".gamma", ".weight"),
    (".beta", ".bias"),
    ("_blocks", ".weight"),
    ("_bias", ".bias"),
    ("", ".weight"),
];

/// GGUF's tensors: name, shape with columns first, how to make it.
pub(super) type Made = Vec<(String, Vec<u64>, Recipe)>;

/// The experts of one GGUF tensor, by their numbers.
type Experts = BTreeMap<String, BTreeMap<u64, Stored>>;

/// All tensors in GGUF's terms.
pub(super) fn translate(config: &Config, raws: Raws) -> Result<Made> {
    let mut translation = Translation { config, made: Vec::new(), experts: Experts::new() };
    for name in raws.keys() {
        if COMPANIONS.iter().any(|end| name.ends_with(end)) {
            continue;
        }
        translation.tensor(&raws, name)?;
    }
    translation.experts()?;
    let mut made = translation.made;
    config.tie(&mut made)?;
    config.check_biases(&made)?;
    for (name, numbers) in config.factors()? {
        let shape = vec![numbers.len() as u64];
        let parts = vec![Part::Given(numbers)];
        made.push((
            name.to_owned(),
            shape,
            Recipe { format: Format::F32, parts, adjust: Adjust::None },
        ));
    }
    Ok(made)
}

struct Translation<'a> {
    config: &'a Config,
    made: Made,
    experts: Experts,
}

impl Translation<'_> {
    fn tensor(&mut self, raws: &Raws, name: &str) -> Result<()> {
        let mut short = name;
        for prefix in PREFIXES {
            short = short.strip_prefix(prefix).unwrap_or(short);
        }
        let used = |short: &str| {
            !UNUSED.iter().any(|start| short.starts_with(start))
                && !UNUSED_ENDS.iter().any(|end| name.ends_with(end))
        };
        if !used(short) {
            return Ok(());
        }
        let unknown = || self.config.unsupported(format!("there is a tensor {name}"));
        let (end, gguf_end) =
            ENDS.into_iter().find(|(end, _)| short.ends_with(end)).ok_or_else(unknown)?;
        let stem = |name: &str| name.strip_suffix(end).unwrap_or(name).to_owned();
        let find = || Stored::find(self.config, raws, name, &stem(name));
        let Some((layer, part)) = block(short) else {
            let root = lookup(ROOT, &stem(short)).ok_or_else(unknown)?;
            return self.add(format!("{root}{gguf_end}"), find()?);
        };
        let layers = self.config.layers()?;
        if layer >= layers {
            if layer < layers.saturating_add(self.config.blocks_ahead()?) {
                return Ok(());
            }
            return Err(self.config.unsupported(format!(
                "there is a tensor {name}, but by num_hidden_layers in config.json {layers} layers \
                 are all"
            )));
        }
        let part = stem(part);
        let place = |gguf: &str, end: &str| format!("blk.{layer}.{gguf}{end}");
        for start in ["mlp.experts.", "block_sparse_moe.experts."] {
            let one = part.strip_prefix(start).and_then(|rest| rest.split_once('.'));
            if let Some((number, what)) = one
                && let Ok(number) = number.parse()
            {
                let gguf = lookup(EXPERT, what).ok_or_else(unknown)?;
                let stored = find()?;
                self.experts.entry(place(gguf, gguf_end)).or_default().insert(number, stored);
                return Ok(());
            }
        }
        let own = lookup(self.config.family.own, &part);
        let gguf = own.or(lookup(BLOCK, &part)).ok_or_else(unknown)?;
        self.block_tensor(&|gguf| place(gguf, gguf_end), gguf, find()?)
    }

    /// Tensors of a block that are not simply renamed.
    fn block_tensor(
        &mut self,
        place: &dyn Fn(&str) -> String,
        gguf: &str,
        stored: Stored,
    ) -> Result<()> {
        let config = self.config;
        let (rows, cols) = (stored.rows(), stored.cols());
        let vector = stored.shape.len() == 1;
        // Rows of a bias have one column.
        let (high, wide) = if vector { (cols, 1) } else { (rows, cols) };
        let shape = if vector { vec![cols] } else { vec![cols, rows] };
        let across = stored.experts_across(config);
        match gguf {
            "attn_q" | "attn_k" if config.family.neighbours => {
                let heads = if gguf == "attn_q" { config.heads()? } else { config.kv_heads()? };
                let half = high / heads / 2;
                let map = RowMap {
                    dims: [heads, half, 2],
                    steps: [2 * half * wide, wide, half * wide],
                    start: 0,
                    step: 1,
                    cols: wide,
                };
                self.push(place(gguf), shape, &stored, vec![map]);
            }
            "attn_qkv" if config.family.model_type == "gpt_neox" => {
                let heads = config.heads()?;
                let each = high / heads / 3;
                let map = RowMap {
                    dims: [3, heads, each],
                    steps: [each * wide, 3 * each * wide, wide],
                    start: 0,
                    step: 1,
                    cols: wide,
                };
                self.push(place(gguf), shape, &stored, vec![map]);
            }
            "ssm_a" | "ssm_dt" | "ssm_beta" | "ssm_alpha" | "attn_gate" | "attn_qkv"
            | "ssm_conv1d" | "ssm_out" | "attn_qkvz"
                if config.family.recurrent == Some("linear_attention") =>
            {
                self.delta_tensor(place, gguf, &stored)?;
            }
            // A channel a row: the converter drops the dimension of 1 between.
            "shortconv.conv" => {
                self.push(place(gguf), vec![cols, rows], &stored, vec![stored.map()]);
            }
            "attn_kv_b" => {
                let heads = config.heads()?;
                let (keys, values) =
                    (config.size(&["qk_nope_head_dim"])?, config.size(&["v_head_dim"])?);
                let each = (keys + values) * cols;
                let map = RowMap {
                    dims: [heads, 1, cols],
                    steps: [each, 0, 1],
                    start: 0,
                    step: cols,
                    cols: keys,
                };
                self.push(place("attn_k_b"), vec![keys, cols, heads], &stored, vec![map]);
                let steps = [each, cols, 0];
                let map =
                    RowMap { dims: [heads, values, 1], steps, start: keys * cols, step: 1, cols };
                self.push(place("attn_v_b"), vec![cols, values, heads], &stored, vec![map]);
            }
            "ffn_gate_up_exps" | "ffn_gate_up_shexp" => self.gate_up(place, gguf, &stored)?,
            // Experts with inputs as rows.
            "ffn_down_exps" if across => {
                let [experts, inputs, outputs] = stored.shape[..] else { return Ok(()) };
                let map = RowMap {
                    dims: [experts, 1, outputs],
                    steps: [inputs * outputs, 0, 1],
                    start: 0,
                    step: outputs,
                    cols: inputs,
                };
                self.push(place(gguf), vec![inputs, outputs, experts], &stored, vec![map]);
            }
            _ if config.family.across && stored.shape.len() == 2 => {
                let map = RowMap {
                    dims: [1, 1, cols],
                    steps: [0, 0, 1],
                    start: 0,
                    step: cols,
                    cols: rows,
                };
                self.push(place(gguf), vec![rows, cols], &stored, vec![map]);
            }
            _ => return self.add(place(gguf), stored),
        }
        Ok(())
    }

    /// Tensors of a gated delta rule: value heads of one key head are neighbours here, and
    /// `key_heads` apart in GGUF (`_reorder_v_heads` of llama.cpp's converter).
    fn delta_tensor(
        &mut self,
        place: &dyn Fn(&str) -> String,
        gguf: &str,
        stored: &Stored,
    ) -> Result<()> {
        let size = |name: &str| self.config.size(&[name]);
        let (key_heads, heads) = (size("linear_num_key_heads")?, size("linear_num_value_heads")?);
        let (key, value) = (size("linear_key_head_dim")?, size("linear_value_head_dim")?);
        let (rows, cols) = (stored.rows(), stored.cols());
        if gguf == "attn_qkvz" {
            // q, k, v and z of each key head: GGUF has those of all heads one below the other.
            let own = (heads / key_heads).saturating_mul(value);
            let all = (key.saturating_add(own)).saturating_mul(2);
            let part = |first: u64, dim: u64| RowMap {
                dims: [1, key_heads, dim],
                steps: [0, all * cols, cols],
                start: first * cols,
                step: 1,
                cols,
            };
            let qkv = vec![part(0, key), part(key, key), part(2 * key, own)];
            let (plain, gate) = (2 * key_heads * key, key_heads * own);
            self.push(place("attn_qkv"), vec![cols, plain + gate], stored, qkv);
            self.push(place("attn_gate"), vec![cols, gate], stored, vec![part(2 * key + own, own)]);
            return Ok(());
        }
        // Qwen3-Next's heads stay in their order.
        let stay = self.config.family.model_type == "qwen3_next";
        let (each, key_heads_here) = if stay { (1, heads) } else { (heads / key_heads, key_heads) };
        // Rows of value heads from row `start` on, `dim` of each head.
        let values = |start: u64, dim: u64, cols: u64| RowMap {
            dims: [each, key_heads_here, dim],
            steps: [dim * cols, each * dim * cols, cols],
            start: start * cols,
            step: 1,
            cols,
        };
        let plain = 2 * key_heads * key;
        let (name, shape, maps) = match gguf {
            // Vectors.
            "ssm_a" => (place(gguf).replace(".weight", ""), vec![cols], vec![values(0, 1, 1)]),
            "ssm_dt" => (place(gguf), vec![cols], vec![values(0, 1, 1)]),
            "ssm_beta" | "ssm_alpha" => (place(gguf), vec![cols, rows], vec![values(0, 1, cols)]),
            "attn_gate" => (place(gguf), vec![cols, rows], vec![values(0, value, cols)]),
            // Columns change places: pieces of rows.
            "ssm_out" => {
                let map = RowMap {
                    dims: [rows, each, key_heads_here],
                    steps: [cols, value, each * value],
                    start: 0,
                    step: 1,
                    cols: value,
                };
                (place(gguf), vec![cols, rows], vec![map])
            }
            // Queries and keys, then values.
            _ => {
                let maps = vec![RowMap::all(plain, cols), values(plain, value, cols)];
                (place(gguf), vec![cols, rows], maps)
            }
        };
        self.push(name, shape, stored, maps);
        Ok(())
    }

    /// Gate and up in one: halves, or alternating rows (gpt-oss).
    fn gate_up(
        &mut self,
        place: &dyn Fn(&str) -> String,
        gguf: &str,
        stored: &Stored,
    ) -> Result<()> {
        let gpt_oss = self.config.family.model_type == "gpt_oss";
        let across = stored.experts_across(self.config);
        for (at, half) in ["gate", "up"].into_iter().enumerate() {
            let at = at as u64;
            let name = place(&gguf.replace("gate_up", half));
            let (shape, map) = match stored.shape[..] {
                // A bias per expert.
                [experts, both] if gpt_oss => {
                    let ffn = both / 2;
                    let map = RowMap {
                        dims: [1, 1, experts],
                        steps: [0, 0, both],
                        start: at,
                        step: 2,
                        cols: ffn,
                    };
                    (vec![ffn, experts], map)
                }
                [both, cols] => {
                    let ffn = both / 2;
                    (vec![cols, ffn], RowMap { start: at * ffn * cols, ..RowMap::all(ffn, cols) })
                }
                [experts, cols, both] if across => {
                    let ffn = both / 2;
                    let steps = [cols * both, 0, 2];
                    let map =
                        RowMap { dims: [experts, 1, ffn], steps, start: at, step: both, cols };
                    (vec![cols, ffn, experts], map)
                }
                [experts, both, cols] => {
                    let ffn = both / 2;
                    let (row, start) =
                        if gpt_oss { (2 * cols, at * cols) } else { (cols, at * ffn * cols) };
                    let steps = [both * cols, row, 0];
                    let map = RowMap { dims: [experts, ffn, 1], steps, start, step: 1, cols };
                    (vec![cols, ffn, experts], map)
                }
                _ => {
                    return Err(Error::input(format!(
                        "tensor {name} is of the shape {:?}",
                        stored.shape
                    )));
                }
            };
            self.push(name, shape, stored, vec![map]);
        }
        Ok(())
    }

    /// Experts one below the other.
    fn experts(&mut self) -> Result<()> {
        for (name, experts) in std::mem::take(&mut self.experts) {
            let count = experts.len() as u64;
            let Some((last, first)) = experts.last_key_value() else { continue };
            if last + 1 != count {
                return Err(Error::input(format!(
                    "tensor {name} has {count} experts, the last of which is number {last}: download \
                     the model again"
                )));
            }
            let facts = |one: &Stored| (one.cols(), one.rows(), one.format(&one.map()));
            let (cols, rows, format) = facts(first);
            if experts.values().any(|one| facts(one) != (cols, rows, format)) {
                return Err(Error::input(format!("tensor {name} has experts of different shapes")));
            }
            let parts = experts.values().map(Stored::all).collect();
            self.made.push((
                name,
                vec![cols, rows, count],
                Recipe { format, parts, adjust: Adjust::None },
            ));
        }
        Ok(())
    }

    /// A tensor with its rows in their order.
    fn add(&mut self, name: String, stored: Stored) -> Result<()> {
        let shape = stored.shape.iter().rev().copied().collect();
        let map = stored.map();
        self.push(name, shape, &stored, vec![map]);
        Ok(())
    }

    fn push(&mut self, name: String, shape: Vec<u64>, stored: &Stored, maps: Vec<RowMap>) {
        let one_more = self.config.family.one_more
            && name.ends_with("norm.weight")
            && !name.ends_with("ssm_norm.weight");
        let format = maps.first().map_or(Format::F32, |map| stored.format(map));
        let (format, adjust) = match one_more {
            true => (Format::F32, Adjust::Add(1.0)),
            false if name.ends_with(".ssm_a") => (Format::F32, Adjust::NegExp),
            false => (format, Adjust::None),
        };
        let parts = maps.into_iter().map(|map| stored.part(map)).collect();
        // A vector of one number.
        let shape = if shape.is_empty() { vec![1] } else { shape };
        self.made.push((name, shape, Recipe { format, parts, adjust }));
    }
}

/// The number of a block, and the rest of the name.
fn block(name: &str) -> Option<(u64, &str)> {
    let rest = BLOCKS.iter().find_map(|start| name.strip_prefix(start))?;
    let (number, rest) = rest.split_once('.')?;
    Some((number.parse().ok()?, rest))
}

fn lookup(table: &'static [(&str, &str)], name: &str) -> Option<&'static str> {
    table.iter().find(|(known, _)| *known == name).map(|(_, gguf)| *gguf)
}
