"""The panel is driven from Python, as a browser would: by values of its widgets, and by what it says of the mouse."""

import base64
import re
import sys
from collections import Counter
from dataclasses import replace
from html import unescape
from io import BytesIO

import nbformat
import numpy as np
import pytest
from matplotlib.image import imread
from nbclient import NotebookClient
from test_report import COLOURS, FRUITS, NASTY, TEXTS, Reader

from inbedder_utils.clustering.asking import ask
from inbedder_utils.clustering.explorer import HINT, TEXTS_LISTED, explore
from inbedder_utils.clustering.explorer_view import summary
from inbedder_utils.clustering.levels import SHOWN_AS_TREE

FRUIT, COLOUR = "Which fruit?", "Which colour?"
VIEW = "application/vnd.jupyter.widget-view+json"


class Mixed(Reader):
    """Answers with the words of a text, and encodes them all: colours set texts apart more than fruits, and so on."""

    weights = dict.fromkeys(COLOURS, 1.0) | dict.fromkeys(FRUITS, 0.5) | dict.fromkeys(("big", "small"), 0.2)

    def answer(self, texts, instruction):
        return [" ".join(word for word in self.weights if word in text) for text in texts]

    def encode(self, texts, instruction):
        held = np.array([[weight * (word in text) for word, weight in self.weights.items()] for text in texts])
        return held + np.random.default_rng(0).normal(scale=0.01, size=held.shape)


SIZED = [f"A {size} {text}" for size in ("big", "small") for text in TEXTS]


@pytest.fixture
def panel():
    return explore(Reader(), {"fruit": TEXTS, "few": ["A red apple.", "A blue pear.", "A green pear."]}, FRUIT)


def shown(panel):
    return panel.png, panel.table.value, panel.texts.options, panel.chosen.value


def test_the_first_question_is_asked_at_once(panel):
    assert sorted(panel.result.names) == FRUITS
    assert "36 texts in 2 clusters" in panel.status.value and FRUIT in panel.status.value
    assert panel.png.startswith(b"\x89PNG") and panel.pointed.value == HINT
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


def test_options_are_what_texts_are_sorted_into(panel):
    panel.question.value = COLOUR
    panel.options.value = "red; blue"  # what Enter does
    assert panel.result.options == ["red", "blue"] and panel.number.disabled
    assert "fruit: 36 texts in 2 options: Which colour?" in panel.status.value
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row)[:3] for row in panel.table.value.split("<tr>")[2:]]
    assert rows == [[f"<b>{name}</b>", "12", "33%"] for name in ("red", "blue", "other")]
    assert panel.cluster.options == (("red (12)", 0), ("blue (12)", 1), ("other (12)", -1))
    panel.number.value = 5
    panel.button.click()
    assert panel.result.options == ["red", "blue"]
    panel.options.value = ""
    assert panel.result.options is None and len(panel.result) == 5 and not panel.number.disabled


def test_texts_of_no_option_can_be_read(panel):
    panel.question.value, panel.options.value = COLOUR, "red; blue"
    panel.cluster.value = -1
    listed = [i for _, i in panel.texts.options]
    assert sorted(listed) == [i for i, text in enumerate(TEXTS) if "green" in text]
    assert "<div>other; nearest: " in panel.chosen.value and panel.split.disabled
    panel.cluster.value = 0
    assert "<div>red 100%, blue 0%</div>" in panel.chosen.value and not panel.split.disabled
    mouse(panel, "button_press", *places(panel)[listed[0]])
    assert panel.cluster.value == -1 and panel.texts.value == listed[0]


def test_an_option_without_texts_is_in_the_table_only(panel):
    panel.options.value = "plum, pear, apple"
    assert panel.cluster.options == (("pear (18)", 1), ("apple (18)", 2)) and panel.cluster.value == 1
    assert "<b>plum</b>" in panel.table.value and "no text was sorted into &#x27;plum&#x27;" in panel.status.value


@pytest.mark.parametrize("typed", ["red, blue", " red ;blue; ", "red: like wine, or blood; blue: like the sky"])
def test_semicolons_part_options_or_else_commas(panel, typed):
    panel.question.value, panel.options.value = COLOUR, typed
    assert panel.result.options == ["red", "blue"]


def test_how_far_a_text_belongs_to_the_nearest_two_is_shown():
    texts = [*SIZED, "A big red and blue apple."]
    panel = explore(Mixed(), {"fruit": texts}, COLOUR)
    panel.number.value = 3
    panel.button.click()
    mixed = len(texts) - 1
    panel.cluster.value = int(panel.result.assignments[mixed])
    panel.texts.value = mixed
    one, share, other, rest = re.search(r"<div>(\w+) (\d+)%, (\w+) (\d+)%</div>", panel.chosen.value).groups()
    assert {one, other} == {"red", "blue"} and 50 <= int(share) < 90 and 99 <= int(share) + int(rest) <= 101


def test_a_cluster_is_divided_and_divided_again_and_one_comes_back():
    panel = explore(Mixed(), {"fruit": SIZED}, COLOUR)
    panel.number.value = 3
    panel.button.click()
    assert sorted(panel.result.names) == sorted(COLOURS) and panel.up.disabled
    seen, text = [], "A big A blue pear, number 0."
    for _ in range(2):
        panel.cluster.value = int(panel.result.assignments[panel.result.texts.index(text)])
        members = panel.result.to_frame().query("cluster == @panel.cluster.value")
        seen.append((shown(panel), panel.status.value))
        panel.split.click()
        assert panel.result.texts == members["text"].tolist() and not panel.up.disabled
        assert all(new != old for new, old in zip(shown(panel), seen[-1][0], strict=True))
    place = f"fruit &gt; blue &gt; {members['name'].iloc[0]}"
    assert f"{place}: {len(members)} texts in {len(panel.result)} clusters: {COLOUR}" in panel.status.value
    mouse(panel, "button_press", *places(panel)[-1])
    assert panel.result.texts[-1] in panel.chosen.value and panel.texts.value == len(members) - 1
    for before in seen[::-1]:
        panel.up.click()
        assert (shown(panel), panel.status.value) == before
    assert panel.up.disabled and len(panel.result.texts) == 72


def test_the_texts_of_an_option_are_divided_and_a_question_is_asked_of_all_texts():
    panel = explore(Mixed(), {"fruit": SIZED}, COLOUR)
    panel.options.value = "red; green; blue"
    panel.cluster.value = 1
    panel.split.click()
    assert "fruit &gt; green: 24 texts in" in panel.status.value and panel.result.options is None
    panel.question.value = FRUIT
    assert "fruit: 72 texts in 3 options" in panel.status.value and panel.up.disabled


def test_where_there_is_nothing_to_divide_all_stays():
    panel = explore(Mixed(), {"same": TEXTS[:1] * 2}, COLOUR)
    before = shown(panel)
    panel.split.click()
    assert "stays one cluster: with so few texts" in panel.status.value
    assert shown(panel) == before and panel.up.disabled and not panel.split.disabled
    panel.button.click()
    assert "same: 2 texts in 1 cluster: " in panel.status.value


@pytest.mark.parametrize("number", [SHOWN_AS_TREE[0] - 1, SHOWN_AS_TREE[0], SHOWN_AS_TREE[-1], SHOWN_AS_TREE[-1] + 1])
def test_the_tree_of_a_few_clusters_is_below_their_table(number):
    panel = explore(Mixed(), {"fruit": SIZED}, COLOUR)
    panel.number.value = number
    panel.button.click()
    assert len(panel.result) == number
    branches = re.findall(r"<div style='padding-left: ([\d.]+)em'>(.*?) \((\d+)\)</div>", panel.table.value)
    expected = panel.result.tree().walk() if number in SHOWN_AS_TREE else []
    assert [(name, int(size)) for _, name, size in branches] == [(branch.name, branch.size) for _, branch in expected]
    assert [float(space) / 1.5 for space, *_ in branches] == [depth for depth, _ in expected]


def test_no_click_encodes_again_what_was_encoded(monkeypatch):
    encoded = Counter()
    encode = Mixed.encode
    monkeypatch.setattr(Mixed, "encode", lambda *call: encoded.update(call[1]) or encode(*call))
    panel = explore(Mixed(), {"fruit": SIZED}, COLOUR)
    for options in ("red; green; blue", "red; green", ""):
        panel.options.value = options
        panel.split.click()
        panel.up.click()
    panel.number.value = 4
    panel.button.click()
    assert len(panel.result) == 4 and {encoded[text] for text in SIZED} == {1}
    assert panel.result.assign(["A red pear."])["cluster"].item() in range(4)


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


def places(panel):
    """(n, 2) pixels of the shown texts, from the left and from the top."""
    (ax,) = panel.map.figure.axes
    return ax.transData.transform(panel.result.coordinates) * (1, -1) + (0, panel.map.figure.bbox.height)


def mouse(panel, kind, x, y):
    """What the browser says when the mouse moves or is pressed."""
    message = {"type": kind, "x": x, "y": y, "button": 0, "buttons": 0, "modifiers": [], "guiEvent": {}}
    panel.map._handle_message(panel.map, message, [])


def test_every_text_can_be_read_on_the_map_with_its_answer_where_it_is_drawn(panel):
    picture, colours = imread(BytesIO(panel.png)), {0: Counter(), 1: Counter()}
    for i, (x, y) in zip(panel.result.shown, places(panel), strict=True):
        mouse(panel, "motion_notify", x, y)
        assert TEXTS[i] in panel.pointed.value and f"answer: <b>{panel.result.answers[i]}</b>" in panel.pointed.value
        colours[panel.result.assignments[i]][tuple(picture[int(y), int(x)])] += 1
    (one, ones), (other, others) = (colours[c].most_common(1)[0] for c in (0, 1))
    assert one != other and min(ones, others) >= 15  # of 18, for a name may cover some
    mouse(panel, "motion_notify", *(places(panel)[0] + (1, -1)))
    assert TEXTS[0] in panel.pointed.value


def test_beside_the_texts_there_is_nothing_to_read_or_choose(panel):
    (ax,), (x, y) = panel.map.figure.axes, places(panel)[0]
    mouse(panel, "motion_notify", x, y)
    free = np.stack(
        np.meshgrid(*(np.arange(low, high, 5) for low, high in np.transpose(ax.bbox.extents.reshape(2, 2))))
    )
    free = free.reshape(2, -1).T * (1, -1) + (0, panel.map.figure.bbox.height)
    far = np.linalg.norm(free[:, None] - places(panel), axis=2).min(axis=1).argmax()
    chosen = panel.chosen.value
    for x, y in ((1, 1), free[far]):
        mouse(panel, "motion_notify", x, y)
        assert panel.pointed.value == HINT
        mouse(panel, "button_press", x, y)
        assert panel.chosen.value == chosen


def test_a_click_on_the_map_chooses_a_text_as_often_as_one_likes(panel):
    for i in (7, 0, 7):
        mouse(panel, "button_press", *places(panel)[i])
        assert panel.texts.value == i and panel.cluster.value == panel.result.assignments[i]
        assert TEXTS[i] in panel.chosen.value and sorted(i for _, i in panel.texts.options) == sorted(
            (panel.result.assignments == panel.cluster.value).nonzero()[0].tolist()
        )
        panel.texts.value = panel.texts.options[-1][1]


def test_after_another_question_the_mouse_is_at_the_texts_of_the_new_map(panel):
    panel.corpus.value = "few"
    panel.button.click()
    assert panel.pointed.value == HINT
    mouse(panel, "button_press", *places(panel)[2])
    assert "A green pear." in panel.chosen.value


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"question": "  "}, "Type a question first"),
        ({"corpus": "few", "number": 5}, "5 clusters cannot be made of 3 texts"),
        ({"options": "apple"}, "Got 1 option: pass two or more"),
        ({"options": " ; "}, "Got 0 options: pass two or more"),
        ({"options": "apple, pear, Apple"}, "Option &#x27;Apple&#x27; comes twice"),
    ],
)
def test_a_mistake_is_said_in_the_panel(panel, change, said):
    before = shown(panel)
    for widget, value in change.items():
        getattr(panel, widget).value = value
    panel.button.click()
    assert said in panel.status.value and "Traceback" not in panel.status.value
    assert shown(panel) == before and not panel.button.disabled
    panel.options.value = ""
    panel.question.value, panel.number.value = COLOUR, 2
    panel.button.click()
    assert "in 2 clusters" in panel.status.value


def test_whatever_an_encoder_raises_is_said_too(panel, monkeypatch):
    def fails(*_):
        raise RuntimeError("out of <memory>")

    monkeypatch.setattr(Reader, "encode", fails)
    panel.question.value = COLOUR
    assert "Out of &lt;memory&gt;" in panel.status.value and panel.result.instruction == FRUIT


def test_texts_questions_and_options_are_shown_as_they_are():
    texts = [f"{NASTY} {colour}\ud800" for colour in COLOURS * 3]
    panel = explore(Reader(), {NASTY: texts}, f"{COLOUR} {NASTY} $1 $2")
    for options in ("", f"red: {NASTY}; {NASTY}; green"):
        panel.options.value = options
        mouse(panel, "motion_notify", *places(panel)[0])
        parts = (panel.status, panel.table, panel.chosen, panel.pointed)
        assert all(re.search(r"<(?!/?(b|div|span|table|t[rhd])\b)", part.value) is None for part in parts)
        assert all("&lt;script&gt;" in part.value and "\ufffd" in part.value for part in (panel.chosen, panel.pointed))
    assert "<b>&lt;script&gt;" in panel.table.value
    panel.split.click()
    assert "&lt;script&gt;" in panel.status.value and "<script>" not in panel.status.value


def test_names_are_shown_as_they_are():
    result = ask(Mixed(), SIZED, COLOUR, 3)
    renamed = [replace(e, name=f"{NASTY} {i}") for i, e in enumerate(result.explanations)]
    html = summary(replace(result, explanations=renamed))
    assert "<script>" not in html and html.count("&lt;script&gt;") == 6  # in the table and in the tree


def test_an_embedder_without_answers_and_a_long_list():
    class Plain:
        def encode(self, texts, instruction):
            return Reader().encode(texts, instruction)

    panel = explore(Plain(), {"many": TEXTS * 20}, FRUIT)
    assert len(panel.texts.options) == TEXTS_LISTED and "answer" not in panel.chosen.value
    unlisted = max({*range(len(TEXTS) * 20)} - {i for _, i in panel.texts.options})
    x, y = places(panel)[unlisted]
    mouse(panel, "motion_notify", x, y)
    assert "answer" not in panel.pointed.value != HINT
    nearest = np.linalg.norm(places(panel) - (x, y), axis=1).argmin()  # others may be in the same place
    mouse(panel, "button_press", x, y)
    assert panel.texts.value == nearest and len(panel.texts.options) == TEXTS_LISTED


def test_long_texts_are_shortened_on_the_map():
    panel = explore(Reader(), {"long": [f"A {colour} {'very ' * 200}apple." for colour in COLOURS]}, COLOUR)
    for x, y in places(panel):
        mouse(panel, "motion_notify", x, y)
        assert "…" in panel.pointed.value and len(unescape(panel.pointed.value)) < 350


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


@pytest.mark.parametrize("missing", ["ipywidgets", "ipympl"])
def test_without_its_libraries_it_says_what_to_install(monkeypatch, missing):
    monkeypatch.delitem(sys.modules, "inbedder_utils.clustering.explorer")
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.delitem(sys.modules, f"{missing}.backend_nbagg", raising=False)
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
