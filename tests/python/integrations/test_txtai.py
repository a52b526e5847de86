"""txtai with our index as its ANN, made by txtai from the dotted name."""

import numpy as np
import pytest
from libraries import library

library("txtai")

from txtai.ann import ANNFactory
from txtai.embeddings import Embeddings

from nearfield.integrations.txtai import NAME


@pytest.fixture
def unit(rng):
    rows = rng.standard_normal((400, 16), dtype=np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("settings", [{}, {"kind": "flat"}, {"metric": "cosine", "M": 8}])
def test_the_backend_answers_grows_shrinks_and_is_saved(unit, settings, tmp_path):
    config = {"backend": NAME, "dimensions": 16, NAME: settings}
    ann = ANNFactory.create(config)
    ann.index(unit[:300])
    ann.append(unit[300:])
    ann.delete([3, 5, 9999])
    assert ann.count() == 398
    found = ann.search(unit[[7, 350, 3]], 5)
    assert found[0][0] == (7, pytest.approx(1, abs=2e-3))
    assert found[1][0][0] == 350
    assert 3 not in dict(found[2])
    ann.save(str(tmp_path / "index"))
    again = ANNFactory.create(config)
    again.load(str(tmp_path / "index"))
    assert again.search(unit[:9], 3) == ann.search(unit[:9], 3)
    assert config["offset"] == 400
    assert config["build"]["settings"]["kind"] == settings.get("kind", "hnsw")


def test_txtai_embeddings_use_it(unit, tmp_path):
    def transform(texts):
        return unit[[int(text) for text in texts]]

    embeddings = Embeddings(method="external", transform=transform, backend=NAME)
    embeddings.index((i, str(i), None) for i in range(400))
    assert embeddings.search("42", 1)[0][0] == 42
    embeddings.delete([42])
    embeddings.save(str(tmp_path / "txtai"))
    again = Embeddings()
    again.load(str(tmp_path / "txtai"), config={"transform": transform})
    assert again.search("42", 1)[0][0] != 42
