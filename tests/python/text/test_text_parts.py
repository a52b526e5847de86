import numpy as np
import pytest

import nearfield as nf
from nearfield.text import read_documents, snippets

LONG = "Lists are ordered. They can be sorted in place. Files are compressed by gzip. Mail is sent."


def test_snippets_are_the_nearest_passage_and_its_place():
    def letters(texts):
        return np.array([[t.count("z") + 0.01, t.count("s") + 0.01] for t in texts])

    encoder = nf.embed.Encoder(letters)
    found = snippets("zzz", [LONG, None, "  ", "short"], encoder,
                     chunker=nf.embed.Chunker(1, "sentences"))  # fmt: skip
    assert found[0].text == "Files are compressed by gzip."
    assert LONG[found[0].start : found[0].end] == found[0].text
    assert found[1] is None
    assert found[2] is None
    assert found[3].text == "short"
    assert found[0].score > 0.2


def test_snippets_without_an_encoder_go_by_shared_words():
    found = snippets("compressed files", [LONG], chunker=nf.embed.Chunker(1, "sentences"))
    assert found[0].text == "Files are compressed by gzip."
    assert found[0].score == 1
    assert snippets("a", []) == []


def test_a_folder_gives_its_texts_in_the_order_of_names(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "b.md").write_text("# A title\n\nBody 한국어", "utf-8")
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfplain \xff text")
    (tmp_path / "sub" / "c.HTML").write_text(
        "<html><head><title>Page &amp; more</title><style>p {}</style></head><body><h1>Top</h1>"
        "<p>One <b>two</b>&nbsp;three<br>four</p><script>var x = 1</script></body></html>"
    )
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "d.txt").write_text("not read")
    (tmp_path / "blank.txt").write_text("  \n")
    (tmp_path / "code.py").write_text("not read")
    found = {document.id: document for document in read_documents(tmp_path)}
    assert list(found) == ["a.txt", "b.md", "sub/c.HTML"]
    assert found["a.txt"].text == "plain \ufffd text"
    assert found["b.md"].metadata == {"title": "A title"}
    assert found["sub/c.HTML"].text == "Top\nOne two three\nfour"
    assert found["sub/c.HTML"].metadata == {"title": "Page & more"}
    assert [document.id for document in read_documents(tmp_path / "b.md")] == ["b.md"]


def test_lines_of_json_give_text_id_and_the_rest_as_metadata(tmp_path):
    path = tmp_path / "docs.jsonl"
    path.write_text('{"id": "x", "text": "one", "year": 2024}\n\n{"text": "two"}\n{"text": " "}\n')
    found = list(read_documents(path))
    assert [(d.id, d.text, d.metadata) for d in found] == [
        ("x", "one", {"year": 2024}), ("3", "two", {}),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", '{"text": 7}\n', "line 1 must have a str as its 'text', got int"),
        ("a.jsonl", '{"body": "x"}\n', "line 1 must be an object with a 'text'"),
        ("a.jsonl", "[1]\n", "line 1 must be an object with a 'text'"),
        ("a.jsonl", "{", "line 1 must be an object with a 'text'"),
        ("a.docx", "x", r"path must be a folder or a file in \.txt, .*got"),
        ("a.txt", " ", r"path must hold text in \.txt, .* files, got"),
    ],
)
def test_what_holds_no_text_is_refused_with_the_line(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        list(read_documents(tmp_path / name))


def test_an_empty_folder_and_a_missing_path_are_refused(tmp_path):
    with pytest.raises(ValueError, match="path must hold text"):
        list(read_documents(tmp_path))
    with pytest.raises(ValueError, match="path must be a folder or a file"):
        list(read_documents(tmp_path / "absent"))
