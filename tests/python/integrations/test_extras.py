"""What an integration lacks is told with the name of the extra; nothing is imported before."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import nearfield as nf
from nearfield import integrations

ROOT = Path(__file__).resolve().parents[3]
NEEDS = {
    "sklearn": ("sklearn", "sklearn"),
    "langchain": ("langchain_core", "langchain"),
    "llama_index": ("llama_index", "llama-index"),
    "haystack": ("haystack", "haystack"),
    "txtai": ("txtai", "txtai"),
    "vicinity": ("vicinity", "vicinity"),
    "datasets": ("datasets", "datasets"),
}


@pytest.mark.parametrize("name", sorted(NEEDS))
def test_a_missing_library_is_told_with_its_extra(name):
    module, extra = NEEDS[name]
    code = (
        f"import sys; sys.modules[{module!r}] = None\n"
        f"import importlib\ntry:\n    importlib.import_module('nearfield.integrations.{name}')\n"
        "except ImportError as error:\n    print(type(error).__name__, error)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("MissingExtraError"), ran.stdout + ran.stderr
    assert f"pip install 'nearfield[{extra}]'" in ran.stdout


def test_every_integration_is_listed_and_every_extra_exists():
    folder = Path(integrations.__file__).parent
    files = {path.stem for path in folder.glob("*.py") if not path.stem.startswith("_")}
    assert files == set(integrations.__all__)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = set(project["optional-dependencies"])
    named = {
        call.args[1].value
        for path in (ROOT / "python").rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "import_extra"
        if isinstance(call.args[1], ast.Constant)
    }
    assert named <= extras, named - extras


def test_naming_the_package_imports_no_integration():
    code = "import sys, nearfield.integrations; print([m for m in sys.modules if 'langchain' in m])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        nf.integrations.nothing  # noqa: B018
