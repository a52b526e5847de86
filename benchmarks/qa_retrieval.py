"""How often is the answer found, by meaning, by words, by both: real questions on real texts.

Needs the project's data folder (paragraphs of SQuAD and MedQuAD, questions with the rows that
answer them, and all-MiniLM-L6-v2's vectors of both) and the extra `text`.
Run: python benchmarks/qa_retrieval.py --data-dir DIR
"""

import argparse
import gzip
import json
import os
import tempfile
from pathlib import Path

import numpy as np

import nearfield as nf


def lines(path: Path) -> list[dict]:
    """Objects of a packed .jsonl file."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def main() -> None:
    """Print recall, MRR and nDCG of each way to search."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, default=os.environ.get("NEARFIELD_DATA"))
    parser.add_argument("--k", type=int, default=10)
    options = parser.parse_args()
    folder = Path(options.data_dir)
    paragraphs = lines(folder / "qa-paragraphs.jsonl.gz")
    questions = [q for q in lines(folder / "qa-questions.jsonl.gz") if q["relevant_rows"]]
    asked = np.load(folder / "minilm-qa-questions-f16.npy").astype(np.float32)
    vectors = np.load(folder / "minilm-qa-base-f16.npy")[: len(paragraphs)].astype(np.float32)
    known = {p["text"]: vector for p, vector in zip(paragraphs, vectors, strict=True)}
    all_questions = lines(folder / "qa-questions.jsonl.gz")
    known |= {q["text"]: vector for q, vector in zip(all_questions, asked, strict=True)}

    unknown = np.full(vectors.shape[1], vectors.shape[1] ** -0.5, np.float32)

    def encode(texts: list[str]) -> np.ndarray:
        return np.stack([known.get(text, unknown) for text in texts])

    encoder = nf.embed.Encoder(encode, fingerprint="all-MiniLM-L6-v2, embedded before")
    with (
        tempfile.TemporaryDirectory() as place,
        nf.Collection(Path(place, "qa"), encoder=encoder) as docs,
    ):
        docs.upsert(ids=[p["row"] for p in paragraphs], texts=[p["text"] for p in paragraphs])
        table = nf.text.compare_retrieval(
            docs, [q["text"] for q in questions], [q["relevant_rows"] for q in questions], options.k
        )
        print(f"{len(docs):,} paragraphs, {len(questions):,} questions, k = {options.k}\n{table}")


if __name__ == "__main__":
    main()
