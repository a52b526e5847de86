"""Exact neighbours: nearfield.evaluate.ground_truth against faiss.knn, on equal terms.

    python benchmarks/ground_truth.py prepare --data-dir FOLDER --n 1000000 --nq 10000 --out FILES
    python benchmarks/ground_truth.py run --files FILES --threads 1 --faiss-python PYTHON

`prepare` writes vectors and queries: SIFT descriptors, repeated with noise up to n. `run` times
both in turns, each in a process of its own, and checks that they agree.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from time import perf_counter

import numpy as np


def prepare(options: argparse.Namespace) -> None:
    """Write vectors.npy and queries.npy, float32."""
    rng = np.random.default_rng(0)
    base = np.load(options.data_dir / "sift-400k-base.npy")
    asked = np.load(options.data_dir / "sift-400k-queries.npy")
    held, kept = np.split(rng.permutation(len(base)), [max(0, options.nq - len(asked))])
    queries = np.concatenate([asked, base[held]])[: options.nq].astype(np.float32)
    copies = [base[kept].astype(np.float32)]
    while sum(map(len, copies)) < options.n:
        noise = rng.normal(0, 4, copies[0].shape).astype(np.float32)
        copies.append(np.clip(np.rint(copies[0] + noise), 0, 255))
    options.out.mkdir(parents=True, exist_ok=True)
    np.save(options.out / "vectors.npy", np.concatenate(copies)[: options.n])
    np.save(options.out / "queries.npy", queries)


def contend(options: argparse.Namespace) -> None:
    """Run one contender once in this process; prints a line of JSON."""
    vectors = np.load(options.files / "vectors.npy")
    queries = np.load(options.files / "queries.npy")[: options.nq]
    if options.contender == "faiss":
        import faiss

        faiss.omp_set_num_threads(options.threads)
        metric = {"l2": faiss.METRIC_L2, "dot": faiss.METRIC_INNER_PRODUCT}[options.metric]
        faiss.knn(queries[:32], vectors[:5000], options.k, metric=metric)
        started = perf_counter()
        distances, ids = faiss.knn(queries, vectors, options.k, metric=metric)
        seconds = perf_counter() - started
        version = faiss.__version__
        distances = distances if options.metric == "l2" else -distances
    else:
        import nearfield as nf

        search = nf.evaluate.ground_truth
        search(vectors[:5000], queries[:32], options.k, options.metric, threads=options.threads)
        started = perf_counter()
        found = search(vectors, queries, options.k, options.metric, threads=options.threads)
        seconds = perf_counter() - started
        ids, distances = found
        version = nf.__version__
    np.savez(options.files / f"{options.contender}.npz", ids=ids, distances=distances)
    print(json.dumps({"seconds": seconds, "version": version, "shape": vectors.shape}))


def run(options: argparse.Namespace) -> None:
    """Time both in turns and tell the ratio."""
    pythons = {"nearfield": sys.executable, "faiss": options.faiss_python or sys.executable}
    times: dict[str, list[float]] = {name: [] for name in pythons}
    for _ in range(options.repeats):
        for name, python in pythons.items():
            ran = subprocess.run(
                [python, __file__, "contend", "--contender", name, "--files", str(options.files),
                 "--threads", str(options.threads), "--nq", str(options.nq), "--k", str(options.k),
                 "--metric", options.metric],
                capture_output=True, text=True, check=True,
                env={**os.environ, "OMP_NUM_THREADS": str(options.threads),
                     "OPENBLAS_NUM_THREADS": str(options.threads)},
            )  # fmt: skip
            told = json.loads(ran.stdout)
            times[name].append(told["seconds"])
            print(f"{name} {told['version']}: {told['seconds']:.2f} s", flush=True)
    answers = {name: np.load(options.files / f"{name}.npz") for name in pythons}
    same = np.mean(answers["nearfield"]["ids"] == answers["faiss"]["ids"])
    near = np.isclose(
        answers["nearfield"]["distances"], answers["faiss"]["distances"], rtol=1e-4, atol=1e-4
    ).mean()
    ours, theirs = (min(times[name]) for name in ("nearfield", "faiss"))
    print(
        f"{options.metric}, {options.nq} queries, {options.threads} threads: "
        f"nearfield {ours:.2f} s, faiss {theirs:.2f} s, ratio {theirs / ours:.2f}; "
        f"ids agree {same:.5f}, distances {near:.5f}"
    )


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("verb", choices=["prepare", "run", "contend"])
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--files", type=Path)
    parser.add_argument("--n", type=int, default=1_000_000)
    parser.add_argument("--nq", type=int, default=10_000)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--metric", choices=["l2", "dot"], default="l2")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--faiss-python", help="a python that has faiss; this one when left out")
    parser.add_argument("--contender", choices=["nearfield", "faiss"])
    options = parser.parse_args()
    {"prepare": prepare, "run": run, "contend": contend}[options.verb](options)


if __name__ == "__main__":
    main()
