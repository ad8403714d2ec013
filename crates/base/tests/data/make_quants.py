#!/usr/bin/env python3
"""Makes quants.bin: what gguf-py (PyPI `gguf` 0.19.0, with `numpy`)
encodes and decodes, for crates/base/tests/quant.rs to agree with bit by bit.

    python -m venv venv && venv/bin/pip install gguf numpy
    venv/bin/python crates/base/tests/data/make_quants.py

Layout, little endian, no header:
    768 f32               the weights (24 blocks of 32)
    then for each of F32 F16 BF16 Q8_0 Q4_0 Q4_1:
        their file bytes  as gguf-py encodes them
        768 f32           as gguf-py decodes those
    then for each of Q8_0 Q4_0 Q4_1:
        16 blocks         of random bytes (scales finite)
        512 f32           as gguf-py decodes those
"""
import pathlib
import numpy as np
from gguf import GGMLQuantizationType as T
from gguf.quants import dequantize, quantize

rng = np.random.default_rng(20)


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


def main():
    w = weights()
    parts = [w]
    for kind in (T.F32, T.F16, T.BF16, T.Q8_0, T.Q4_0, T.Q4_1):
        encoded = quantize(w, kind)
        parts += [encoded, dequantize(encoded, kind).astype("<f4")]
    for kind, size, scales in ((T.Q8_0, 34, 1), (T.Q4_0, 18, 1), (T.Q4_1, 20, 2)):
        raw = rng.integers(0, 256, (16, size), dtype=np.uint8)
        for scale in range(scales):  # clear one bit of the exponent: never infinite
            raw[:, 2 * scale + 1] &= 0xBF
        parts += [raw, dequantize(raw, kind).astype("<f4")]
    out = pathlib.Path(__file__).with_name("quants.bin")
    out.write_bytes(b"".join(np.ascontiguousarray(part).tobytes() for part in parts))
    print(out, out.stat().st_size, "bytes")


main()
