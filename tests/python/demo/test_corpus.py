import json
from importlib.resources import files

import pytest

from nearfield.demo.corpus import (
    folder_passages,
    korean_passages,
    standard_library_passages,
)


@pytest.fixture(scope="module")
def standard_library():
    return standard_library_passages()


def test_korean_corpus_has_at_least_200_passages_of_one_to_three_sentences():
    passages = korean_passages()
    assert len(passages) >= 200
    for passage in passages:
        assert passage.language == "ko"
        assert 40 <= len(passage.text) <= 200, passage
        assert passage.text.endswith(("다.", "오.")), passage


def test_korean_corpus_repeats_no_id_title_or_text():
    passages = korean_passages()
    for field in ("id", "title", "text"):
        values = [getattr(passage, field) for passage in passages]
        assert len(set(values)) == len(values)


def test_korean_corpus_lines_hold_an_id_a_title_and_a_text():
    for line in files("nearfield.demo").joinpath("korean.jsonl").read_text("utf-8").splitlines():
        assert list(json.loads(line)) == ["id", "title", "text"]


def test_standard_library_gives_thousands_of_different_passages(standard_library):
    assert len(standard_library) > 6000
    assert len({passage.id for passage in standard_library}) == len(standard_library)
    assert len({passage.text for passage in standard_library}) == len(standard_library)


def test_standard_library_includes_what_is_written_in_c_and_in_python(standard_library):
    texts = {passage.id: passage.text for passage in standard_library}
    assert texts["list.sort"] == "Sort the list in ascending order and return None."
    assert texts["json.loads"].startswith("Deserialize ``s``")
    assert "os.remove" in texts and "tempfile.TemporaryDirectory" in texts


def test_standard_library_passages_are_one_line_and_short(standard_library):
    assert all("\n" not in passage.text for passage in standard_library)
    assert max(len(passage.text) for passage in standard_library) <= 404


def test_standard_library_passages_come_in_the_same_order_again(standard_library):
    assert standard_library_passages() == standard_library


def test_folder_gives_docstrings_and_paragraphs_and_skips_hidden_files(tmp_path):
    (tmp_path / "notes.md").write_text(
        "# 제목\n\n벡터를 저장하는 방법을 적는다. 파일 하나에 모두 담는다.\n\n"
        + "Every query is compared with every vector, which is exact but slow for many vectors.\n",
        "utf-8",
    )
    (tmp_path / "code.py").write_text('def f():\n    """Add two numbers together."""\n')
    (tmp_path / ".hidden.md").write_text("This file must not be read by the demo.")
    (tmp_path / "broken.py").write_text("def f(:\n")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    passages = folder_passages(tmp_path)
    assert passages[0].id == "code.f"
    assert {passage.title for passage in passages} == {"code.f", "notes.md"}
    assert "Every query" in " ".join(passage.text for passage in passages)
    assert "hidden" not in " ".join(passage.text for passage in passages)


def test_folder_cuts_long_paragraphs_at_the_end_of_a_sentence(tmp_path):
    sentence = "This sentence is one of many that stand in one long paragraph. "
    (tmp_path / "long.txt").write_text(sentence * 30)
    for passage in folder_passages(tmp_path):
        assert len(passage.text) <= 400
        assert passage.text.endswith("paragraph.")


@pytest.mark.parametrize("make", [lambda p: p / "absent", lambda p: p])
def test_folder_without_text_is_an_error_that_names_it(tmp_path, make):
    with pytest.raises(ValueError, match=r"docs must .*, got "):
        folder_passages(make(tmp_path))
