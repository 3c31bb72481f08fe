from collections import Counter

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer

from inbedder_utils.clustering.explain import (
    OF_ANSWERS,
    contradicts_itself,
    decoded_words,
    distinct_names,
    distinctive_words,
    explain,
    nearest_and_farthest,
)
from inbedder_utils.clustering.result import NOISE
from inbedder_utils.data.own_sets import corpus

SINGLE_WORDS = {"binary": True, "token_pattern": r"\w+"}


class Embedder:
    def encode(self, texts, instruction):
        raise AssertionError("explaining needs no encoding")


def test_words_are_those_that_set_a_cluster_apart():
    answers = ["angry now", "angry", "angry now", "happy now", "happy", "sad"]
    first, second = distinctive_words(answers, np.array([0, 0, 0, 1, 1, 1]), 2, CountVectorizer(**SINGLE_WORDS))
    assert first == {"angry": 1, "now": pytest.approx(2 / 3)}
    assert list(second) == ["happy", "sad"]  # "now" is in a third of these answers, and in more of the others
    assert second["happy"] == pytest.approx(2 / 3)


def test_the_weight_of_a_word_is_that_of_class_based_tf_idf():
    answers = ["a b", "a", "a c", "b c", "c", "c d"]
    words = distinctive_words(answers, np.array([0, 0, 0, 1, 1, 1]), 2, CountVectorizer(**SINGLE_WORDS))
    counts = np.array([[3, 1, 1, 0], [0, 1, 3, 1]])
    weights = counts / 3 * np.log(1 + counts.sum() / 2 / counts.sum(axis=0))
    order = ["abcd"[j] for j in np.argsort(-weights[0], kind="stable") if counts[0, j] >= 1.5 * counts[1, j]]
    assert list(words[0]) == order == ["a"]  # "b" is as frequent in both
    assert list(words[1]) == ["c", "d"]
    assert weights[1, 3] > weights[1, 1]


def test_a_whole_answer_counts_beside_its_words():
    answers = ["slow service", "Slow service!", "slow", "rude waiter", "rude waiter", "waiter"]
    first, second = distinctive_words(answers, np.array([0, 0, 0, 1, 1, 1]), 2, CountVectorizer(**OF_ANSWERS))
    assert first == {"slow": 1, "slow service": pytest.approx(2 / 3), "service": pytest.approx(2 / 3)}
    assert list(second)[0] == "waiter"
    answers = ["not said", "not said", "late"]
    (unsaid, _) = distinctive_words(answers, np.array([0, 0, 1]), 2, CountVectorizer(**OF_ANSWERS))
    assert unsaid == {"not said": 1}, "a negated word is no mark"


def test_texts_in_no_cluster_count_among_the_others():
    vectorizer = CountVectorizer(**SINGLE_WORDS)
    words = distinctive_words(["a", "a", "b", "a", "a"], np.array([0, 0, 0, -1, -1]), 1, vectorizer)
    assert words == [{"b": pytest.approx(1 / 3)}]  # "a" is rarer in the cluster than among all


def test_answers_explain_if_there_are_any_and_else_the_texts():
    texts = ["the boat sank", "the boat sails", "the train came", "the train left"]
    groups, vectors = np.array([0, 0, 1, 1]), np.repeat(np.eye(2), 2, axis=0)
    named = explain(Embedder(), texts, vectors, groups, ["sea", "sea", None, "rail"])
    assert [e.words for e in named] == [{"sea": 1}, {"rail": 1}]
    for nothing in (None, ["", "", None, ""]):
        own = explain(Embedder(), texts, vectors, groups, nothing)
        assert [next(iter(e.words)) for e in own] == ["boat", "train"]
        assert all("the" not in e.words for e in own)
    wordless = explain(Embedder(), ["!", "?", "1", ""], vectors, groups)
    assert [(e.name, e.words) for e in wordless] == [("cluster 1", {}), ("cluster 2", {})]


def test_many_texts_are_read_in_a_sample(monkeypatch):
    monkeypatch.setattr("inbedder_utils.clustering.explain.TEXTS_READ", 50)
    texts, groups = ["boat"] * 100 + ["train"] * 100, np.repeat([0, 1], 100)
    kinds = [f"{text} kind{i}" for i, text in enumerate(texts)]
    named = explain(Embedder(), kinds, np.eye(2)[groups], groups)
    assert [e.words[word] for e, word in zip(named, ("boat", "train"), strict=True)] == [1, 1]
    shares = [next(share for word, share in e.words.items() if word.startswith("kind")) for e in named]
    assert 1 / sum(1 / share for share in shares) == pytest.approx(1 / 50)  # each word once, in 50 texts


def test_the_mean_is_read_as_what_the_cluster_has_beyond_all_others(tiny_encoder):
    table = corpus("messages").groupby("feeling").head(8)
    groups = table["feeling"].astype("category").cat.codes.to_numpy()
    vectors = tiny_encoder.encode(table["text"], "How does the customer feel?")
    read = decoded_words(tiny_encoder, vectors, groups, k=5)
    difference = vectors[groups == 1].mean(axis=0) - vectors.mean(axis=0)
    assert read[1] == tiny_encoder.words(difference[None], 5)[0]
    assert len({words[0] for words in read}) > 1
    alone = decoded_words(tiny_encoder, vectors, np.zeros(len(vectors), dtype=int), k=5)
    assert alone == tiny_encoder.words(vectors.mean(axis=0, keepdims=True), 5)


def test_words_read_from_a_mean_are_shown_only_where_the_cluster_has_them(monkeypatch):
    read = [["Sea", "boatergy"], ["rail", "sea"]]
    monkeypatch.setattr("inbedder_utils.clustering.explain.decoded_words", lambda *_: read)
    found = explain(Embedder(), ["the sea", "a train"], np.eye(2), np.array([0, 1]), ["water", "rail"])
    assert [e.decoded_words for e in found] == [["Sea"], ["rail"]]
    assert [e.text_words for e in found] == [{"sea": 1}, {"train": 1}]


def test_embeddings_that_the_head_cannot_read_are_not_read(tiny_encoder):
    groups = np.array([0, 1])
    assert decoded_words(Embedder(), np.eye(2), groups) == [[], []]
    assert decoded_words(tiny_encoder, np.eye(2), groups) == [[], []]


def test_masked_models_are_read_too(encoder_of):
    encoder = encoder_of("roberta")
    vectors = encoder.encode(["one two", "three", "four five"], "Which?")
    read = decoded_words(encoder, vectors, np.array([0, 0, 1]), k=4)
    assert [len(words) for words in read] == [4, 4] and read[0] != read[1]


def test_typical_texts_are_near_their_mean_and_borderline_ones_near_another():
    angles = np.deg2rad([0, 2, 4, 30, 60, 88, 90, 92])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    groups = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    texts = list("abcdefgh")
    typical, borderline = nearest_and_farthest(texts, vectors, groups, k=2)
    assert typical[0][0] == 2 and borderline[0][0] == 3
    assert typical[1][0] == 5 and borderline[1][0] == 4
    again, _ = nearest_and_farthest(["a", "a", "a", "d", *texts[4:]], vectors, groups, k=2)
    assert again[0] == [2, 3]  # a text that comes three times is named once
    assert nearest_and_farthest(texts, vectors, np.zeros(8, dtype=int))[1] == [[]]


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


def test_the_answers_that_contradict_each_other_are_those_of_the_texts_in_the_cluster():
    answers = ["Liked.", "disliked", "liked", "disliked", "liked", "liked", "disliked"]
    groups = np.array([0, 0, 0, 0, 1, 1, NOISE])
    named = explain(Embedder(), [f"text {i}" for i in range(7)], np.eye(7), groups, answers)
    assert [explanation.name.split(",")[0] for explanation in named] == ["unclear", "liked"]


def test_an_unclear_cluster_says_so_and_what_leads():
    assert distinct_names([{"liked": 0.6}, {"disliked": 0.9}], [{}, {}], [[], []], [True, False]) == [
        "unclear, liked",
        "disliked",
    ]


def test_what_a_mean_is_read_as_may_second_an_answer():
    assert distinct_names([{"angry": 0.4, "late": 0.3, "cold": 0.2}], [{}], [["Cold"]], [False]) == ["angry, cold"]
