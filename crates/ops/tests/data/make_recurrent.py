#!/usr/bin/env python3
"""Makes recurrent.bin: what transformers' recurrent layers compute, for
crates/ops/tests/recurrent.rs to compare the CPU definitions with.

    venv/bin/pip install transformers==5.24.0 torch numpy
    venv/bin/python crates/ops/tests/data/make_recurrent.py

f32, little endian, no header, in the order of the calls of `put`: Qwen3.5's gated delta
net without its projections, then LFM2's short convolution without them.
"""
import pathlib
import numpy as np
import torch
from transformers import Lfm2Config
from transformers.models.lfm2.modeling_lfm2 import Lfm2ShortConv
from transformers.models.qwen3_5 import modeling_qwen3_5 as qwen
from transformers.models.qwen3_5.configuration_qwen3_5 import Qwen3_5TextConfig

TOKENS, KEY_HEADS, HEADS, KEY_DIM, VALUE_DIM, KERNEL = 24, 2, 4, 8, 6, 4
CHANNELS, LFM2_KERNEL = 10, 3

parts = []


def put(tensor):
    parts.append(tensor.detach().to(torch.float32).contiguous().numpy().astype("<f4").tobytes())


@torch.no_grad()
def gated_delta_net():
    config = Qwen3_5TextConfig(
        hidden_size=HEADS * VALUE_DIM,
        linear_num_key_heads=KEY_HEADS,
        linear_num_value_heads=HEADS,
        linear_key_head_dim=KEY_DIM,
        linear_value_head_dim=VALUE_DIM,
        linear_conv_kernel_dim=KERNEL,
        rms_norm_eps=1e-6,
    )
    net = qwen.Qwen3_5GatedDeltaNet(config, 0)
    for parameter in (net.conv1d.weight, net.dt_bias, net.norm.weight):
        torch.nn.init.normal_(parameter)
    net.A_log.copy_(torch.log(torch.tensor([0.02, 0.1, 0.8, 4.0])))
    net.out_proj.weight.copy_(torch.eye(HEADS * VALUE_DIM))
    for projection in (net.in_proj_qkv, net.in_proj_z, net.in_proj_b, net.in_proj_a):
        torch.nn.init.normal_(projection.weight, std=0.3)
    x = torch.randn(1, TOKENS, config.hidden_size)
    qkv, z, b, a = net.in_proj_qkv(x), net.in_proj_z(x), net.in_proj_b(x), net.in_proj_a(x)
    put(qkv)
    put(torch.cat([b, a], dim=-1))
    put(z)
    put(net.conv1d.weight)
    put(-net.A_log.exp())
    put(net.dt_bias)
    put(net.norm.weight)
    convolved = qwen.causal_conv1d_fn(
        qkv.transpose(1, 2), net.conv1d.weight.squeeze(1), None, activation="silu"
    ).transpose(1, 2)
    put(convolved)
    q, k, v = convolved.split([KEY_HEADS * KEY_DIM, KEY_HEADS * KEY_DIM, HEADS * VALUE_DIM], -1)
    delta, state = qwen.torch_recurrent_gated_delta_rule(
        q.reshape(1, TOKENS, KEY_HEADS, KEY_DIM),
        k.reshape(1, TOKENS, KEY_HEADS, KEY_DIM),
        v.reshape(1, TOKENS, HEADS, VALUE_DIM),
        g=-net.A_log.exp() * torch.nn.functional.softplus(a + net.dt_bias),
        beta=b.sigmoid(),
        output_final_state=True,
        use_qk_l2norm_in_kernel=True,
    )
    put(delta)
    put(state[0].transpose(1, 2))  # [heads, value_dim, key_dim]
    put(net(x))  # By chunks; behind the gated norm.


@torch.no_grad()
def short_conv():
    config = Lfm2Config(
        hidden_size=CHANNELS,
        num_hidden_layers=1,
        layer_types=["conv"],
        conv_L_cache=LFM2_KERNEL,
        conv_bias=True,
    )
    conv = Lfm2ShortConv(config, 0)
    torch.nn.init.normal_(conv.conv.weight)
    torch.nn.init.normal_(conv.conv.bias)
    torch.nn.init.normal_(conv.in_proj.weight, std=0.5)
    conv.out_proj.weight.copy_(torch.eye(CHANNELS))
    conv.out_proj.bias.zero_()
    x = torch.randn(1, TOKENS, CHANNELS)
    put(conv.in_proj(x))
    put(conv.conv.weight)
    put(conv.conv.bias)
    put(conv(x))


torch.manual_seed(1)
gated_delta_net()
short_conv()
path = pathlib.Path(__file__).with_name("recurrent.bin")
path.write_bytes(b"".join(parts))
print(path, path.stat().st_size)
