"""What the tests of collections share: encoders that need no model, and small data."""

import hashlib

import numpy as np

DIM = 16


class LettersEncoder:
    """Counts letters: texts with the same words are near. The query side differs on purpose."""

    fingerprint = "letters-1"
    dim = 32

    def _encode(self, texts, weight):
        vectors = np.zeros((len(texts), self.dim), np.float32)
        for row, text in enumerate(texts):
            for word in text.split():
                digest = hashlib.blake2b(word.encode(), digest_size=8).digest()
                vectors[row, digest[0] % self.dim] += 1.0
                vectors[row, digest[1] % self.dim] += weight
            vectors[row, 0] += 0.01
        return vectors

    def encode_document(self, texts):
        return self._encode(texts, 1.0)

    def encode_query(self, texts):
        return self._encode(texts, 0.9)


def vectors_of(n, dim=DIM, seed=0):
    return np.random.default_rng(seed).standard_normal((n, dim), dtype=np.float32)


def ids_of(hits):
    return [hit.id for hit in hits]
