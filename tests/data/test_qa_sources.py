"""Public sets to train on: from the hub, or from local copies."""

import gzip
import json
import sys

import datasets
import pytest

from inbedder_utils.data.qa_sources import QA_SETS
from inbedder_utils.training.presets import Part
from inbedder_utils.training.rows import load_parts, load_rows


def row(i: int = 0, **other: str) -> dict[str, str]:
    return {"input": f"Text {i}.", "instruction": "What?", "output": "nothing"} | other


def write(path, rows):
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    return path


HUB_ROWS = {
    "qamr": ({"sentence": "T", "question": "Q", "answer": "A", "predicate": 3}, ("T", "Q", "A")),
    "fairytale": ({"story_section": "T", "question": "Q", "answer1": "A", "answer2": "B"}, ("T", "Q", "A")),
    "squad": ({"context": "T", "question": "Q", "answers": {"text": ["A", "B"]}, "title": "x"}, ("T", "Q", "A")),
    "cosmos": (
        {"context": "T", "question": "Q", "answer0": "a", "answer1": "b", "answer2": "A", "answer3": "d", "label": 2},
        ("T", "Q", "A"),
    ),
}


@pytest.mark.parametrize("name", QA_SETS)
def test_a_row_of_a_public_set_becomes_text_question_and_answer(name):
    given, expected = HUB_ROWS[name]
    assert QA_SETS[name].columns(given) == expected
    assert QA_SETS[name].licence and QA_SETS[name].hub.count("/") == 1


def test_questions_of_squad_without_an_answer_are_left_out(monkeypatch, tmp_path):
    monkeypatch.setenv("INBEDDER_DATA", str(tmp_path))  # holds no copy
    answered, _ = HUB_ROWS["squad"]
    stored = datasets.Dataset.from_list([answered, answered | {"answers": {"text": [], "answer_start": []}}])
    monkeypatch.setattr(datasets, "load_dataset", lambda *args, **kwargs: stored)  # what the network would bring
    assert load_parts([Part("squad")]) == [{"input": "T", "instruction": "Q", "output": "A"}]


def test_of_a_set_with_a_script_the_hubs_parquet_copy_is_taken(monkeypatch):
    stored = datasets.Dataset.from_list([row(0)])

    def load(name, config, split, revision):
        if revision != "refs/convert/parquet":
            raise RuntimeError("Dataset scripts are no longer supported, but found something.py")
        return stored

    monkeypatch.setattr(datasets, "load_dataset", load)  # what the network would bring
    assert load_parts([Part("someone/something")]) == [row(0)]


def test_labels_of_a_set_on_the_hub_become_words(monkeypatch):
    names = datasets.ClassLabel(names=["happy", "angry"])
    stored = datasets.Dataset.from_list([row(0, output=1)]).cast_column("output", names)
    monkeypatch.setattr(datasets, "load_dataset", lambda *args, **kwargs: stored)  # what the network would bring
    assert load_parts([Part("someone/something")]) == [row(0, output="angry")]


@pytest.fixture
def local_copies(tmp_path, monkeypatch):
    (tmp_path / "qa").mkdir()
    monkeypatch.setenv("INBEDDER_DATA", str(tmp_path))
    return tmp_path / "qa"


@pytest.mark.parametrize("name", sorted(QA_SETS))
def test_a_public_set_is_read_from_its_local_copy(local_copies, name):
    write(local_copies / f"{name}.jsonl.gz", [row(i) for i in range(5)])
    assert load_rows(Part(name)).good == [row(i) for i in range(5)]
    assert len(load_rows(Part(name, limit=2)).good) == 2


def test_a_bad_row_of_a_local_copy_is_named(local_copies):
    file = write(local_copies / "qamr.jsonl.gz", [row(0), row(1, output="")])
    assert load_rows(Part("qamr")).bad == [f"{file}, line 2: output missing or empty"]


@pytest.mark.parametrize("name", ["someone/something", "qamr"])
def test_without_a_network_the_hub_is_out_of_reach(name, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # also set by conftest, before anything is imported
    monkeypatch.setenv("INBEDDER_DATA", str(tmp_path))  # holds no copy
    with pytest.raises(
        OSError, match=r"data set .* can't be loaded from the hub \(.+\); without a network, pass a JSON"
    ):
        load_rows(Part(name))


def test_what_reads_the_hub_may_not_be_installed(monkeypatch, tmp_path):
    monkeypatch.setenv("INBEDDER_DATA", str(tmp_path))  # holds no copy
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ImportError, match="to load biu-nlp/qamr: pip install datasets"):
        load_rows(Part("qamr"))
