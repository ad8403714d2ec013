"""The families' checkpoints with other settings in config.json, and what transformers computes: see README.md.

usage: python make_settings.py [NAME ...]

A variant is a family's tiny checkpoint (families/FAMILY: its weights follow from golden.json) with some
settings changed, or without some. Writes settings.json, which lists them, and settings/NAME.npy:
rows ROWS of the logits (an encoder's hidden states).
"""

import json
import pathlib
import sys
import tempfile

import numpy as np
import torch
import transformers
from safetensors.torch import save_file

from make_families import FAMILIES, YARN, numbers

HERE = pathlib.Path(__file__).parent
ROWS = [0, 7, 15, 23, 31, 39]
WINDOW = {"use_sliding_window": True, "sliding_window": 12}


def rope(theta=10000.0, **more):
    return {"rope_parameters": {"rope_theta": theta, **more}}


# Name -> (family, settings, keys that are left out).
VARIANTS = {
    "llama_relu": ("llama", {"hidden_act": "relu"}),
    "llama_relu2": ("llama", {"hidden_act": "relu2"}),
    "llama_gelu": ("llama", {"hidden_act": "gelu"}),
    "llama_not_tied": ("llama", {"tie_word_embeddings": True}),
    "mixtral_gelu": ("mixtral", {"hidden_act": "gelu_new"}),
    "granitemoe_relu": ("granitemoe", {"hidden_act": "relu"}),
    "gemma_legacy_gelu": ("gemma", {"hidden_act": "gelu", "hidden_activation": None}),
    "gemma2_relu": ("gemma2", {"hidden_activation": "relu"}),
    "gpt2_relu": ("gpt2", {"activation_function": "relu"}),
    "gpt_neox_tanh": ("gpt_neox", {"hidden_act": "gelu_fast"}),
    "bert_tanh": ("bert", {"hidden_act": "gelu_new"}),
    "nomic_bert_gelu": ("nomic_bert", {"hidden_act": "gelu"}),
    "modernbert_tanh": ("modernbert", {"hidden_activation": "gelu_pytorch_tanh"}),
    "gpt_oss_limit": ("gpt_oss", {"swiglu_limit": 0.5, "swiglu_alpha": 1.25, "hidden_act": "relu"}),
    "gpt_oss_truncate": ("gpt_oss", rope(150000.0, **YARN)),
    "gpt_oss_default_rope": ("gpt_oss", {}, ["rope_parameters"]),
    "linear_without_theta": ("llama", {"rope_scaling": {"type": "linear", "factor": 4.0}}, ["rope_parameters"]),
    "yarn_truncate": ("llama_yarn", rope(**YARN, truncate=False)),
    "yarn_mscale": ("llama_yarn", rope(**YARN, mscale=1.0, mscale_all_dim=0.5)),
    "yarn_mscale_alone": ("llama_yarn", rope(**YARN, mscale=0.7)),
    "yarn_attention_factor": ("llama_yarn", rope(**YARN, mscale=1.0, mscale_all_dim=0.5, attention_factor=1.5)),
    "yarn_older": ("llama_yarn", {"rope_theta": 5000.0, "rope_scaling": {
        "type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16, "beta_fast": 8.0, "beta_slow": None}},
                   ["rope_parameters"]),
    "yarn_outer_length": ("llama_yarn", {"original_max_position_embeddings": 16}),
    "llama3_outer_length": ("llama3", {"original_max_position_embeddings": 64}),
    "ministral3_strengths": ("ministral3", rope(**YARN, mscale=1.0, mscale_all_dim=0.5, llama_4_scaling_beta=0.3)),
    "ministral3_default_rope": ("ministral3", {"max_position_embeddings": 262144}, ["rope_parameters"]),
    "deepseek_v3_yarn": ("deepseek_v3", rope(**YARN)),
    "deepseek_v3_mscale": ("deepseek_v3", rope(**YARN, mscale=0.7, mscale_all_dim=0.7)),
    "deepseek_v3_attention_factor": ("deepseek_v3", rope(**YARN, mscale_all_dim=0.7, attention_factor=1.5)),
    "deepseek_v3_groups": ("deepseek_v3", {"n_group": 3, "topk_group": 2, "hidden_act": "gelu_new"}),
    "deepseek_v3_factor": ("deepseek_v3", {"norm_topk_prob": False}, ["routed_scaling_factor"]),
    "deepseek_v2_yarn": ("deepseek_v2", rope(**YARN, mscale=0.7, mscale_all_dim=1.0)),
    "qwen2_window": ("qwen2", {**WINDOW, "max_window_layers": 1}, ["layer_types"]),
    "qwen3_window": ("qwen3", {**WINDOW, "layer_types": ["sliding_attention", "full_attention"]}),
    "qwen2_moe_window": ("qwen2_moe", {**WINDOW, "max_window_layers": 2, "norm_topk_prob": True}, ["layer_types"]),
    "qwen3_moe_window": ("qwen3_moe", {**WINDOW, "norm_topk_prob": False, "hidden_act": "relu"}),
    "granite_defaults": ("granite", {}, ["attention_multiplier", "rms_norm_eps", "logits_scaling"]),
    "gemma3_caps": ("gemma3", {"attn_logit_softcapping": 0.5, "final_logit_softcapping": 3.0, "query_pre_attn_scalar": 20}),
    "gemma3_linear": ("gemma3", {"rope_parameters": {
        "full_attention": {"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0},
        "sliding_attention": {"rope_type": "default", "rope_theta": 1000.0}}}),
    "gemma3_older": ("gemma3", {"sliding_window_pattern": 3, "rope_theta": 50000.0, "rope_local_base_freq": 500.0,
                                "rope_scaling": {"rope_type": "linear", "factor": 8.0}}, ["layer_types", "rope_parameters"]),
    "phi3_partial": ("phi3", rope(partial_rotary_factor=0.75, rope_type="default")),
    "phi3_older": ("phi3_long", {"rope_theta": 5000.0, "rope_scaling": {
        "type": "su", "original_max_position_embeddings": 32, "short_factor": [1.0] * 40, "long_factor": [2.0 + 0.5 * i for i in range(40)]}}, ["rope_parameters"]),
    "phi3_factor": ("phi3_long", rope(rope_type="longrope", factor=8.0, short_factor=[1.0] * 40, long_factor=[2.0] * 40)),
    "gpt_neox_older": ("gpt_neox", {"rotary_pct": 0.5, "rotary_emb_base": 500}, ["rope_parameters"]),
    "modernbert_older": ("modernbert", {"global_attn_every_n_layers": 2, "global_rope_theta": 5000.0, "local_rope_theta": 500.0},
                         ["layer_types", "rope_parameters"]),
    "olmoe_normed": ("olmoe", {"norm_topk_prob": True, "hidden_act": "gelu_pytorch_tanh"}),
}


@torch.no_grad()
def make(name, folder):
    family, settings, *without = VARIANTS[name]
    golden = json.loads((HERE / "families" / family / "golden.json").read_text())
    config = json.loads((HERE / "families" / family / "config.json").read_text()) | settings
    config = {key: value for key, value in config.items() if key not in sum(without, [])}
    (folder / "config.json").write_text(json.dumps(config))
    tensors = {n: torch.from_numpy(numbers(n, shape, scale, offset)) for n, shape, scale, offset in golden["tensors"]}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    cls = getattr(transformers, FAMILIES[family][0])
    model, told = cls.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32, output_loading_info=True)
    missing = [k for k in told["missing_keys"] if "pooler" not in k]
    if missing or told["unexpected_keys"] or told["mismatched_keys"]:
        raise SystemExit(f"{name}: not loaded whole: {told}")
    result = model.eval()(torch.tensor([golden["tokens"]]))
    values = (result.logits if hasattr(result, "logits") else result.last_hidden_state)[0].float().numpy()
    np.save(HERE / "settings" / f"{name}.npy", values[ROWS])
    usual = np.load(HERE / "families" / family / "logits.npy")
    print(f"{name}: {np.linalg.norm(values - usual) / np.linalg.norm(usual):.3f} from {family}", flush=True)


def main():
    (HERE / "settings").mkdir(exist_ok=True)
    listed = {name: {"family": family, "settings": settings, "without": sum(without, [])}
              for name, (family, settings, *without) in VARIANTS.items()}
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(of)}" for name, of in listed.items())
    (HERE / "settings.json").write_text(f'{{"rows": {json.dumps(ROWS)}, "variants": {{\n{lines}\n}}}}\n')
    for name in sys.argv[1:] or VARIANTS:
        with tempfile.TemporaryDirectory() as folder:
            make(name, pathlib.Path(folder))


if __name__ == "__main__":
    main()
