import json
import re
import sys

import numpy as np
import pytest

import nearfield as nf
from nearfield._optional import MissingExtraError
from nearfield.explore import map_points, topics, write_map
from nearfield.explore.topics import topic_words

SUBJECTS = [
    ["sort the list", "list of sorted items", "a list is sorted"],
    ["send mail", "mail server sends", "receive mail by server"],
    ["파일을 압축", "압축 파일 풀기", "파일 압축률"],
]


@pytest.fixture
def texts_and_vectors(rng):
    texts = [text for _ in range(20) for subject in SUBJECTS for text in subject]
    labels = np.array([i for _ in range(20) for i, subject in enumerate(SUBJECTS) for _ in subject])
    centres = 3 * np.eye(3, 12)
    return texts, centres[labels] + 0.2 * rng.standard_normal((180, 12)), labels


@pytest.mark.parametrize("n_topics", [None, 3])
def test_topics_are_the_groups_and_their_own_words(texts_and_vectors, n_topics):
    texts, vectors, labels = texts_and_vectors
    found = topics(texts, vectors, n_topics, min_size=20)
    assert len(found) == 3
    assert sum(found.sizes) >= 170
    words = {word for own in found.words for word in own[:2]}
    assert {"list", "mail"} <= words
    assert any("압축" in word for word in words)
    for group in range(3):
        own = found.labels[labels == group]
        assert len(set(own[own >= 0].tolist())) == 1
    assert "texts" in str(found)
    assert found.name(-1) == "other"


def test_topic_words_weigh_by_class_tf_idf():
    words = topic_words(["fox fox dog", "dog cat", "cat cat"], np.array([0, 1, -1]))
    assert words == [["fox", "dog"], ["cat", "dog"]]
    assert topic_words(["the and 7 x", "fox"], np.array([0, 1])) == [[], ["fox"]]


def test_topics_are_looked_for_on_a_map(texts_and_vectors):
    texts, vectors, labels = texts_and_vectors
    points = np.column_stack([labels * 100.0, np.arange(180) % 7])
    found = topics(texts, np.ones_like(vectors), space=points, min_size=20)
    assert len(found) == 3
    assert (found.labels >= 0).all()
    with pytest.raises(ValueError, match=r"space must have one entry a vector \(180\), got 3"):
        topics(texts, vectors, space=np.eye(3))


def test_topics_reject_lengths_that_differ():
    with pytest.raises(ValueError, match=r"texts must have one entry a vector \(3\), got 1"):
        topics(["a"], np.eye(3))
    with pytest.raises(ValueError, match="n_words must be at least 1, got 0"):
        topics(["a", "b", "c"], np.eye(3), n_words=0)


@pytest.mark.parametrize("method", ["layout", "tsne", "umap"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_map_points_keep_groups_together(texts_and_vectors, method):
    if method == "tsne":
        pytest.importorskip("sklearn", reason="needs the extra viz")
    if method == "umap":
        pytest.importorskip("umap", reason="needs the extra viz")
    _, vectors, labels = texts_and_vectors
    vectors, labels = vectors[:72], labels[:72]
    points = map_points(vectors, method=method)
    assert points.shape == (72, 2)
    assert points.dtype == np.float32
    far = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(far, np.inf)
    assert (labels[far.argmin(axis=1)] == labels).mean() > 0.95


def test_map_points_reject_what_they_do_not_know(monkeypatch):
    with pytest.raises(ValueError, match="method must be one of 'auto', .* got 'pca'"):
        map_points(np.eye(3), method="pca")
    with pytest.raises(ValueError, match="neighbors must be at least 2, got 1"):
        map_points(np.eye(3), neighbors=1)
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(MissingExtraError, match=r"nearfield\[viz\]"):
        map_points(np.random.default_rng(0).random((50, 4)), method="umap")


def page_data(path):
    text = path.read_text("utf-8")
    return json.loads(re.search(r"const data = (.*);\n", text).group(1)), text


def test_the_page_holds_every_point_topic_and_text_and_nothing_escapes(tmp_path, texts_and_vectors):
    texts, vectors, _ = texts_and_vectors
    texts[0] = "</script><script>alert(1)</script>"
    found = topics(texts, vectors, 3)
    titles = [f"title {i}" for i in range(180)]
    write_map(tmp_path / "map.html", vectors[:, :2], texts, topics=found, titles=titles, title="T")
    data, text = page_data(tmp_path / "map.html")
    assert len(data["points"]) == 180
    assert data["points"][0][4] == texts[0]
    assert text.count("</script>") == 1
    assert [topic["name"] for topic in data["groups"]] == [found.name(i) for i in range(3)]
    assert len({topic["colour"] for topic in data["groups"]}) == 3
    assert "http" not in text  # nothing is fetched


def test_a_map_without_topics_and_as_a_picture(tmp_path, texts_and_vectors):
    texts, vectors, _ = texts_and_vectors
    write_map(tmp_path / "plain.html", vectors[:, :2], texts)
    assert page_data(tmp_path / "plain.html")[0]["groups"][0]["name"] == "texts"
    pytest.importorskip("matplotlib", reason="needs the extra viz")
    found = topics(texts, vectors, 3)
    for suffix, start in ((".png", b"\x89PNG"), (".svg", b"<?xml")):
        path = tmp_path / f"map{suffix}"
        write_map(path, vectors[:, :2], ["a"] * 180, topics=found)
        assert path.read_bytes().startswith(start)


def test_write_map_rejects_what_does_not_fit(tmp_path):
    for points, options, message in (
        (np.ones((2, 3)), {}, r"points must be finite and of shape \(2, 2\), got \(2, 3\)"),
        (np.full((2, 2), np.nan), {}, "points must be finite"),
        (np.ones((2, 2)), {"titles": ["a"]}, r"titles must have one entry a text \(2\), got 1"),
    ):
        with pytest.raises(ValueError, match=message):
            write_map(tmp_path / "a.html", points, ["x", "y"], **options)
    with pytest.raises(ValueError, match=r"path must end in \.html, .*got"):
        write_map(tmp_path / "a.gif", np.ones((1, 2)), ["x"])
    assert nf.explore.write_map is write_map
