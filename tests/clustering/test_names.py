from collections import Counter

import pytest

from inbedder_utils.clustering.names import contradicts_itself, distinct_names


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
