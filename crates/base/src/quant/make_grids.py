#!/usr/bin/env python3
"""Makes grids.bin, read by grids.rs: the grids of the IQ formats, out of gguf-py.

    python -m venv venv && venv/bin/pip install gguf numpy
    venv/bin/python crates/base/src/quant/make_grids.py

An entry of a grid is a few digits of base 3 (8 of them) or 8 (4), the first the
lowest. Entries ascend, so a grid is a set: one bit for each number that there could
be, the lowest bit of a byte first. In the order IQ2_XXS IQ2_XS IQ2_S IQ1_S, 821
bytes each, then IQ3_XXS IQ3_S, 512 bytes each.
"""
import pathlib
import numpy as np
from gguf import quants

out = b""
for name in ("IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ1_S", "IQ3_XXS", "IQ3_S"):
    kind = getattr(quants, name)
    kind.init_grid()
    values, grid = list(kind.grid_map), kind.grid[0, 0]
    base, digits = len(values), grid.shape[1]
    numbers = [sum(values.index(v) * base**i for i, v in enumerate(row)) for row in grid]
    assert numbers == sorted(set(numbers))
    bits = np.zeros(base**digits, dtype=np.uint8)
    bits[numbers] = 1
    out += np.packbits(bits, bitorder="little").tobytes()
pathlib.Path(__file__).with_name("grids.bin").write_bytes(out)
