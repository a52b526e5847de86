"""What one core can do at most: loops of instructions that do not wait for each other.

Compiled on use with the system's C compiler (`cc`, or the one named by CC). The instructions need
an x86-64 CPU with AVX-512 VNNI; reading needs nothing special.
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

# {a} is a register of 12 sums, {b} one of 16 others, {at} a place in a kilobyte that stays in the
# first-level cache.
INSTRUCTIONS = {
    "fma": "vfmadd231ps %zmm12, %zmm12, %zmm{a}",
    "product": "vpdpbusd %zmm12, %zmm12, %zmm{a}",
    "load": "vmovdqu64 {at}(%rdi), %zmm{b}",
    "find": "movl {at}(%rdi), %eax",
    "request": "prefetcht1 {at}(%rdi)",
    "shuffle": "vpunpckldq %zmm12, %zmm12, %zmm{b}",
    "add": "vpaddd %zmm12, %zmm12, %zmm{b}",
    "and": "vpandd %zmm12, %zmm12, %zmm{b}",
    "shift": "vpsrlw $4, %zmm12, %zmm{b}",
    "store": "vmovdqu %ymm12, 1024(%rdi)",
}
COPIES = 24
SECONDS = 0.002

READ_ALL = """
unsigned long read_all(const unsigned long* words, unsigned long n) {
    unsigned long sums[16] = {0}, total = 0;
    for (unsigned long i = 0; i + 16 <= n; i += 16)
        for (int j = 0; j < 16; ++j) sums[j] ^= words[i + j];
    for (int j = 0; j < 16; ++j) total ^= sums[j];
    return total;
}
"""


Mix = tuple[tuple[str, int], ...]  # how many of each instruction


def assembly(mix: Mix) -> str:
    """Return `loop(memory, count)`, which runs the mix `count` times, its parts evenly spread."""
    spread = sorted((i / n, name) for name, n in mix for i in range(n))
    lines = [
        INSTRUCTIONS[name].format(a=i % 12, b=16 + i % 16, at=64 * (i % 16))
        for i, (_, name) in enumerate(spread)
    ]
    lines = [".globl loop", "loop:", "1:", *lines, "dec %rsi", "jnz 1b", "vzeroupper", "ret"]
    return "".join(f'asm("{line}");\n' for line in lines)


@functools.cache
def compiled(source: str) -> ctypes.CDLL:
    """Compile and load C."""
    with tempfile.TemporaryDirectory() as folder:
        code, built = Path(folder, "probe.c"), Path(folder, "probe.so")
        code.write_text(source)
        compiler = os.environ.get("CC", "cc")
        # Reading in 16 bytes is the fastest: 17 GB/s where 32 and 64 came to 15.
        flags = ["-O3", "-march=native", "-mprefer-vector-width=128", "-shared", "-fPIC"]
        subprocess.run([compiler, *flags, str(code), "-o", str(built)], check=True)
        return ctypes.CDLL(str(built))


def has_avx512_vnni() -> bool:
    """Whether this CPU can run the instructions."""
    try:
        return "avx512_vnni" in Path("/proc/cpuinfo").read_text()
    except OSError:
        return False


def mix_ns(mix: Mix) -> float:
    """Return the nanoseconds that these instructions take together: the best of 5 loops."""
    if not has_avx512_vnni():
        raise SystemExit("the CPU must have AVX-512 VNNI, got none")
    loop = compiled(assembly(mix)).loop
    memory = ctypes.create_string_buffer(2048)
    start = ctypes.c_void_p(ctypes.addressof(memory) + -ctypes.addressof(memory) % 64)
    repeats = int(SECONDS / 2e-10 / sum(n for _, n in mix))
    times = []
    for _ in range(5):
        begin = time.perf_counter()
        loop(start, ctypes.c_long(repeats))
        times.append(time.perf_counter() - begin)
    return min(times) / repeats * 1e9


def instruction_ns(name: str) -> float:
    """Return the nanoseconds of one instruction among its like."""
    return mix_ns(((name, COPIES),)) / COPIES


def read_all(data: NDArray) -> None:
    """Read every byte once."""
    read = compiled(READ_ALL).read_all
    read.argtypes = [ctypes.c_void_p, ctypes.c_ulong]
    read(data.ctypes.data, data.nbytes // 8)
