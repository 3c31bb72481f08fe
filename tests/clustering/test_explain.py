import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer

from inbedder_utils.clustering.explain import (
    OF_ANSWERS,
    decoded_words,
    distinctive_words,
    explain,
    explain_options,
    nearest_and_farthest,
)
from inbedder_utils.clustering.partition import NOISE
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


def test_the_answers_that_contradict_each_other_are_those_of_the_texts_in_the_cluster():
    answers = ["Liked.", "disliked", "liked", "disliked", "liked", "liked", "disliked"]
    groups = np.array([0, 0, 0, 0, 1, 1, NOISE])
    named = explain(Embedder(), [f"text {i}" for i in range(7)], np.eye(7), groups, answers)
    assert [explanation.name.split(",")[0] for explanation in named] == ["unclear", "liked"]


def test_options_are_explained_as_clusters_under_their_own_names_and_may_be_empty():
    texts, answers = ["the boat sank", "the boat sails", "a train", "a tram"], ["sea", "sea", "rail", "rail"]
    groups, vectors = np.array([3, 3, 1, NOISE]), np.eye(4)
    options = explain_options(["none", "rails", "nothing", "boats"], Embedder(), texts, vectors, groups, answers)
    first, second = explain(Embedder(), texts, vectors, np.array([1, 1, 0, NOISE]), answers)
    assert [option.name for option in options] == ["none", "rails", "nothing", "boats"]
    assert options[1].words == first.words == {"rail": 1} and options[3].words == second.words == {"sea": 1}
    assert options[3].typical == second.typical and options[1].typical == [2]
    assert not any((options[0].words, options[0].typical, options[2].text_words, options[2].borderline))
    unsorted = explain_options(["a", "b"], Embedder(), texts, vectors, np.full(4, NOISE))
    assert [(option.name, option.words, option.typical) for option in unsorted] == [("a", {}, []), ("b", {}, [])]
