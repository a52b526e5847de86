"""The C-level API, through an extension built here as somebody else would build it."""

import importlib.util
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest

import nearfield as nf

ROOT = Path(__file__).resolve().parents[3]
HEADER = Path(nf.get_include()) / "nearfield" / "c_api.h"


def run(*command):
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, f"{command}\n{ran.stdout[-4000:]}\n{ran.stderr[-4000:]}"


def build(folder, name="nearest", include=None):
    """Translate and compile tests/examples_cy/nearest.pyx; gives the module's path."""
    pytest.importorskip("Cython")
    compiler = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("there is no C++ compiler")
    if not (Path(sysconfig.get_path("include")) / "Python.h").exists():
        pytest.skip("Python's headers are not installed")
    source = ROOT / "tests" / "examples_cy" / "nearest.pyx"
    package = Path(nf.__file__).parent.parent
    translated = folder / f"{name}.cpp"
    run(sys.executable, "-m", "cython", "--cplus", "-3", "-I", package, source, "-o", translated)
    module = folder / f"{name}{sysconfig.get_config_var('EXT_SUFFIX')}"
    run(
        compiler, "-O1", "-shared", "-fPIC", translated, "-o", module,
        "-I", include or nf.get_include(), "-I", sysconfig.get_path("include"),
    )  # fmt: skip
    return module


def imported(path):
    spec = importlib.util.spec_from_file_location("nearest", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def nearest(tmp_path_factory):
    return imported(build(tmp_path_factory.mktemp("extension")))


@pytest.mark.parametrize("metric", ["l2", "dot", "cosine"])
@pytest.mark.parametrize("dim", [1, 3, 17, 96, 385])
def test_kernels_agree_with_float64_numpy(nearest, metric, dim, rng):
    query = rng.standard_normal(dim, dtype=np.float32)
    rows = rng.standard_normal((37, dim), dtype=np.float32)
    q, x = query.astype(np.float64), rows.astype(np.float64)
    exact = {
        "l2": np.square(x - q).sum(axis=1),
        "dot": -(x @ q),
        "cosine": 1 - (x @ q) / (np.linalg.norm(x, axis=1) * np.linalg.norm(q)),
    }[metric]
    found = nearest.distances(metric, query, rows)
    np.testing.assert_allclose(found, exact, rtol=1e-5, atol=1e-5 * np.sqrt(dim))


def test_cosine_of_a_vector_of_norm_0_is_1(nearest):
    rows = np.array([[0, 0], [1, 0]], np.float32)
    assert nearest.distances("cosine", rows[1], rows).tolist() == [1, 0]
    assert nearest.distances("cosine", rows[0], rows).tolist() == [1, 1]


def test_top_k_gives_the_smallest_with_their_places_and_pads(nearest, rng):
    values = rng.standard_normal(1000, dtype=np.float32)
    values[500] = np.nan
    places, smallest = nearest.smallest(values, 20)
    order = np.argsort(values, kind="stable")[:20]
    assert places.tolist() == order.tolist()
    np.testing.assert_array_equal(smallest, values[order])
    places, smallest = nearest.smallest(values[:2], 4)
    assert sorted(places.tolist()) == [-1, -1, 0, 1]
    assert np.isposinf(smallest[2:]).all()
    assert nearest.smallest(values[:0], 1)[0].tolist() == [-1]
    with pytest.raises(ValueError, match="k must be at least 1, got 0"):
        nearest.smallest(values, 0)


@pytest.mark.parametrize("kind", ["Flat", "HNSW", "IVFPQ"])
def test_search_without_the_gil_answers_as_search_does(nearest, kind, rng):
    vectors = rng.standard_normal((3000, 24), dtype=np.float32)
    index = getattr(nf, kind)(24, "l2", **({"nlist": 16} if kind == "IVFPQ" else {}))
    if kind == "IVFPQ":
        index.train(vectors)
    index.add(vectors, ids=np.arange(3000) * 7 + 5)
    ids, distances = nearest.nearest(index, vectors[:50], 8)
    expected = index.search(vectors[:50], 8)
    np.testing.assert_array_equal(ids, expected.ids)
    np.testing.assert_allclose(distances, expected.distances, rtol=1e-5, atol=1e-5)
    allow = index.ids[:40]
    found, _ = nearest.nearest(index, vectors[:5], 8, allow=allow)
    assert np.isin(found, allow).all()
    assert nearest.size(index) == 3000


def test_wrong_calls_are_told_as_python_tells_them(nearest, rng):
    index = nf.HNSW(4, "l2")
    index.add(rng.standard_normal((300, 4), dtype=np.float32))
    queries = rng.standard_normal((2, 4), dtype=np.float32)
    with pytest.raises(ValueError, match="ef_search must be at least k"):
        nearest.nearest(index, queries, 10, effort=5)
    with pytest.raises(ValueError, match="queries must be finite, got nan at row 0, column 1"):
        nearest.nearest(index, np.array([[0, np.nan, 0, 0]], np.float32), 3)
    with pytest.raises(TypeError, match="index must be a nearfield index, got dict"):
        nearest.nearest({}, queries, 3)
    named = nf.Flat(4)
    named.add(queries, ids=["a", "b"])
    with pytest.raises(TypeError, match="must have int ids to be searched from C"):
        nearest.nearest(named, queries, 3)


def test_the_capi_tells_the_version_of_the_package(nearest):
    assert nearest.release() == nf.__version__


def test_an_extension_compiled_for_another_version_is_refused_at_import(tmp_path):
    other = tmp_path / "include" / "nearfield"
    other.mkdir(parents=True)
    text = HEADER.read_text()
    changed = re.sub(r"(#define NEARFIELD_API_VERSION) \d+", r"\1 99", text)
    assert changed != text
    (other / "c_api.h").write_text(changed)
    module = build(tmp_path, include=other.parent)
    with pytest.raises(ImportError, match=r"compiled for version 99 .* has version 1 .*again"):
        imported(module)


@pytest.mark.parametrize("compiler,options", [("cc", ["-std=c99"]), ("c++", ["-std=c++11"])])
def test_the_header_compiles_as_c_and_as_cpp(compiler, options, tmp_path):
    if shutil.which(compiler) is None:
        pytest.skip(f"there is no {compiler}")
    if not (Path(sysconfig.get_path("include")) / "Python.h").exists():
        pytest.skip("Python's headers are not installed")
    source = tmp_path / ("user.c" if compiler == "cc" else "user.cpp")
    source.write_text(
        "#include <nearfield/c_api.h>\nint main(void) { return nearfield_import(); }\n"
    )
    run(
        compiler, *options, "-Wall", "-Wextra", "-Werror", "-fsyntax-only", source,
        "-isystem", sysconfig.get_path("include"), "-I", nf.get_include(),
    )  # fmt: skip
