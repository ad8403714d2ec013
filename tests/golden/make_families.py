"""Makes a tiny checkpoint a family, and what transformers computes from it: see README.md beside this file.

usage: python make_families.py LLAMA_CPP OUT_DIR [FAMILY ...]

LLAMA_CPP is a source tree of llama.cpp (the sdist of llama-cpp-python has one in
vendor/llama.cpp); its converter makes OUT_DIR/FAMILY/model.gguf, the other half of the comparison.

Every weight is a function of its tensor's name and its place in it (`numbers`), so a test can make
the checkpoint anew from `tensors` in golden.json: no weights need to be kept.
"""

import argparse
import json
import pathlib
import shutil
import sys
import tempfile

import numpy as np
import torch
import transformers
from safetensors import safe_open
from safetensors.torch import save_file

VOCAB = 131
TOKENS = 40
SPECIAL = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
SIZES = {"vocab_size": VOCAB, "num_hidden_layers": 2, "max_position_embeddings": 128, **SPECIAL}
# Seven query heads on one of keys and values, of an awkward size.
HEADS = {"num_attention_heads": 7, "num_key_value_heads": 1, "head_dim": 80}
DENSE = {**SIZES, **HEADS, "hidden_size": 112, "intermediate_size": 136}
# Where the heads must make up the width.
NARROW = {**SIZES, "num_attention_heads": 7, "num_key_value_heads": 1, "hidden_size": 112, "intermediate_size": 136}
WIDE = {**SIZES, "num_attention_heads": 2, "num_key_value_heads": 1, "hidden_size": 160, "intermediate_size": 136}
MOE = {**NARROW, "moe_intermediate_size": 40, "num_experts_per_tok": 2}
ENCODER = {"vocab_size": VOCAB, "num_hidden_layers": 2, "max_position_embeddings": 128, "hidden_size": 160,
           "num_attention_heads": 2, "intermediate_size": 136, "pad_token_id": 0}


def rope(**more):
    """RoPE settings in the form of transformers 5."""
    return {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, **more}}


LLAMA3 = rope(rope_type="llama3", rope_theta=500000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=32)
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32, "beta_fast": 32.0, "beta_slow": 1.0}
SLIDING_FULL = ["sliding_attention", "full_attention"]


def long_factors(pairs, step):
    return [1.0 + step * i for i in range(pairs)]


# Family -> (class of transformers, settings).
FAMILIES = {
    "llama": ("LlamaForCausalLM", {**DENSE, "rms_norm_eps": 1e-5}),
    "llama3": ("LlamaForCausalLM", {**DENSE, **LLAMA3, "tie_word_embeddings": True}),
    "llama_linear": ("LlamaForCausalLM", {**DENSE, **rope(rope_type="linear", factor=2.0), "attention_bias": True, "mlp_bias": True}),
    "llama_yarn": ("LlamaForCausalLM", {**DENSE, **rope(**YARN)}),
    "mistral": ("MistralForCausalLM", {**DENSE, "sliding_window": 12}),
    "ministral3": ("Ministral3ForCausalLM", {**DENSE, **rope(
        **{**YARN, "mscale": 1.0, "mscale_all_dim": 1.0, "llama_4_scaling_beta": 0.1})}),
    "qwen2": ("Qwen2ForCausalLM", {**NARROW, "tie_word_embeddings": False}),
    "qwen3": ("Qwen3ForCausalLM", {**DENSE, "tie_word_embeddings": True}),
    "gemma": ("GemmaForCausalLM", DENSE),
    "gemma2": ("Gemma2ForCausalLM", {**DENSE, "sliding_window": 12, "query_pre_attn_scalar": 80}),
    "gemma3": ("Gemma3ForCausalLM", {**DENSE, "num_hidden_layers": 7, "sliding_window": 12, "query_pre_attn_scalar": 80}),
    "phi3": ("Phi3ForCausalLM", {**WIDE, "sliding_window": None}),
    "phi3_long": ("Phi3ForCausalLM", {
        **WIDE, "sliding_window": None, "original_max_position_embeddings": 32,
        **rope(rope_type="longrope", short_factor=long_factors(40, 0.0625), long_factor=long_factors(40, 0.25))}),
    # Short by what is asked, in an engine whose context is long.
    "phi3_short": ("Phi3ForCausalLM", {
        **WIDE, "sliding_window": None, "original_max_position_embeddings": 64,
        **rope(rope_type="longrope", short_factor=long_factors(40, 0.0625), long_factor=long_factors(40, 0.25))}),
    "olmo2": ("Olmo2ForCausalLM", NARROW),
    "gpt2": ("GPT2LMHeadModel", {"vocab_size": VOCAB, "n_positions": 128, "n_embd": 160, "n_layer": 2, "n_head": 2,
                                 "bos_token_id": 1, "eos_token_id": 2}),
    "gpt_neox": ("GPTNeoXForCausalLM", {**ENCODER, "rotary_pct": 0.25, "bos_token_id": 1, "eos_token_id": 2}),
    "gpt_neox_serial": ("GPTNeoXForCausalLM", {**ENCODER, "use_parallel_residual": False, "bos_token_id": 1, "eos_token_id": 2}),
    "granite": ("GraniteForCausalLM", {**NARROW, "embedding_multiplier": 3.0, "residual_multiplier": 0.5,
                                       "attention_multiplier": 0.125, "logits_scaling": 2.0}),
    "smollm3": ("SmolLM3ForCausalLM", {**NARROW, "num_hidden_layers": 5}),
    "smollm3_list": ("SmolLM3ForCausalLM", {**NARROW, "num_hidden_layers": 5, "no_rope_layers": [0, 1, 1, 0, 1]}),
    "smollm3_interval": ("SmolLM3ForCausalLM", {**NARROW, "num_hidden_layers": 5, "no_rope_layer_interval": 2}),
    "mixtral": ("MixtralForCausalLM", {**NARROW, "num_local_experts": 5, "num_experts_per_tok": 2, "sliding_window": None}),
    "qwen2_moe": ("Qwen2MoeForCausalLM", {**MOE, "num_experts": 5, "shared_expert_intermediate_size": 56,
                                          "decoder_sparse_step": 1}),
    "qwen3_moe": ("Qwen3MoeForCausalLM", {**MOE, "head_dim": 80, "num_experts": 5, "norm_topk_prob": True}),
    "qwen2_moe_sparse_step": ("Qwen2MoeForCausalLM", {**MOE, "num_hidden_layers": 3, "num_experts": 5,
                                                      "shared_expert_intermediate_size": 56, "decoder_sparse_step": 2}),
    "qwen3_moe_mlp_only": ("Qwen3MoeForCausalLM", {**MOE, "num_hidden_layers": 4, "head_dim": 80, "num_experts": 5,
                                                   "norm_topk_prob": True, "mlp_only_layers": [0, 2]}),
    "olmoe": ("OlmoeForCausalLM", {**NARROW, "num_experts": 5, "num_experts_per_tok": 2}),
    "granitemoe": ("GraniteMoeForCausalLM", {**NARROW, "num_local_experts": 5, "num_experts_per_tok": 2,
                                             "embedding_multiplier": 3.0, "residual_multiplier": 0.5,
                                             "attention_multiplier": 0.125, "logits_scaling": 2.0}),
    "granitemoeshared": ("GraniteMoeSharedForCausalLM", {
        **NARROW, "num_local_experts": 5, "num_experts_per_tok": 2, "shared_intermediate_size": 56, "embedding_multiplier": 3.0,
        "residual_multiplier": 0.5, "attention_multiplier": 0.125, "logits_scaling": 2.0}),
    "gpt_oss": ("GptOssForCausalLM", {**DENSE, "intermediate_size": 64, "head_dim": 64, "num_local_experts": 5, "num_experts_per_tok": 2,
                                      "sliding_window": 12, "layer_types": SLIDING_FULL,
                                      **rope(**{**YARN, "rope_theta": 150000.0, "truncate": False})}),
    "deepseek_v2": ("DeepseekV2ForCausalLM", {
        **SIZES, "hidden_size": 96, "intermediate_size": 136, "num_attention_heads": 3, "num_key_value_heads": 3,
        "q_lora_rank": None, "kv_lora_rank": 48, "qk_nope_head_dim": 32, "qk_rope_head_dim": 16, "v_head_dim": 24,
        "head_dim": 16, "n_routed_experts": 5, "n_shared_experts": 1, "num_experts_per_tok": 2, "moe_intermediate_size": 40,
        "first_k_dense_replace": 1, "norm_topk_prob": False, "routed_scaling_factor": 1.0, "topk_method": "greedy",
        "n_group": 1, "topk_group": 1}),
    "deepseek_v3": ("DeepseekV3ForCausalLM", {
        **SIZES, "hidden_size": 96, "intermediate_size": 136, "num_attention_heads": 3, "num_key_value_heads": 3,
        "q_lora_rank": 40, "kv_lora_rank": 48, "qk_nope_head_dim": 32, "qk_rope_head_dim": 16, "v_head_dim": 24,
        "n_routed_experts": 6, "n_shared_experts": 1, "num_experts_per_tok": 2, "moe_intermediate_size": 40,
        "first_k_dense_replace": 1, "norm_topk_prob": True, "routed_scaling_factor": 1.5, "n_group": 2, "topk_group": 1,
        **rope(**{**YARN, "mscale": 1.0, "mscale_all_dim": 0.5})}),
    # Value heads of a key head are neighbours, three of each; the first and the last layer are recurrent.
    "qwen3_5": ("Qwen3_5ForCausalLM", {
        **SIZES, "num_hidden_layers": 4, "hidden_size": 112, "intermediate_size": 136, "num_attention_heads": 6,
        "num_key_value_heads": 2, "head_dim": 32, "linear_num_key_heads": 2, "linear_num_value_heads": 6,
        "linear_key_head_dim": 16, "linear_value_head_dim": 24, "linear_conv_kernel_dim": 4, "tie_word_embeddings": True,
        "layer_types": ["linear_attention", "full_attention", "full_attention", "linear_attention"],
        **rope(partial_rotary_factor=0.25)}),
    "qwen3_5_moe": ("Qwen3_5MoeForCausalLM", {
        **SIZES, "num_hidden_layers": 2, "hidden_size": 112, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 32,
        "linear_num_key_heads": 3, "linear_num_value_heads": 3, "linear_key_head_dim": 20, "linear_value_head_dim": 20,
        "linear_conv_kernel_dim": 4, "num_experts": 5, "num_experts_per_tok": 2, "moe_intermediate_size": 40,
        "shared_expert_intermediate_size": 56, "layer_types": ["linear_attention", "full_attention"],
        **rope(partial_rotary_factor=0.5)}),
    "qwen3_next": ("Qwen3NextForCausalLM", {
        **SIZES, "num_hidden_layers": 3, "hidden_size": 112, "intermediate_size": 136, "num_attention_heads": 4,
        "num_key_value_heads": 2, "head_dim": 32, "linear_num_key_heads": 2, "linear_num_value_heads": 4,
        "linear_key_head_dim": 16, "linear_value_head_dim": 24, "linear_conv_kernel_dim": 4, "num_experts": 5,
        "num_experts_per_tok": 2, "moe_intermediate_size": 40, "shared_expert_intermediate_size": 56,
        "layer_types": ["linear_attention", "full_attention", "linear_attention"], **rope(partial_rotary_factor=0.25)}),
    # The first convolution begins a sequence, the others follow attention and one another.
    "lfm2": ("Lfm2ForCausalLM", {**NARROW, "num_hidden_layers": 5, "intermediate_size": 204, "block_multiple_of": 8,
                                 "layer_types": ["conv", "full_attention", "conv", "conv", "full_attention"]}),
    "bert": ("BertModel", {**ENCODER, "type_vocab_size": 2}),
    "modernbert": ("ModernBertModel", {**ENCODER, "num_hidden_layers": 4, "local_attention": 16,
                                       "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2}),
    "nomic_bert": ("NomicBertModel", {**ENCODER, "type_vocab_size": 2}),
}


# What the converter reads from config.json and transformers 5 no longer writes there.
OLDER = {
    "gpt2": {"n_ctx": 128},
    # Without the blocks that predict tokens further ahead, which there are none of.
    "qwen3_5": {"arguments": ["--no-mtp"]},
    "qwen3_5_moe": {"arguments": ["--no-mtp"]},
    "qwen3_next": {"arguments": ["--no-mtp"]},
    "gpt_neox": {"rotary_pct": 0.25},
    "gpt_neox_serial": {"rotary_pct": 0.25},
    "nomic_bert": {"n_positions": 2048, "activation_function": "swiglu", "causal": False, "qkv_proj_bias": False,
                   "mlp_fc1_bias": False, "mlp_fc2_bias": False, "prenorm": False, "rotary_emb_fraction": 1.0,
                   "rotary_emb_interleaved": False, "rotary_emb_scale_base": None},
}


def hashed(name, count):
    """32 bits for each of so many places, by the name."""
    seed = 0x811C9DC5  # FNV-1a of the name
    for byte in name.encode():
        seed = (seed ^ byte) * 0x01000193 & 0xFFFFFFFF
    with np.errstate(over="ignore"):
        x = np.arange(count, dtype=np.uint32) * np.uint32(0x9E3779B9) + np.uint32(seed)
        x = (x ^ (x >> np.uint32(16))) * np.uint32(0x85EBCA6B)
        x = (x ^ (x >> np.uint32(13))) * np.uint32(0xC2B2AE35)
        return x ^ (x >> np.uint32(16))


def numbers(name, shape, scale, offset):
    """offset + scale · k / 128, k from −128 to 127 by a hash of name and place; all in binary16."""
    k = (hashed(name, int(np.prod(shape))) >> np.uint32(24)).astype(np.float32) - 128
    return (np.float32(offset) + np.float32(scale) * k / 128).reshape(shape).astype(np.float32)


def law(family, name, shape):
    """(scale, offset) of a tensor: powers of two, so that nothing is rounded."""
    if len(shape) == 1:
        if "norm" in name.lower() or ".ln_" in name or "layernorm" in name:
            # Norms that multiply by one more than their weight.
            more = family.startswith("gemma") or family.startswith(("qwen3_5", "qwen3_next")) and "linear_attn" not in name
            return (0.25, 0.0 if more or name.endswith("bias") else 1.0)
        return (1.0 if "sinks" in name else 0.25, 0.0)
    if "embed" in name or name.endswith(("wte.weight", "wpe.weight")):
        return (1.0, 0.0)
    if "lm_head" in name or "embed_out" in name:
        return (0.5, 0.0)
    # Conv1D and the fused experts of gpt-oss have inputs as rows.
    inputs = shape[-2] if family in ("gpt2", "gpt_oss") and "bias" not in name and len(shape) > (1 if family == "gpt2" else 2) else shape[-1]
    return (2.0 ** round(np.log2(2.0 / np.sqrt(inputs))), 0.0)


def fill(family, folder):
    """Gives every tensor of the saved checkpoint its numbers; what was done, for golden.json."""
    path, listed, tensors = folder / "model.safetensors", [], {}
    with safe_open(path, "pt") as file:
        for name in sorted(file.keys()):
            shape = list(file.get_slice(name).get_shape())
            scale, offset = law(family, name, shape)
            tensors[name] = torch.from_numpy(numbers(name, shape, scale, offset))
            listed.append([name, shape, scale, offset])
    save_file(tensors, path, {"format": "pt"})
    return listed


def convert(family, llama_cpp, folder, out):
    """llama.cpp's own converter, without a vocabulary."""
    with tempfile.TemporaryDirectory() as copy:
        copy = pathlib.Path(copy)
        shutil.copy(folder / "model.safetensors", copy)
        shutil.copy(folder / "config.json", copy)
        # Some classes count its tokens.
        words = {str(i): i for i in range(VOCAB)}
        (copy / "tokenizer.json").write_text(json.dumps({"model": {"type": "WordPiece", "vocab": words}, "added_tokens": []}))
        run_converter(llama_cpp, copy, out, dict(OLDER.get(family, {})))


def run_converter(llama_cpp, folder, out, older):
    sys.path[:0] = [str(llama_cpp), str(llama_cpp / "gguf-py")]
    import convert_hf_to_gguf
    import conversion.base as base
    original, load = convert_hf_to_gguf.get_model_class, base.ModelBase.load_hparams

    def without_vocabulary(name, mmproj=False):
        cls = original(name, mmproj)
        cls.set_vocab = base.TextModel._set_vocab_none
        return cls

    convert_hf_to_gguf.get_model_class = without_vocabulary
    base.ModelBase.load_hparams = staticmethod(lambda *args, **more: {**load(*args, **more), **older})
    arguments, sys.argv = sys.argv, ["convert", str(folder), "--outfile", str(out), "--outtype", "f32", *older.pop("arguments", [])]
    try:
        convert_hf_to_gguf.main()
    finally:
        sys.argv = arguments
        convert_hf_to_gguf.get_model_class = original
        base.ModelBase.load_hparams = staticmethod(load)


def checksum(numbers):
    """FNV-1a over the 32-bit words of the numbers, a word at a time."""
    state = 0xCBF29CE484222325
    for word in np.ascontiguousarray(numbers, "<f4").view("<u4").ravel().tolist():
        state = (state ^ word) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{state:016x}"


def canonical(path):
    """Metadata and tensors of a GGUF file, as a test compares them."""
    from gguf import GGUFReader
    reader = GGUFReader(path)
    metadata = {key: field.contents() for key, field in reader.fields.items()}
    skip = ("GGUF.", "general.", "tokenizer.")
    metadata = {k: v for k, v in metadata.items() if not k.startswith(skip) or k == "general.architecture"}
    # What is computed from config.json may differ in the last bit: the numbers themselves.
    computed = lambda name: name.startswith("rope_") or name.endswith(".ssm_a")
    numbers = lambda t: t.data.tolist() if computed(t.name) else checksum(t.data)
    tensors = {t.name: [[int(d) for d in t.shape], numbers(t)] for t in reader.tensors}
    return {"metadata": metadata, "tensors": tensors}


def greedy(model, tokens, count):
    """The `count` likeliest next tokens, one after the other, all positions computed anew for each; and how far
    each one's logit was above the second best."""
    tokens, margins = list(tokens), []
    for _ in range(count):
        best = model(torch.tensor([tokens])).logits[0, -1].topk(2)
        tokens.append(int(best.indices[0]))
        margins.append(round(float(best.values[0] - best.values[1]), 4))
    return {"tokens": tokens[-count:], "margins": margins}


def short_and_long(cls, folder, tokens):
    """Answers of a longrope model as short sequences compute them, and as long ones do from their first token on."""
    answers = {}
    for kind in ("short", "long"):
        config = cls.config_class.from_pretrained(folder)
        factors = config.rope_parameters[f"{kind}_factor"]
        config.rope_parameters.update(short_factor=factors, long_factor=factors)
        model = cls.from_pretrained(folder, config=config, attn_implementation="eager", dtype=torch.float32)
        answers[kind] = greedy(model.eval(), tokens, 30)
    return answers


@torch.no_grad()
def make(family, llama_cpp, out):
    name, settings = FAMILIES[family]
    cls = getattr(transformers, name)
    config = cls.config_class(**settings)
    folder = out / family / "hf"
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    cls(config).float().save_pretrained(folder)
    listed = fill(family, folder)
    model, told = cls.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32, output_loading_info=True)
    # A pooler is not part of what is compared.
    missing = [k for k in told["missing_keys"] if "pooler" not in k]
    if missing or told["unexpected_keys"] or told["mismatched_keys"]:
        raise SystemExit(f"{family}: not loaded as it was saved: {told}")
    generator = np.random.default_rng(7)
    tokens = [1] + generator.integers(3, VOCAB, TOKENS - 1).tolist()
    result = model.eval()(torch.tensor([tokens]))
    values = (result.logits if hasattr(result, "logits") else result.last_hidden_state)[0].float().numpy()
    spread = float(values.std())
    np.save(out / family / "logits.npy", values)
    (out / family / "tokens.json").write_text(json.dumps(tokens))
    gguf = out / family / "model.gguf"
    golden = {"family": family, "tokens": tokens, "tensors": listed}
    if family == "phi3_short":
        golden["greedy"] = short_and_long(cls, folder, tokens)
    try:
        convert(family, llama_cpp, folder, gguf)
        golden["canonical"] = canonical(gguf)
    except BaseException as why:  # the converter ends the program when it does not like a model
        print(f"{family}: NOT CONVERTED: {type(why).__name__}: {why}")
    golden_text = json.dumps(golden, indent=None, separators=(",", ":"))
    (out / family / "golden.json").write_text(golden_text.replace('],["', '],\n["') + "\n")
    print(f"{family}: {values.shape}, spread {spread:.3f}, largest {float(np.abs(values).max()):.2f}", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("llama_cpp", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("families", nargs="*")
    args = parser.parse_args()
    for family in args.families or FAMILIES:
        try:
            make(family, args.llama_cpp.resolve(), args.out)
        except Exception as why:
            print(f"{family}: FAILED: {type(why).__name__}: {why} {why.__cause__}")


if __name__ == "__main__":
    main()
