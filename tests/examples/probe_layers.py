"""Which layer and pooling of a model finds the right documentation? Needs the extra embed."""

import json
import sys
from pathlib import Path

import nearfield as nf
from nearfield.demo.corpus import standard_library_passages

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "probe")
folder.mkdir(parents=True, exist_ok=True)
modules = {"str", "list", "os", "hashlib", "shutil", "json", "random", "math", "gzip", "re"}
passages = [p for p in standard_library_passages() if p.id.split(".")[0] in modules][:400]
rows = {p.id: row for row, p in enumerate(passages)}
lines = Path(__file__).with_name("questions.jsonl").read_text("utf-8").splitlines()
asked = [q for q in map(json.loads, lines) if q["lang"] == "en"]
answers = [[rows[id] for id in q["answers"] if id in rows] for q in asked]
kept = [i for i, found in enumerate(answers) if found]

found = nf.embed.probe(
    nf.embed.Encoder("minilm"),
    [asked[i]["question"] for i in kept],
    [p.text for p in passages],
    [answers[i] for i in kept],
)
print(str(found)[:1200])
found.plot(folder / "probe.png")
print(f"best: layer {found.best.layer}, {found.best.pooling}, {found.best.metric}")
