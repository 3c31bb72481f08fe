import runpy

import numpy as np
import pytest
from conftest import ROOT

from inbedder_utils.evaluation.awareness import answer_triplets, awareness


def asked(text, **answers):
    return [{"input": text, "instruction": question, "output": answer} for question, answer in answers.items()]


GRID = [row for a in "xy" for b in "uv" for c in "st" for row in asked(a + b + c, first=a, second=b, third=c)]


def as_told(texts, questions):
    """An encoder that minds the question: one axis per answer."""
    place = {"first": 0, "second": 1, "third": 2}
    return [[text[place[q]] == letter for letter in "xyuvst"] for text, q in zip(texts, questions, strict=True)]


def blind(texts, questions):
    return [[letter in text for letter in "xyuvst"] for text in texts]


def test_only_the_question_tells_the_positive_from_the_negative():
    triplets = answer_triplets(GRID)
    assert len(triplets) == 8 * 3 and len({(t["anchor"], t["instruction"]) for t in triplets}) == 8 * 3
    for t in triplets:
        differ = [[a != b for a, b in zip(t["anchor"], t[role], strict=True)] for role in ("positive", "negative")]
        asked_for = [name == t["instruction"] for name in ("first", "second", "third")]
        assert differ[1] == asked_for, "the negative differs in the answer asked for, and only there"
        assert differ[0] == [not it for it in asked_for], "the positive shares the answer asked for, and only that"


def test_triplets_do_not_depend_on_anything_but_the_rows():
    assert answer_triplets(GRID) == answer_triplets([dict(row) for row in GRID])


def test_an_anchor_is_never_its_own_positive():
    rows = asked("a", q="1") + asked("a", q="1") + asked("b", q="2") + asked("b", q="2")
    assert answer_triplets(rows) == []
    (first, second) = answer_triplets([*rows, *asked("c", q="1")])
    assert {first["anchor"], second["anchor"]} == {"a", "c"} and first["negative"] == second["negative"] == "b"


def test_without_a_shared_question_and_two_answers_there_are_no_triplets():
    assert answer_triplets([]) == []
    assert answer_triplets(asked("a", q="1", r="2") + asked("b", s="1")) == []
    assert answer_triplets(asked("a", q="1") + asked("b", q="1") + asked("c", q="1")) == []


def test_awareness_is_full_for_who_minds_the_question_and_none_for_the_blind():
    triplets = answer_triplets(GRID)
    assert awareness(as_told, triplets) == 1.0
    assert awareness(blind, triplets) == 0.0
    assert (
        awareness(blind, triplets[:1] + [{"instruction": "q", "anchor": "x", "positive": "x", "negative": "y"}]) == 0.5
    )


def test_awareness_encodes_every_text_under_a_question_once():
    seen = []

    def encode(texts, questions):
        seen.extend(zip(texts, questions, strict=True))
        return as_told(texts, questions)

    awareness(encode, answer_triplets(GRID))
    assert len(seen) == len(set(seen)) == 8 * 3


def test_awareness_of_nothing_is_refused():
    with pytest.raises(ValueError):
        awareness(lambda texts, questions: np.zeros((0, 3)), [])


def test_tiny_follows_the_question_in_its_small_world(tiny_encoder):
    small_world_scores = runpy.run_path(str(ROOT / "scripts" / "tiny_scores.py"))["small_world_scores"]
    scores = small_world_scores(tiny_encoder.encode, n=40, wordings="train")
    assert len(scores) >= 13
    assert all(success > 80 for success in scores.values()), scores
