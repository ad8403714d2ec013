"""Makes the ONNX model that transformers.js reads, from the GGUF that the other two read.

    python make_onnx.py MODEL.gguf FOLDER

The golden data's loader dequantizes the GGUF, transformers reads its tokenizer, and the
model builder of `onnxruntime-genai` quantizes again, to 4 bits, for WebGPU without f16.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import onnx
from transformers import AutoTokenizer

sys.path.append(str(Path(__file__).parents[4] / "tests" / "golden"))
from gguf_llama import load

# What a tokenizer of transformers.js wants; all else of the checkpoint is PyTorch's.
FILES = ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"]


def build(checkpoint, out, cache):
    """Runs the model builder as its users do; what it says matters only if it fails."""
    words = [sys.executable, "-m", "onnxruntime_genai.models.builder", "-i", checkpoint, "-o", out, "-c", cache]
    words += ["-p", "int4", "-e", "webgpu", "--extra_options"]
    # The last: logits of one position, not of the whole prompt.
    words += ["hf_token=false", "use_webgpu_fp32=true", "prune_lm_head=true"]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{done.stdout}\nthe model builder of onnxruntime-genai failed")


def pin_head_dim(model, head_dim):
    """Gives the keys' and values' last dimension its number: transformers.js takes a name for 0."""
    for tensor in [*model.graph.input, *model.graph.output]:
        for dim in tensor.type.tensor_type.shape.dim:
            if dim.dim_param == "kv_cache_dim":
                dim.dim_value = head_dim


def main(gguf, folder):
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        checkpoint, built = Path(scratch, "checkpoint"), Path(scratch, "built")
        AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(checkpoint)
        source, meta = load(gguf)
        source.config.bos_token_id = meta["tokenizer.ggml.bos_token_id"]
        source.config.eos_token_id = meta["tokenizer.ggml.eos_token_id"]
        source.save_pretrained(checkpoint)
        build(checkpoint, built, Path(scratch, "cache"))
        model = onnx.load(built / "model.onnx")
        pin_head_dim(model, source.config.head_dim)
        for name in FILES:
            (folder / name).write_bytes((checkpoint / name).read_bytes())
        # One file, under the name that transformers.js gives 4-bit weights; it comes last,
        # so that where it is, all is.
        (folder / "onnx").mkdir(exist_ok=True)
        onnx.save(model, built / "whole.onnx")
        (built / "whole.onnx").rename(folder / "onnx" / "model_q4.onnx")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
