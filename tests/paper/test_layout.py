"""Raw scores laid out as the paper's tables."""

import math

import pandas as pd
import pytest

from inbedder_utils.paper import (
    best_pooling,
    explained,
    from_parts,
    last_layer,
    published_clusters,
    published_reviews,
    published_scores,
    runs,
    score_table,
)
from inbedder_utils.paper.tasks import AWARENESS


@pytest.fixture(scope="module")
def scores():
    return last_layer(published_scores())


def test_an_average_is_missing_where_a_task_is(scores):
    table = score_table(scores)
    assert table.loc[("opt-350m-pretrain-ml=20", "fst_gen"), "IntentEmotion"] > 0
    assert math.isnan(table.loc[("opt-350m-pretrain-ml=20", "fst_gen"), "average"])


def test_a_task_in_two_parts_is_their_harmonic_mean_and_other_tasks_stay(scores):
    key = ["model", "pooling", "task"]
    anew = from_parts(scores).set_index(key)["score"]
    assert anew.index.is_unique
    given = scores[scores["part"] == ""].set_index(key)["score"]
    both = pd.DataFrame({"given": given, "anew": anew}).dropna()
    assert (both["given"] - both["anew"]).abs().max() < 0.001
    assert set(both.index.unique("task")) == set(scores["task"])


def test_a_task_with_one_part_only_has_no_mean():
    one = {"model": "m", "pooling": "own", "layer": pd.NA, "task": "NYTClustering"}
    parts = pd.DataFrame([one | {"part": "topic", "score": 60.0}, one | {"part": "location", "score": 20.0}])
    assert from_parts(parts)["score"].tolist() == [30.0]
    assert from_parts(parts[:1]).empty


def test_the_best_pooling_of_each_model_best_models_first():
    index = pd.MultiIndex.from_tuples([("a", "x"), ("a", "y"), ("b", "x"), ("c", "x")], names=["model", "pooling"])
    best = best_pooling(pd.DataFrame({"average": [1.0, 2.0, 3.0, None]}, index=index))
    assert best.index.tolist() == [("b", "x"), ("a", "y")]


def test_clusters_are_laid_out_with_each_word_once_and_labels_where_there_are_any():
    table = explained(published_clusters(), n_words=3)
    assert list(table) == ["most texts are", "words in answers", "words decoded", "bits"]
    for words in table["words decoded"].str.split(", "):
        assert len(words) == len(set(words)) <= 3 and not any("▁" in word for word in words)
    assert list(explained(published_reviews())) == ["words in answers", "words decoded"]


@pytest.mark.parametrize("n_words", [0, 2.5, "many"])
def test_a_number_of_words_that_is_none_is_refused(n_words):
    with pytest.raises((TypeError, ValueError), match="n_words"):
        explained(published_reviews(), n_words)


def test_every_complete_run_is_there_once_and_all_of_the_authors_table(scores):
    table = runs()
    complete = score_table(scores)["average"].dropna().index.unique("model")
    assert len(table) == len(complete) and table.index.unique("model").size == len(table)
    assert table["average"].is_monotonic_decreasing
    assert table[list(AWARENESS)].mean(axis=1).to_numpy() == pytest.approx(table["average"].to_numpy())
