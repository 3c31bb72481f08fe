"""The panel is driven from Python, as a browser would: by values of its widgets, and by clicks."""

import base64
import re
import sys
from collections import Counter
from html import unescape
from io import BytesIO

import nbformat
import pytest
from matplotlib.image import imread
from nbclient import NotebookClient
from test_report import COLOURS, FRUITS, NASTY, TEXTS, Reader

from inbedder_utils.clustering.explorer import LISTED, explore

FRUIT, COLOUR = "Which fruit?", "Which colour?"
VIEW = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def panel():
    return explore(Reader(), {"fruit": TEXTS, "few": ["A red apple.", "A blue pear.", "A green pear."]}, FRUIT)


def shown(panel):
    return panel.map.value, panel.table.value, panel.texts.options, panel.chosen.value


def test_the_first_question_is_asked_at_once(panel):
    assert sorted(panel.result.names) == FRUITS
    assert "36 texts in 2 clusters" in panel.status.value and FRUIT in panel.status.value
    assert panel.png.startswith(b"\x89PNG") and base64.b64encode(panel.png).decode() in panel.map.value
    assert all(name in panel.table.value for name in FRUITS)


def test_another_question_forms_the_corpus_anew(panel):
    before = shown(panel)
    panel.question.value = COLOUR  # what Enter does
    assert sorted(panel.result.names) == sorted(COLOURS)
    assert all(new != old for new, old in zip(shown(panel), before, strict=True))
    assert "36 texts in 3 clusters" in panel.status.value and not panel.button.disabled


def test_corpus_and_number_are_taken_up_by_the_button(panel):
    panel.number.value = 4
    assert len(panel.result) == 2
    panel.button.click()
    assert len(panel.result) == 4
    panel.corpus.value, panel.number.value = "few", 2
    panel.button.click()
    assert len(panel.result.texts) == 3 and len(panel.result) == 2


def test_the_same_question_is_not_asked_twice(panel, monkeypatch):
    monkeypatch.setattr("inbedder_utils.clustering.explorer.ask", lambda *_: pytest.fail("asked again"))
    before = shown(panel)
    panel.button.click()
    assert shown(panel) == before


def test_a_picked_text_is_shown_with_its_answer(panel):
    for cluster, name in enumerate(panel.result.names):
        panel.cluster.value = cluster
        listed = [i for _, i in panel.texts.options]
        assert sorted(listed) == (panel.result.assignments == cluster).nonzero()[0].tolist()
        assert listed[:3] == panel.result.explanations[cluster].typical
        panel.texts.value = listed[7]
        assert TEXTS[listed[7]] in panel.chosen.value and f"<b>{name}</b>" in panel.chosen.value


POINT = re.compile(
    r'style="left: ([\d.]+)%; top: ([\d.]+)%" data-i="(\d+)"></i>'
    r'<div dir="auto"( class=low)?>(.*?)(?:<div>(.*?)</div>)?</div>'
)


def points(panel):
    """{number of the text: (percent from the left, from the top, class, text, answer)}."""
    found = [POINT.match(point).groups() for point in panel.map.value.split("<i ")[1:]]
    return {int(i): (float(x), float(y), low, unescape(text), answer) for x, y, i, low, text, answer in found}


def test_every_text_can_be_read_on_the_map_with_its_answer_where_it_is_drawn(panel):
    found, picture = points(panel), imread(BytesIO(panel.png))
    high, wide, _ = picture.shape
    assert sorted(found) == [*range(36)]
    colours = {0: Counter(), 1: Counter()}
    for i, (x, y, low, text, answer) in found.items():
        assert text == TEXTS[i] and answer == f"answer: <b>{panel.result.answers[i]}</b>"
        assert bool(low) == (y < 50)  # what is read does not cover its point
        colours[panel.result.assignments[i]][tuple(picture[int(high * y / 100), int(wide * x / 100)])] += 1
    (one, ones), (other, others) = (colours[c].most_common(1)[0] for c in (0, 1))
    assert one != other and min(ones, others) >= 15  # of 18, for a name may cover some


def test_a_click_on_the_map_chooses_a_text_as_often_as_one_likes(panel):
    for i in (7, 0, 7):
        panel.clicked.value = i  # what the browser does
        assert panel.texts.value == i and panel.cluster.value == panel.result.assignments[i]
        assert TEXTS[i] in panel.chosen.value and sorted(i for _, i in panel.texts.options) == sorted(
            (panel.result.assignments == panel.cluster.value).nonzero()[0].tolist()
        )
        panel.texts.value = panel.texts.options[-1][1]


def test_a_late_click_on_the_map_of_a_longer_corpus_is_no_mistake(panel):
    panel.corpus.value = "few"
    panel.button.click()
    before = shown(panel)
    panel.clicked.value = 35
    assert shown(panel) == before


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"question": "  "}, "Type a question first"),
        ({"corpus": "few", "number": 5}, "5 clusters cannot be made of 3 texts"),
    ],
)
def test_a_mistake_is_said_in_the_panel(panel, change, said):
    before = shown(panel)
    for widget, value in change.items():
        getattr(panel, widget).value = value
    panel.button.click()
    assert said in panel.status.value and "Traceback" not in panel.status.value
    assert shown(panel) == before and not panel.button.disabled
    panel.question.value, panel.number.value = COLOUR, 2
    panel.button.click()
    assert "in 2 clusters" in panel.status.value


def test_whatever_an_encoder_raises_is_said_too(panel, monkeypatch):
    def fails(*_):
        raise RuntimeError("out of <memory>")

    monkeypatch.setattr(Reader, "encode", fails)
    panel.question.value = COLOUR
    assert "Out of &lt;memory&gt;" in panel.status.value and panel.result.instruction == FRUIT


def test_texts_and_questions_are_shown_as_they_are():
    panel = explore(Reader(), {"n": [f"{NASTY} {colour}\ud800" for colour in COLOURS * 3]}, f"{COLOUR} {NASTY} $1 $2")
    assert all("<script>" not in part.value for part in (panel.status, panel.table, panel.chosen, panel.map))
    assert all("&lt;script&gt;" in part.value and "\ufffd" in part.value for part in (panel.chosen, panel.map))


def test_an_embedder_without_answers_and_a_long_list():
    class Plain:
        def encode(self, texts, instruction):
            return Reader().encode(texts, instruction)

    panel = explore(Plain(), {"many": TEXTS * 20}, FRUIT)
    assert len(panel.texts.options) == LISTED and "answer" not in panel.chosen.value + panel.map.value
    unlisted = ({*points(panel)} - {i for _, i in panel.texts.options}).pop()
    panel.clicked.value = unlisted
    assert panel.texts.value == unlisted and len(panel.texts.options) == LISTED


def test_long_texts_are_shortened_on_the_map():
    panel = explore(Reader(), {"long": [f"A {colour} {'very ' * 200}apple." for colour in COLOURS]}, COLOUR)
    assert all("…" in text and len(text) < 250 for *_, text, _ in points(panel).values())


def test_where_no_panel_can_be_shown_there_is_a_picture(panel):
    bundle = panel._repr_mimebundle_(include=None, exclude=None)
    assert VIEW in bundle and bundle["text/plain"] == repr(panel) == repr(panel.result)
    assert base64.b64decode(bundle["image/png"]) == panel.png
    again = explore(Reader(), {"fruit": TEXTS}, FRUIT)._repr_mimebundle_()
    assert (again["image/png"], again["text/plain"]) == (bundle["image/png"], bundle["text/plain"])


@pytest.mark.parametrize(
    ("corpora", "error", "message"),
    [
        (TEXTS, TypeError, "corpora must be {name: texts}, got list"),
        ({}, ValueError, "corpora is empty"),
        ({"a": "one text"}, TypeError, "texts must be a list"),
        ({"a": []}, ValueError, "there are no texts"),
    ],
)
def test_unfit_corpora(corpora, error, message):
    with pytest.raises(error, match=message):
        explore(Reader(), corpora)


def test_without_ipywidgets_it_says_what_to_install(monkeypatch):
    monkeypatch.delitem(sys.modules, "inbedder_utils.clustering.explorer")
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    with pytest.raises(ImportError, match=r"pip install 'inbedder-utils\[notebooks\]'"):
        import inbedder_utils.clustering.explorer  # noqa: F401


def test_a_notebook_without_a_browser_keeps_panel_and_picture(tmp_path):
    code = (
        "from inbedder_utils.evaluation.baselines import TfidfEmbedder\n"
        "from inbedder_utils.clustering.explorer import explore\n"
        "explore(TfidfEmbedder(), {'fruit': [f'{c} apple {i}' for c in ('red', 'blue') for i in range(5)]})"
    )
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    NotebookClient(notebook, kernel_name="python3").execute(cwd=tmp_path)
    (output,) = [output for output in notebook.cells[0].outputs if "data" in output]
    assert {VIEW, "image/png", "text/plain"} == set(output["data"])
    assert base64.b64decode(output["data"]["image/png"]).startswith(b"\x89PNG")
