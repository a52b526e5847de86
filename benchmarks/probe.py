"""What one core can do at most, measured by loops of single instructions.

Compiled on first use with the system's C compiler (`cc`, or the one named by CC); needs an x86-64
CPU with AVX-512 VNNI for the instructions, nothing special for reading.
"""

from __future__ import annotations

import ctypes
import functools
import os
import subprocess
import tempfile
import time
from pathlib import Path

from numpy.typing import NDArray

# Twelve of each, on registers zmm0 to zmm11, independent of each other; {r} is the register and
# {at} its place in a kilobyte that stays in the first-level cache.
INSTRUCTIONS = {
    "fma": "vfmadd231ps %zmm12, %zmm12, %zmm{r}",
    "dot": "vpdpbusd %zmm12, %zmm12, %zmm{r}",
    "load": "vmovdqu64 {at}(%rdi), %zmm{r}",
    "pair": "vpandd {at}(%rdi), %zmm12, %zmm{r}",  # a load and an operation
}
COPIES = 12
REPEATS = 200_000

READ_ALL = """
unsigned long read_all(const unsigned long* words, unsigned long n) {
    unsigned long sums[16] = {0}, total = 0;
    for (unsigned long i = 0; i + 16 <= n; i += 16)
        for (int j = 0; j < 16; ++j) sums[j] ^= words[i + j];
    for (int j = 0; j < 16; ++j) total ^= sums[j];
    return total;
}
"""


def assembly(name: str, instruction: str) -> str:
    """Return a function `name(memory, count)` that runs the copies `count` times."""
    copies = [instruction.format(r=r, at=64 * r) for r in range(COPIES)]
    lines = [f".globl {name}", f"{name}:", "1:", *copies, "dec %rsi", "jnz 1b", "vzeroupper", "ret"]
    return "".join(f'asm("{line}");\n' for line in lines)


@functools.cache
def library() -> ctypes.CDLL:
    """Compile and load the loops."""
    source = READ_ALL
    if os.uname().machine == "x86_64":
        source += "".join(assembly(name, text) for name, text in INSTRUCTIONS.items())
    with tempfile.TemporaryDirectory() as folder:
        code, built = Path(folder, "probe.c"), Path(folder, "probe.so")
        code.write_text(source)
        compiler = os.environ.get("CC", "cc")
        flags = ["-O3", "-march=native", "-mprefer-vector-width=128", "-shared", "-fPIC"]
        subprocess.run([compiler, *flags, str(code), "-o", str(built)], check=True)
        loaded = ctypes.CDLL(str(built))
    loaded.read_all.argtypes = [ctypes.c_void_p, ctypes.c_ulong]
    loaded.read_all.restype = ctypes.c_ulong
    return loaded


def has_avx512_vnni() -> bool:
    """Whether this CPU can run the instructions."""
    try:
        return "avx512_vnni" in Path("/proc/cpuinfo").read_text()
    except OSError:
        return False


def instruction_ns() -> dict[str, float]:
    """Return the nanoseconds that each instruction takes, all on 64 bytes: the best of 5 loops."""
    if not has_avx512_vnni():
        raise SystemExit("the CPU must have AVX-512 VNNI, got none")
    memory = ctypes.create_string_buffer(64 * (COPIES + 1))
    start = ctypes.c_void_p(ctypes.addressof(memory) + -ctypes.addressof(memory) % 64)
    ns = {}
    for name in INSTRUCTIONS:
        times = []
        for _ in range(5):
            begin = time.perf_counter()
            library()[name](start, ctypes.c_long(REPEATS))
            times.append(time.perf_counter() - begin)
        ns[name] = min(times) / REPEATS / COPIES * 1e9
    return ns


def read_all(data: NDArray) -> None:
    """Read every byte once."""
    library().read_all(data.ctypes.data, data.nbytes // 8)
