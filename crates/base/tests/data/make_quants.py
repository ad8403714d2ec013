#!/usr/bin/env python3
"""Makes quants.bin: what the reference codecs encode and decode, for
crates/base/tests/quant.rs to agree with bit by bit.

    python -m venv venv && venv/bin/pip install gguf==0.19.0 numpy torch
    for f in abort row_size type_name type_size; do NONE="$NONE -Wl,--defsym=ggml_$f=0"; done
    gcc -O2 -ffp-contract=off -mf16c -shared -fPIC -I$GGML/include -I$GGML/src $NONE \\
        $GGML/src/ggml-quants.c -o libq.so -lm
    venv/bin/python crates/base/tests/data/make_quants.py libq.so

$GGML is vendor/llama.cpp/ggml of the source archive of llama-cpp-python 0.3.36. The
reference is gguf-py, or ggml's C code for what gguf-py lacks (CLASSIC and RANDOM tell
which), or PyTorch for 8-bit floats.

Layout, little endian, no header:
    768 f32               the weights (24 blocks of 32)
    then for each of PLAIN and CLASSIC:
        their file bytes  as the reference encodes them
    then for each of PLAIN:
        768 f32           as gguf-py decodes those
    then for each of RANDOM:
        256 weights       of random bytes (scales finite)
        256 f32           as the reference decodes those
    then 2 × 256 f32      F8_E4M3 and F8_E5M2 of every byte, as PyTorch has them
    then for each of GRIDS, the i64 sum of its values times their numbers, from 1
    then for each of WEIGHED and GUIDED, the f32 error (root mean square over that of the
                          weights) of ggml's encoder, for the weights that `ramp` makes;
                          for GUIDED, all weights being as important
    then for each of SCALED:
        256 weights       of random codes that are not NaN and scales of any size
        256 f32           as PyTorch decodes those
"""
import ctypes
import pathlib
import sys
import numpy as np
import torch
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType as T, quants
from gguf.quants import dequantize, quantize

PLAIN = "F32 F16 BF16 Q8_0 Q4_0 Q4_1".split()
# Encoders that round in one way only; ggml's C code where marked.
CLASSIC = "Q5_0 Q5_1 MXFP4 NVFP4* TQ1_0* TQ2_0* Q1_0* Q2_0*".split()
# Bytes where 16-bit scales begin; ggml's C code where marked.
RANDOM = {
    "Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2],
    "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
    "IQ4_NL": [0], "IQ4_XS": [0], "MXFP4": [], "NVFP4": [], "IQ3_S": [0], "IQ3_XXS": [0],
    "IQ2_S": [0], "IQ2_XS": [0], "IQ2_XXS": [0], "IQ1_S": [0], "IQ1_M": [54],
    "TQ1_0": [52], "TQ2_0": [64], "Q1_0*": [0], "Q2_0*": [0],
}
SIZES = {"Q1_0": (128, 18), "Q2_0": (64, 18)}
GRIDS = "IQ3_S IQ3_XXS IQ2_S IQ2_XS IQ2_XXS IQ1_S".split()
WEIGHED = "Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_NL IQ4_XS".split()
# Those that ggml encodes with importance (some only so), and what its set-up takes.
GUIDED = {
    "IQ3_S": ("3", 512), "IQ3_XXS": ("3", 256), "IQ2_S": ("2", 22), "IQ2_XS": ("2", 17),
    "IQ2_XXS": ("2", 16), "IQ1_S": ("2", 19), "IQ1_M": ("2", 29),
}

# Blocks of E4M3 with an f32 scale before them: how many codes.
SCALED = {"F8_E4M3_128": 128, "F8_E4M3_32": 32}

rng = np.random.default_rng(20)
ggml = ctypes.CDLL(sys.argv[1])


def weights():
    blocks = [rng.normal(0, scale, 32) for scale in (1, 0.02, 1e-3, 30, 500, 0.7, 0.1, 4)]
    blocks.append(np.zeros(32))
    blocks.append(np.full(32, 0.3))                                   # one value
    blocks.append(np.full(32, -0.3))
    blocks.append(np.arange(32) - 16.0)                               # whole steps
    blocks.append((np.arange(32) - 16) / 2)                           # half steps: ties
    blocks.append(np.concatenate([[127], np.arange(31) - 15 + 0.5]))  # ties of Q8_0
    blocks.append(np.concatenate([[-8], np.arange(31) / 2 - 7.5]))    # ties of Q4_0
    blocks.append(np.concatenate([[0, 15], np.arange(30) / 2]))       # ties of Q4_1
    blocks.append(np.tile([1.5, -1.5], 16))                           # equal magnitudes
    blocks.append(np.tile([-1.5, 1.5], 16))
    blocks.append(rng.normal(0, 1e-6, 32))                            # scales subnormal in f16
    blocks.append(rng.normal(0, 1e-9, 32))                            # scales 0 in f16
    blocks.append(np.abs(rng.normal(0, 1, 32)) + 5)                   # all positive
    blocks.append(-np.abs(rng.normal(0, 1, 32)) - 5)                  # all negative
    blocks.append(rng.normal(0, 0.05, 32) * (rng.random(32) < 0.2))   # sparse
    blocks.append(rng.standard_cauchy(32))                            # outliers
    return np.stack(blocks).astype("<f4").reshape(3, 256)


def ramp(count=16384):
    """Sums of four numbers of a generator, alike in Rust: near normal."""
    state, out = 7, np.zeros(count)
    for at in range(4 * count):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        out[at // 4] += (state >> 8) / (1 << 24) - 0.5
    return out.astype("<f4")


def size(name):
    return SIZES.get(name) or GGML_QUANT_SIZES[T[name]]


def c_name(name):
    return name.lower().removesuffix("_k") + "_K" * name.endswith("_K")


def c_encode(name, w):
    block, bytes_ = size(name)
    w = np.ascontiguousarray(w, "<f4")
    out = np.zeros(w.size // block * bytes_, np.uint8)
    f = getattr(ggml, f"quantize_row_{c_name(name)}_ref")
    f(w.ctypes, out.ctypes, ctypes.c_int64(w.size))
    return out


def c_encode_guided(name, w):
    block, bytes_ = size(name)
    family, which = GUIDED[name]
    getattr(ggml, f"iq{family}xs_init_impl")(which)
    out = np.zeros(w.size // block * bytes_, np.uint8)
    one = np.ones(w.size, "<f4")
    rows, cols = ctypes.c_int64(1), ctypes.c_int64(w.size)
    getattr(ggml, f"quantize_{c_name(name)}")(w.ctypes, out.ctypes, rows, cols, one.ctypes)
    return out


def c_decode(name, raw):
    block, bytes_ = size(name)
    raw = np.ascontiguousarray(raw)
    out = np.zeros(raw.size // bytes_ * block, "<f4")
    f = getattr(ggml, f"dequantize_row_{c_name(name)}")
    f(raw.ctypes, out.ctypes, ctypes.c_int64(out.size))
    return out


def by_ggml(name):
    """The name without the mark, and whether it was there."""
    return name.rstrip("*"), name.endswith("*")


def scaled(block):
    """File bytes of 256 weights, and the weights: codes as PyTorch has them, times the scale in f32."""
    random = np.random.default_rng(block)
    d = (random.normal(0, 1, 256 // block) * 10.0 ** random.integers(-9, 9, 256 // block)).astype("<f4")
    codes = random.integers(0, 256, (256 // block, block), dtype=np.uint8)
    codes[codes & 127 == 127] = 0
    raw = np.concatenate([d[:, None].view(np.uint8).reshape(-1, 4), codes], 1)
    w = torch.from_numpy(codes).view(torch.float8_e4m3fn).float() * torch.from_numpy(d)[:, None]
    return raw, w.numpy()


def main():
    w = weights()
    plain = [quantize(w, T[name]) for name in PLAIN]
    parts = [w, *plain]
    for name, c in map(by_ggml, CLASSIC):
        parts.append(c_encode(name, w) if c else quantize(w, T[name]))
    parts += [dequantize(raw, T[name]).astype("<f4") for raw, name in zip(plain, PLAIN)]
    for marked, halves in RANDOM.items():
        name, c = by_ggml(marked)
        block, bytes_ = size(name)
        raw = rng.integers(0, 256, (256 // block, bytes_), dtype=np.uint8)
        for at in halves:  # clear one bit of the exponent: never infinite
            raw[:, at + 1] &= 0xBF
        parts.append(raw)
        parts.append(c_decode(name, raw) if c else dequantize(raw, T[name]).astype("<f4"))
    every = torch.arange(256, dtype=torch.uint8)
    for kind in (torch.float8_e4m3fn, torch.float8_e5m2):
        parts.append(every.view(kind).float().numpy())
    for name in GRIDS:
        kind = getattr(quants, name)
        kind.init_grid()
        values = kind.grid.reshape(-1).astype("<i8")
        parts.append(np.array((values * np.arange(1, values.size + 1)).sum()))
    r = ramp()
    for name in [*WEIGHED, *GUIDED]:
        encoded = c_encode_guided(name, r) if name in GUIDED else c_encode(name, r)
        error = c_decode(name, encoded) - r
        parts.append(np.array(np.sqrt((error**2).sum() / (r**2).sum()), "<f4"))
        print(name, parts[-1])
    for block in SCALED.values():
        parts += scaled(block)
    out = pathlib.Path(__file__).with_name("quants.bin")
    out.write_bytes(b"".join(np.ascontiguousarray(part).tobytes() for part in parts))
    print(out, out.stat().st_size, "bytes")


main()
