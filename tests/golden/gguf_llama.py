"""Loads a llama-family GGUF into transformers' LlamaForCausalLM, in float32.

The oracle of the golden data: weights dequantized by the PyPI `gguf` package, the forward pass
by transformers and PyTorch. No line of Wisp takes part.
"""

import torch
from gguf import GGUFReader
from gguf.quants import dequantize
from transformers import LlamaConfig, LlamaForCausalLM

# GGUF's name of a block's tensor -> transformers' name.
BLOCK_NAMES = {
    "attn_norm.weight": "input_layernorm.weight",
    "attn_q.weight": "self_attn.q_proj.weight",
    "attn_k.weight": "self_attn.k_proj.weight",
    "attn_v.weight": "self_attn.v_proj.weight",
    "attn_output.weight": "self_attn.o_proj.weight",
    "ffn_norm.weight": "post_attention_layernorm.weight",
    "ffn_gate.weight": "mlp.gate_proj.weight",
    "ffn_up.weight": "mlp.up_proj.weight",
    "ffn_down.weight": "mlp.down_proj.weight",
}


def metadata(reader):
    """Every metadata value of the file, by key."""
    return {key: field.contents() for key, field in reader.fields.items()}


def halves_from_pairs(weight, heads):
    """Undoes the row order that GGUF gives attn_q and attn_k.

    GGUF rotates rows (2i, 2i+1) of a head together; transformers rotates rows (i, i + d/2).
    """
    rows, cols = weight.shape
    return weight.reshape(heads, rows // heads // 2, 2, cols).transpose(1, 2).reshape(rows, cols)


def load(path, dtype=torch.float32):
    """The model of the GGUF file at `path` and the file's metadata."""
    reader = GGUFReader(path)
    meta = metadata(reader)
    if meta["general.architecture"] != "llama":
        raise SystemExit(f"{path} is of the architecture {meta['general.architecture']}, not llama")
    heads = meta["llama.attention.head_count"]
    kv_heads = meta["llama.attention.head_count_kv"]
    tensors = {t.name: torch.from_numpy(dequantize(t.data, t.tensor_type).copy()) for t in reader.tensors}
    tied = "output.weight" not in tensors
    config = LlamaConfig(
        vocab_size=tensors["token_embd.weight"].shape[0],
        hidden_size=meta["llama.embedding_length"],
        intermediate_size=meta["llama.feed_forward_length"],
        num_hidden_layers=meta["llama.block_count"],
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        head_dim=meta["llama.rope.dimension_count"],
        max_position_embeddings=meta["llama.context_length"],
        rms_norm_eps=meta["llama.attention.layer_norm_rms_epsilon"],
        rope_parameters={"rope_type": "default", "rope_theta": meta["llama.rope.freq_base"]},
        tie_word_embeddings=tied,
        attn_implementation="eager",
    )
    state = {
        "model.embed_tokens.weight": tensors.pop("token_embd.weight"),
        "model.norm.weight": tensors.pop("output_norm.weight"),
    }
    state["lm_head.weight"] = state["model.embed_tokens.weight"] if tied else tensors.pop("output.weight")
    factors = tensors.pop("rope_freqs.weight", None)
    for name, weight in tensors.items():
        _, block, part = name.split(".", 2)
        if part == "attn_q.weight":
            weight = halves_from_pairs(weight, heads)
        elif part == "attn_k.weight":
            weight = halves_from_pairs(weight, kv_heads)
        state[f"model.layers.{block}.{BLOCK_NAMES[part]}"] = weight
    model = LlamaForCausalLM(config).to(dtype)
    model.load_state_dict(state, strict=True)
    if factors is not None:
        rotary = model.model.rotary_emb
        rotary.inv_freq = rotary.inv_freq / factors.to(rotary.inv_freq.dtype)
    model.eval()
    return model, meta


@torch.no_grad()
def logits_of(model, tokens):
    """Logits of every position, `[positions, vocab]`."""
    return model(torch.tensor([tokens]), use_cache=False).logits[0]


@torch.no_grad()
def greedy(model, tokens, steps):
    """`steps` tokens by argmax, and for each how far its logit lies above the next best."""
    chosen, margins = [], []
    cache, feed = None, tokens
    for _ in range(steps):
        out = model(torch.tensor([feed]), past_key_values=cache, use_cache=True)
        cache = out.past_key_values
        best = torch.topk(out.logits[0, -1], 2)
        chosen.append(int(best.indices[0]))
        margins.append(float(best.values[0] - best.values[1]))
        feed = chosen[-1:]
    return chosen, margins


def nll_of(logits, tokens):
    """`nll[i] = -ln p(tokens[i+1] | tokens[0..=i])`, one entry fewer than tokens."""
    logp = torch.log_softmax(logits[:-1].double(), dim=-1)
    return [-float(logp[i, t]) for i, t in enumerate(tokens[1:])]
