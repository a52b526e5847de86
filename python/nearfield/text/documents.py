"""Texts from the files that people have: .txt, .md, .html, and .jsonl with a text a line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

__all__ = ["Document", "read_documents"]

_SUFFIXES = (".txt", ".md", ".markdown", ".html", ".htm")
_MAX_BYTES = 64 << 20
_UNSEEN = frozenset(("script", "style", "template", "noscript", "svg", "head"))
_BLOCK_TAGS = """
address article aside blockquote br dd div dl dt figure footer form h1 h2 h3 h4 h5 h6 header hr li
main nav ol p pre section table td th tr ul
"""
_BLOCKS = frozenset(_BLOCK_TAGS.split())


@dataclass(frozen=True)
class Document:
    """A text with a name.

    Attributes
    ----------
    id : str
        The file's path below the folder, or the line's ``"id"``, else its number.
    text : str
    metadata : dict
        The rest of a line of .jsonl; a file's title where it has one.
    """

    id: str
    text: str
    metadata: dict[str, Any] = field(default_factory=dict)


def read_documents(path: str | Path) -> Iterator[Document]:
    """Read a file, or all files of a folder, in the order of their names.

    Parameters
    ----------
    path : path
        A folder with .txt, .md, .markdown, .html and .htm files, hidden ones left aside; one such
        file; or a .jsonl file of objects with ``"text"``, and ``"id"`` if they have one. Bytes
        that are no UTF-8 are replaced.

    Yields
    ------
    Document
        Blank ones are left out.

    Raises
    ------
    ValueError
        If there is nothing of that kind, a file is larger than 64 MiB, or a line is malformed.
    """
    path = Path(path)
    if path.is_file() and path.suffix.lower() == ".jsonl":
        yield from _lines(path)
        return
    if path.is_file() and path.suffix.lower() in _SUFFIXES:
        files, root = [path], path.parent
    elif path.is_dir():
        files, root = sorted(_files(path)), path
    else:
        known = ", ".join((*_SUFFIXES, ".jsonl"))
        raise ValueError(f"path must be a folder or a file in {known}, got {path}")
    found = False
    for file in files:
        document = _file(file, file.relative_to(root).as_posix())
        if document.text.strip():
            found = True
            yield document
    if not found:
        raise ValueError(f"path must hold text in {', '.join(_SUFFIXES)} files, got {path}")


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not hidden and path.suffix.lower() in _SUFFIXES and path.is_file():
            yield path


def _file(path: Path, name: str) -> Document:
    size = path.stat().st_size
    if size > _MAX_BYTES:
        raise ValueError(f"file must have at most {_MAX_BYTES:,} bytes, got {size:,} in {path}")
    text = path.read_text("utf-8-sig", errors="replace")
    if path.suffix.lower() in (".html", ".htm"):
        page = _Page()
        page.feed(text)
        page.close()
        return Document(name, page.text(), {"title": page.title} if page.title else {})
    title = re.search(r"^#+\s+(.+?)\s*#*$", text, re.MULTILINE)
    marked = path.suffix.lower() != ".txt" and title is not None
    return Document(name, text, {"title": title.group(1)} if marked and title else {})


def _lines(path: Path) -> Iterator[Document]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                text = row.pop("text")
            except (ValueError, KeyError, AttributeError, TypeError) as error:
                rule = f"{path} line {number} must be an object with a 'text'"
                raise ValueError(f"{rule}, got: {error!r}") from None
            if not isinstance(text, str):
                rule = f"{path} line {number} must have a str as its 'text'"
                raise ValueError(f"{rule}, got {type(text).__name__}")
            if text.strip():
                yield Document(str(row.pop("id", number)), text, row)


class _Page(HTMLParser):
    """The text of a page as one reads it: blocks on lines of their own."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.title = ""
        self._parts: list[str] = []
        self._unseen: list[str] = []
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "title":
            self._in_title = True
        elif tag == "body":
            self._unseen.clear()  # a head that was never closed
        elif tag in _UNSEEN:
            self._unseen.append(tag)
        elif tag in _BLOCKS:
            self._parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag == "title":
            self._in_title = False
        elif tag in self._unseen:
            self._unseen.remove(tag)
        elif tag in _BLOCKS:
            self._parts.append("\n")

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title = f"{self.title} {data}".strip()
        elif not self._unseen:
            self._parts.append(data)

    def text(self) -> str:
        """Blanks joined, lines kept."""
        lines = (" ".join(line.split()) for line in "".join(self._parts).splitlines())
        return "\n".join(line for line in lines if line)
