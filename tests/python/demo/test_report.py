import numpy as np
import pytest

from nearfield.demo.report import Measurement, fitted, measure, table


def unit_vectors(n, dim, seed):
    vectors = np.random.default_rng(seed).standard_normal((n, dim), dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_measure_finds_exact_search_exact_and_counts_bytes(monkeypatch):
    monkeypatch.setattr("nearfield.demo.report._SECONDS_A_ROUND", 0.005)
    pytest.importorskip("threadpoolctl", reason="needs the extra demo")
    rows = measure(unit_vectors(300, 16, 0), unit_vectors(20, 16, 1), k=5)
    recalls = {row.name: row.recall for row in rows}
    assert recalls["numpy"] == recalls["Flat, float32"] == recalls["Flat, float32 + codes"] == 1.0
    assert recalls["Flat, int8"] > 0.9
    assert recalls["HNSW, ef_search=128"] > 0.95
    sizes = {row.name: row.bytes_per_vector for row in rows}
    assert sizes["numpy"] == 64
    assert sizes["Flat, int8"] < sizes["Flat, float16"] < sizes["Flat, float32"]
    assert sizes["Flat, float32"] < sizes["Flat, float32 + codes"]
    assert all(row.qps > 0 and row.batch_qps > 0 for row in rows)


def test_table_aligns_its_columns():
    text = table([Measurement("numpy", 1.0, 1234.4, 56789.0, 2048.0)], k=10)
    assert text.splitlines() == [
        "index  recall@10  queries/s  in batches  bytes/vector",
        "-----  ---------  ---------  ----------  ------------",
        "numpy     1.0000      1,234      56,789         2,048",
    ]


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [
        ("abc", 5, "abc  "),
        ("abcdef", 5, "abcd…"),
        ("abcde", 5, "abcde"),
        ("가나다", 6, "가나다"),
        ("가나다", 5, "가나…"),
        ("가나다", 4, "가… "),
        ("a\n b", 4, "a b "),
    ],
)
def test_fitted_counts_a_hangul_syllable_as_two_columns(text, width, expected):
    assert fitted(text, width) == expected
