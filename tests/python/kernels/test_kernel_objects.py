"""The compiled objects: their symbols, their prefetches, and other CPUs under an emulator.

The objects are compiled here, with the flags of CMakeLists.txt, because an installed module keeps
neither objects nor symbols. -O0 is the strictest for symbols: nothing is inlined away.
"""

import os
import platform
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
CSRC = ROOT / "csrc"
COMMON = ["-std=c++20", f"-I{CSRC}", "-fPIC"]
X86 = platform.machine() in ("x86_64", "AMD64")


def compiler():
    found = shutil.which(os.environ.get("CXX", "c++")) or shutil.which("g++")
    if found is None:
        pytest.skip("no C++ compiler")
    return found


def tool(name):
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"no {name}")
    return found


def cmake_text():
    return (ROOT / "CMakeLists.txt").read_text()


def isa_options():
    return re.search(r"set\(isa_options ([^)]+)\)", cmake_text())[1].split()


def isa_flags():
    """Flags of every instruction set of x86, as CMakeLists.txt lists them."""
    text = cmake_text()
    variables = dict(re.findall(r'set\((avx\w+) "([^"]+)"\)', text))
    rows = re.findall(r'"(avx[^":]*):([^"]+)"', text)
    flags = {"scalar": []}
    for name, value in rows:
        expanded = re.sub(r"\$\{(\w+)\}", lambda m: variables[m[1]], value)
        flags[name] = expanded.split(":")
    return flags


def build(command):
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


def compile_object(cxx, source, target, flags):
    build([cxx, *COMMON, *flags, "-c", str(source), "-o", str(target)])
    return target


@pytest.fixture(scope="module")
def x86_objects(tmp_path_factory):
    """Unoptimised objects of every instruction set, by name."""
    if not X86:
        pytest.skip("not an x86-64 machine")
    cxx, folder = compiler(), tmp_path_factory.mktemp("objects")

    def one(item):
        name, flags = item
        options = [*flags, *isa_options(), "-O0"]
        source = CSRC / "kernels/isa" / f"{name}.cpp"
        return name, compile_object(cxx, source, folder / f"{name}.o", options)

    with ThreadPoolExecutor(2) as pool:
        return dict(pool.map(one, isa_flags().items()))


def test_cmake_lists_every_instruction_set_file():
    files = {path.stem for path in (CSRC / "kernels/isa").glob("*.cpp")}
    assert files == {*isa_flags(), "neon"}


def test_isa_objects_have_no_weak_symbol_and_export_one_table(x86_objects):
    for name, path in x86_objects.items():
        lines = build([tool("nm"), str(path)]).splitlines()
        symbols = [line.split()[-2:] for line in lines]
        weak = [symbol for kind, symbol in symbols if kind in "WwVvu"]
        assert not weak, (name, weak)
        exported = [symbol for kind, symbol in symbols if kind.isupper() and kind != "U"]
        assert len(exported) == 1, (name, exported)
        assert exported[0].endswith(f"{name}_kernelsE"), (name, exported)
        undefined = {symbol for kind, symbol in symbols if kind == "U"}
        allowed = {"memcpy", "memmove", "memset", "__popcountdi2", "__stack_chk_fail"}
        assert undefined <= allowed | {"_GLOBAL_OFFSET_TABLE_"}, (name, undefined)


def test_no_constructor_runs_when_an_isa_object_is_loaded(x86_objects):
    for name, path in x86_objects.items():
        sections = build([tool("objdump"), "-h", str(path)])
        assert ".init_array" not in sections, name


def gather_functions(disassembly):
    """(name, body) of each function that walks gathered rows."""
    for block in disassembly.split("\n\n"):
        head, _, body = block.partition("\n")
        if "gather" in head and head.rstrip().endswith(">:"):
            yield head, body


def test_optimised_gather_kernels_keep_their_prefetches(tmp_path):
    if not X86:
        pytest.skip("not an x86-64 machine")
    flags = [*isa_options(), *isa_flags()["avx512_vnni"]]
    source = CSRC / "kernels/isa/avx512_vnni.cpp"
    path = compile_object(compiler(), source, tmp_path / "vnni.o", flags)
    text = build([tool("objdump"), "-d", "-C", "--no-show-raw-insn", str(path)])
    functions = list(gather_functions(text))
    assert len(functions) >= 10
    for head, body in functions:
        chooses = re.search(r"(call|jmp) .*gather.*lambda", body)  # one of the others, by length
        assert chooses or "prefetcht1" in body, head
    assert sum("prefetcht1" in body for _, body in functions) >= 10


def link_selftest(cxx, folder, objects, flags):
    for source in ("csrc/kernels/dispatch.cpp", "tests/csrc/kernels_selftest.cpp"):
        target = folder / (Path(source).stem + ".o")
        objects.append(compile_object(cxx, ROOT / source, target, [*flags, "-O0"]))
    program = folder / "kernels_selftest"
    build([cxx, "-static", *map(str, objects), "-o", str(program)])
    return program


def checked_layers(command):
    lines = build(command).splitlines()
    return [line.split()[0] for line in lines[:-1]], lines[-1].split()[1]


def test_dispatch_takes_only_what_an_old_cpu_has(x86_objects, tmp_path):
    emulator = tool("qemu-x86_64")
    program = link_selftest(compiler(), tmp_path, list(x86_objects.values()), [])
    for cpu in ("qemu64", "Nehalem"):
        assert checked_layers([emulator, "-cpu", cpu, str(program)]) == (["scalar"], "scalar")


def test_neon_agrees_with_scalar_under_an_emulator(tmp_path):
    cxx, emulator = tool("aarch64-linux-gnu-g++"), tool("qemu-aarch64")
    flags = re.search(r'"neon:([^"]+)"', cmake_text())[1].split(":")
    sources = {"neon": [*flags], "scalar": []}

    def one(item):
        name, own = item
        source = CSRC / "kernels/isa" / f"{name}.cpp"
        options = [*own, *isa_options(), "-O1"]
        return compile_object(cxx, source, tmp_path / f"{name}.o", options)

    with ThreadPoolExecutor(2) as pool:
        objects = list(pool.map(one, sources.items()))
    program = link_selftest(cxx, tmp_path, objects, [])
    assert checked_layers([emulator, str(program)]) == (["scalar", "neon"], "neon")
    old = [emulator, "-cpu", "cortex-a53", str(program)]  # without the dot product
    assert checked_layers(old) == (["scalar"], "scalar")
