"""Write the golden files anew: `python tests/golden/make.py v1`, `heads`, `wide` or `foreign`.

They are made once for each format version and then read for ever, so this is run only when a
version is added. `heads` adds those whose codes have heads, with queries of their own, to what is
there of v1; `wide` adds a graph whose wide searches begin at more places, which hardly a smaller
one has. `foreign` needs hnswlib and faiss-cpu. Not made here, as nothing writes such files any
more: `ivfpq-1`, `ivfpq-4` and `ivfpq-pq` are older than the section `lists.limits`, graphs with
`graph.noise` older than `graph.noise_share`.
"""

import json
import sys
from pathlib import Path

import numpy as np

import nearfield as nf

HERE = Path(__file__).parent


def rows(n, dim, seed):
    return np.random.default_rng(seed).standard_normal((n, dim), dtype=np.float32)


def index_files(folder):
    """An index of every kind, metric, element type and id type, and what searches in it find."""
    folder.mkdir(exist_ok=True)
    expected = {}
    queries = rows(3, 8, 99)
    for metric in ("cosine", "dot", "l2"):
        made = {
            f"flat-{dtype}": nf.Flat(8, metric, dtype)
            for dtype in ("float32", "float16", "bfloat16", "int8")
        }
        made["flat-prefilter"] = nf.Flat(8, metric, prefilter=True)
        made |= {
            f"hnsw-{bits}": nf.HNSW(8, metric, M=4, ef_construction=50, bits=bits, rerank=rerank)
            for bits, rerank in ((1, "int8"), (2, "float32"), (4, "float16"), (8, "bfloat16"))
        }
        made["hnsw-small"] = nf.HNSW(8, metric)
        made["ivfpq-5"] = nf.IVFPQ(8, metric, 6, nprobe=3, bits=5)
        made["ivfpq-soar"] = nf.IVFPQ(8, metric, 6, nprobe=3, soar=True)
        for i, (name, index) in enumerate(made.items()):
            n = 24 if name == "hnsw-small" or "flat" in name else 264
            ids = [None, np.arange(n) * 1000 - 7, [f"문서-{j}" for j in range(n)]][i % 3]
            if isinstance(index, nf.IVFPQ):
                index.train(rows(n, 8, i))
            index.add(rows(n, 8, i), ids=ids)
            index.remove(index.ids[3:7])
            hits = index.search(queries, k=5)
            file = f"{name}-{metric}.nf"
            index.save(folder / file)
            expected[file] = {
                "n": len(index), "ids": hits.ids.tolist(), "distances": hits.distances.tolist()
            }  # fmt: skip
    (folder / "expected.json").write_text(
        json.dumps({"queries": queries.tolist(), "files": expected}, ensure_ascii=False, indent=0)
    )


def shaped_rows(n, dim, seed):
    """Vectors that vary in their first directions most, turned so that no dimension tells."""
    weights = np.exp(-8 * np.arange(dim) / dim)
    turn = np.linalg.qr(rows(dim, dim, 7))[0]
    return ((rows(n, dim, seed) * weights) @ turn + 0.1).astype(np.float32)


def head_files(folder):
    """Inverted lists whose codes have heads, one of them without vectors to rank by."""
    dim = 128
    told = json.loads((folder / "expected.json").read_text())
    queries = shaped_rows(3, dim, 99).round(3)
    made = {
        "ivfpq-heads-l2": (nf.IVFPQ(dim, "l2", 1, nprobe=1, bits=3, rerank=None), 420, None),
        "ivfpq-heads-dot": (
            nf.IVFPQ(dim, "dot", 2, nprobe=2, bits=5, rerank="int8"),
            140,
            [f"문서-{j}" for j in range(140)],
        ),
    }
    for name, (index, n, ids) in made.items():
        index.train(shaped_rows(6000, dim, 1))
        index.add(shaped_rows(n, dim, 2), ids=ids)
        index.remove(index.ids[3:7])
        hits = index.search(queries, k=5)
        index.save(folder / f"{name}.nf")
        told["files"][f"{name}.nf"] = {
            "n": len(index), "ids": hits.ids.tolist(), "distances": hits.distances.tolist(),
            "queries": queries.tolist(),
        }  # fmt: skip
    (folder / "expected.json").write_text(json.dumps(told, ensure_ascii=False, indent=0))


def wide_file(folder):
    """A graph in which walks go astray, just large enough that wide searches walk it."""
    told = json.loads((folder / "expected.json").read_text())
    queries = rows(3, 24, 99).round(3)
    index = nf.HNSW(24, "l2", M=4, ef_construction=100, ef_search=128, bits=4, rerank="int8")
    index.add(rows(2640, 24, 1))
    index.remove(index.ids[3:7])
    assert index.stats()["wide_entry_points"] > 0
    hits = index.search(queries, k=5)
    index.save(folder / "hnsw-wide-l2.nf")
    told["files"]["hnsw-wide-l2.nf"] = {
        "n": len(index), "ids": hits.ids.tolist(), "distances": hits.distances.tolist(),
        "queries": queries.tolist(),
    }  # fmt: skip
    (folder / "expected.json").write_text(json.dumps(told, ensure_ascii=False, indent=0))


def foreign_files(folder):
    """What hnswlib and faiss write of the same 60 vectors."""
    import faiss
    import hnswlib

    folder.mkdir(exist_ok=True)
    vectors, ids = rows(60, 8, 1), np.arange(60) * 10 + 3
    np.save(folder / "vectors.npy", vectors)
    graph = hnswlib.Index("l2", 8)
    graph.init_index(80, M=6, ef_construction=40, random_seed=1)
    graph.add_items(vectors, ids, num_threads=1)
    graph.mark_deleted(int(ids[7]))
    graph.save_index(str(folder / "l2.hnswlib"))

    flat = faiss.IndexFlatL2(8)
    quantizer = faiss.IndexFlatL2(8)
    made = {
        "flat": flat, "flat-ip": faiss.IndexFlatIP(8),
        "sq8": faiss.IndexScalarQuantizer(8, faiss.ScalarQuantizer.QT_8bit),
        "sq4": faiss.IndexScalarQuantizer(8, faiss.ScalarQuantizer.QT_4bit),
        "fp16": faiss.IndexScalarQuantizer(8, faiss.ScalarQuantizer.QT_fp16),
        "pq": faiss.IndexPQ(8, 4, 4),
        "hnsw": faiss.IndexHNSWFlat(8, 6),
        "hnsw-sq": faiss.IndexHNSWSQ(8, faiss.ScalarQuantizer.QT_8bit, 6),
        "ivf": faiss.IndexIVFFlat(quantizer, 8, 4),
        "ivf-sq": faiss.IndexIVFScalarQuantizer(quantizer, 8, 4, faiss.ScalarQuantizer.QT_8bit),
        "ivf-pq": faiss.IndexIVFPQ(quantizer, 8, 4, 4, 4),
        "refine": faiss.IndexRefineFlat(faiss.IndexPQ(8, 4, 4)),
        "map": faiss.IndexIDMap(faiss.IndexFlatL2(8)),
        "map2-hnsw": faiss.IndexIDMap2(faiss.IndexHNSWFlat(8, 6)),
        "map-ivf": faiss.IndexIDMap(faiss.IndexIVFFlat(quantizer, 8, 4)),
    }  # fmt: skip
    decoded = {}
    for name, index in made.items():
        index.train(vectors)
        if name.startswith("map"):
            index.add_with_ids(vectors, ids)
        elif name.startswith("ivf"):
            index.add_with_ids(vectors, ids)
            index.set_direct_map_type(faiss.DirectMap.Hashtable)
        else:
            index.add(vectors)
        faiss.write_index(index, str(folder / f"{name}.faiss"))
        inner = faiss.downcast_index(index.index) if name.startswith("map") else index
        if name.startswith("ivf"):
            decoded[name] = np.stack([index.reconstruct(int(id)) for id in ids])
        elif name == "map-ivf":
            inner.make_direct_map()
            decoded[name] = inner.reconstruct_n(0, 60)
        else:
            decoded[name] = inner.reconstruct_n(0, 60)
    np.savez(folder / "decoded.npz", **decoded)


if __name__ == "__main__":
    if sys.argv[1:] == ["v1"]:
        index_files(HERE / "v1")
    elif sys.argv[1:] == ["heads"]:
        head_files(HERE / "v1")
    elif sys.argv[1:] == ["wide"]:
        wide_file(HERE / "v1")
    elif sys.argv[1:] == ["foreign"]:
        foreign_files(HERE / "foreign")
    else:
        sys.exit(__doc__)
