"""Vectors in other programs' files: read, write, and take over the indexes of hnswlib and faiss."""

from nearfield.formats.faiss_file import read_faiss
from nearfield.formats.hnswlib_file import read_hnswlib
from nearfield.formats.vector_files import VectorFile, read_vectors, write_vectors

__all__ = ["VectorFile", "read_faiss", "read_hnswlib", "read_vectors", "write_vectors"]
