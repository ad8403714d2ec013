"""llama.cpp's CUDA backend with the machine code of one GPU instead of seven kinds.

    cuda.py LIBGGML_CUDA NVCC OUT [ARCH]

The npm package's library is 159 MB and has for Hopper (ARCH 90) no machine code but PTX of
CUDA 13.1, which drivers of CUDA 13.0 refuse and others compile for minutes at its first use.
Here ptxas of the same CUDA compiles that PTX, as the driver would, and the other kinds are
left out: some 20 MB once it is packed. Where the package has machine code for ARCH, that is
kept. NVCC is the folder with ptxas and fatbinary (pip: nvidia-cuda-nvcc); zstandard is needed.
"""

import os
import struct
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import zstandard

MAGIC = 0xBA55ED50
PTX, ELF = 1, 2


def section(library: bytes, wanted: bytes) -> tuple[int, int]:
    """Where a section of a 64-bit ELF file lies, and its length."""
    table, = struct.unpack_from("<Q", library, 40)
    size, count, names = struct.unpack_from("<HHH", library, 58)
    headers = [struct.unpack_from("<IIQQQQ", library, table + at * size) for at in range(count)]
    for name, _, _, _, offset, length in headers:
        start = headers[names][4] + name
        if library[start:library.index(b"\0", start)] == wanted:
            return offset, length
    sys.exit(f"the library has no section {wanted.decode()}")


def containers(library: bytes):
    """Each container of code: where it lies, its length, and its images as (kind, architecture,
    offset of the image's header, bytes of that header, length with padding)."""
    at, length = section(library, b".nv_fatbin")
    end = at + length
    while at + 16 <= end:
        magic, _, header, size = struct.unpack_from("<IHHQ", library, at)
        if magic != MAGIC:
            at += 8  # they are aligned
            continue
        images, image = [], at + header
        while image < at + header + size:
            kind, _, head, length = struct.unpack_from("<HHIQ", library, image)
            arch, = struct.unpack_from("<I", library, image + 28)
            images.append((kind, arch, image, head, length))
            image += head + length
        yield at, header + size, images
        at += header + size


def ptx(library: bytes, image: int, head: int, length: int) -> bytes:
    packed, = struct.unpack_from("<I", library, image + 16)
    unpacked, = struct.unpack_from("<Q", library, image + 56)
    text = library[image + head:image + head + (packed or length)]
    if packed:
        text = zstandard.ZstdDecompressor().decompress(text, max_output_size=unpacked + 8)
    return text.rstrip(b"\0")


def compiled(nvcc: Path, text: bytes, arch: int) -> bytes:
    """A container with the machine code of a module."""
    with tempfile.TemporaryDirectory() as folder:
        source, code, out = (Path(folder) / name for name in ("m.ptx", "m.cubin", "m.fatbin"))
        source.write_bytes(text)
        subprocess.run([nvcc / "ptxas", f"-arch=sm_{arch}", source, "-o", code], check=True)
        image = f"--image3=kind=elf,sm={arch},file={code}"
        subprocess.run([nvcc / "fatbinary", "-64", "--compress-mode=size", f"--create={out}",
                        image], check=True)
        return out.read_bytes()


def main() -> None:
    source, nvcc, out = sys.argv[1:4]
    arch = int(sys.argv[4]) if len(sys.argv) > 4 else 90
    library = Path(source).read_bytes()
    found = list(containers(library))

    def made(container) -> bytes:
        at, _, images = container
        for kind, of, image, head, length in images:
            if (kind, of) == (ELF, arch):
                body = library[image:image + head + length]
                return struct.pack("<IHHQ", MAGIC, 1, 16, len(body)) + body
        texts = [image for image in images if image[0] == PTX and image[1] <= arch]
        if not texts:
            sys.exit(f"a module has no code for sm_{arch}")
        _, _, image, head, length = max(texts, key=lambda image: image[1])
        return compiled(Path(nvcc), ptx(library, image, head, length), arch)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        modules = list(pool.map(made, found))
    new = bytearray(library)
    for (at, length, _), module in zip(found, modules):
        if len(module) > length:
            sys.exit("a module has grown: there is no room for it in the library")
        # The rest stays empty: whoever packs the library does away with it.
        new[at:at + length] = module + bytes(length - len(module))
    Path(out).write_bytes(new)
    print(f"{len(modules)} modules for sm_{arch}, {sum(map(len, modules)) / 1e6:.1f} MB of code")


main()
