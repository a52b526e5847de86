import json
import re

import numpy as np

from nearfield.demo.corpus import Passage
from nearfield.demo.map import write_map
from nearfield.explore.page import Question


def written_data(path):
    html = path.read_text("utf-8")
    return html, json.loads(re.search(r"^const data = (.*);$", html, re.MULTILINE)[1])


def test_map_holds_every_passage_and_question_and_loads_nothing(tmp_path):
    passages = [
        Passage("a", "json.loads", "Read JSON.", "en"),
        Passage("b", "읽기", "읽는다.", "ko"),
    ]
    points = np.array([[0, 1], [2, 3.14159]], np.float32)
    question = Question("어떻게 읽나요?", (1.0, 2.0), [1, 0])
    write_map(tmp_path / "map.html", passages, points, [question], "A title")
    html, data = written_data(tmp_path / "map.html")
    assert data["points"] == [
        [0.0, 1.0, 0, "json.loads", "Read JSON."],
        [2.0, 3.142, 1, "읽기", "읽는다."],
    ]
    assert [group["name"] for group in data["groups"]] == ["English", "Korean"]
    assert data["questions"] == [{"text": "어떻게 읽나요?", "x": 1.0, "y": 2.0, "answers": [1, 0]}]
    assert data["title"] == "A title"
    assert not re.search(r"https?://|\bsrc=|<link|@import|fetch\(", html)


def test_map_survives_a_text_that_looks_like_the_end_of_the_script(tmp_path):
    hostile = "</ScRiPt><script>alert(1)</script><!-- \u2028"
    passage = Passage("x", hostile, hostile, "en")
    write_map(tmp_path / "map.html", [passage], np.zeros((1, 2), np.float32), [], hostile)
    html, data = written_data(tmp_path / "map.html")
    assert data["points"][0][3] == hostile
    assert html.lower().count("</script>") == 1


def test_map_labels_modules_that_lie_together_and_not_those_scattered(tmp_path):
    rng = np.random.default_rng(0)
    together = rng.normal((5, 5), 0.1, (40, 2))
    scattered = rng.uniform(-10, 10, (200, 2))
    passages = [Passage(f"t{n}", "dates.f", "text", "en") for n in range(40)]
    passages += [Passage(f"s{n}", "misc.f", "text", "en") for n in range(200)]
    points = np.concatenate([together, scattered]).astype(np.float32)
    write_map(tmp_path / "map.html", passages, points, [], "")
    _, data = written_data(tmp_path / "map.html")
    ((name, x, y, size, _),) = data["labels"]
    assert (name, size) == ("dates", 40)
    assert abs(x - 5) < 0.2 and abs(y - 5) < 0.2
