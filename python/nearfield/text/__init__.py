"""Searching text by words and by meaning: BM25, fusion, snippets, and how well each finds answers.

`Collection.search(..., hybrid=True)` is the way in; the parts are here for those who need them.
"""

from nearfield.text.building import add_documents, passages_of
from nearfield.text.documents import Document, read_documents
from nearfield.text.hybrid import Hybrid
from nearfield.text.keywords import Keywords
from nearfield.text.retrieval import RetrievalTable, compare_retrieval
from nearfield.text.snippets import Snippet, snippets
from nearfield.text.words import tokenizer_of

__all__ = [
    "Document",
    "Hybrid",
    "Keywords",
    "RetrievalTable",
    "Snippet",
    "add_documents",
    "compare_retrieval",
    "passages_of",
    "read_documents",
    "snippets",
    "tokenizer_of",
]
