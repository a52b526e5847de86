"""Which layer runs: the choice, NEARFIELD_ISA, and the errors."""

import os
import subprocess
import sys

import numpy as np
import pytest

import nearfield as nf
from nearfield._core import kernels


def run(code, isa):
    environment = {**os.environ, "NEARFIELD_ISA": isa}
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )


def supported():
    return [name for name, there in kernels.layers() if there]


def test_scalar_is_the_lowest_layer_and_always_supported():
    assert kernels.layers()[0] == ("scalar", True)


@pytest.mark.skipif("NEARFIELD_ISA" in os.environ, reason="a layer is forced")
def test_the_highest_supported_layer_is_active():
    assert kernels.active_layer() == supported()[-1]
    assert nf.build_config()["isa"] == kernels.active_layer()


def test_nearfield_isa_forces_every_supported_layer(layer):
    code = "import nearfield as nf; print(nf.build_config()['isa'])"
    assert run(code, layer).stdout.strip() == layer


def test_an_empty_nearfield_isa_forces_nothing():
    code = "import nearfield as nf; print(nf.build_config()['isa'])"
    assert run(code, "").stdout.strip() == supported()[-1]


def test_an_unknown_nearfield_isa_is_an_error_that_names_the_known_ones():
    result = run("import nearfield as nf; nf.build_config()", "mmx")
    assert result.returncode != 0
    expected = f"NEARFIELD_ISA must be one of {', '.join(supported())} on this CPU, got mmx"
    assert expected in result.stderr


def test_an_unknown_layer_is_an_error_that_names_the_known_ones():
    with pytest.raises(ValueError, match=r"layer must be one of scalar.* on this CPU, got sse9"):
        kernels.select_below("sse9", np.zeros(1, np.float32), 0.0)


def test_an_unsupported_layer_is_an_error():
    missing = [name for name, there in kernels.layers() if not there]
    for name in missing:
        with pytest.raises(ValueError, match=f"got {name}"):
            kernels.select_below(name, np.zeros(1, np.float32), 0.0)


def test_a_layer_inherits_the_kernels_below_it():
    """avx512_bf16 fills one entry; the others come from the layers under it."""
    rng = np.random.default_rng(3)
    rows, query = rng.standard_normal((2, 9, 65), dtype=np.float32)
    expected = kernels.distances("scalar", "f32", "l2", query[0], rows)
    for name in supported():
        got = kernels.distances(name, "f32", "l2", query[0], rows)
        np.testing.assert_allclose(got, expected, rtol=1e-5)
