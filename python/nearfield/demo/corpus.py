"""The passages the demo searches: this Python's docstrings, a Korean corpus, or a user's folder."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import re
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

__all__ = ["Passage", "folder_passages", "korean_passages", "standard_library_passages"]

_MAX_CHARACTERS = 400
_MIN_WORDS = 3
_SKIPPED_FOLDERS = frozenset(
    {"site-packages", "dist-packages", "test", "tests", "idle_test", "idlelib", "lib2to3"}
    | {"turtledemo", "_bundled", "__pycache__", "__phello__"}
)
# Written in C, so there is no source to parse; importing one of them does nothing else. The value
# is the name under which people know it.
_C_MODULES = {"builtins": "", "posix": "os", "nt": "os", "_collections": "collections"} | {
    "_functools": "functools", "_hashlib": "hashlib", "_io": "io", "_operator": "operator",
    "_signal": "signal", "_socket": "socket", "_sqlite3": "sqlite3", "_struct": "struct",
    **{name: name for name in ("array", "binascii", "cmath", "faulthandler", "gc", "itertools")},
    **{name: name for name in ("math", "mmap", "select", "sys", "time", "unicodedata", "zlib")},
}  # fmt: skip
# Python twins of C modules, under the names by which people know them.
_TWINS = {"_pydatetime": "datetime", "_pydecimal": "decimal", "_pyio": "io"}
_TEXT_SUFFIXES = frozenset({".md", ".markdown", ".rst", ".txt"})
_MAX_FILE_BYTES = 8 << 20


@dataclass(frozen=True)
class Passage:
    """A short text that can be found.

    Attributes
    ----------
    id : str
        Unlike every other passage's.
    title : str
        A line that names it.
    text : str
        What is embedded and shown.
    language : str
        ``"ko"`` where Hangul prevails, else ``"en"``.
    """

    id: str
    title: str
    text: str
    language: str


def korean_passages() -> list[Passage]:
    """The Korean corpus that comes with the package: Python tasks, embeddings, vector search."""
    lines = files("nearfield.demo").joinpath("korean.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return [Passage(row["id"], row["title"], row["text"], "ko") for row in rows]


def standard_library_passages() -> list[Passage]:
    """The first paragraph of every docstring in this Python's standard library.

    Source files are parsed, not imported: no module's import can do anything. Only a fixed list
    of harmless C modules, which have no source, is imported. The order depends on names alone.
    A text that occurs twice is kept once.
    """
    root = Path(sysconfig.get_path("stdlib"))
    found: dict[str, str] = {}  # text -> name
    for name, docstring in _c_docstrings():
        found.setdefault(_first_paragraph(docstring), name)
    for path in sorted(root.rglob("*.py")):
        folders = path.relative_to(root).parts[:-1]
        if _SKIPPED_FOLDERS.isdisjoint(folders) and not any("-" in part for part in folders):
            for name, docstring in _source_docstrings(path, root):
                found.setdefault(_first_paragraph(docstring), name)
    return _numbered((name, text) for text, name in found.items() if _is_telling(text))


def folder_passages(folder: Path) -> list[Passage]:
    """The paragraphs of a folder's .md, .rst and .txt files and the docstrings of its .py files.

    Raises
    ------
    ValueError
        If `folder` is not a folder, or holds no passage.
    """
    if not folder.is_dir():
        raise ValueError(f"docs must be a folder, got {folder}")
    found: dict[str, str] = {}
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if any(part.startswith(".") or part == "node_modules" for part in relative.parts):
            continue
        if not path.is_file() or path.stat().st_size > _MAX_FILE_BYTES:
            continue
        if path.suffix == ".py":
            for name, docstring in _source_docstrings(path, folder):
                found.setdefault(_first_paragraph(docstring), name)
        elif path.suffix.lower() in _TEXT_SUFFIXES:
            for text in _paragraphs(path.read_text("utf-8", errors="replace")):
                found.setdefault(text, str(relative))
    passages = _numbered((name, text) for text, name in found.items() if _is_telling(text))
    if not passages:
        raise ValueError(f"docs must hold text in .md, .rst, .txt or .py files, got {folder}")
    return passages


def _source_docstrings(path: Path, root: Path) -> Iterator[tuple[str, str]]:
    """Dotted name and docstring of the module, its classes and functions, at any depth."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):  # a template, or a test of the parser itself
        return
    parts = path.relative_to(root).with_suffix("").parts
    module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    module = _TWINS.get(module, module)
    pending: list[tuple[str, ast.AST]] = [(module, tree)]
    while pending:
        name, node = pending.pop()
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node)
            if docstring:
                yield name, docstring
        for child in reversed(list(ast.iter_child_nodes(node))):
            if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                pending.append((f"{name}.{child.name}", child))
            elif isinstance(child, ast.stmt):
                pending.append((name, child))


def _c_docstrings() -> Iterator[tuple[str, str]]:
    for module_name, known_as in _C_MODULES.items():
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError:  # another system's, or left out of this build
            continue
        yield from _documented(known_as, module, depth=0)


def _documented(name: str, thing: object, depth: int) -> Iterator[tuple[str, str]]:
    """`thing`, the classes and functions in a module, the methods of a class."""
    if docstring := inspect.getdoc(thing):
        yield name or "builtins", docstring
    if depth == 0 or isinstance(thing, type):
        for member_name, member in sorted(vars(thing).items()):
            if callable(member) and not member_name.startswith("_"):
                member_name = f"{name}.{member_name}" if name else member_name
                yield from _documented(member_name, member, depth + 1)


def _first_paragraph(docstring: str) -> str:
    """One line of at most `_MAX_CHARACTERS`, cut between words."""
    text = " ".join(docstring.split("\n\n")[0].split())
    if len(text) > _MAX_CHARACTERS:
        text = text[:_MAX_CHARACTERS].rsplit(" ", 1)[0] + " ..."
    return text


def _paragraphs(text: str) -> Iterator[str]:
    """Split at blank lines, join short paragraphs with the next, cut long ones at sentences."""
    pending = ""
    for paragraph in re.split(r"\n\s*\n", text):
        pending = f"{pending} {' '.join(paragraph.split())}".strip()
        while len(pending) > _MAX_CHARACTERS:
            cut = _sentence_end(pending)
            yield pending[:cut].strip()
            pending = pending[cut:].strip()
        if len(pending) >= 80:
            yield pending
            pending = ""
    if pending:
        yield pending


def _sentence_end(text: str) -> int:
    ends = [match.end() for match in re.finditer(r"[.!?。]\s", text[:_MAX_CHARACTERS])]
    if ends:
        return ends[-1]
    space = text.rfind(" ", 0, _MAX_CHARACTERS)
    return space if space > 0 else _MAX_CHARACTERS


def _is_telling(text: str) -> bool:
    return len(text.split()) >= _MIN_WORDS


def _numbered(found: Iterable[tuple[str, str]]) -> list[Passage]:
    """Passages whose ids are their names, with #2, #3 ... where a name occurs again."""
    counts: dict[str, int] = {}
    passages = []
    for name, text in found:
        counts[name] = counts.get(name, 0) + 1
        id = name if counts[name] == 1 else f"{name}#{counts[name]}"
        hangul = sum("가" <= letter <= "힣" for letter in text)
        latin = sum(letter.isascii() and letter.isalpha() for letter in text)
        passages.append(Passage(id, name, text, "ko" if hangul > latin else "en"))
    return passages
