import base64
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from test_asking import Words

from inbedder_utils.cli.corpus import read_corpus
from inbedder_utils.clustering import break_down, report_page
from inbedder_utils.clustering import report as cluster_report
from inbedder_utils.clustering.asking import ask
from inbedder_utils.clustering.diagnosis import Diagnosis, diagnose
from inbedder_utils.clustering.report import check_folder, write_report
from inbedder_utils.clustering.report_page import quality_in_words
from inbedder_utils.clustering.result import Clustering

NASTY = '<script>alert("x")</script> & <img src=x onerror=alert(1)>'
COLOURS, FRUITS = ["red", "green", "blue"], ["apple", "pear"]
TEXTS = [f"A {colour} {fruit}, number {i}." for i in range(6) for colour in COLOURS for fruit in FRUITS]
COLOUR, FRUIT = "Which colour costs $1, not $2?", "Which fruit?"


class Reader:
    """Answers with the word of a text that is asked for."""

    def answer(self, texts, instruction):
        words = COLOURS if "colour" in instruction else FRUITS
        return [next((word for word in words if word in text), "none") for text in texts]

    def encode(self, texts, instruction):
        words = [*COLOURS, *FRUITS, "none"]
        exact = np.eye(8)[[words.index(answer) for answer in self.answer(texts, instruction)]]
        return exact + np.random.default_rng(0).normal(scale=0.02, size=exact.shape)


class Page(HTMLParser):
    """Tags with their attributes, and the text that is shown."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.text, self.open = [], "", []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


def asked(question, texts=TEXTS, **settings):
    return ask(Reader(), texts, question, **settings)


@pytest.fixture(scope="module")
def two():
    return [asked(COLOUR), asked(FRUIT)]


@pytest.fixture(scope="module")
def folder(two, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports") / "of" / "two"
    assert write_report(two, folder, [diagnose(Reader(), result) for result in two]) == folder / "report.html"
    return folder


def test_a_report_is_a_page_a_table_and_figures(folder):
    figures = [f"{name}-{i}.png" for name in ("map", "number", "silhouettes") for i in (1, 2)]
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["assignments.csv", "flow.png", "report.html", "question-1", "question-2", *figures]
    )
    assert [path.name for path in folder.parent.iterdir()] == ["two"]  # nothing is left beside it


def test_the_page_needs_no_other_file_and_no_network(folder):
    page = Page(folder / "report.html")
    assert page.open == []  # every tag is closed
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "link", "iframe"})
    images = [image["src"].removeprefix("data:image/png;base64,") for image in page.all("img")]
    on_disk = {path.read_bytes() for path in folder.glob("*.png")}
    assert {base64.b64decode(image) for image in images} == on_disk
    assert all(image["alt"] for image in page.all("img"))
    assert all(link["href"].startswith("#") for link in page.all("a"))
    assert "url(" not in (folder / "report.html").read_text(encoding="utf-8")
    assert any(meta.get("name") == "viewport" for meta in page.all("meta"))


def test_the_page_says_what_the_clusters_are(folder, two):
    text = Page(folder / "report.html").text
    for result in two:
        assert result.instruction in text
        for e, size in zip(result.explanations, result.sizes, strict=True):
            assert e.name in text and f"{size} texts ({size / 36:.0%})" in text
            assert all(result.texts[i] in text for i in [*e.typical, *e.borderline])
    assert "36 texts in 3 clusters." in text and "mean silhouette" in text
    assert "How the questions relate" in text and "These 2 questions ask different things" in text


def test_every_text_of_a_cluster_can_be_opened_and_shares_say_of_what(folder, tmp_path):
    page = Page(folder / "report.html")
    assert len(page.all("details")) == 5 and "all 12 texts" in page.text and all(text in page.text for text in TEXTS)
    assert "share of the cluster's answers that hold the word" in page.text and "agree with these by 1.00" in page.text
    one = Page(write_report([asked(COLOUR, ["A red one.", "A red two.", "A blue one."], n_clusters=2)], tmp_path / "o"))
    assert "1 text (33%)" in one.text and "its text" in one.text and "1 texts" not in one.text


def test_shares_of_words_fall(two):
    words = dict.fromkeys(["a", "b", "c"], 0.0) | {"a": 0.3, "b": 0.9, "c": 0.5}
    result = replace(two[0], explanations=[replace(two[0].explanations[0], words=words)], assignments=np.zeros(36, int))
    assert report_page._clusters(result)[0]["words"] == "b (90%), c (50%), a (30%)"


def test_one_question_relates_to_nothing(two, tmp_path):
    write_report(two[:1], tmp_path / "one")
    assert not (tmp_path / "one" / "flow.png").exists()
    page = Page(tmp_path / "one" / "report.html")
    assert "relate" not in page.text and page.all("nav") == [] and page.open == []


def test_the_table_has_every_text_under_every_question(folder, two):
    table = pd.read_csv(folder / "assignments.csv")
    assert table["text"].tolist() == TEXTS == read_corpus(folder / "assignments.csv").texts
    for result in two:
        frame = result.to_frame()
        for kind in ("cluster", "name", "answer"):
            assert table[f"{kind} ({result.instruction})"].tolist() == frame[kind].tolist()
    assert (folder / "assignments.csv").read_bytes().startswith(b"\xef\xbb\xbf")  # for Excel


def test_nothing_from_texts_or_questions_becomes_html(tmp_path):
    texts = [f"{NASTY} {colour} {i}\ud800" for i in range(3) for colour in COLOURS]
    result = asked(f"Which colour? \ud800 {NASTY}", texts, n_clusters=2, labels=texts)
    path = write_report([result], tmp_path / "out", [diagnose(Reader(), result)])
    page = Page(path)
    assert page.all("script") == [] and len(page.all("img")) == 3
    assert page.text.count("<script>") >= 4 and "\ufffd" in page.text
    assert read_corpus(tmp_path / "out" / "assignments.csv", "text").texts[0] == texts[0].replace("\ud800", "\ufffd")


def test_long_texts_are_shortened_on_the_page_only(tmp_path):
    texts = [f"{colour} {'word ' * 1000}{i}" for i in range(3) for colour in COLOURS]
    page = Page(write_report([asked(COLOUR, texts, n_clusters=3)], tmp_path / "out"))
    assert "…" in page.text and "word " * 100 not in page.text
    assert pd.read_csv(tmp_path / "out" / "assignments.csv")["text"].tolist() == texts


def test_warnings_and_notes_are_shown(tmp_path):
    result = asked(FRUIT, ["plum"] * 4)
    doubts = ["25% of <answers> are doubtful"]
    diagnosis = Diagnosis(FRUIT, *[0.5] * 11, warnings=doubts)
    text = Page(write_report([result], tmp_path / "out", [diagnosis])).text
    assert "25% of <answers> are doubtful." in text
    assert "Read this with care" in text and all(note.removeprefix("one")[:30] in text for note in result.notes)


def test_labels_are_reported(two, tmp_path):
    labels = [text.split()[1] for text in TEXTS]
    path = write_report([asked(COLOUR, labels=labels)], tmp_path / "out")
    assert "V-measure 1.00" in Page(path).text and (tmp_path / "out" / "composition-1.png").exists()
    assert pd.read_csv(tmp_path / "out" / "assignments.csv")["label"].tolist() == labels


def test_the_report_says_how_clusters_divide_over_columns(two, tmp_path):
    by = {"fruit": [text.split()[2] for text in TEXTS], f"month {NASTY}": ["2024-01", "2024-02", None] * 12}
    path = write_report(two, tmp_path / "out", by=by)
    page, figures = Page(path), sorted(path.name for path in (tmp_path / "out").glob("by-*"))
    assert figures == ["by-1-1.png", "by-1-2.png", "by-2-1.png", "by-2-2.png"]
    assert page.open == [] and page.all("script") == [] and page.text.count("By month <script>") == 2
    for result in two:
        for name, values in by.items():
            parts = break_down(result, values, name)
            assert parts.note in page.text and all(sentence in page.text for sentence in parts.in_words())
            assert all(cell in page.text for cell in [*parts.table(), *parts.table().to_numpy().ravel()])
    assert "24 texts (12 without a value are left out); by month." in page.text and "100% (18)" in page.text
    write_report(two, tmp_path / "out", by={"fruit": by["fruit"]})
    assert len([*(tmp_path / "out").glob("by-*")]) == 2


def test_a_column_that_cannot_be_broken_down_by_leaves_no_report(two, tmp_path):
    for values, message in ((TEXTS, "as ids have"), (["a"], "got 1 values of 'fruit' for 36 texts")):
        with pytest.raises(ValueError, match=message):
            write_report(two, tmp_path / "out", by={"fruit": values})
    assert not (tmp_path / "out").exists()


def test_texts_in_no_cluster_and_an_embedder_without_answers(tmp_path):
    result = Clustering("Which?", TEXTS, np.full(36, -1), np.ones((36, 3), np.float32))
    page = Page(write_report([result], tmp_path / "none"))
    assert "36 texts in 0 clusters; 36 texts in none." in page.text and "not two clusters to compare" in page.text
    table = pd.read_csv(tmp_path / "none" / "assignments.csv")
    assert set(table["name (Which?)"]) == {"(no cluster)"} and table["answer (Which?)"].isna().all()


def test_options_without_a_text_have_no_bar(tmp_path):
    result = ask(Words(), TEXTS, "Which?", options=["purple", "cyan"])
    page = Page(write_report([result], tmp_path))
    assert [attrs["style"] for attrs in page.all("div") if attrs.get("class") == "bar"] == ["width:0%"] * 2
    assert "No text was sorted into 'cyan'" in page.text


@pytest.mark.parametrize(("spread", "how"), [(0.02, "clearly"), (3.0, "hardly")])
def test_quality_is_said_in_words(spread, how):
    groups = np.repeat([0, 1, 2], 12)
    vectors = np.eye(8)[groups] + np.random.default_rng(0).normal(scale=spread, size=(36, 8))
    (line,) = quality_in_words(Clustering("Which?", TEXTS, groups, vectors.astype(np.float32)))
    assert line.startswith(f"The clusters are {how} apart")


def test_a_report_is_replaced_as_a_whole(two, tmp_path):
    write_report(two, tmp_path / "out")
    (tmp_path / "out" / ".hidden").touch()
    write_report([asked(FRUIT, n_clusters=2)], tmp_path / "out")
    found = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert found == [".hidden", "assignments.csv", "map-1.png", "question-1", "report.html", "silhouettes-1.png"]


@pytest.mark.parametrize("existing", [True, False])
def test_a_report_that_fails_leaves_nothing(two, tmp_path, monkeypatch, existing):
    folder = tmp_path / "out"
    if existing:
        write_report(two[1:], folder)
    before = {path.name: path.read_bytes() for path in folder.rglob("*.*")}
    monkeypatch.setattr(cluster_report, "page", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_report(two, folder)
    assert {path.name: path.read_bytes() for path in folder.rglob("*.*")} == before
    assert list(tmp_path.iterdir()) == ([folder] if existing else [])


@pytest.mark.parametrize("name", ["holiday.jpg", "report.html", "assignments.csv"])
def test_a_folder_with_something_else_is_left_alone(two, tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(ValueError, match=rf"something else than a report \({re.escape(name)}\): choose another"):
        write_report(two, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name] and (tmp_path / name).read_text() == "mine"


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="is a file: choose a folder"):
        check_folder(tmp_path / "file")
    with pytest.raises(PermissionError, match="can't be written"):
        check_folder(tmp_path / "file" / "below")
    assert check_folder(tmp_path / "new" / "folder") == tmp_path / "new" / "folder"
    assert not (tmp_path / "new").exists()


def test_results_that_make_no_report(two, tmp_path):
    for results, message in (
        ([], "nothing to report"),
        ([two[0], two[0]], "was asked twice"),
        ([two[0], asked(FRUIT, TEXTS[:9])], "about one corpus"),
    ):
        with pytest.raises(ValueError, match=message):
            write_report(results, tmp_path / "out")
    with pytest.raises(ValueError, match="a diagnosis for each of 2 results"):
        write_report(two, tmp_path / "out", [diagnose(Reader(), two[1])])
