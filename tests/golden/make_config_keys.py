"""The keys of config.json that transformers' configuration classes know, with their defaults.

usage: python make_config_keys.py > config_keys.json

For every `model_type` that crates/models/src/hf reads: each key and its default (null for one that
follows from others), with what the class gives to a file that does not have it. `base` are the keys of
all classes, `generation` those that older files have and every class leaves to generation; `rope`
the keys of each kind of RoPE, `quantization` those of each kind of quantized weights.
"""

import dataclasses
import inspect
import json
import re

import transformers
from transformers import modeling_rope_utils
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.utils import quantization_config

MODEL_TYPES = """llama mistral ministral3 mixtral granite granitemoe granitemoeshared smollm3 qwen2 qwen3 qwen2_moe
    qwen3_moe gemma gemma2 gemma3_text gemma3 phi3 olmo2 olmoe gpt2 gpt_neox gpt_oss deepseek_v2 deepseek_v3 bert
    nomic_bert modernbert lfm2 qwen3_5_text qwen3_5_moe_text qwen3_next""".split()
QUANTIZATION = {
    "gptq": ("GPTQConfig", {"bits": 4}), "awq": ("AwqConfig", {}), "fp8": ("FineGrainedFP8Config", {}),
    "fbgemm_fp8": ("FbgemmFp8Config", {}), "mxfp4": ("Mxfp4Config", {}),
}


def plain(value):
    """A default as JSON has it; null for what is long or made."""
    if isinstance(value, (str, int, float, bool)) or value is None:
        return value
    if isinstance(value, dict) and all(isinstance(v, (str, int, float, bool)) for v in value.values()):
        return value
    return [] if value == [] else None


def keys_of(cls, base):
    made = cls().to_dict()
    fields = {field.name: field.default for field in dataclasses.fields(cls) if field.default is not dataclasses.MISSING}
    keys = {}
    for key in sorted((set(made) | set(fields)) - base):
        # What the class makes of others follows from them in each file anew.
        keys[key] = plain(fields[key] if key in fields and key != "rope_parameters" else made.get(key))
    theta = getattr(cls, "default_theta", None)
    if "rope_parameters" in keys:
        keys["rope_theta"] = theta["global"] if isinstance(theta, dict) else theta
    for old, new in cls.attribute_map.items():
        keys[old] = keys[new]
    return dict(sorted(keys.items()))


def rope_keys():
    """What `_validate_KIND_rope_parameters` takes, by its source."""
    kinds, mixin = {}, modeling_rope_utils.RotaryEmbeddingConfigMixin
    for kind in ["default", *modeling_rope_utils.ROPE_INIT_FUNCTIONS]:
        source = inspect.getsource(getattr(mixin, f"_validate_{kind}_rope_parameters"))
        sets = re.findall(r"(?:required|optional)_keys = \{([^}]*)\}", source)
        kinds[kind] = sorted({"partial_rotary_factor", *re.findall(r'"(\w+)"', " ".join(sets))})
    return kinds


def main():
    base = {field.name for field in dataclasses.fields(transformers.PretrainedConfig)}
    base |= set(transformers.PretrainedConfig().to_dict()) | {"per_layer_config", "tie_last_hidden_states", "num_labels"}
    result = {
        "transformers": transformers.__version__,
        "base": sorted(base),
        "generation": sorted(transformers.GenerationConfig._get_default_generation_params()),
        "rope": rope_keys(),
        "quantization": {
            name: sorted(getattr(quantization_config, cls)(**more).to_dict()) for name, (cls, more) in QUANTIZATION.items()
        },
        "model_types": {name: keys_of(CONFIG_MAPPING[name], base) for name in MODEL_TYPES},
    }
    # A line a kind.
    print("{" + ",\n".join(
        f"{json.dumps(key)}: " + ("{\n" + ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in value.items()) + "\n}"
                                  if isinstance(value, dict) else json.dumps(value))
        for key, value in result.items()) + "}")


if __name__ == "__main__":
    main()
