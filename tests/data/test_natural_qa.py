"""The natural texts that ship with the package: short answers, clean splits, wordings drawn by seed."""

from collections import Counter
from random import Random
from string import Formatter

import pytest

from inbedder_utils.data.natural_qa import NATURAL_SPLITS, load_wordings, natural_rows, reword


@pytest.fixture(scope="module")
def rows_of():
    return {split: natural_rows(split) for split in NATURAL_SPLITS}


@pytest.fixture(scope="module")
def everything(rows_of):
    return [row for rows in rows_of.values() for row in rows]


def test_no_text_is_in_two_splits(rows_of):
    texts = [{" ".join(row["input"].lower().split()) for row in rows} for rows in rows_of.values()]
    assert sum(map(len, texts)) == len(set().union(*texts))


def test_there_are_many_texts_and_all_are_asked_about_several_times(everything):
    questions = Counter(row["input"] for row in everything)
    assert len(questions) >= 12_000 and len(everything) >= 80_000
    assert min(questions.values()) >= 2 and len(everything) >= 6 * len(questions)


def test_every_row_is_complete_and_its_answer_short(everything):
    for row in everything:
        assert set(row) == {"input", "instruction", "output", "kind", "type"}
        assert all(isinstance(value, str) and value == value.strip() != "" for value in row.values()), row
        assert len(row["output"].split()) <= 4, row


def test_no_text_is_asked_the_same_question_twice(everything):
    asked = Counter((row["input"], row["instruction"]) for row in everything)
    assert not [pair for pair, n in asked.items() if n > 1]


def test_a_text_has_one_type(everything):
    types = {}
    for row in everything:
        assert types.setdefault(row["input"], row["type"]) == row["type"]


def test_the_same_seed_gives_the_same_wordings_and_others_differ(rows_of):
    first, again, other = (natural_rows("train", seed=seed) for seed in (1, 1, 2))
    assert first == again and first != other
    changed = sum(a["instruction"] != b["instruction"] for a, b in zip(first, rows_of["train"], strict=True))
    assert changed > 0.2 * len(first)


def test_only_wordings_change_and_answers_where_the_question_names_its_options(rows_of):
    options = {
        (kind, question, said)
        for kind, groups in load_wordings()["options"].items()
        for group in groups
        for question in group["ask"]
        for said in group["say"].values()
    }
    kept, changed = ("input", "kind", "type"), 0
    for before, after in zip(rows_of["train"], natural_rows("train", seed=1), strict=True):
        assert [after[name] for name in kept] == [before[name] for name in kept]
        if before["output"] in ("yes", "no") or before["kind"] not in load_wordings()["kinds"]:
            assert after == before
        elif after["output"] != before["output"]:
            changed += 1
            assert any(kind == after["kind"] and said == after["output"] for kind, _, said in options)
    assert changed > 1000


@pytest.mark.parametrize(("text_type", "named"), [("customer message", True), ("employee feedback", False)])
def test_a_trade_may_be_named_unless_the_type_of_text_tells_another(text_type, named):
    asked = [reword(Random(seed), "liking", "liked", text_type, trade="hotel")[0] for seed in range(200)]
    assert any("hotel" in question for question in asked) is named
    assert not any("hotel" in reword(Random(seed), "liking", "liked", text_type)[0] for seed in range(200))


def test_a_question_that_names_its_options_gets_one_of_them():
    for groups in load_wordings()["options"].values():
        for group in groups:
            for question in group["ask"]:
                for said in group["say"].values():
                    assert said in ("yes", "no") or said.lower() in question.lower(), (question, said)


def test_held_out_wordings_are_not_among_those_that_are_trained_on():
    def plain(question):
        return " ".join(question.lower().split()).rstrip("?.!: ")

    trained = {plain(template) for templates in load_wordings()["kinds"].values() for template in templates}
    held_out = {plain(template) for templates in load_wordings()["held_out"].values() for template in templates}
    assert held_out and not trained & held_out


def test_every_kind_has_wordings_of_both_sorts():
    kinds, held_out = load_wordings()["kinds"], load_wordings()["held_out"]
    assert kinds.keys() == held_out.keys()
    assert all(len(set(templates)) == len(templates) >= 5 for templates in kinds.values())
    assert all(len(set(templates)) == len(templates) >= 1 for templates in held_out.values())


def test_placeholders_are_those_that_are_filled_in():
    for templates in [*load_wordings()["kinds"].values(), *load_wordings()["held_out"].values()]:
        for template in templates:
            assert {name for _, name, _, _ in Formatter().parse(template) if name is not None} <= {"writer", "text"}


@pytest.mark.parametrize("held_out", [False, True])
def test_a_worded_question_has_no_braces_left(held_out):
    for kind in load_wordings()["kinds"]:
        for text_type in [*load_wordings()["types"], "a type that nobody has heard of"]:
            for seed in range(20):
                question, answer = reword(Random(seed), kind, "liked", text_type, held_out)
                assert answer and question.strip() and not set(question) & set("{}"), (kind, text_type, question)


def test_every_type_of_text_has_names_and_so_have_all_others():
    assert "*" in load_wordings()["types"]
    for names in load_wordings()["types"].values():
        assert names["writer"] and names["text"] and names["intro"]


def test_an_unknown_split_is_refused():
    with pytest.raises(
        ValueError, match="unknown split 'trian': expected one of train, dev, test; did you mean 'train'"
    ):
        natural_rows("trian")
