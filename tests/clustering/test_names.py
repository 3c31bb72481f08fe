from collections import Counter

import pytest

from inbedder_utils.clustering.names import contradicts_itself, distinct_names, names_given


@pytest.mark.parametrize(
    ("words", "own", "names"),
    [
        ([{"angry": 0.9, "late": 0.1}, {"happy": 0.6}], [{}, {}], ["angry", "happy"]),
        ([{"angry": 0.4, "late": 0.3, "cold": 0.2}], [{"cold": 0.5}], ["angry, cold"]),
        ([{"angry": 0.4, "anger": 0.3, "angrily": 0.2, "late": 0.1}], [{}], ["angry, anger"]),
        ([{"tax": 0.4, "taxes": 0.3, "fee": 0.2}], [{}], ["tax, fee"]),
        ([{"slow": 0.4, "slow service": 0.3, "fee": 0.2}], [{}], ["slow, fee"]),
        ([{"angry": 0.9, "late": 0.1}, {"angry": 0.8, "lost": 0.1}], [{}, {}], ["angry, late", "angry, lost"]),
        ([{"angry": 1}, {"angry": 1}, {"angry": 1}], [{}, {}, {}], ["angry", "angry (2)", "angry (3)"]),
        ([{"a": 0.4, "b": 0.1}, {"a": 0.4, "b": 0.1}], [{}, {}], ["a, b", "a"]),
        ([{"south": 0.9, "south africa": 0.8, "africa": 0.8}], [{}], ["south africa"]),
        ([{"urgent": 0.5, "not urgent": 0.42, "very": 0.3, "very urgent": 0.3}], [{}], ["urgent"]),
        ([{"rare thing": 0.01, "rare": 0.01}], [{"rare": 0.2}], ["rare"]),
        ([{"south": 0.9, "south africa": 0.5, "south korea": 0.4}], [{}], ["south"]),
        ([{"weather": 0.14, "hotel": 0.11}], [{"bed": 0.15, "water": 0.1}], ["bed, water"]),
        ([{"weather": 0.14, "hotel": 0.11}], [{"bed": 0.12}], ["weather, hotel"]),
        ([{"anger": 0.24, "loss": 0.2}], [{"like": 0.39}], ["anger, loss"]),
        ([{"rare": 0.01}, {}], [{"sea": 0.3, "boat": 0.2}, {}], ["sea, boat", "cluster 2"]),
    ],
)
def test_names_are_short_and_distinct(words, own, names):
    assert distinct_names(words, own, [[] for _ in words], [False] * len(words)) == names


@pytest.mark.parametrize(
    ("answers", "unclear"),
    [
        ({"liked": 3, "disliked": 2}, True),
        ({"disliked": 3, "liked": 1, "mixed": 2}, False),
        ({"not urgent": 1, "urgent": 1}, True),
        ({"better": 3, "worse": 2, "same": 1}, True),
        ({"late": 3, "rude": 3, "price": 3}, False),
        ({"price": 3, "liked": 2, "disliked": 2}, False),
        ({"late": 3, "liked": 3, "disliked": 3}, True),
        ({"count": 3, "discount": 3}, False),
        ({"good": 1, "bad": 1} | {f"thing {i}": 1 for i in range(200)}, False),
        ({}, False),
    ],
)
def test_a_cluster_is_unclear_if_its_first_answer_and_the_opposite_are_both_given(answers, unclear):
    assert contradicts_itself(Counter(answers)) is unclear


def test_an_unclear_cluster_says_so_and_what_leads():
    assert distinct_names([{"liked": 0.6}, {"disliked": 0.9}], [{}, {}], [[], []], [True, False]) == [
        "unclear, liked",
        "disliked",
    ]


def test_what_a_mean_is_read_as_may_second_an_answer():
    assert distinct_names([{"angry": 0.4, "late": 0.3, "cold": 0.2}], [{}], [["Cold"]], [False]) == ["angry, cold"]


@pytest.mark.parametrize(
    ("returned", "names"),
    [
        (["Late parcels", "Broken lids"], ["Late parcels", "Broken lids"]),
        (
            ["  Late\n\tparcels ", "\nLate parcels", "Late  parcels"],
            ["Late parcels", "Late parcels (2)", "Late parcels (3)"],
        ),
        (["x" * 61, "x" * 62, "x" * 60], ["x" * 59 + "…", "x" * 59 + "… (2)", "x" * 60]),
        (["a (2)", "a", "a"], ["a (2)", "a", "a (3)"]),
        (["half \ud83d"], ["half \ufffd"]),
    ],
)
def test_names_that_are_given_are_one_short_line_and_distinct(returned, names):
    given = iter(returned)
    assert names_given(lambda *_: next(given), "Which?", [["text"] for _ in names], [{} for _ in names]) == names


def test_a_namer_is_told_question_texts_and_words_of_one_cluster_after_the_other():
    told = []

    def namer(*about):
        told.append(about)
        return "name"

    names_given(namer, "Which \udfff?", [["a text", "one \ud83d"], ["c"]], [{"late": 0.9, "lost": 0.2}, {}])
    assert told == [("Which \ufffd?", ["a text", "one \ufffd"], ["late", "lost"]), ("Which \ufffd?", ["c"], [])]


@pytest.mark.parametrize(
    ("returned", "error", "message"),
    [
        (None, TypeError, r"one string; for cluster 1 \(late, lost, cold\) it returned None"),
        ([{"generated_text": "Late"}], TypeError, r"it returned \[\{'generated_text': 'Late'\}\]"),
        (" \n", ValueError, r"an empty name for cluster 1 \(late, lost, cold\): have it return something"),
    ],
)
def test_what_is_no_name_is_refused_with_the_cluster_it_was_for(returned, error, message):
    words = [{}, dict.fromkeys(["late", "lost", "cold", "wet"], 0.5)]
    with pytest.raises(error, match=message):
        names_given(lambda question, texts, words: returned if words else "first", "Which?", [["a"], ["b"]], words)
    with pytest.raises(error, match=r"for cluster 0 \('a'\)"):
        names_given(lambda *_: returned, "Which?", [["a"]], [{}])
