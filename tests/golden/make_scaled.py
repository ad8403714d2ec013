"""Makes tiny checkpoints in 8-bit and 4-bit floats, and what transformers computes from them: see README.md beside
this file.

usage: python make_scaled.py OUT_DIR [NAME ...]

Codes and scales are functions of their tensors' names and their places, as the numbers of make_families.py are. What
they stand for is computed by PyTorch (FP8) and by transformers (MXFP4), in float32, and given to transformers as a
checkpoint in float32.
"""

import argparse
import json
import pathlib
import shutil
import tempfile

import numpy as np
import torch
import transformers
from safetensors import safe_open
from safetensors.torch import save_file
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

from make_families import FAMILIES, SIZES, TOKENS, VOCAB, hashed, law, numbers

DENSE = {**SIZES, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 64, "hidden_size": 256,
         "intermediate_size": 384, "tie_word_embeddings": False}
# Columns that are not whole blocks of 128, and (those of `down_proj`) not even of 32.
RAGGED = {**DENSE, "num_attention_heads": 3, "num_key_value_heads": 1, "hidden_size": 160, "intermediate_size": 200}
LATENT = {**FAMILIES["deepseek_v3"][1], "hidden_size": 256, "intermediate_size": 256, "q_lora_rank": 128, "kv_lora_rank": 128,
          "qk_nope_head_dim": 128, "qk_rope_head_dim": 32, "v_head_dim": 128, "moe_intermediate_size": 128}
EXPERTS = {**DENSE, "moe_intermediate_size": 128, "num_experts_per_tok": 2, "num_experts": 5, "norm_topk_prob": True}
OSS = {**FAMILIES["gpt_oss"][1], "hidden_size": 96, "intermediate_size": 64}

FP8 = {"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic", "weight_block_size": [128, 128]}
COMPRESSED = {"quant_method": "compressed-tensors", "format": "float-quantized", "quantization_status": "compressed"}


def compressed(strategy, **more):
    weights = {"num_bits": 8, "type": "float", "strategy": strategy, "symmetric": True, **more}
    return {**COMPRESSED, "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights}}, "ignore": ["lm_head"]}


# Name -> (class of transformers, settings, quantization_config, the end of the scales' names, rows and columns a scale;
# 0 is all of them).
CHECKPOINTS = {
    "fp8_blocks": ("Qwen3ForCausalLM", DENSE, FP8, "weight_scale_inv", (128, 128)),
    "fp8_ragged": ("Qwen3ForCausalLM", RAGGED, FP8, "weight_scale_inv", (128, 128)),
    "fp8_tensor": ("LlamaForCausalLM", DENSE, compressed("tensor"), "weight_scale", (0, 0)),
    "fp8_rows": ("LlamaForCausalLM", DENSE, {"quant_method": "fbgemm_fp8", "activation_scale_ub": 1200.0}, "weight_scale", (1, 0)),
    "fp8_groups": ("MistralForCausalLM", {**DENSE, "sliding_window": None}, compressed("group", group_size=64), "weight_scale", (1, 64)),
    "fp8_latent": ("DeepseekV3ForCausalLM", LATENT, FP8, "weight_scale_inv", (128, 128)),
    "fp8_experts": ("Qwen3MoeForCausalLM", EXPERTS, FP8, "weight_scale_inv", (128, 128)),
    "mxfp4_experts": ("GptOssForCausalLM", OSS, {"quant_method": "mxfp4"}, "", None),
}


def scales(name, count, step):
    """f32 with all of its digits: step to 2 · step."""
    fraction = (hashed(name, count) >> np.uint32(9)).astype("<f4") / np.float32(1 << 23)
    return np.float32(step) * (1 + fraction)


def step_of(inputs):
    """Random codes are of about 128."""
    return 2.0 ** round(np.log2(1.0 / 128 / np.sqrt(inputs)))


def fp8(name, end, shape, block):
    """Stored tensors, their laws, and the numbers."""
    rows, cols = shape
    high, wide = (size or of for size, of in zip(block, shape))
    codes = (hashed(name, rows * cols) >> np.uint32(24)).astype(np.uint8)
    codes[codes & 127 == 127] = 0
    grid = [-(-rows // high), -(-cols // wide)]
    scale_name = name.removesuffix("weight") + end
    step = step_of(cols)
    scale = torch.from_numpy(scales(scale_name, grid[0] * grid[1], step).reshape(grid))
    full = scale.repeat_interleave(high, 0)[:rows].repeat_interleave(wide, 1)[:, :cols]
    codes = torch.from_numpy(codes.reshape(shape)).view(torch.float8_e4m3fn)
    shape_of_scale = [1] if grid == [1, 1] and block == (0, 0) else grid
    listed = [[name, shape, "fp8"], [scale_name, shape_of_scale, "scales", step]]
    return listed, codes.float() * full


def mxfp4(name, shape):
    """The same of experts, given with inputs as rows."""
    experts, inputs, outputs = shape
    blocks, exponents = [experts, outputs, inputs // 32, 16], [experts, outputs, inputs // 32]
    least = 126 - round(np.log2(np.sqrt(inputs)))
    q = (hashed(name + "_blocks", int(np.prod(blocks))) >> np.uint32(24)).astype(np.uint8).reshape(blocks)
    e = (hashed(name + "_scales", int(np.prod(exponents))) >> np.uint32(30)).astype(np.uint8).reshape(exponents) + np.uint8(least - 2)
    full = convert_moe_packed_tensors(torch.from_numpy(q), torch.from_numpy(e), dtype=torch.float32)
    assert list(full.shape) == shape, full.shape
    return [[name + "_blocks", blocks, "bytes"], [name + "_scales", exponents, "exponents", least - 2]], full


@torch.no_grad()
def make(checkpoint, out):
    cls, settings, quantization, end, block = CHECKPOINTS[checkpoint]
    cls = getattr(transformers, cls)
    config = cls.config_class(**settings)
    listed, tensors = [], {}
    (out / checkpoint).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        torch.manual_seed(0)
        cls(config).float().save_pretrained(folder)
        path = folder / "model.safetensors"
        with safe_open(path, "pt") as file:
            for name in sorted(file.keys()):
                shape = list(file.get_slice(name).get_shape())
                kept = len(shape) == 1 or name.startswith(("model.embed", "lm_head")) or ".gate.weight" in name or "router" in name
                if block is None and len(shape) == 3:
                    more, tensors[name] = mxfp4(name, shape)
                elif block is not None and not kept:
                    more, tensors[name] = fp8(name, end, shape, block)
                else:
                    scale, offset = law(config.model_type, name, shape)
                    more = [[name, shape, "plain", scale, offset]]
                    tensors[name] = torch.from_numpy(numbers(name, shape, scale, offset))
                listed += more
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, {"format": "pt"})
        shutil.copy(folder / "config.json", out / checkpoint)
        model, told = cls.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32, output_loading_info=True)
    if told["missing_keys"] or told["unexpected_keys"] or told["mismatched_keys"]:
        raise SystemExit(f"{checkpoint}: not loaded as it was saved: {told}")
    generator = np.random.default_rng(7)
    tokens = [1] + generator.integers(3, VOCAB, TOKENS - 1).tolist()
    values = model.eval()(torch.tensor([tokens])).logits[0].float().numpy()
    np.save(out / checkpoint / "logits.npy", values)
    settings = json.loads((out / checkpoint / "config.json").read_text())
    (out / checkpoint / "config.json").write_text(json.dumps({**settings, "quantization_config": quantization}, indent=2) + "\n")
    golden = json.dumps({"family": checkpoint, "tokens": tokens, "tensors": listed}, separators=(",", ":"))
    (out / checkpoint / "golden.json").write_text(golden.replace('],["', '],\n["') + "\n")
    print(f"{checkpoint}: {values.shape}, spread {values.std():.3f}, largest {np.abs(values).max():.2f}", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    for name in args.names or CHECKPOINTS:
        make(name, args.out)


if __name__ == "__main__":
    main()
