"""Public sets of labels: their questions and answers, and the files that they come from."""

import gzip
import io
import json
import tarfile
import urllib.request
from pathlib import Path
from random import Random

import datasets
import pytest
from huggingface_hub import constants as hub_constants

from inbedder_utils.data.label_sets import LABEL_SETS, questions_about
from inbedder_utils.data.label_sources import LABEL_SOURCES
from inbedder_utils.data.natural_qa import load_wordings
from inbedder_utils.training.presets import Part
from inbedder_utils.training.rows import load_rows

LABELLED = {
    "banking77": ({"text": "My card?", "label": "card arrival"}, {"need": {"card arrival"}}),
    "goemotions": ({"text": "So proud!", "label": "fear"}, {"feeling": {"afraid"}}),
    "hwu64": (
        {"text": "wake me at six", "scenario": "alarm", "intent": "set", "entities": {"time": "six"}},
        {"topic": {"alarm"}, "need": {"set alarm"}, "time": {"six"}},
    ),
    "mams": (
        {"text": "Good food, rude staff.", "aspects": {"food": "positive", "staff": "negative"}},
        {"judged": {"liked", "disliked"}, "praised": {"food"}, "criticised": {"staff"}, "liking": {"mixed"}},
    ),
    "vader": ({"text": "A gem.", "rating": 2.6, "type": "film review"}, {"liking": {"liked"}}),
}
OPTIONS = {
    group["say"][label] for groups in load_wordings()["options"].values() for group in groups for label in group["say"]
}


@pytest.mark.parametrize("name", LABEL_SETS)
def test_labels_are_asked_about_in_many_wordings_and_answered_in_words(name):
    labelled, expected = LABELLED[name]
    rows = [row for seed in range(30) for row in questions_about(name, labelled, Random(seed))]
    assert {row["kind"] for row in rows} == expected.keys()
    for kind, answers in expected.items():
        found = {row["output"] for row in rows if row["kind"] == kind}
        assert answers <= found <= answers | OPTIONS
        assert len({row["instruction"] for row in rows if row["kind"] == kind}) > 10
    assert not {c for row in rows for c in row["instruction"]} & set("{}")
    assert {row["input"] for row in rows} == {labelled["text"]}


def test_a_verdict_on_one_aspect_names_it():
    labelled, _ = LABELLED["mams"]
    for seed in range(20):
        for row in questions_about("mams", labelled, Random(seed)):
            if row["kind"] == "judged":
                assert ("food" if row["output"] == "liked" else "staff") in row["instruction"].lower()


def test_an_entity_that_comes_twice_is_not_asked_about():
    request = {"text": "tom, six or seven", "scenario": "alarm", "intent": "set"}
    for entities in ({"person": "tom", "time": ""}, {"person": "tom", "time": "", "timeofday": "early"}):
        rows = [*questions_about("hwu64", request | {"entities": entities}, Random(0))]
        assert {row["kind"] for row in rows} == {"topic", "need", "who"}


def test_most_texts_without_an_opinion_or_a_feeling_are_not_asked_about_it():
    for name, labelled in {
        "vader": {"text": "It has two buttons.", "rating": 0.0, "type": "product review"},
        "goemotions": {"text": "It is Monday.", "label": "neutral"},
    }.items():
        asked = [len([*questions_about(name, labelled, Random(seed))]) for seed in range(200)]
        assert 10 < sum(asked) < 60


def test_a_local_copy_is_read_anew_worded_at_every_pass(tmp_path, monkeypatch):
    monkeypatch.setenv("INBEDDER_DATA", str(tmp_path))
    (tmp_path / "qa").mkdir()
    with gzip.open(tmp_path / "qa" / "vader.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(LABELLED["vader"][0] | {"text": f"A gem, {i}."}) + "\n" for i in range(20))
    first, twice = load_rows(Part("vader")).good, load_rows(Part("vader", passes=2)).good
    assert len(first) == 20 and twice[:20] == first != twice[20:]


def archive() -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        for stem, line in {
            "movieReviewSnippets": "1\t2.6\tA ''gem''.",
            "amazonReviewSnippets": "1_1\t-1.5\tBroke at once.",
            "tweets": "1\t0.1\tMonday.",
        }.items():
            entry = tarfile.TarInfo(f"hutto_ICWSM_2014/{stem}_GroundTruth.txt")
            entry.size = len(line.encode())
            tar.addfile(entry, io.BytesIO(line.encode()))
    return content.getvalue()


FILES = {
    "vader": (
        archive(),
        [
            {"text": "A 'gem'.", "rating": 2.6, "type": "film review"},
            {"text": "Broke at once.", "rating": -1.5, "type": "product review"},
            {"text": "Monday.", "rating": 0.1, "type": "tweet"},
        ],
    ),
    "mams": (
        b'<sentences><sentence><text>Good food.</text><aspectCategories><aspectCategory category="food" '
        b'polarity="positive"/></aspectCategories></sentence></sentences>',
        [{"text": "Good food.", "aspects": {"food": "positive"}}],
    ),
    "hwu64": (
        b"answerid;scenario;intent;answer_annotation\n1;alarm;set;wake me at [time : six] please\n2;qa;maths;null\n"
        b"3;alarm;set;wake [person : tom] at [time : six] or [time : seven]\n",
        [
            {"text": "wake me at six please", "scenario": "alarm", "intent": "set", "entities": {"time": "six"}},
            {
                "text": "wake tom at six or seven",
                "scenario": "alarm",
                "intent": "set",
                "entities": {"person": "tom", "time": ""},
            },
        ],
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_the_authors_file_gives_the_rows_of_a_local_copy(name, tmp_path, monkeypatch):
    content, expected = FILES[name]
    file = Path(tmp_path / "file")
    file.write_bytes(content)
    asked = []
    monkeypatch.setattr(hub_constants, "HF_HUB_OFFLINE", False)
    # what the network would bring
    monkeypatch.setattr(urllib.request, "urlopen", lambda url, timeout: asked.append(url) or file.open("rb"))
    assert [*LABEL_SOURCES[name].rows(name)] == expected
    assert len(asked[0].split("/")[5]) == 40, "a commit"


def test_labels_on_the_hub_are_numbers_that_stand_for_words(monkeypatch):
    names = datasets.ClassLabel(names=["card_arrival", "joy"])
    sets = {
        "PolyAI/banking77": datasets.Dataset.from_dict({"text": ["a"], "label": [0]}).cast_column("label", names),
        "google-research-datasets/go_emotions": datasets.Dataset.from_dict(
            {"text": ["b", "c"], "labels": [[1], [0, 1]]}
        ).cast_column("labels", datasets.List(names)),
    }
    monkeypatch.setattr(datasets, "load_dataset", lambda name, *_, **__: sets[name])  # what the network would bring
    assert [*LABEL_SOURCES["banking77"].rows("banking77")] == [{"text": "a", "label": "card arrival"}]
    assert [*LABEL_SOURCES["goemotions"].rows("goemotions")] == [{"text": "b", "label": "joy"}]


@pytest.mark.parametrize("name", LABEL_SOURCES)
def test_without_a_network_it_says_so(name, monkeypatch, tmp_path):
    monkeypatch.setattr(hub_constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("INBEDDER_DATA", str(tmp_path))  # holds no copy
    with pytest.raises(OSError, match=r"can't be loaded from .*without a network, put a copy under \$INBEDDER_DATA/qa"):
        load_rows(Part(name))


def test_every_set_has_a_home_and_a_licence():
    assert LABEL_SETS.keys() == LABEL_SOURCES.keys() == LABELLED.keys()
    assert all(source.licence for source in LABEL_SOURCES.values())
