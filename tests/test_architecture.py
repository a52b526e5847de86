"""The house rules that a machine can check."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
import zlib
from pathlib import Path

import pytest

import nearfield as nf

ROOT = Path(__file__).resolve().parent.parent
CSRC = ROOT / "csrc"
PYTHON = ROOT / "python" / "nearfield"
BENCHMARKS = ROOT / "benchmarks"

# A folder may include these and itself.
MAY_INCLUDE = {
    "core": set(),
    "kernels": set(),
    "quantize": {"core", "kernels"},
    "store": {"core", "kernels", "quantize"},
    "storage": {"core"},
    "index": {"core", "kernels", "quantize", "store", "storage"},
    "bindings": {"core", "kernels", "quantize", "store", "storage", "index"},
}
TOP_LEVEL = {
    "README.md", "LICENSE", "CHANGELOG.md", "pyproject.toml", "CMakeLists.txt",
    "csrc", "python", "tests", "benchmarks",
}  # fmt: skip
HEAVY = {"torch", "transformers", "sentence_transformers"}


def cpp_files():
    return sorted(p for p in CSRC.rglob("*") if p.suffix in {".h", ".cpp", ".inc"})


def python_files():
    return sorted(PYTHON.rglob("*.py"))


def tracked_files():
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).exists()]


@pytest.mark.parametrize("folder", sorted(p.name for p in CSRC.iterdir() if p.is_dir()))
def test_includes_go_one_way(folder):
    assert folder in MAY_INCLUDE, f"csrc/{folder} has no place in the map"
    for path in (CSRC / folder).rglob("*.*"):
        for included in re.findall(r'#include "([^"]+)"', path.read_text()):
            target = included.split("/")[0]
            assert target in MAY_INCLUDE[folder] | {folder}, f"{path}: includes {included}"
            assert (CSRC / included).exists(), f"{path}: {included} does not exist"


def test_only_kernels_have_intrinsics_and_only_bindings_have_pybind11():
    for path in cpp_files():
        text = path.read_text()
        folder = path.relative_to(CSRC).parts[0]
        if folder != "kernels":
            assert "immintrin" not in text, path
            assert "arm_neon" not in text, path
            assert not re.search(r"\b_mm\d*_", text), path
        if folder != "bindings":
            assert "pybind11" not in text, path


def test_isa_files_include_nothing_that_could_leak():
    allowed = re.compile(r"<(cstddef|cstdint|immintrin\.h|arm_neon\.h)>|\"kernels/")
    for path in [*(CSRC / "kernels/isa").iterdir(), *(CSRC / "kernels/generic").iterdir()]:
        text = path.read_text()
        for included in re.findall(r"#include (\S+)", text):
            assert allowed.match(included), f"{path}: {included}"
        names = set(re.findall(r"\bstd::(\w+)", text)) - {"size_t", "ptrdiff_t"}
        assert all(re.fullmatch(r"u?int\d+_t|uintptr_t", name) for name in names), (path, names)


def test_indexes_name_no_metric_and_no_instruction_set():
    words = re.compile(r"\b(l2|l2sq|cosine|avx\w*|neon|vnni|sse\w*|pq)\b", re.IGNORECASE)
    for path in (CSRC / "index").rglob("*.*"):
        if path.suffix in {".h", ".cpp"}:
            found = words.findall(path.read_text())
            assert not found, f"{path}: {found}"


def test_core_never_prints_nor_aborts():
    for path in cpp_files():
        assert not re.search(r"\bstd::(cout|cerr|abort|exit)\b|\bprintf\(", path.read_text()), path


def test_heavy_packages_are_imported_inside_functions_of_embed_alone():
    for path in python_files():
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, (ast.Import, ast.ImportFrom)):
                continue
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names]
            if {name.split(".")[0] for name in names} & HEAVY:
                assert path.is_relative_to(PYTHON / "embed"), path
                assert node.col_offset > 0, f"{path}:{node.lineno}: import it inside a function"


def test_nothing_unpickles_or_evaluates():
    banned = re.compile(
        r"\b(pickle|marshal)\.loads?\b|\b(eval|exec)\(|allow_pickle=True|yaml\.load\("
    )
    for path in [*python_files(), *BENCHMARKS.rglob("*.py")]:
        assert not banned.search(path.read_text()), path


def test_files_keep_to_their_size():
    for path in tracked_files():
        if path.suffix in {".h", ".cpp", ".py", ".pyx"}:
            lines = len(path.read_text().splitlines())
            assert lines <= 500, f"{path}: {lines} lines; a file has one subject and up to 400"


def test_the_top_level_is_fixed():
    top = {path.relative_to(ROOT).parts[0] for path in tracked_files()}
    assert {name for name in top if not name.startswith(".")} <= TOP_LEVEL


def test_sources_name_no_machine_path_and_no_open_end():
    marks = re.compile("TO" + "DO|FIX" + r"ME|/(work|root)/\w+|/home/\w+/")
    for path in tracked_files():
        if path.suffix in {".h", ".cpp", ".py", ".pyx", ".md", ".toml"}:
            found = marks.search(path.read_text())
            assert not found, f"{path}: {found}"


def test_versions_agree():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert nf.__version__ == project["version"] == nf.build_config()["version"]
    assert f"## {project['version']}" in (ROOT / "CHANGELOG.md").read_text()


def test_stubs_say_what_the_modules_hold():
    pytest.importorskip("mypy")
    ran = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "nearfield._core", "nearfield._ids", "--concise",
         "--mypy-config-file", "pyproject.toml",
         "--allowlist", "tests/stubtest_allowlist.txt"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_package_passes_strict_typing():
    pytest.importorskip("mypy")
    ran = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_import_loads_nothing_beyond_numpy_and_the_standard_library():
    code = (
        "import sys, numpy, typing, threading, contextlib; before = set(sys.modules);"
        "import nearfield; new = {m.split('.')[0] for m in set(sys.modules) - before};"
        "print(sorted(new - {'nearfield', 'numpy'} - set(sys.stdlib_module_names)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # Cython registers what its modules share under names of its own.
    assert [m for m in ast.literal_eval(ran.stdout) if "cython" not in m] == []


@pytest.mark.parametrize("page", ["README.md", "python/nearfield/integrations/README.md"])
def test_readme_example_runs(page, tmp_path, monkeypatch):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    assert blocks, "the page shows an example"
    for i, block in enumerate(blocks):
        folder = tmp_path / str(i)
        folder.mkdir()
        monkeypatch.chdir(folder)
        for name, kept in (("old.bin", "l2.hnswlib"), ("old.faiss", "map2-hnsw.faiss")):
            shutil.copy(ROOT / "tests/golden/foreign" / kept, folder / name)
        if "import pyarrow" in block:
            pytest.importorskip("pyarrow")
        exec(compile(block, page, "exec"), {})  # our own text


def test_a_wheel_stays_under_3_mb():
    if nf.build_config()["sanitizer"]:
        pytest.skip("a sanitizer build is never packed")
    modules = Path(nf._core.__file__).parent.glob("*.so")
    kinds = {".py", ".pyi", ".jsonl", ".html"}
    others = [path for path in PYTHON.rglob("*") if path.suffix in kinds]
    packed = sum(len(zlib.compress(path.read_bytes())) for path in (*modules, *others))
    assert packed < 3e6, f"{packed / 1e6:.1f} MB"


def test_the_modules_of_a_collection_import_each_other_one_way():
    imports = {}
    for path in (PYTHON / "collection").glob("*.py"):
        found = re.findall(r"^\s*from nearfield\.collection\.(\w+) import", path.read_text(), re.M)
        found += re.findall(r"^\s*from nearfield\.collection import (\w+)", path.read_text(), re.M)
        imports[path.stem] = set(found)
    while free := {name for name in imports if not imports[name] & imports.keys()}:
        for name in free:
            del imports[name]
    assert not imports, f"these import each other in a circle: {sorted(imports)}"
